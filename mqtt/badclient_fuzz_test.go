package mqtt

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// FuzzSession has a client with a kept session do the steps of QoS 1 and 2 in any order,
// two bytes a step: publish, acknowledge what it never got, subscribe, go and come back,
// over starts of the server. Whatever it does, its row can be read at the next start, its
// identifiers stay within what it allows, and another client is served.
func FuzzSession(f *testing.F) {
	const connect, pub, ack, sub, unsub, drop, other, wait, restart = 0, 1, 2, 3, 4, 5, 6, 7, 8
	f.Add([]byte{connect, 1, sub, 2, other, 2, ack, 0x11, ack, 0x31, restart, 0})
	f.Add([]byte{connect, 0, pub, 0x12, pub, 0x12, ack, 0x21, restart, 0, connect, 0, ack, 0x21})
	f.Add([]byte{pub, 0x52, connect, 1, sub, 2, ack, 0x11, ack, 0x11, drop, 0, connect, 1, ack, 0x31})
	f.Add([]byte{connect, 1, sub, 1, other, 1, ack, 0x11, ack, 0x31, ack, 0x01, drop, 0, restart, 0})
	f.Add([]byte{connect, 1, other, 0x42, sub, 2, drop, 0, other, 0x42, connect, 1, wait, 0, unsub, 2, restart, 0})
	f.Fuzz(func(t *testing.T, steps []byte) {
		steps = steps[:min(len(steps), 120)]
		synctest.Test(t, func(t *testing.T) {
			b := &badClient{t: t, p: newPowered(t, 1)}
			b.start()
			for i := 0; i+1 < len(steps); i += 2 {
				b.step(steps[i]%9, steps[i+1])
				b.bounded()
			}
			b.restart()
			b.p.stop()
		})
	})
}

// badClient is one that does not do what the protocol asks for, beside one that does.
type badClient struct {
	t       *testing.T
	p       *powered
	bad     net.Conn // nil: not connected
	version byte
	work    sync.WaitGroup
	good    *client
	starts  int
}

func (b *badClient) start() {
	b.p.start(0)
	b.good = &client{b.t, b.p.dial(), framer{}, v5}
	b.good.r = framer{in: bufio.NewReader(b.good.c), limit: 1 << 28, pool: new(sync.Pool)}
	b.good.send(b.good.connectPacket("good", nil))
	b.good.expect(packets.Connack)
	b.good.subscribe("good", 1)
}

// restart ends the server as power cuts do not: what the rows say is from its last word.
func (b *badClient) restart() {
	b.served()
	b.drop()
	b.good.c.Close()
	b.p.stop()
	b.start()
	if b.p.Log.Contains("could not be read") {
		b.t.Errorf("a session can not be read: %s", b.p.Log.String())
	}
	b.served()
}

// served sees that the other client gets a message.
func (b *badClient) served() {
	b.t.Helper()
	b.good.publish("good", "hello", 1, 9)
	for acked, got := false, false; !acked || !got; {
		pk, err := b.good.next()
		switch {
		case err != nil:
			b.t.Fatalf("the other client: %v", err)
		case pk.FixedHeader.Type == packets.Puback && pk.PacketID == 9:
			acked = true
		case pk.FixedHeader.Type == packets.Publish && string(pk.Payload) == "hello":
			got = true
			b.good.send(appendAck(nil, packets.Puback, v5, pk.PacketID, 0))
		}
	}
}

func (b *badClient) drop() {
	if b.bad != nil {
		b.bad.Close()
		b.work.Wait()
		b.bad = nil
	}
}

func (b *badClient) send(packet []byte) {
	if b.bad == nil {
		return
	}
	if _, err := b.bad.Write(packet); err != nil {
		b.drop()
	}
	<-time.After(time.Millisecond)
}

func (b *badClient) step(op, arg byte) {
	c := &client{b.t, nil, framer{}, b.version}
	switch op {
	case 0:
		b.drop()
		b.bad, b.version = b.p.dial(), []byte{v311, v5}[arg&1]
		c.version = b.version
		nc := b.bad
		b.work.Go(func() { _, _ = io.Copy(io.Discard, nc) })
		b.send(c.connectPacket("bad", func(pk *packets.Packet) {
			pk.Connect.Clean = arg&0x80 != 0
			pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = 3600, b.version == v5
			pk.Properties.ReceiveMaximum = uint16(arg >> 1 & 3)
		}))
	case 1:
		packet := appendPublish(nil, b.version, min(arg&3, 2), uint16(arg>>2&3)+1, fmt.Appendf(nil, "t/%d", arg>>4&3), nil, []byte{'0' + arg&7})
		if packet[0] |= arg >> 6 & 1; arg&0x80 != 0 {
			packet[0] |= flagDup
		}
		b.send(packet)
	case 2:
		kinds := []byte{packets.Puback, packets.Pubrec, packets.Pubrel, packets.Pubcomp}
		b.send(appendAck(nil, kinds[arg>>4&3], b.version, uint16(arg&7)+1, arg&0x80))
	case 3, 4:
		pk := &packets.Packet{ProtocolVersion: b.version, PacketID: 77, Filters: packets.Subscriptions{{Filter: []string{"t/#", "t/1", "#", "+/2"}[arg>>2&3], Qos: min(arg&3, 2)}}}
		pk.FixedHeader = packets.FixedHeader{Type: packets.Subscribe, Qos: 1}
		if op == 3 {
			b.send(c.encoded(pk.SubscribeEncode))
			return
		}
		pk.FixedHeader.Type = packets.Unsubscribe
		b.send(c.encoded(pk.UnsubscribeEncode))
	case 5:
		b.drop()
	case 6:
		packet := appendPublish(nil, v5, 1, 8, fmt.Appendf(nil, "t/%d", arg&3), nil, []byte("x"))
		packet[0] |= arg >> 6 & 1
		b.good.send(packet)
		for {
			if pk, err := b.good.next(); err != nil || pk.FixedHeader.Type == packets.Puback {
				return
			}
		}
	case 7:
		<-time.After(1500 * time.Millisecond)
	case 8:
		if b.starts++; b.starts < 4 {
			b.restart()
		}
	}
}

// bounded looks at what the server remembers for the client.
func (b *badClient) bounded() {
	b.p.m.mu.Lock()
	defer b.p.m.mu.Unlock()
	for _, c := range b.p.m.mu.clients {
		c.out.Lock()
		if w := &c.window; w.held < 0 || w.held > len(w.inUse) || len(w.inUse)-w.held > max(w.max, 0) {
			b.t.Errorf("%s: %d identifiers in use, %d held, of %d", c.clientID, len(w.inUse), w.held, w.max)
		}
		c.out.Unlock()
	}
}
