package mqtt

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

func bothVersions(t *testing.T, f func(t *testing.T, version byte)) {
	for _, v := range []byte{v311, v5} {
		t.Run(fmt.Sprintf("protocol level %d", v), func(t *testing.T) { f(t, v) })
	}
}

// The bytes are those that nats-server answers with.
func TestConn_bytes(t *testing.T) {
	b := startBroker(t, nil)
	c := b.dial(v311)
	for _, step := range []struct{ send, want string }{
		{"10 0e 00 04 4d 51 54 54 04 02 00 3c 00 02 63 31", "20 02 00 00"},
		{"82 08 00 01 00 03 61 2f 23 01", "90 03 00 01 01"},
		{"30 05 00 03 61 2f 62", "30 05 00 03 61 2f 62"},
		{"c0 00", "d0 00"},
		{"a2 05 00 09 00 01 7a", "b0 02 00 09"},
	} {
		raw, err := hex.DecodeString(strings.ReplaceAll(step.send, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		c.send(raw)
		got := make([]byte, (len(step.want)+1)/3)
		if _, err := io.ReadFull(c.r.in, got); err != nil {
			t.Fatal(err)
		}
		if s := fmt.Sprintf("% x", got); s != step.want {
			t.Errorf("sent %s: got %s, want %s", step.send, s, step.want)
		}
	}
}

func TestPublish_acknowledgedWhenDurable(t *testing.T) {
	bothVersions(t, func(t *testing.T, version byte) {
		b := startBroker(t, nil)
		s := b.capture("a.>")
		c := b.connect(version, "c1")
		for i := range 3 {
			c.publish("a/b", fmt.Sprint(i), 1, uint16(i+1))
		}
		c.fence() // nothing was acknowledged before it
		testkit.Eventually(t, "all routed", func() bool { return len(s.got()) == 3 })
		s.store(2, nil)
		s.store(1, nil)
		c.fence() // and nothing out of order
		s.store(0, nil)
		for i := range 3 {
			if pk := c.expect(packets.Puback); pk.PacketID != uint16(i+1) || pk.ReasonCode != 0 {
				t.Errorf("PUBACK %d of %d: code %d", i, pk.PacketID, pk.ReasonCode)
			}
		}
	})
}

func TestPublish_noStreamNoWait(t *testing.T) {
	bothVersions(t, func(t *testing.T, version byte) {
		b := startBroker(t, nil)
		c := b.connect(version, "c1")
		c.publish("a/b", "x", 1, 9)
		pk := c.expect(packets.Puback)
		if want := map[byte]byte{v311: 0, v5: 0x10}[version]; pk.PacketID != 9 || pk.ReasonCode != want {
			t.Errorf("PUBACK %d code %#x", pk.PacketID, pk.ReasonCode)
		}
	})
}

func TestPublish_storeFails(t *testing.T) {
	bothVersions(t, func(t *testing.T, version byte) {
		b := startBroker(t, nil)
		s := b.capture("a.>")
		c := b.connect(version, "c1")
		c.publish("a/b", "x", 1, 1)
		testkit.Eventually(t, "routed", func() bool { return len(s.got()) == 1 })
		s.store(0, fmt.Errorf("stream S: %w", core.ErrDiskFull))
		if version == v5 {
			if pk := c.expect(packets.Puback); pk.ReasonCode != packets.ErrQuotaExceeded.Code {
				t.Errorf("PUBACK code %#x", pk.ReasonCode)
			}
			return
		}
		c.expectEnd(0) // no PUBACK: the client will send it again
	})
}

func TestPublish_headers(t *testing.T) {
	b := startBroker(t, nil)
	s := b.capture(">")
	c := b.connect(v5, "c1")
	c.publish("t/1", "x", 1, 1, "Nats-Msg-Id", "id-1", "Unit", "°C")
	testkit.Eventually(t, "routed", func() bool { return len(s.got()) == 1 })
	want := `t.1 "NATS/1.0\r\nNmqtt-Pub:1\r\nNats-Msg-Id: id-1\r\nUnit: °C\r\n\r\n" x`
	if got := s.got()[0]; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.store(0, nil)
	c.expect(packets.Puback)

	listener := b.connect(v5, "listener")
	listener.subscribe("t/+", 0)
	heard := func(user ...string) (got string) {
		t.Helper()
		n := len(s.got())
		c.publish("t/1", "x", 0, 0, user...)
		pk := listener.expect(packets.Publish)
		for _, u := range pk.Properties.User {
			got += fmt.Sprintf("%q=%q ", u.Key, u.Val)
		}
		return s.got()[n] + " " + got
	}
	for _, kv := range [][]string{
		{"bad name", "v", "bad name=v"}, {"", "v", "=v"}, {"A:", "v", "A:=v"}, {"A", "v\r\nNats-Rollup: all", "A=v%0D%0ANats-Rollup: all"},
		{"Nmqtt-Pub", "2", "Nmqtt-Pub=2"}, {"A", "", "A="}, {"A", " v\t", "A=%20v%09"}, {"= %", "=\u00e9", "%3D %25=%3D\u00e9"},
	} {
		name, value, escaped := kv[0], kv[1], kv[2]
		t.Run(fmt.Sprintf("%q=%q can be no header and is escaped", name, value), func(t *testing.T) {
			want := fmt.Sprintf("t.1 %q x %q=%q \"B\"=\"kept\" ", "NATS/1.0\r\nNmqtt-Pub:0\r\nNmqtt-User-Property: "+escaped+"\r\nB: kept\r\n\r\n", name, value)
			if got := heard(name, value, "B", "kept"); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	t.Run("what escaping makes too long costs the property, not the message", func(t *testing.T) {
		for range 5 {
			want := `t.1 "NATS/1.0\r\nNmqtt-Pub:0\r\nB: kept\r\n\r\n" x "B"="kept" `
			if got := heard("A", strings.Repeat("\n", 600), "B", "kept"); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
		var d monitor.Description
		if b.m.Describe(&d); d.MQTT.LostProperties != 5 {
			t.Errorf("%d were counted", d.MQTT.LostProperties)
		}
		if n := b.Log.Count("MQTT property left out"); n != 1 {
			t.Errorf("%d lines in a minute", n)
		}
	})
}

func TestDelivery(t *testing.T) {
	bothVersions(t, func(t *testing.T, version byte) {
		b := startBroker(t, nil)
		sub, pub := b.connect(version, "sub"), b.connect(v5, "pub")
		if code := sub.subscribe("a/#", 2); code != 2 {
			t.Fatalf("granted %d", code)
		}
		pub.publish("a/b", "1", 1, 1, "K", "v")
		pub.publish("a", "2", 0, 0)
		pub.expect(packets.Puback)
		pub.fence()
		b.publish(wire.Msg{Subject: []byte("a.c"), Body: []byte("3"), Header: []byte("NATS/1.0\r\nX: y\r\n\r\n")})
		b.publish(wire.Msg{Subject: []byte("a.d"), Reply: []byte("$JS.ACK.S.C.1.1.1.1.0")})

		p := sub.expect(packets.Publish)
		if p.TopicName != "a/b" || string(p.Payload) != "1" || p.FixedHeader.Qos != 1 || p.PacketID != 1 {
			t.Errorf("first %+v", p)
		}
		if version == v5 && (len(p.Properties.User) != 1 || p.Properties.User[0] != packets.UserProperty{Key: "K", Val: "v"}) {
			t.Errorf("user properties %v", p.Properties.User)
		}
		for _, want := range []string{"a 2", "a/c 3"} {
			p := sub.expect(packets.Publish)
			if got := p.TopicName + " " + string(p.Payload); got != want || p.FixedHeader.Qos != 0 {
				t.Errorf("got %s with QoS %d, want %s", got, p.FixedHeader.Qos, want)
			}
		}
		sub.fence() // the JetStream delivery is not for us
	})
}

// Both values of the Payload Format Indicator are passed on, and none is not made one.
func TestDelivery_payloadFormat(t *testing.T) {
	b := startBroker(t, nil)
	c := b.connect(v5, "c")
	c.subscribe("a", 0)
	for _, props := range []string{"\x01\x00", "\x01\x01", ""} {
		c.send(appendPublish(nil, v5, 0, 0, []byte("a"), []byte(props), nil))
		f, err := c.r.next()
		if err != nil {
			t.Fatal(err)
		}
		if p, err := parsePublish(f, v5); err != nil || string(p.props) != props {
			t.Errorf("%q was passed on as %q: %v", props, p.props, err)
		}
	}
}

// Request Problem Information 0, which some clients send by default, takes nothing from PUBLISH (MQTT 5, 3.1.2.11.7).
func TestDelivery_userPropertiesWithoutProblemInformation(t *testing.T) {
	b := startBroker(t, nil)
	c := b.dial(v5)
	c.send(c.connectPacket("dev", func(pk *packets.Packet) { pk.Properties.RequestProblemInfoFlag = true }))
	c.expect(packets.Connack)
	c.subscribe("t", 1)
	c.publish("t", "21.5", 0, 0, "unit", "C")
	p := c.expect(packets.Publish)
	if want := (packets.UserProperty{Key: "unit", Val: "C"}); len(p.Properties.User) != 1 || p.Properties.User[0] != want {
		t.Errorf("user properties %v, want %v", p.Properties.User, want)
	}
}

func TestDelivery_windowOfReceiveMaximum(t *testing.T) {
	for name, test := range map[string]struct{ asked, configured int }{
		"the client asks for two": {2, 1024}, "max_ack_pending is two": {100, 2}, "the client says nothing": {0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBroker(t, func(b *broker) { b.Opts.MQTT.MaxAckPending = test.configured })
			checkWindowOfTwo(t, b, uint16(test.asked))
		})
	}
}

func checkWindowOfTwo(t *testing.T, b *broker, asked uint16) {
	c := b.dial(v5)
	c.send(c.connectPacket("c1", func(pk *packets.Packet) { pk.Properties.ReceiveMaximum = asked }))
	c.expect(packets.Connack)
	c.subscribe("a", 1)
	pub := b.connect(v5, "pub")
	for i := range 5 {
		pub.publish("a", fmt.Sprint(i), 1, uint16(i+1))
		pub.expect(packets.Puback)
	}
	for i := range 5 {
		p := c.expect(packets.Publish)
		if string(p.Payload) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, p.Payload)
		}
		if i == 1 {
			c.fence() // no third one before an acknowledgement
		}
		if i >= 1 {
			ack := &packets.Packet{ProtocolVersion: v5, PacketID: p.PacketID, FixedHeader: packets.FixedHeader{Type: packets.Puback}}
			c.send(c.encoded(ack.PubackEncode))
		}
	}
}

func TestDelivery_noLocalAndShared(t *testing.T) {
	b := startBroker(t, nil)
	c := b.connect(v5, "c1")
	pk := &packets.Packet{ProtocolVersion: v5, PacketID: 5, FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}}
	pk.Filters = packets.Subscriptions{{Filter: "a", NoLocal: true}}
	c.send(c.encoded(pk.SubscribeEncode))
	c.expect(packets.Suback)
	c.publish("a", "own", 0, 0)
	b.publish(wire.Msg{Subject: []byte("a"), Body: []byte("other")})
	if p := c.expect(packets.Publish); string(p.Payload) != "other" {
		t.Errorf("got %s", p.Payload)
	}

	d := b.connect(v311, "c2")
	for _, x := range []*client{c, d} {
		if code := x.subscribe("$share/g/s/+", 0); code != 0 {
			t.Fatalf("granted %#x", code)
		}
	}
	for range 20 {
		b.publish(wire.Msg{Subject: []byte("s.1")})
	}
	n := 0
	for _, x := range []*client{c, d} {
		x.send([]byte{packets.Pingreq << 4, 0})
		for {
			p, err := x.next()
			if err != nil {
				t.Fatal(err)
			}
			if p.FixedHeader.Type == packets.Pingresp {
				break
			}
			n++
		}
	}
	if n != 20 {
		t.Errorf("20 messages to a shared subscription became %d", n)
	}
}

func TestSubscribe_filters(t *testing.T) {
	b := startBroker(t, func(b *broker) { b.Opts.MQTT.SysInterval = 0 })
	c := b.connect(v5, "c1")
	for filter, want := range map[string]byte{
		"a/b": 0, "#": 0, "+/x": 0, "$SYS/#": 0, "a#": 0x8f, "#/a": 0x8f, "a b": 0, "a/*": 0, "$share/g": 0x8f, "$share/a b/c": 0, "$share//a": 0x8f,
	} {
		if got := c.subscribe(filter, 0); got != want {
			t.Errorf("%q: %#x, want %#x", filter, got, want)
		}
	}
	b.publish(wire.Msg{Subject: []byte("$hidden.x")})
	c.fence() // neither '#' nor '+/x' matches a topic that begins with '$'
	old := b.connect(v311, "c2")
	if got := old.subscribe("a#", 0); got != 0x80 {
		t.Errorf("MQTT 3.1.1 has only 0x80, got %#x", got)
	}
}

func TestPermissions(t *testing.T) {
	perms, err := subject.NewPermissions(&subject.Rules{Allow: []string{"up.>"}}, &subject.Rules{Allow: []string{"down.>"}, Deny: []string{"down.secret"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := startBroker(t, func(b *broker) {
		b.Auth = func(r *auth.Request) (*auth.Grant, error) {
			if r.User != "u" || r.Password != "p" {
				return nil, auth.ErrDenied
			}
			return &auth.Grant{Account: config.GlobalAccount, User: "u", Permissions: perms}, nil
		}
	})
	login := func(version byte, pass string) (*client, byte) {
		c := b.dial(version)
		c.send(c.connectPacket("c", func(pk *packets.Packet) {
			pk.Connect.UsernameFlag, pk.Connect.Username = true, []byte("u")
			pk.Connect.PasswordFlag, pk.Connect.Password = true, []byte(pass)
		}))
		return c, c.expect(packets.Connack).ReasonCode
	}
	if _, code := login(v311, "x"); code != 5 {
		t.Errorf("wrong password: %d", code)
	}
	if _, code := login(v5, "x"); code != 0x87 {
		t.Errorf("wrong password: %#x", code)
	}
	s := b.capture("secret.>")
	c, code := login(v5, "p")
	if code != 0 {
		t.Fatal(code)
	}
	c.publish("secret/x", "x", 1, 1)
	if pk := c.expect(packets.Puback); pk.ReasonCode != 0x87 {
		t.Errorf("denied publish: %#x", pk.ReasonCode)
	}
	if got := c.subscribe("other", 0); got != 0x87 {
		t.Errorf("denied subscription: %#x", got)
	}
	if got := c.subscribe("down/+", 0); got != 0 {
		t.Errorf("allowed subscription: %#x", got)
	}
	b.publish(wire.Msg{Subject: []byte("down.secret")})
	b.publish(wire.Msg{Subject: []byte("down.x")})
	if p := c.expect(packets.Publish); p.TopicName != "down/x" {
		t.Errorf("got %s", p.TopicName)
	}
	if n := len(s.got()); n != 0 {
		t.Error("a denied message was routed")
	}
}

func TestConnect_refused(t *testing.T) {
	b := startBroker(t, nil)
	for _, c := range []struct {
		name     string
		old, new byte
		change   func(*packets.Packet)
	}{
		{"kept session", 3, 0, func(pk *packets.Packet) { pk.Connect.Clean = false }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for v, want := range map[byte]byte{v311: c.old, v5: c.new} {
				x := b.dial(v)
				x.send(x.connectPacket("id", c.change))
				if pk := x.expect(packets.Connack); pk.ReasonCode != want {
					t.Errorf("level %d: code %#x, want %#x", v, pk.ReasonCode, want)
				}
			}
		})
	}
	t.Run("MQTT 5 is told that its session ends with the connection", func(t *testing.T) {
		x := b.dial(v5)
		x.send(x.connectPacket("id", func(pk *packets.Packet) {
			pk.Connect.Clean = false
			pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = 3600, true
		}))
		pk := x.expect(packets.Connack)
		if p := pk.Properties; pk.SessionPresent || !p.SessionExpiryIntervalFlag || p.SessionExpiryInterval != 0 || p.MaximumQosFlag ||
			!p.RetainAvailableFlag || p.RetainAvailable != 0 {
			t.Errorf("CONNACK %+v", pk)
		}
	})
	t.Run("no client identifier", func(t *testing.T) {
		x := b.dial(v5)
		x.send(x.connectPacket("", nil))
		if pk := x.expect(packets.Connack); len(pk.Properties.AssignedClientID) != 22 {
			t.Errorf("CONNACK %+v", pk)
		}
	})
	t.Run("unknown level", func(t *testing.T) {
		x := b.dial(v311)
		x.send([]byte("\x10\x0e\x00\x04MQTT\x07\x02\x00\x3c\x00\x02c1"))
		if pk := x.expect(packets.Connack); pk.ReasonCode != 1 {
			t.Errorf("code %d", pk.ReasonCode)
		}
	})
}

// What the protocol forbids ends the connection.
func TestConn_badPackets(t *testing.T) {
	b := startBroker(t, nil)
	for _, c := range []struct {
		name, packet string
		code         byte
	}{
		{"SUBSCRIBE whose filter is longer than the packet", "82 08 00 01 00 00 09 61 62 00", 0x81},
		{"SUBSCRIBE with QoS 3", "82 07 00 01 00 00 01 61 03", 0x82},
		{"SUBSCRIBE with identifier 0", "82 07 00 00 00 00 01 61 00", 0x82},
		{"SUBSCRIBE without filters", "82 03 00 01 00", 0x82},
		{"SUBSCRIBE with reserved flags", "80 07 00 01 00 00 01 61 00", 0x81},
		{"PUBLISH with QoS 3", "36 06 00 01 61 00 01 00", 0x81},
		{"PUBLISH with a wildcard", "30 04 00 01 23 00", 0x81},
		{"PUBLISH with the other wildcard, QoS 1", "32 08 00 03 61 2f 2b 00 01 00", 0x81},
		{"PUBLISH with an empty topic", "30 03 00 00 00", 0x82},
		{"PUBLISH with an empty topic and an alias that stands for nothing", "30 06 00 00 03 23 00 01", 0x82},
		{"PUBLISH with the alias 0", "30 07 00 01 61 03 23 00 00", 0x94},
		{"PUBLISH with an alias that is too high", "30 07 00 01 61 03 23 00 21", 0x94},
		{"PUBLISH with a topic that is no text", "30 04 00 01 ff 00", 0x81},
		{"PUBLISH with a NUL in its topic", "30 04 00 01 00 00", 0x81},
		{"PUBLISH with identifier 0", "32 06 00 01 61 00 00 00", 0x82},
		{"PUBLISH with a property twice", "30 08 00 01 61 04 01 00 01 00", 0x82},
		{"PUBLISH with a user property that is no text", "30 0a 00 01 61 06 26 00 01 ff 00 00", 0x81},
		{"PUBLISH cut off", "30 03 00 05 61", 0x81},
		{"a packet of 2 MB", "30 ff ff 7f", 0x95},
		{"a length of five bytes", "30 ff ff ff ff 01", 0x81},
		{"CONNACK from a client", "20 02 00 00", 0x82},
		{"a second CONNECT", "10 0f 00 04 4d 51 54 54 05 02 00 3c 00 00 02 63 31", 0x82},
		{"AUTH", "f0 00", 0x82},
		{"PUBREL with identifier 0", "62 02 00 00", 0x82},
		{"PUBREL that is cut off", "62 01 00", 0x81},
		{"PUBREL with bytes behind its properties", "62 05 00 01 00 00 07", 0x81},
		{"PUBACK with a property that does not belong there", "40 06 00 01 00 02 01 01", 0x82},
		{"PUBREC with a reason string that is no text", "50 08 00 01 00 04 1f 00 01 ff", 0x81},
		{"SUBSCRIBE with a user property that is no text", "82 0d 00 01 06 26 00 01 ff 00 00 00 01 61 00", 0x81},
		{"DISCONNECT with a property twice", "e0 0c 00 0a 11 00 00 00 01 11 00 00 00 01", 0x82},
		{"DISCONNECT with properties that are cut off", "e0 03 00 05 11", 0x81},
		{"PINGREQ with a payload", "c0 01 00", 0x81},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := b.connect(v5, "c1")
			raw, err := hex.DecodeString(strings.ReplaceAll(c.packet, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			x.send(raw)
			x.expectEnd(c.code)
		})
	}
	t.Run("something before CONNECT", func(t *testing.T) {
		x := b.dial(v311)
		x.send([]byte{0xc0, 0})
		x.expectEnd(0)
	})
	t.Run("nothing at all", func(t *testing.T) {
		b := startBroker(t, func(b *broker) { b.Opts.MQTT.Auth.Timeout = 50 * time.Millisecond })
		b.dial(v311).expectEnd(0)
	})
}

func TestConn_takeOverAndWill(t *testing.T) {
	b := startBroker(t, nil)
	s := b.capture("w.>")
	withWill := func(id string) *client {
		c := b.dial(v5)
		c.send(c.connectPacket(id, func(pk *packets.Packet) {
			pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload, pk.Connect.WillQos = true, "w/"+id, []byte("gone"), 1
		}))
		c.expect(packets.Connack)
		return c
	}
	t.Run("a client that goes without a word leaves its will", func(t *testing.T) {
		withWill("a").c.Close()
		testkit.Eventually(t, "will", func() bool { return len(s.got()) == 1 })
		if got := s.got()[0]; !strings.HasPrefix(got, "w.a ") || !strings.HasSuffix(got, " gone") {
			t.Error(got)
		}
	})
	t.Run("a client that says goodbye does not", func(t *testing.T) {
		c := withWill("b")
		c.send([]byte{packets.Disconnect << 4, 0})
		c.expectEnd(0)
		withWill("c").c.Close()
		testkit.Eventually(t, "the next will", func() bool { return len(s.got()) == 2 })
		if got := s.got()[1]; !strings.HasPrefix(got, "w.c ") {
			t.Error(got)
		}
	})
	t.Run("the same identifier again ends the older connection", func(t *testing.T) {
		one := b.connect(v5, "same")
		b.connect(v5, "same").fence()
		one.expectEnd(0x8e)
	})
	t.Run("shutdown tells MQTT 5 clients", func(t *testing.T) {
		b := startBroker(t, nil)
		c := b.connect(v5, "x")
		if err := b.m.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		c.expectEnd(0x8b)
	})
}

func TestReasonOf(t *testing.T) {
	if reasonOf(fmt.Errorf("x: %w", core.ErrBusy)) != 0x97 || reasonOf(&apierror.Error{Code: 503, ErrCode: 10023}) != 0x97 ||
		reasonOf(&apierror.Error{Code: 503, ErrCode: 10077, Description: "maximum bytes exceeded"}) != 0x97 || reasonOf(&apierror.Error{Code: 400, ErrCode: 10071}) != 0x80 || reasonOf(errors.New("x")) != 0x80 {
		t.Error("wrong reason")
	}
}
