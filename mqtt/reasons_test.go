package mqtt

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/mqtt/session"
)

// reasonsOf are ways to be refused, and what the client is told of each.
var reasonsOf = []struct {
	name string
	kind byte
	code byte
	text string // "" for nothing
	do   func(c *client, s *stream)
}{
	{"a message that is too large", packets.Puback, 0x97, "message of 1014 bytes with its headers, the limit is 1000", func(c *client, _ *stream) {
		c.publish("t", strings.Repeat("x", 989), 1, 1)
	}},
	{"a topic that is too long", packets.Pubrec, 0x90, "topic is too long: as a subject it must fit into max_control_line", func(c *client, _ *stream) {
		c.publish(strings.Repeat("x", 5000), "", 2, 1)
	}},
	{"a message that the stream does not want", packets.Puback, 0x80, "wrong last sequence (10071)", func(c *client, s *stream) {
		c.stored(s, &apierror.Error{Code: 400, ErrCode: 10071, Description: "wrong last sequence"})
	}},
	{"a full disk", packets.Puback, 0x97, core.ErrDiskFull.Error(), func(c *client, s *stream) {
		c.stored(s, fmt.Errorf("/var/lib/x: %w", core.ErrDiskFull))
	}},
	{"a kept session that is full", packets.Puback, 0x97, "a kept session waits for as much as it may", func(c *client, s *stream) {
		c.stored(s, &session.FullError{Client: "somebody"})
	}},
	{"an error inside the server", packets.Puback, 0x80, "", func(c *client, s *stream) {
		c.stored(s, errors.New("read /var/lib/x"))
	}},
	{"a topic that is denied", packets.Puback, 0x87, "", func(c *client, _ *stream) { c.publish("denied", "", 1, 1) }},
	{"a filter that is none", packets.Suback, 0x8f, `topic filter "a/#/b" is not valid`, func(c *client, _ *stream) {
		c.send(unhex(c.t, "82 0b 00 01 00 00 05 61 2f 23 2f 62 00"))
	}},
	{"an alias that is too high", packets.Disconnect, 0x94, "topic alias 33, the highest is 32", func(c *client, _ *stream) {
		c.send(unhex(c.t, "30 07 00 01 61 03 23 00 21"))
	}},
	{"a second CONNECT", packets.Disconnect, 0x82, "second CONNECT", func(c *client, _ *stream) { c.send(c.connectPacket("c", nil)) }},
}

// stored publishes a message that a stream takes and then does not store.
func (c *client) stored(s *stream, err error) {
	n := len(s.got())
	c.publish("s", "x", 1, 1)
	testkit.Eventually(c.t, "routed", func() bool { return len(s.got()) > n })
	s.store(n, err)
}

// reasonIn is the code and the reason string of a packet that c gets, whatever it is.
func reasonIn(t *testing.T, c *client, kind byte) (code byte, text string) {
	t.Helper()
	pk := c.expect(kind)
	code = pk.ReasonCode
	if kind == packets.Suback {
		code = pk.ReasonCodes[0]
	}
	return code, pk.Properties.ReasonString
}

func TestReasons(t *testing.T) {
	deny, err := subject.NewPermissions(&subject.Rules{Deny: []string{"denied"}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := startBroker(t, func(b *broker) {
		b.Opts.MaxPayload = 1000
		b.Auth = func(*auth.Request) (*auth.Grant, error) {
			return &auth.Grant{Account: config.GlobalAccount, Permissions: deny}, nil
		}
	})
	s := b.capture("s")
	for n, who := range []struct {
		name  string
		told  bool
		wants func(*packets.Packet)
	}{
		{"by default", true, func(*packets.Packet) {}},
		{"to who asks", true, func(pk *packets.Packet) {
			pk.Properties.RequestProblemInfoFlag, pk.Properties.RequestProblemInfo = true, 1
		}},
		{"not to who asks for none", false, func(pk *packets.Packet) { pk.Properties.RequestProblemInfoFlag = true }},
		{"not to who takes none so large", false, func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = 9 }},
		{"to who takes just that", true, func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = 200 }},
	} {
		t.Run(who.name, func(t *testing.T) {
			for i, r := range reasonsOf {
				c := b.dial(v5)
				c.t = t
				c.send(c.connectPacket(fmt.Sprint("c", n, "-", i), who.wants))
				c.expect(packets.Connack)
				r.do(c, s)
				want := ""
				if who.told {
					want = r.text
				}
				if code, text := reasonIn(t, c, r.kind); code != r.code || !strings.Contains(text, want) || want == "" && text != "" {
					t.Errorf("%s: code %#x, %q, want %#x, %q", r.name, code, text, r.code, want)
				}
			}
		})
	}
}

// Who is not let in is told what is wrong with its CONNECT, and nothing of users.
func TestReasons_connack(t *testing.T) {
	b := startBroker(t, func(b *broker) {
		b.Auth = func(r *auth.Request) (*auth.Grant, error) { return nil, errors.New("user u has another password") }
	})
	for _, tc := range []struct {
		code   byte
		text   string
		change func(*packets.Packet)
	}{
		{0x8c, "enhanced authentication is not supported", func(pk *packets.Packet) { pk.Properties.AuthenticationMethod = "SCRAM-SHA-256" }},
		{0x8c, "", func(pk *packets.Packet) {
			pk.Properties.AuthenticationMethod, pk.Properties.RequestProblemInfoFlag = "SCRAM-SHA-256", true
		}},
		{0x87, "", func(*packets.Packet) {}},
	} {
		c := b.dial(v5)
		c.send(c.connectPacket("c", tc.change))
		if pk := c.expect(packets.Connack); pk.ReasonCode != tc.code || pk.Properties.ReasonString != tc.text {
			t.Errorf("CONNACK %#x, %q, want %#x, %q", pk.ReasonCode, pk.Properties.ReasonString, tc.code, tc.text)
		}
	}
}

// Who asks where answers may go is told, if it may hear them there: the same place
// each time.
func TestConnack_responseInformation(t *testing.T) {
	none, err := subject.NewPermissions(nil, &subject.Rules{Allow: []string{"other.>"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := startBroker(t, func(b *broker) {
		b.Auth = func(r *auth.Request) (*auth.Grant, error) {
			g := &auth.Grant{Account: config.GlobalAccount}
			if r.User == "none" {
				g.Permissions = none
			}
			return g, nil
		}
	})
	ask := func(id, user string, asks byte) string {
		c := b.dial(v5)
		c.send(c.connectPacket(id, func(pk *packets.Packet) {
			pk.Properties.RequestResponseInfo = asks
			pk.Connect.UsernameFlag, pk.Connect.Username = true, []byte(user)
		}))
		return c.expect(packets.Connack).Properties.ResponseInfo
	}
	one := ask("one", "u", 1)
	if !strings.HasPrefix(one, "_INBOX/") || one != ask("one", "u", 1) || one == ask("two", "u", 1) {
		t.Errorf("%q", one)
	}
	if got := ask("one", "u", 0) + ask("one", "none", 1); got != "" {
		t.Errorf("%q", got)
	}
}
