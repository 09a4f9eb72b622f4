package interop

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// The stock server refuses MQTT 5, so these tests have nothing to compare
// with: they hold frond against the specification and paho's client.

// mqtt5 connects a version 5 client; what it receives goes to the channel.
func mqtt5(t testing.TB, s *peers.Server, id string) (*paho.Client, <-chan *paho.Publish, *paho.Connack) {
	t.Helper()
	conn := must[net.Conn](t)(net.Dial("tcp", s.MQTTAddr()))
	got := make(chan *paho.Publish, 1000)
	c := paho.NewClient(paho.ClientConfig{
		Conn:          conn,
		PacketTimeout: step,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(r paho.PublishReceived) (bool, error) { got <- r.Packet; return true, nil },
		},
	})
	ack := must[*paho.Connack](t)(c.Connect(within(t, step), &paho.Connect{ClientID: id, CleanStart: true, KeepAlive: 30}))
	t.Cleanup(func() { _ = c.Disconnect(&paho.Disconnect{}); conn.Close() })
	return c, got, ack
}

func subscribe5(t testing.TB, c *paho.Client, filter string, qos byte) {
	t.Helper()
	ack := must[*paho.Suback](t)(c.Subscribe(within(t, step), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: qos}}}))
	if len(ack.Reasons) != 1 || ack.Reasons[0] != qos {
		t.Fatalf("filter %s granted %#x, want %d", filter, ack.Reasons, qos)
	}
}

func publish5(t testing.TB, c *paho.Client, topic string, qos byte, payload string, user ...string) byte {
	t.Helper()
	p := &paho.Publish{Topic: topic, QoS: qos, Payload: []byte(payload), Properties: &paho.PublishProperties{}}
	for i := 0; i < len(user); i += 2 {
		p.Properties.User.Add(user[i], user[i+1])
	}
	r := must[*paho.PublishResponse](t)(c.Publish(within(t, step), p))
	if r == nil {
		return 0
	}
	return r.ReasonCode
}

func comes5(t testing.TB, got <-chan *paho.Publish) *paho.Publish {
	t.Helper()
	select {
	case p := <-got:
		return p
	case <-time.After(step):
		t.Fatal("nothing came")
		return nil
	}
}

func frondOnly(t *testing.T) *peers.Server {
	t.Helper()
	t.Parallel()
	if !tested(peers.FrondKind) {
		t.Skip("frond is not among -servers")
	}
	return start(t, peers.FrondKind, mqttServer)
}

func TestMQTT5_between_clients(t *testing.T) {
	s := frondOnly(t)
	a, _, connack := mqtt5(t, s, "a")
	b, got, _ := mqtt5(t, s, "b")
	if connack.ReasonCode != 0 || connack.SessionPresent {
		t.Fatalf("connack %+v", connack)
	}
	subscribe5(t, b, "x/+", 1)
	publish5(t, a, "x/0", 0, "zero")
	publish5(t, a, "x/1", 1, "one", "k", "v", "k", "w")
	if p := comes5(t, got); p.Topic != "x/0" || p.QoS != 0 || string(p.Payload) != "zero" {
		t.Fatalf("got %+v", p)
	}
	p := comes5(t, got)
	if p.Topic != "x/1" || p.QoS != 1 || string(p.Payload) != "one" {
		t.Fatalf("got %+v", p)
	}
	// User properties arrive, repeated keys in order (3.3.2.3.7).
	if vs := p.Properties.User.GetAll("k"); len(vs) != 2 || vs[0] != "v" || vs[1] != "w" {
		t.Fatalf("user properties %+v", p.Properties.User)
	}
	ack := must[*paho.Unsuback](t)(b.Unsubscribe(within(t, step), &paho.Unsubscribe{Topics: []string{"x/+", "never"}}))
	if len(ack.Reasons) != 2 || ack.Reasons[0] != 0x00 || ack.Reasons[1] != 0x11 {
		t.Fatalf("unsubscribe reasons %#x, want success and no subscription existed", ack.Reasons)
	}
	// A 3.1.1 client hears a version 5 one.
	three := inbox(t, mqtt3(t, s, "old"), "y", 1)
	publish5(t, a, "y", 1, "to three")
	comes(t, three, "y 1 to three")
}

func TestMQTT5_user_properties_are_headers(t *testing.T) {
	s := frondOnly(t)
	ctx := within(t, time.Minute)
	nc := connect(t, s)
	js := stream(t, nc)
	str := must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "T", Subjects: []string{"t.>"}}))
	sub := must[*nats.Subscription](t)(nc.SubscribeSync("t.>"))
	ok(t, nc.Flush())
	c, got, _ := mqtt5(t, s, "dev")
	for range 2 {
		if code := publish5(t, c, "t/a", 1, "reading", "Nats-Msg-Id", "id-1", "unit", "C"); code >= 0x80 {
			t.Fatalf("puback %#x", code)
		}
	}
	m := must[*nats.Msg](t)(sub.NextMsg(step))
	if m.Header.Get("Nats-Msg-Id") != "id-1" || m.Header.Get("unit") != "C" {
		t.Fatalf("headers %v", m.Header)
	}
	if info := must[*jetstream.StreamInfo](t)(str.Info(ctx)); info.State.Msgs != 1 {
		t.Fatalf("%d messages: a repeated message id is stored again", info.State.Msgs)
	}
	// And back: a header of a NATS message is a user property.
	subscribe5(t, c, "down", 0)
	down := nats.NewMsg("down")
	down.Header.Set("unit", "F")
	ok(t, nc.PublishMsg(down))
	if p := comes5(t, got); p.Properties.User.Get("unit") != "F" {
		t.Fatalf("user properties %+v", p.Properties.User)
	}
}

// TestMQTT5_a_refused_publication_is_told: a stream that is full refuses, and
// the client hears it in the PUBACK instead of a success (3.4.2.1).
func TestMQTT5_a_refused_publication_is_told(t *testing.T) {
	s := frondOnly(t)
	ctx := within(t, time.Minute)
	js := stream(t, connect(t, s))
	must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "T", Subjects: []string{"t.>"},
		MaxMsgs: 2, Discard: jetstream.DiscardNew}))
	c, _, _ := mqtt5(t, s, "dev")
	for i := range 2 {
		if code := publish5(t, c, "t/a", 1, fmt.Sprint(i)); code >= 0x80 {
			t.Fatalf("puback %d: %#x", i, code)
		}
	}
	p := &paho.Publish{Topic: "t/a", QoS: 1, Payload: []byte("one too many")}
	r, err := c.Publish(within(t, step), p)
	if r == nil || r.ReasonCode < 0x80 {
		t.Fatalf("a full stream: %+v, %v; want a reason code from 0x80", r, err)
	}
	if code := publish5(t, c, "elsewhere", 1, "fine"); code >= 0x80 {
		t.Fatalf("another topic after that: %#x", code)
	}
}
