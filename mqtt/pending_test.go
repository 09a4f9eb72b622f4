package mqtt

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/wire"
)

// What is kept for a client that reads nothing is at most a tenth more than
// max_pending, whatever the size of messages, whatever the writer has taken, and
// whether they wait for the socket or for acknowledgements. When the client is
// cut off, all of it is given back.
func TestConn_stalledSubscriberTakesItsLimit(t *testing.T) {
	const limit = 1 << 20
	for _, size := range []int{10, 5000, 17_000, 400_000} {
		for _, receive := range []uint16{0, 1} {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t)
				budget := &b.Clients.Budget
				b.Opts.MaxPending = limit
				c := b.pipeConnected(v5, "stalled", func(pk *packets.Packet) { pk.Properties.ReceiveMaximum = receive })
				c.subscribe("a", 1)
				m := wire.Msg{Subject: []byte("a"), Body: make([]byte, size), Header: []byte("NATS/1.0\r\nNmqtt-Pub:1\r\n\r\n")}
				var held int64
				taken := 0
				for i := 0; b.Acc.HasInterest("a"); i++ {
					taken += b.publish(m) * size
					held = max(held, budget.Held())
					if i%1000 < 3 {
						synctest.Wait() // the writer takes what there is
					}
				}
				if held > limit*11/10 {
					t.Errorf("messages of %d, Receive Maximum %d: %d bytes are held", size, receive, held)
				}
				if size >= 5000 && taken < limit*8/10-size {
					t.Errorf("messages of %d, Receive Maximum %d: cut off after %d bytes", size, receive, taken)
				}
				c.c.Close()
				b.stop()
				if budget.Held() != 0 {
					t.Errorf("%d bytes are held for nobody", budget.Held())
				}
			})
		}
	}
}

// Messages that wait for acknowledgements come in order, with identifiers of
// their own, wherever the chunks end.
func TestConn_windowAcrossChunks(t *testing.T) {
	here, there := net.Pipe()
	b := newBroker(t)
	b.m.work.Add(1)
	go b.m.serve(here, nil, nil, b.m.work.Done)
	c := &client{t, there, *scripted(nil), v5}
	c.r.in.Reset(there)
	_ = there.SetDeadline(time.Now().Add(20 * time.Second))
	c.send(c.connectPacket("c", func(pk *packets.Packet) { pk.Properties.ReceiveMaximum = 1 }))
	c.expect(packets.Connack)
	c.subscribe("a", 1)
	const n = 60
	body := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, i*i*7) }
	for i := range n {
		b.publish(wire.Msg{Subject: []byte("a"), Body: body(i), Header: []byte("NATS/1.0\r\nNmqtt-Pub:1\r\nK: v\r\n\r\n")})
	}
	for i := range n {
		p := c.expect(packets.Publish)
		if !bytes.Equal(p.Payload, body(i)) || p.TopicName != "a" || int(p.PacketID) != i+1 || len(p.Properties.User) != 1 {
			t.Fatalf("message %d: %d bytes to %q, identifier %d", i, len(p.Payload), p.TopicName, p.PacketID)
		}
		c.send(appendAck(nil, packets.Puback, v5, p.PacketID, 0))
	}
	c.c.Close()
	b.stop()
}

// While the budget of all clients is spent, those pay that have much waiting.
func TestConn_budgetOfAllClients(t *testing.T) {
	b := startBroker(t, func(b *broker) { b.Opts.MaxPending = 64 << 20; b.Opts.MaxPendingTotal = 3 << 20 })
	healthy := b.connect(v311, "healthy")
	healthy.subscribe("h", 0)
	for i := range 20 {
		c := b.connect(v311, string(rune('a'+i)))
		c.subscribe("a", 0)
	}
	go io.Copy(io.Discard, healthy.c)
	m := wire.Msg{Subject: []byte("a"), Body: make([]byte, 10_000)}
	for b.Acc.HasInterest("a") {
		b.publish(m)
		if held := b.Clients.Budget.Held(); held > 6<<20 {
			t.Fatalf("%d bytes are held", held)
		}
		if b.publish(wire.Msg{Subject: []byte("h"), Body: []byte("x")}) != 1 {
			t.Fatal("a client with nothing waiting was cut off")
		}
	}
}
