package session

import (
	"fmt"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/testkit"
)

func TestRecent_bound(t *testing.T) {
	var r recent
	for seq := uint64(1); seq <= 3000; seq++ {
		r.add(&jsclient.Message{Seq: 2 * seq, Data: make([]byte, 1000)})
		if r.bytes > maxRecentBytes || r.bytes != len(r.msgs)*(1000+recentOverhead) {
			t.Fatalf("%d bytes of %d messages", r.bytes, len(r.msgs))
		}
	}
	first := uint64(6000 - 2*(len(r.msgs)-1))
	for seq := uint64(1); seq < 6005; seq++ {
		m := r.get(seq)
		if has := seq >= first && seq%2 == 0 && seq <= 6000; has != (m != nil) || has && m.Seq != seq {
			t.Fatalf("%d: %v, from %d on", seq, m, first)
		}
	}
	if !r.rest() || r.rest() || r.bytes != 0 || r.get(6000) != nil {
		t.Error("nothing was added, and it is there")
	}
}

// TestStore_recent: who keeps up needs no page of the stream; who is behind gets the
// same, in the same order.
func TestStore_recent(t *testing.T) {
	h := newHouse(t)
	d, e := h.attach("d", false).sub("a", "b"), h.attach("e", false).sub("a", "big")
	for range maxPages {
		h.s.pages <- struct{}{} // nobody can read
	}
	h.publishAll("a", "1", "2")
	h.publishAll("b", "3")
	d.wants("1 2 3")
	e.wants("1 2")
	d.ackAll()
	for range maxPages {
		<-h.s.pages
	}
	want := ""
	for i := range 80 {
		text := fmt.Sprint(i, strings.Repeat("x", 10_000))
		h.publishAll("a", text)
		want += " " + text
	}
	large := strings.Repeat("y", maxRecentMsg)
	h.publishAll("big", large)
	h.publishAll("a", "4")
	h.s.mu.Lock()
	if r := &h.s.mu.recent; len(r.msgs) > 60 || r.bytes > maxRecentBytes {
		t.Errorf("%d messages, %d bytes", len(r.msgs), r.bytes)
	}
	h.s.mu.Unlock()
	d.wants(want[1:] + " 4")
	e.wants(want[1:] + " " + large + " 4")
	d.ackAll()
	e.ackAll()
	testkit.Eventually(t, "memory is free again", func() bool {
		h.s.mu.Lock()
		defer h.s.mu.Unlock()
		return h.s.mu.recent.msgs == nil
	})
	h.holds(msgsStream, 0)
}
