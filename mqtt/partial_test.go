package mqtt

import (
	"fmt"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/inbound"
	"github.com/frondmq/frond/core/testkit"
)

// Packets that come in part take their share of the memory and no more: those that
// sent them are closed, and who sends whole ones goes on.
func TestConn_packetsInPartAreBounded(t *testing.T) {
	const n, limit, size = 12, 2 << 20, 1_000_000
	b := startBroker(t, func(b *broker) { b.Parts.Budget.SetLimit(limit) })
	s := b.capture("whole")
	good := b.connect(v5, "good")
	packet := appendPublish(nil, v5, 0, 0, []byte("x"), nil, make([]byte, size))
	for i := range n {
		c := b.connect(v5, fmt.Sprint("c", i))
		_, _ = c.c.Write(packet[:size-100_000]) // it may be closed meanwhile
	}
	const stay = limit * 3 / 2 / size
	stale := func() (n int) {
		for _, c := range b.Conns.Closed() {
			if c.Reason == "Stale Connection" {
				n++
			}
		}
		return n
	}
	testkit.Eventually(t, "what is too much is closed", func() bool { return stale() >= n-stay })
	if held := b.Parts.Budget.Held(); held > limit*3/2 {
		t.Errorf("%d bytes are held, the limit is %d", held, limit)
	}
	if !b.Log.Contains(inbound.ErrTooMuch.Error()) {
		t.Error("the log does not say why")
	}
	good.send(appendPublish(nil, v5, 0, 0, []byte("whole"), nil, make([]byte, 50_000)))
	good.fence()
	if n := len(s.got()); n != 1 {
		t.Errorf("%d of 1 arrived", n)
	}
}

// An MQTT 5 client is told, and nothing is held for who is gone.
func TestConn_packetInPartIsTold(t *testing.T) {
	b := startBroker(t, nil)
	c := b.connect(v5, "dev")
	packet := appendPublish(nil, v5, 0, 0, []byte("x"), nil, make([]byte, 300_000))
	c.send(packet[:200_000])
	testkit.Eventually(t, "it is counted", func() bool { return b.Parts.Budget.Held() >= 190_000 })
	var held *conn
	b.m.mu.Lock()
	for _, k := range b.m.mu.clients {
		held = k
	}
	b.m.mu.Unlock()
	held.HeldTooMuch()
	c.expectEnd(packets.ErrQuotaExceeded.Code)
	testkit.Eventually(t, "it is gone", func() bool { return b.Parts.Budget.Held() == 0 && b.wasGone("Stale Connection") })
}

// A CONNECT is counted, though nobody knows yet who sends it.
func TestConnect_inPartIsCounted(t *testing.T) {
	b := startBroker(t, nil)
	c := b.dial(v5)
	c.send(append(appendLength([]byte{packets.Connect << 4}, 200_000), make([]byte, 100_000)...))
	testkit.Eventually(t, "it is counted", func() bool { return b.Parts.Budget.Held() >= 100_000 })
	c.c.Close()
	testkit.Eventually(t, "it is gone", func() bool { return b.Parts.Budget.Held() == 0 })
}
