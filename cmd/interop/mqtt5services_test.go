package interop

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// told5 connects a version 5 client that asks for what cp says.
func told5(t testing.TB, addr string, cp *paho.Connect) (*paho.Client, <-chan *paho.Publish, *paho.Connack) {
	t.Helper()
	conn := must[net.Conn](t)(net.Dial("tcp", addr))
	got := make(chan *paho.Publish, 1000)
	c := paho.NewClient(paho.ClientConfig{
		Conn: conn, PacketTimeout: step,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(r paho.PublishReceived) (bool, error) { got <- r.Packet; return true, nil },
		},
	})
	cp.KeepAlive = 30
	ack := must[*paho.Connack](t)(c.Connect(within(t, step), cp))
	t.Cleanup(func() { _ = c.Disconnect(&paho.Disconnect{}); conn.Close() })
	return c, got, ack
}

// TestMQTT5_a_service_answers_a_request: a service of NATS answers where the Response
// Topic says, which the client makes of the Response Information of its CONNACK.
func TestMQTT5_a_service_answers_a_request(t *testing.T) {
	s := frondOnly(t)
	nc := connect(t, s)
	svc := must[micro.Service](t)(micro.AddService(nc, micro.Config{Name: "doubler", Version: "1.0.0"}))
	defer func() { ok(t, svc.Stop()) }()
	ok(t, svc.AddEndpoint("twice", micro.HandlerFunc(func(r micro.Request) {
		_ = r.Respond([]byte(string(r.Data())+string(r.Data())), micro.WithHeaders(micro.Headers{"Unit": []string{r.Headers().Get("Unit")}}))
	})))
	ok(t, nc.Flush())
	c, got, ack := told5(t, s.MQTTAddr(), &paho.Connect{ClientID: "asker", CleanStart: true, Properties: &paho.ConnectProperties{RequestResponseInfo: true}})
	base := ack.Properties.ResponseInfo
	if base == "" {
		t.Fatal("no Response Information")
	}
	subscribe5(t, c, base+"/#", 1)
	for i := range 3 {
		p := &paho.Publish{Topic: "twice", QoS: 1, Payload: []byte(fmt.Sprint(i)), Properties: &paho.PublishProperties{ResponseTopic: fmt.Sprint(base, "/", i)}}
		p.Properties.User.Add("Unit", "C")
		must[*paho.PublishResponse](t)(c.Publish(within(t, step), p))
	}
	for range 3 {
		p := comes5(t, got)
		var i int
		if _, err := fmt.Sscanf(p.Topic, base+"/%d", &i); err != nil || string(p.Payload) != strings.Repeat(fmt.Sprint(i), 2) || p.Properties.User.Get("Unit") != "C" {
			t.Errorf("%s %s %v", p.Topic, p.Payload, p.Properties.User)
		}
	}
}

// TestMQTT5_a_device_answers_a_request: a request of NATS comes with a Response Topic,
// and what a device publishes there is the answer.
func TestMQTT5_a_device_answers_a_request(t *testing.T) {
	s := frondOnly(t)
	nc := connect(t, s)
	c, got, _ := mqtt5(t, s, "device")
	subscribe5(t, c, "ask/+", 1)
	type answer struct {
		m   *nats.Msg
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), step)
		defer cancel()
		m := nats.NewMsg("ask.temp")
		m.Header.Set("Nmqtt-Correlation-Data", "AAH/") // is base64
		a, err := nc.RequestMsgWithContext(ctx, m)
		answers <- answer{a, err}
	}()
	p := comes5(t, got)
	if p.Topic != "ask/temp" || p.Properties.ResponseTopic == "" || string(p.Properties.CorrelationData) != "\x00\x01\xff" {
		t.Fatalf("%+v", p)
	}
	r := &paho.Publish{Topic: p.Properties.ResponseTopic, QoS: 1, Payload: []byte("21.5"), Properties: &paho.PublishProperties{CorrelationData: p.Properties.CorrelationData, ContentType: "text/plain"}}
	must[*paho.PublishResponse](t)(c.Publish(within(t, step), r))
	a := <-answers
	ok(t, a.err)
	if string(a.m.Data) != "21.5" || a.m.Header.Get("Nmqtt-Correlation-Data") != "AAH/" || a.m.Header.Get("Nmqtt-Content-Type") != "text/plain" {
		t.Errorf("%q %v", a.m.Data, a.m.Header)
	}
}

// TestMQTT5_groups_are_queue_groups: a shared subscription and a queue group of NATS of
// the same name are one group.
func TestMQTT5_groups_are_queue_groups(t *testing.T) {
	s := frondOnly(t)
	nc := connect(t, s)
	const n = 200
	all := make(chan string, 3*n)
	sub := must[*nats.Subscription](t)(nc.QueueSubscribe("jobs.*", "g", func(m *nats.Msg) { all <- "nats " + string(m.Data) }))
	defer func() { ok(t, sub.Unsubscribe()) }()
	ok(t, nc.Flush())
	one, got, _ := mqtt5(t, s, "one")
	subscribe5(t, one, "$share/g/jobs/+", 1)
	pub, _, _ := mqtt5(t, s, "pub")
	for i := range n {
		publish5(t, pub, "jobs/a", 1, fmt.Sprint(i))
	}
	seen, by := map[string]int{}, map[string]int{}
	for range n {
		select {
		case m := <-all:
			seen[m[len("nats "):]]++
			by["nats"]++
		case p := <-got:
			seen[string(p.Payload)]++
			by["mqtt"]++
		case <-time.After(step):
			t.Fatalf("%d of %d came, %v", len(seen), n, by)
		}
	}
	if len(seen) != n || by["nats"] == 0 || by["mqtt"] == 0 {
		t.Errorf("%d of %d came once, %v", len(seen), n, by)
	}
}

// TestMQTT5_properties_of_the_connection: aliases and identifiers with paho's client.
func TestMQTT5_properties_of_the_connection(t *testing.T) {
	s := frondOnly(t)
	most := uint16(4)
	c, got, ack := told5(t, s.MQTTAddr(), &paho.Connect{CleanStart: true, Properties: &paho.ConnectProperties{TopicAliasMaximum: &most}})
	if ack.Properties.AssignedClientID == "" || ack.Properties.TopicAliasMaximum == nil || *ack.Properties.TopicAliasMaximum == 0 || !ack.Properties.SubIDAvailable {
		t.Fatalf("%+v", ack.Properties)
	}
	id := 77
	must[*paho.Suback](t)(c.Subscribe(within(t, step), &paho.Subscribe{
		Properties: &paho.SubscribeProperties{SubscriptionIdentifier: &id}, Subscriptions: []paho.SubscribeOptions{{Topic: "plant/#", QoS: 1}},
	}))
	alias := uint16(1)
	for i, topic := range []string{"plant/one/temperature", "", ""} {
		p := &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(fmt.Sprint(i)), Properties: &paho.PublishProperties{TopicAlias: &alias}}
		must[*paho.PublishResponse](t)(c.Publish(within(t, step), p))
		m := comes5(t, got)
		if want := []string{"plant/one/temperature", "", ""}[i]; m.Topic != want || string(m.Payload) != fmt.Sprint(i) ||
			m.Properties.TopicAlias == nil || *m.Properties.TopicAlias != 1 || m.Properties.SubscriptionIdentifier == nil || *m.Properties.SubscriptionIdentifier != id {
			t.Errorf("%d: %q %s %+v", i, m.Topic, m.Payload, m.Properties)
		}
	}
}
