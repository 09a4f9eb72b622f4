package mqtt

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/mqtt/session"
)

// What a client was not sent and what was refused of it is seen when it is gone, by
// the reason.
func TestDrops_byReason(t *testing.T) {
	b := startBroker(t, nil)
	c := b.dial(v5)
	c.send(c.connectPacket("dev", func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = 100 }))
	c.expect(packets.Connack)
	c.subscribe("a/#", 0)
	b.publish(wire.Msg{Subject: []byte("a.b"), Body: make([]byte, 200)})
	b.publish(wire.Msg{Subject: []byte("a.b#"), Body: []byte("x")})
	b.publish(wire.Msg{Subject: []byte("a.b"), Body: []byte("x")})
	c.expect(packets.Publish)
	c.publish("$MQTT/x", "x", 1, 1)
	c.expect(packets.Puback)
	c.c.Close()
	b.wantDrops(monitor.MQTTDrops{TooLarge: 1, Unfit: 1, Refused: 1})
}

// wantDrops is what the one client that is gone was not sent.
func (b *broker) wantDrops(want monitor.MQTTDrops) {
	b.t.Helper()
	var got *monitor.MQTTDrops
	testkit.Eventually(b.t, "it is gone", func() bool {
		for _, i := range b.Conns.Closed() {
			got = i.MQTTDrops
		}
		return got != nil
	})
	if *got != want {
		b.t.Errorf("got %+v, want %+v", *got, want)
	}
}

func TestDrops_slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.Opts.MaxPending = 10_000
		c := b.pipeConnected(v5, "slow", nil)
		c.subscribe("a", 0)
		for range 100 {
			b.publish(wire.Msg{Subject: []byte("a"), Body: make([]byte, 1000)})
		}
		c.c.Close()
		synctest.Wait()
		b.wantDrops(monitor.MQTTDrops{Slow: 1}) // the one for which it is cut off
		b.stop()
	})
}

func TestDrops_denied(t *testing.T) {
	p, err := subject.NewPermissions(nil, &subject.Rules{Deny: []string{"a.secret"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := startBroker(t, func(b *broker) {
		b.Auth = func(*auth.Request) (*auth.Grant, error) {
			return &auth.Grant{User: "u", Account: b.Acc.Name(), Permissions: p}, nil
		}
	})
	c := b.connect(v311, "c")
	c.subscribe("a/#", 0)
	b.publish(wire.Msg{Subject: []byte("a.secret"), Body: []byte("x")})
	b.publish(wire.Msg{Subject: []byte("a.open"), Body: []byte("x")})
	c.expect(packets.Publish)
	c.c.Close()
	b.wantDrops(monitor.MQTTDrops{Denied: 1})
}

// Retained messages that a new subscription does not get count as others do.
func TestDrops_retained(t *testing.T) {
	s := startStory(t)
	s.run(`dev connect`)
	s.publish(s.clients["dev"], "t/1", strings.Repeat("x", 200), marks{retain: true, qos: 1})
	s.publish(s.clients["dev"], "t/2", "x", marks{retain: true, qos: 1})
	c := (&broker{t: t, m: s.m}).dial(v5)
	c.send(c.connectPacket("small", func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = 100 }))
	c.expect(packets.Connack)
	s.subscribe(c, "t/#", marks{})
	s.gets(c, "t/2", "x", marks{retain: true})
	if got, want := s.conn("small").drops.describe(), (monitor.MQTTDrops{TooLarge: 1}); got == nil || *got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// What expired while its session waited for its client is counted for that.
func TestDrops_expired(t *testing.T) {
	s := startStory(t)
	s.run(`
		dev connect keep
		dev silent`)
	k := s.kept("dev")
	m := &session.Message{Topic: "a", QoS: 1, Message: &jsclient.Message{
		Time: time.Now().Add(-time.Minute), Header: []byte("NATS/1.0\r\n" + headerExpiry + ":59\r\n\r\n"), Data: []byte("x"),
	}}
	if sent, err := k.send(m); !sent || err != nil {
		t.Fatalf("sent %v, %v", sent, err)
	}
	if got, want := k.conn.drops.describe(), (monitor.MQTTDrops{Expired: 1}); got == nil || *got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	s.run(`dev silent`)
}
