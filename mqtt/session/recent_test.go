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
	long := strings.Repeat("x", 900) // as a topic may be whose messages are small
	for seq := uint64(1); seq <= 3000; seq++ {
		r.add(&jsclient.Message{Seq: 2 * seq, Subject: long, Data: make([]byte, 100)})
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
	published := ""
	testkit.Eventually(t, "it is in memory", func() bool { // it was not too slow
		h.publishAll("a", "1", "2")
		h.publishAll("b", "3")
		published += " 1 2 3"
		return d.inMemory() >= 3 && e.inMemory() >= 2
	})
	d.wants(published[1:])
	e.wants(strings.ReplaceAll(published, " 3", "")[1:])
	d.ackAll()
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
	h.publishAll("a", "5")
	h.publishAll("big", large)
	h.publishAll("a", "6")
	d.wants("5 6")
	e.wants("5 " + large + " 6")
	d.ackAll()
	e.ackAll()
	testkit.Eventually(t, "memory is free again", func() bool {
		h.s.mu.Lock()
		defer h.s.mu.Unlock()
		return h.s.mu.recent.msgs == nil
	})
	h.holds(msgsStream, 0)
}

// inMemory is how much of what comes next need not be read.
func (d *device) inMemory() int {
	_, horizon := d.spans()
	found, _ := d.recent(horizon, 100, 1<<20)
	return len(found)
}

// TestStore_shared: what one session has read others that wait for it need not read.
func TestStore_shared(t *testing.T) {
	h := newHouse(t)
	for i := range 5 {
		h.attach(fmt.Sprint("d", i), false).sub("a", fmt.Sprint("own", i)).Detach(60)
	}
	large := strings.Repeat("y", maxRecentMsg+1)
	h.publishAll("a", "1", "2")
	h.publishAll("own1", "mine")
	h.publishAll("a", "3")
	for i, page := range []string{"1 2 3", "1 2 mine 3", "1 2 3"} {
		d := h.attach(fmt.Sprint("d", i), true)
		d.wants(page)
		d.ackAll()
		d.Detach(60)
		h.s.mu.Lock()
		for _, m := range h.s.mu.read.msgs {
			if string(m.Data) == "mine" {
				t.Error("what nobody else waits for is kept")
			}
		}
		h.s.mu.Unlock()
	}
	testkit.Eventually(t, "it is in memory", func() bool {
		d := h.attach("d4", true) // which reads, and acknowledges nothing
		_, err := d.Next(t.Context(), 10, 1<<20)
		d.Detach(60)
		d = h.attach("d3", true)
		defer d.Detach(60)
		return err == nil && d.inMemory() == 3
	})
	d := h.attach("d3", true)
	d.wants("1 2 3")
	d.ackAll()
	d.Detach(60)
	h.publishAll("a", large, "4")
	h.attach("d4", true).wants("1 2 3 " + large + " 4")
	for _, id := range []string{"d0", "d1", "d2", "d3"} {
		h.attach(id, true).wants(large + " 4")
	}
}
