package mqtt

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/testkit"
)

func TestLog_clientsThatComeAndGo(t *testing.T) {
	for _, on := range []bool{true, false} {
		b := startBroker(t, func(b *broker) { b.Opts.MQTT.ConnectionMessages = on })
		c := b.connect(v5, "dev-7")
		addr := c.c.LocalAddr().String()
		c.send([]byte{packets.Disconnect << 4, 0})
		c.expectEnd(0)
		testkit.Eventually(t, "gone", func() bool { return b.Conns.Clients() == 0 })
		for _, text := range []string{"MQTT client connected", "MQTT client disconnected"} {
			if got := b.Log.Line(text); (got != "") != on || on && (!strings.Contains(got, "client=dev-7") || !strings.Contains(got, "kind=mqtt conn=1 remote="+addr)) {
				t.Errorf("connection_messages %v: %q", on, got)
			}
		}
	}
}

// Whatever is refused can be traced to a device, and a stranger does not decide
// how long a line is.
func TestLog_namesWhoWasRefused(t *testing.T) {
	perms, err := subject.NewPermissions(&subject.Rules{Allow: []string{"ok"}}, &subject.Rules{Allow: []string{"ok"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := startBroker(t, func(b *broker) {
		b.Auth = func(r *auth.Request) (*auth.Grant, error) {
			if r.Password != "right" {
				return nil, fmt.Errorf("wrong password of user %q", r.User)
			}
			return &auth.Grant{Account: config.GlobalAccount, User: r.User, Permissions: perms}, nil
		}
	})
	login := func(user, id, pass string) *client {
		c := b.dial(v311)
		c.send(c.connectPacket(id, func(pk *packets.Packet) {
			pk.Connect.UsernameFlag, pk.Connect.Username = true, []byte(user)
			pk.Connect.PasswordFlag, pk.Connect.Password = true, []byte(pass)
		}))
		c.expect(packets.Connack)
		return c
	}
	line := func(c *client, text string) {
		t.Helper()
		testkit.Eventually(t, text, func() bool { return b.Log.Line(text) != "" })
		got := b.Log.Line(text)
		for _, want := range []string{"user=dev7", "client=m1", "kind=mqtt", c.c.LocalAddr().String()} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in %s", want, got)
			}
		}
	}
	line(login("dev7", "m1", "wrong"), "MQTT connection refused")
	c := login("dev7", "m1", "right")
	c.publish("no", "", 0, 0)
	line(c, "Publish Violation")
	c.subscribe("no", 1)
	line(c, "Subscription Violation")
	c.send([]byte{0xf0, 0})
	line(c, "MQTT connection ended by the server")

	long := strings.Repeat("x", 60_000)
	before := b.Log.Len()
	login(long, long, "wrong").expectEnd(0)
	login("d", "m2", "right").publish(long, "", 0, 0)
	testkit.Eventually(t, "both lines", func() bool {
		return b.Log.Count("MQTT connection refused") == 2 && b.Log.Count("refused and dropped") == 1
	})
	if n := b.Log.Len() - before; n > 4096 {
		t.Errorf("%d bytes of log", n)
	}
}

// What has to be told with each of very many messages costs nothing but the
// first time, and is counted.
func TestNotice_isOnlyCountedAfterTheFirst(t *testing.T) {
	b := startBroker(t, nil)
	c := b.connect(v311, "dev-7")
	var own *conn
	testkit.Eventually(t, "the client is known", func() bool {
		b.m.mu.Lock()
		defer b.m.mu.Unlock()
		for _, own = range b.m.mu.clients {
		}
		return own != nil
	})
	if own.noticed(noticeRetain) {
		t.Fatal("a line counts that was not written")
	}
	own.notice(noticeRetain, "topic", "t")
	const n = 1000
	if got := testing.AllocsPerRun(n, func() {
		if !own.noticed(noticeRetain) {
			t.Fatal("a line that was written is not known")
		}
	}); got != 0 {
		t.Errorf("%v allocations for a line that is only counted", got)
	}
	if own.noticed(noticeProperty) {
		t.Error("another line counts as written")
	}
	c.c.Close()
	b.Stop()
	// AllocsPerRun calls once more than it counts.
	if want := fmt.Sprintf("(and %d more in the last minute)", n+1); !b.Log.Contains(want) {
		t.Errorf("the log has no %q", want)
	}
}
