package mqtt

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

func TestVerify_refusesWhatNeedsARestart(t *testing.T) {
	parse := func(text string) *config.Options {
		o, _, err := config.Parse("a.conf", []byte(text), config.Source{})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	m := New()
	from := parse("mqtt { port: 1883 }")
	to := parse("max_payload: 5\nport: 4333\nmqtt {\n  port: 1884\n  max_ack_pending: 3, reject_qos2_publish: true, authorization { user: u, password: p }\n  host: \"127.0.0.1\"\n}")
	err := m.Verify(from, to)
	if err == nil || err.Error() != "a.conf:6:3: config reload not supported for mqtt.host: old=0.0.0.0, new=127.0.0.1\na.conf:4:3: config reload not supported for mqtt.port: old=1883, new=1884" {
		t.Errorf("got %v", err)
	}
	to.MQTT.Port, to.MQTT.Host = from.MQTT.Port, from.MQTT.Host
	if err := m.Verify(from, to); err != nil {
		t.Errorf("what is live: %v", err)
	}
	to.MQTT.TLS = &config.TLS{CertFile: "none", KeyFile: "none"}
	if err := m.Verify(nil, to); err == nil || !strings.Contains(err.Error(), "X509") {
		t.Errorf("without a certificate: %v", err)
	}
}

// Who is there keeps what it was told of, who comes is told of other limits.
func TestCommit_limitsHoldForWhoComes(t *testing.T) {
	b := startBroker(t, func(b *broker) { b.Opts.MaxPayload = 10_000 })
	old := b.connect(v5, "old")
	if err := b.Reload(func(o *config.Options) { o.MaxPayload, o.MQTT.RejectQoS2 = 1000, true }); err != nil {
		t.Fatal(err)
	}
	old.publish("a", strings.Repeat("x", 2000), 2, 1)
	if pk := old.expect(packets.Pubrec); pk.ReasonCode >= 0x80 {
		t.Errorf("the old one was refused with %#x", pk.ReasonCode)
	}
	c := b.dial(v5)
	c.send(c.connectPacket("new", nil))
	pk := c.expect(packets.Connack)
	if p := pk.Properties; p.MaximumPacketSize != uint32(announcedSize(1000)) || !p.MaximumQosFlag || p.MaximumQos != 1 {
		t.Errorf("the new one is told of %+v", p)
	}
}

// Clients whose user is gone, or has other rights, are ended; all others stay.
func TestCommit_endsWhoseUserIsGone(t *testing.T) {
	less, err := subject.NewPermissions(&subject.Rules{Allow: []string{"a"}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	b := startBroker(t, func(b *broker) {
		b.Auth = func(r *auth.Request) (*auth.Grant, error) {
			return &auth.Grant{Account: config.GlobalAccount, User: r.User}, nil
		}
		b.Left = func(g *auth.Grant) (*auth.Grant, bool) {
			n := *g
			if done.Load() && g.User == "less" {
				n.Permissions = less
			}
			return &n, !done.Load() || g.User != "gone"
		}
	})
	login := func(version byte, user string) *client {
		c := b.dial(version)
		c.send(c.connectPacket(user, func(pk *packets.Packet) {
			pk.Connect.UsernameFlag, pk.Connect.Username = true, []byte(user)
		}))
		c.expect(packets.Connack)
		return c
	}
	gone, less5, stays := login(v311, "gone"), login(v5, "less"), login(v5, "stays")
	done.Store(true)
	if err := b.Reload(func(*config.Options) {}); err != nil {
		t.Fatal(err)
	}
	gone.expectEnd(0)
	less5.expectEnd(packets.ErrNotAuthorized.Code)
	stays.fence()
	testkit.Eventually(t, "both are among the closed", func() bool { return len(b.Conns.Closed()) == 2 })
	for _, c := range b.Conns.Closed() {
		if c.Reason != wire.ReasonAuthFailure.String() {
			t.Errorf("closed for %q", c.Reason)
		}
	}
	// One that a reload did not find while it was let in finds that out itself.
	login(v5, "gone").expectEnd(packets.ErrNotAuthorized.Code)
}

func TestConn_expelled(t *testing.T) {
	b := startBroker(t, nil)
	c := b.connect(v5, "dev")
	for _, open := range b.Conns.Open() {
		open.(*conn).Expel(wire.ReasonConnections, "")
	}
	c.expectEnd(packets.ErrQuotaExceeded.Code)
	testkit.Eventually(t, "monitoring knows why", func() bool { return b.wasGone(wire.ReasonConnections.String()) })
}
