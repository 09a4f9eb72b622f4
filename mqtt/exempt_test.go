package mqtt

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
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

// One bad message must not cost a device its connection: it would come back and
// send the same message first. Each of these is followed by a reading that
// arrives and is acknowledged.
func TestPublish_oneBadMessageCostsNoConnection(t *testing.T) {
	perms, err := subject.NewPermissions(&subject.Rules{Deny: []string{"denied"}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		subject string // "" if the message is dropped
		code    byte   // of the PUBACK, MQTT 5 only
	}
	refused := func(code packets.Code) outcome { return outcome{"", code.Code} }
	for _, c := range []struct {
		name, topic, payload string
		refuse               bool // mqtt.blanks: refuse
		versions             []byte
		want                 outcome
	}{
		{"a blank", "evcc/Home Assistant", "1", false, []byte{v311, v5}, outcome{"evcc.Home/%20Assistant", 0}},
		{"a blank that is refused", "evcc/Home Assistant", "1", true, []byte{v5}, refused(packets.ErrTopicNameInvalid)},
		{"a level of NATS' wildcards", "evcc/*/>", "1", false, []byte{v311, v5}, outcome{"evcc./%2A./%3E", 0}},
		{"wildcards that are refused", "evcc/*/>", "1", true, []byte{v5}, refused(packets.ErrTopicNameInvalid)},
		{"a control character", "evcc/a\nb\x7f", "1", false, []byte{v311, v5}, outcome{"evcc.a/%0Ab/%7F", 0}},
		{"too large with its headers", "evcc/x", strings.Repeat("x", 1<<20-10), false, []byte{v311, v5}, refused(packets.ErrQuotaExceeded)},
		{"a topic that no link could carry", strings.Repeat(".", 40_000), "1", false, []byte{v311, v5}, refused(packets.ErrTopicNameInvalid)},
		{"the longest topic", strings.Repeat("a", 4096-256), "1", false, []byte{v311, v5}, outcome{strings.Repeat("a", 4096-256), 0}},
		{"one byte more", strings.Repeat("a", 4096-255), "1", false, []byte{v5}, refused(packets.ErrTopicNameInvalid)},
		{"a packet that is too large", "evcc/x", strings.Repeat("x", 3<<20), false, []byte{v311}, refused(packets.ErrQuotaExceeded)},
		{"what only servers publish", "_GR_/c/s/x", "1", false, []byte{v311, v5}, refused(packets.ErrNotAuthorized)},
		{"what the user may not", "denied", "1", false, []byte{v311, v5}, refused(packets.ErrNotAuthorized)},
	} {
		for _, version := range c.versions {
			for _, first := range []byte{0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x38} { // QoS, RETAIN, DUP
				qos := first >> 1 & 3
				t.Run(fmt.Sprintf("%s/level %d/%#x", c.name, version, first), func(t *testing.T) {
					b := startBroker(t, func(b *broker) {
						b.Opts.MQTT.RefuseBlanks = c.refuse
						b.Auth = func(*auth.Request) (*auth.Grant, error) {
							return &auth.Grant{Account: config.GlobalAccount, Permissions: perms}, nil
						}
					})
					taken := &sinkOfAll{}
					taken.listen(b, ">")
					x := b.connect(version, "dev")
					for range 2 { // again, as devices do
						p := appendPublish(nil, version, qos, 5, []byte(c.topic), nil, []byte(c.payload))
						p[0] = first
						x.send(p)
						kind := map[byte]byte{1: packets.Puback, 2: packets.Pubrec}[qos]
						if qos > 0 {
							if pk := x.expect(kind); pk.PacketID != 5 || version == v5 && pk.ReasonCode != c.want.code {
								t.Errorf("answer %d with %#x, want %#x", pk.PacketID, pk.ReasonCode, c.want.code)
							}
						}
						if qos == 2 && (version == v311 || c.want.code < 0x80) {
							x.send(appendAck(nil, packets.Pubrel, version, 5, 0))
							x.expect(packets.Pubcomp)
						}
					}
					x.publish("evcc/power", "2", 1, 6)
					if pk := x.expect(packets.Puback); pk.PacketID != 6 || pk.ReasonCode >= 0x80 {
						t.Errorf("the reading behind it: %+v", pk)
					}
					var want []string
					if c.want.subject != "" {
						want = append(want, c.want.subject, c.want.subject)
					}
					want = append(want, "evcc.power")
					if got := taken.subjects(); strings.Join(got, " ") != strings.Join(want, " ") {
						t.Errorf("got %q, want %q", got, want)
					}
					for _, text := range []string{"without its RETAIN flag"} {
						if n := b.Log.Count(text); n > 1 {
							t.Errorf("%d lines %q in a minute", n, text)
						}
					}
					if first&1 != 0 && b.Log.Count("without its RETAIN flag") != 1 {
						t.Error("nobody is told of the lost flag")
					}
					if c.want.subject == "" && b.Log.Count("client=dev") == 0 {
						t.Error("nobody is told of the lost message")
					}
				})
			}
		}
	}
}

// sinkOfAll takes everything at once.
type sinkOfAll struct{ stream }

func (s *sinkOfAll) listen(b *broker, subj string) {
	s.plain = true
	b.subscribe(subj, &s.stream)
}

func (s *sinkOfAll) subjects() (all []string) {
	for _, m := range s.got() {
		subj, _, _ := strings.Cut(m, " ")
		all = append(all, subj)
	}
	return all
}

// nats-server's way, for those who ask for it.
func TestPublish_refusedBlankEndsAnOldConnection(t *testing.T) {
	b := startBroker(t, func(b *broker) { b.Opts.MQTT.RefuseBlanks = true })
	c := b.connect(v311, "c")
	if got := c.subscribe("a b", 0); got != 0x80 {
		t.Errorf("filter: %#x", got)
	}
	c.publish("a b", "", 0, 0)
	c.expectEnd(0)
}

// A message that a stream will never take is not sent for ever.
func TestPublish_refusedByAStream(t *testing.T) {
	bothVersions(t, func(t *testing.T, version byte) {
		b := startBroker(t, nil)
		s := b.capture("a.>")
		c := b.connect(version, "c1")
		c.publish("a/b", "x", 1, 1)
		testkit.Eventually(t, "routed", func() bool { return len(s.got()) == 1 })
		s.store(0, &apierror.Error{Code: 400, ErrCode: 10054, Description: "message size exceeds maximum allowed"})
		pk := c.expect(packets.Puback)
		if version == v5 != (pk.ReasonCode >= 0x80) {
			t.Errorf("PUBACK %#x", pk.ReasonCode)
		}
		c.fence()
		if !b.Log.Contains("MQTT message was not stored") || !b.Log.Contains("message size exceeds") {
			t.Error("nobody is told")
		}
	})
}

// Of a message that may be stored or not a client of MQTT 5 is told so much as
// there is a word for. The others send it again.
func TestPublish_unknown(t *testing.T) {
	bothVersions(t, func(t *testing.T, version byte) {
		b := startBroker(t, nil)
		s := b.capture("a")
		c := b.connect(version, "c1")
		c.publish("a", "x", 1, 1)
		testkit.Eventually(t, "routed", func() bool { return len(s.got()) == 1 })
		s.store(0, wire.ErrUnknown)
		if version != v5 {
			c.expectEnd(0)
			return
		}
		if pk := c.expect(packets.Puback); pk.ReasonCode != packets.ErrUnspecifiedError.Code {
			t.Errorf("PUBACK %#x", pk.ReasonCode)
		}
	})
}

func TestQoS2(t *testing.T) {
	bothVersions(t, func(t *testing.T, version byte) {
		b := startBroker(t, nil)
		s := b.capture("a")
		c := b.connect(version, "c")
		sub := b.connect(version, "sub")
		if got := sub.subscribe("a", 2); got != 2 {
			t.Errorf("granted %d", got)
		}
		send := func(id uint16) { c.publish("a", "x", 2, id) }
		ack := func(kind byte, id uint16) { c.send(appendAck(nil, kind, version, id, 0)) }
		expect := func(kind byte, id uint16, code byte) {
			t.Helper()
			if version != v5 {
				code = 0
			}
			if pk := c.expect(kind); pk.PacketID != id || pk.ReasonCode != code {
				t.Errorf("got %d with %#x, want %d with %#x", pk.PacketID, pk.ReasonCode, id, code)
			}
		}
		routed := func(n int) {
			t.Helper()
			testkit.Eventually(t, fmt.Sprint(n, " routed"), func() bool { return len(s.got()) == n })
		}
		send(7)
		routed(1)
		send(7) // impatient: the PUBREC is on its way
		c.fence()
		s.store(0, nil)
		expect(packets.Pubrec, 7, 0)
		p := sub.expect(packets.Publish)
		if p.FixedHeader.Qos != 2 || p.FixedHeader.Dup {
			t.Errorf("came with QoS %d, DUP %v", p.FixedHeader.Qos, p.FixedHeader.Dup)
		}
		sub.send(appendAck(nil, packets.Puback, version, p.PacketID, 0)) // none for QoS 2
		for range 2 {
			sub.send(appendAck(nil, packets.Pubrec, version, p.PacketID, 0))
			if r := sub.expect(packets.Pubrel); r.PacketID != p.PacketID || r.ReasonCode != 0 {
				t.Errorf("PUBREL %+v", r)
			}
		}
		sub.send(appendAck(nil, packets.Pubcomp, version, p.PacketID, 0))
		sub.send(appendAck(nil, packets.Pubrec, version, p.PacketID, 0))
		if r := sub.expect(packets.Pubrel); version == v5 && r.ReasonCode != packets.ErrPacketIdentifierNotFound.Code {
			t.Errorf("PUBREL %+v behind PUBCOMP", r)
		}
		send(7) // the PUBREC was lost
		expect(packets.Pubrec, 7, 0)
		ack(packets.Pubrel, 7)
		expect(packets.Pubcomp, 7, 0)
		ack(packets.Pubrel, 7) // the PUBCOMP was lost
		expect(packets.Pubcomp, 7, 0x92)
		routed(1)
		send(7) // a new one
		routed(2)
		s.store(1, nil)
		expect(packets.Pubrec, 7, 0)
		ack(packets.Pubrel, 7)
		expect(packets.Pubcomp, 7, 0)

		// Answers to what this server does not send.
		ack(packets.Pubrec, 9)
		expect(packets.Pubrel, 9, 0x92)
		ack(packets.Pubcomp, 9)
		c.fence()

		if version == v5 { // what was refused is new under the same identifier
			send(8)
			routed(3)
			s.store(2, fmt.Errorf("stream S: %w", core.ErrDiskFull))
			expect(packets.Pubrec, 8, packets.ErrQuotaExceeded.Code)
			send(8)
			routed(4)
			s.store(3, nil)
			expect(packets.Pubrec, 8, 0)
		}
		n := len(s.got())
		send(9)
		routed(n + 1)
		ack(packets.Pubrel, 9)
		c.expectEnd(map[byte]byte{v5: 0x82}[version]) // before the PUBREC: the client makes no sense
	})
}

func TestQoS2_rejectedByOption(t *testing.T) {
	b := startBroker(t, func(b *broker) { b.Opts.MQTT.RejectQoS2 = true })
	x := b.dial(v5)
	x.send(x.connectPacket("a", nil))
	if p := x.expect(packets.Connack).Properties; !p.MaximumQosFlag || p.MaximumQos != 1 {
		t.Errorf("CONNACK %+v", p)
	}
	x.publish("a", "", 2, 1)
	x.expectEnd(packets.ErrQosNotSupported.Code)
	for v, want := range map[byte]byte{v311: 0x10, v5: packets.ErrQosNotSupported.Code} {
		x := b.dial(v)
		x.send(x.connectPacket("b", func(pk *packets.Packet) {
			pk.Connect.WillFlag, pk.Connect.WillQos, pk.Connect.WillTopic, pk.Connect.WillPayload = true, 2, "w", []byte("x")
		}))
		if pk := x.expect(packets.Connack); pk.ReasonCode != want {
			t.Errorf("level %d: %#x", v, pk.ReasonCode)
		}
	}
}

// Wills with flags that are not kept are taken without them.
func TestWill_retainedAndQoS2(t *testing.T) {
	bothVersions(t, func(t *testing.T, version byte) {
		b := startBroker(t, nil)
		s := b.capture("w.>")
		for i := range 2 {
			x := b.dial(version)
			x.send(x.connectPacket("dev", func(pk *packets.Packet) {
				k := &pk.Connect
				k.WillFlag, k.WillRetain, k.WillQos, k.WillTopic, k.WillPayload = true, true, 2, "w/my dev/*", []byte("gone")
			}))
			if pk := x.expect(packets.Connack); pk.ReasonCode != 0 {
				t.Fatalf("CONNACK %#x", pk.ReasonCode)
			}
			x.c.Close()
			testkit.Eventually(t, "will", func() bool { return len(s.got()) == i+1 })
			if got := s.got()[i]; !strings.HasPrefix(got, "w.my/%20dev./%2A ") || !strings.HasSuffix(got, " gone") {
				t.Error(got)
			}
		}
		for _, text := range []string{"without its RETAIN flag"} {
			if n := b.Log.Count(text); n != 1 {
				t.Errorf("%d lines %q in a minute", n, text)
			}
		}
	})
}

// Whatever fits into the Maximum Packet Size that the server has announced is
// taken: all of the payload, of properties, of a topic that may be a subject.
func TestConnack_maximumPacketSizeIsTaken(t *testing.T) {
	for _, maxPayload := range []int{1000, 64 << 10, 1 << 20} {
		b := startBroker(t, func(b *broker) { b.Opts.MaxPayload = maxPayload })
		taken := &sinkOfAll{}
		taken.listen(b, ">")
		c := b.dial(v5)
		c.send(c.connectPacket("c", nil))
		size := int(c.expect(packets.Connack).Properties.MaximumPacketSize)
		if size < maxPayload/2 || size > maxPayload {
			t.Errorf("max_payload %d: %d is announced", maxPayload, size)
		}
		string16 := func(n int) []byte { return appendString(nil, []byte(strings.Repeat("x", min(n, 0xffff)))) }
		const little = 100 // the rest of the packet
		all := []byte("\x01\x01\x02\x00\x00\x00\x09\x03\x00\x01t\x08\x00\x01r")
		for i, p := range []publication{
			{topic: []byte("t")},
			{topic: []byte(strings.Repeat("t", min(size-little, wire.MaxSubject(b.Opts.MaxControlLine))))},
			{topic: []byte("t"), props: append([]byte{packets.PropCorrelationData}, string16(size-little)...)},
			{topic: []byte("t"), props: append([]byte{packets.PropContentType}, string16(size-little)...)},
			{topic: []byte("t"), props: append([]byte{packets.PropUser, 0, 1, 'k'}, string16(min(size-little, 60_000))...)},
			{topic: []byte("t"), props: append(all, append([]byte{packets.PropCorrelationData}, string16(size-little)...)...)},
		} {
			for _, qos := range []byte{0, 1} {
				p.payload = nil
				for publishSize(v5, qos, p.topic, p.props, p.payload)+5 < size {
					p.payload = make([]byte, len(p.payload)+size-5-publishSize(v5, qos, p.topic, p.props, p.payload))
				}
				raw := appendPublish(nil, v5, qos, 1, p.topic, p.props, p.payload)
				if len(raw) > size || len(raw) < size-5 {
					t.Fatalf("a packet of %d bytes", len(raw))
				}
				c.send(raw)
				if qos == 1 {
					if pk := c.expect(packets.Puback); pk.ReasonCode != 0 {
						t.Errorf("max_payload %d, case %d: %#x", maxPayload, i, pk.ReasonCode)
					}
				}
			}
			c.fence()
		}
		if n := len(taken.subjects()); n != 12 {
			t.Errorf("max_payload %d: %d of 12 were taken", maxPayload, n)
		}
	}
}

// The Response Topic of MQTT 5 and the reply subject of NATS are one thing.
func TestResponseTopic(t *testing.T) {
	b := startBroker(t, nil)
	c := b.connect(v5, "c")
	c.subscribe("answers/my own", 0)
	c.subscribe("ask/#", 0)
	var reply []byte
	b.subscribe("svc", sinkFunc(func(m *wire.Msg) { reply = append([]byte(nil), m.Reply...) }))
	c.send(appendPublish(nil, v5, 0, 0, []byte("svc"), append([]byte{packets.PropResponseTopic}, appendString(nil, []byte("answers/my own"))...), []byte("?")))
	c.fence()
	if string(reply) != "answers.my/%20own" {
		t.Fatalf("reply subject %q", reply)
	}
	b.publish(wire.Msg{Subject: reply, Body: []byte("42")})
	if p := c.expect(packets.Publish); p.TopicName != "answers/my own" || string(p.Payload) != "42" {
		t.Errorf("got %+v", p)
	}

	b.publish(wire.Msg{Subject: []byte("ask.x"), Reply: []byte("_INBOX.a.b"), Body: []byte("?")})
	p := c.expect(packets.Publish)
	if p.Properties.ResponseTopic != "_INBOX/a/b" {
		t.Errorf("response topic %q", p.Properties.ResponseTopic)
	}
	var answer []byte
	b.subscribe("_INBOX.a.b", sinkFunc(func(m *wire.Msg) { answer = append([]byte(nil), m.Body...) }))
	c.publish(p.Properties.ResponseTopic, "!", 0, 0)
	c.fence()
	if string(answer) != "!" {
		t.Errorf("answer %q", answer)
	}

	t.Run("between MQTT clients, with what belongs to it", func(t *testing.T) {
		props := append([]byte{packets.PropResponseTopic}, appendString(nil, []byte("back/1"))...)
		props = append(props, packets.PropCorrelationData, 0, 2, 0, 0xff)
		b.connect(v5, "d").send(appendPublish(nil, v5, 0, 0, []byte("ask/y"), props, []byte("?")))
		p := c.expect(packets.Publish)
		if p.Properties.ResponseTopic != "back/1" || string(p.Properties.CorrelationData) != "\x00\xff" || len(p.Properties.User) != 0 {
			t.Errorf("got %+v", p.Properties)
		}
	})
	t.Run("one that no message can be sent to costs itself only", func(t *testing.T) {
		for _, topic := range []string{"", "a/#", "+"} {
			c.send(appendPublish(nil, v5, 1, 3, []byte("ask/z"), append([]byte{packets.PropResponseTopic}, appendString(nil, []byte(topic))...), nil))
			for range 2 {
				if pk, err := c.next(); err != nil || pk.Properties.ResponseTopic != "" || pk.ReasonCode != 0 {
					t.Errorf("%q: %+v %v", topic, pk, err)
				}
			}
		}
	})
	// Whoever answers there would make the request, with rights of his own.
	t.Run("one where an answer is a request to a server costs itself only", func(t *testing.T) {
		for _, topic := range []string{
			"$JS/API/STREAM/PURGE/S", "$JS/edge/API/STREAM/DELETE/S", "$JS/ACK/S/c/1/1/1/1/1", "_R_/a", "_GR_/a/b", "$GR/a", "$MQTT/sess/x",
		} {
			lost := b.m.lostProperties.Load()
			c.send(appendPublish(nil, v5, 1, 3, []byte("ask/z"), append([]byte{packets.PropResponseTopic}, appendString(nil, []byte(topic))...), nil))
			for range 2 {
				if pk, err := c.next(); err != nil || pk.Properties.ResponseTopic != "" || len(pk.Properties.User) != 0 || pk.ReasonCode != 0 {
					t.Errorf("%q: %+v %v", topic, pk, err)
				}
			}
			if n := b.m.lostProperties.Load() - lost; n != 1 {
				t.Errorf("%q: %d properties counted", topic, n)
			}
			b.publish(wire.Msg{Subject: []byte("ask.h"), Header: []byte("NATS/1.0\r\n" + headerResponseTopic + ": " + topic + "\r\n\r\n")})
			if p := c.expect(packets.Publish); p.Properties.ResponseTopic != "" {
				t.Errorf("a header of a NATS client made the response topic %q", p.Properties.ResponseTopic)
			}
		}
	})
	t.Run("and so does that of a will", func(t *testing.T) {
		w := b.dial(v5)
		w.send(w.connectPacket("w", func(pk *packets.Packet) {
			pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, "ask/w", []byte("gone")
			pk.Connect.WillProperties.ResponseTopic = "$JS/API/STREAM/PURGE/S"
		}))
		w.expect(packets.Connack)
		w.c.Close()
		if p := c.expect(packets.Publish); string(p.Payload) != "gone" || p.Properties.ResponseTopic != "" {
			t.Errorf("got %+v", p)
		}
	})
	t.Run("a stream's receipt is no answer", func(t *testing.T) {
		for qos := range byte(3) {
			s := b.capture(fmt.Sprint("kept.", qos))
			c.send(appendPublish(nil, v5, qos, 4, []byte(fmt.Sprint("kept/", qos)), append([]byte{packets.PropResponseTopic}, appendString(nil, []byte("r"))...), nil))
			testkit.Eventually(t, "routed", func() bool { return len(s.got()) == 1 })
			if len(s.receipts) != 1 {
				t.Error("the stream would answer by message")
			}
		}
	})
}

// Who was asked may answer, whatever else it may publish.
func TestResponseTopic_allowResponses(t *testing.T) {
	perms, err := subject.NewPermissions(&subject.Rules{Deny: []string{">"}}, nil, &subject.Responses{Max: 1, Expires: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	b := startBroker(t, func(b *broker) {
		b.Auth = func(*auth.Request) (*auth.Grant, error) {
			return &auth.Grant{Account: config.GlobalAccount, Permissions: perms}, nil
		}
	})
	c := b.connect(v5, "c")
	c.subscribe("ask", 0)
	b.publish(wire.Msg{Subject: []byte("ask"), Reply: []byte("_INBOX.1")})
	topic := c.expect(packets.Publish).Properties.ResponseTopic
	for i, want := range []byte{packets.CodeNoMatchingSubscribers.Code, packets.ErrNotAuthorized.Code} {
		c.publish(topic, "", 1, uint16(i+1))
		if pk := c.expect(packets.Puback); pk.ReasonCode != want {
			t.Errorf("answer %d: %#x, want %#x", i, pk.ReasonCode, want)
		}
	}
}

// What passes by itself closes without CONNACK: some clients take any refusal
// for final.
func TestConnect_passingTroubleHasNoAnswer(t *testing.T) {
	bothVersions(t, func(t *testing.T, version byte) {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			c := b.pipe(version)
			synctest.Wait()
			b.m.stop()
			synctest.Wait()
			_, _ = c.c.Write(c.connectPacket("c", nil))
			if pk, err := c.next(); err == nil {
				t.Errorf("got %+v", pk)
			}
			b.stop()
		})
	})
}

// A client that is not let in and comes again at once is slowed, and counted.
func TestConnect_refusedInALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.Auth = func(*auth.Request) (*auth.Grant, error) { return nil, auth.ErrDenied }
		tries, begin := 0, time.Now()
		for time.Since(begin) < 10*time.Second {
			c := b.pipe(v311)
			c.send(c.connectPacket("collectd", nil))
			if pk := c.expect(packets.Connack); pk.ReasonCode != 5 {
				t.Fatalf("CONNACK %d", pk.ReasonCode)
			}
			c.c.Close()
			tries++
		}
		if tries < freeTries+5 || tries > 30 {
			t.Errorf("%d tries in ten seconds", tries)
		}
		if n := b.Log.Count("MQTT connection refused"); n != 1 {
			t.Errorf("%d lines", n)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if want := fmt.Sprintf("and %d more in the last minute", tries-1); !b.Log.Contains(want) {
			t.Errorf("the log has no %q", want)
		}
		var d monitor.Description
		b.m.ready.Store(true)
		if b.m.Describe(&d); d.MQTT.RefusedConnects != uint64(tries) {
			t.Errorf("%d were counted", d.MQTT.RefusedConnects)
		}
		// After some quiet, a try is answered at once.
		begin = time.Now()
		c := b.pipe(v311)
		c.send(c.connectPacket("collectd", nil))
		if c.expect(packets.Connack); time.Since(begin) != 0 {
			t.Errorf("held for %v", time.Since(begin))
		}
		c.c.Close()
		b.stop()
	})
}
