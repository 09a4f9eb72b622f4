package session

import (
	"fmt"
	"runtime"
	"testing"
)

// TestSession_atRest bounds what a session at rest takes, with a filter of its own that
// is two subjects, and with its row in the stream's index: what more there is takes it
// from then on that the caches below are full.
func TestSession_atRest(t *testing.T) {
	h := newHouse(t)
	const few, n = 4000, 16_000 // so many more that what else lies about does not matter
	h.limits.Sessions = n
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	make := func(from, upTo int) {
		for i := from; i < upTo; i++ {
			x, _, err := h.s.Attach(t.Context(), nil, Client{ID: fmt.Sprintf("plant/line%d", i), User: "u", Expiry: 60, Peer: new(device)})
			if err == nil {
				_, err = x.Subscribe(fmt.Sprintf("plant.line%d.>", i), 1, 0)
			}
			if err != nil {
				t.Fatal(err)
			}
			x.Detach(60)
		}
		h.holds(RowStream, upTo)
		h.s.rows.drain(t.Context())
	}
	make(0, few)
	before := heap()
	make(few, n)
	per := (heap() - before) / (n - few)
	t.Logf("a session at rest takes %d bytes", per)
	if per > 1024 {
		t.Error("more than it may")
	}
}
