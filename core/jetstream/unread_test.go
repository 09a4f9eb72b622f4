package jetstream

import (
	"strings"
	"testing"

	"github.com/frondmq/frond/edgestore/vfs"
)

// A read that fails is no answer: a consumer waits for it, and passes over
// nothing, neither what it never had nor what is to come again. (Seed 101 of the
// chaos test, class "store: read fails for good": one failed read of an origin
// made a gap of all that was stored, in its consumers and so in its mirrors.)
func TestConsumer_waitsForWhatIsNotRead(t *testing.T) {
	x := newBox(t)
	faults := newStoreFaults("")
	x.change = func(c *Config) { c.backend = chaosBackend{diskBackend{c}, faults} }
	x.start()
	mustStream(t, x.b, `{"name":"S","subjects":["s.>"]}`)
	mustConsumer(t, x.b, "S", "c", `{"durable_name":"c","ack_policy":"explicit","ack_wait":200000000}`)
	const n = 20
	for i := range n {
		x.put("S", "s.a", text(i)+strings.Repeat("x", 10_000)) // several chunks, one may be in memory
	}
	for _, again := range []bool{false, true} {
		x.stop() // drained, and nothing is in memory any more
		x.start()
		faults.arm(&storeFault{vfs.OpRead, false, 1, 1 << 30})
		in := x.b.pull(t, "S.c", "1000")
		eventually(t, func() bool { // it fails, and is tried again
			faults.mu.Lock()
			defer faults.mu.Unlock()
			return faults.calls >= 12
		})
		faults.arm(nil)
		for left := n; left > 0; {
			m := in.next()
			if m.Reply == "" {
				t.Fatalf("again: %v: %d messages did not come: %+v", again, left, m)
			}
			if body := x.acked["S"][ackSeq(t, m.Reply)]; m.Body != body {
				t.Errorf("%q, want %q", m.Body, body)
			}
			if seq := ackSeq(t, m.Reply); seq == uint64(n-left+1) || again {
				left--
			}
			if again {
				x.b.request(t, m.Reply, "", "")
			}
		}
		in.stop()
	}
	if i := x.b.consumer(t, "S", "c"); i.NumPending != 0 || i.NumAckPending != 0 {
		t.Errorf("at the end %+v", i)
	}
}
