package session

import (
	"testing"

	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/testkit"
)

// pends waits until a session waits for so many messages.
func (d *device) pends(n int64) {
	d.h.Helper()
	testkit.Eventually(d.h, "pending", func() bool { msgs, bytes := d.Pending(); return msgs == n && (n > 0 || bytes == 0) })
}

// TestStore_purged has a session take messages again that was full of what is gone.
func TestStore_purged(t *testing.T) {
	h := newHouse(t)
	h.limits.Msgs = 3
	d := h.attach("d", false).sub("a")
	d.Detach(60)
	h.publishAll("a", "1", "2", "3")
	c := h.client()
	defer c.Close()
	if _, err := h.publish("a", "4"); err == nil {
		t.Fatal("one more than it may")
	}
	if _, err := c.Purge(t.Context(), msgsStream, jsclient.PurgeOptions{Seq: 3}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "there is room", func() bool { _, err := h.publish("a", "5"); return err == nil })
	if !h.log.Contains("are gone from the stream") {
		t.Error("not told")
	}
	d.pends(2)
	h.publishAll("a", "6")
	if _, err := h.publish("a", "7"); err == nil {
		t.Error("one more than it may")
	}
	d = h.attach("d", true)
	d.wants("3 5 6")
	d.ackAll()
	h.holds(msgsStream, 0)
	d.pends(0)
}

// TestStore_deleted counts what is not there any more as read, for those who have read all,
// for those who have messages unacknowledged, and for those who have ended.
func TestStore_deleted(t *testing.T) {
	h := newHouse(t)
	c := h.client()
	defer c.Close()
	del := func(seq uint64) {
		t.Helper()
		if err := c.DeleteMessage(t.Context(), msgsStream, seq); err != nil {
			t.Fatal(err)
		}
	}
	publish := func() { // what nobody waits for, and makes up for the number
		t.Helper()
		if _, err := c.Publish(t.Context(), &jsclient.Outgoing{Subject: msgsPrefix + "z"}); err != nil {
			t.Fatal(err)
		}
	}
	d, e, f := h.attach("d", false).sub("a"), h.attach("e", false).sub("a"), h.attach("f", false).sub("a", "b")
	h.publishAll("a", "1", "2", "3", "4")
	h.publishAll("b", "5")
	publish()
	publish()
	d.wants("1 2 3 4")
	d.Acked(d.Unacked()[3].Seq)
	d.pends(3)
	f.Detach(60)
	h.s.restRecent() // what is in memory is delivered
	h.s.restRecent()
	del(2)
	del(5)
	e.wants("1 3 4")
	e.pends(3)
	d.pends(2) // what is gone can't be acknowledged
	e.ackAll()
	d.ackAll()
	e.pends(0)
	d.pends(0)
	f.pends(3)
	h.publishAll("b", "6", "7")
	del(8)
	if err := h.s.Drop(t.Context(), nil, "f", "u"); err != nil {
		t.Fatal(err)
	}
	h.holds(msgsStream, 0)
	testkit.Eventually(t, "nothing is counted", func() bool {
		h.s.mu.Lock()
		defer h.s.mu.Unlock()
		return h.s.mu.counts.len() == 0 && len(h.s.mu.ended) == 0
	})
	h.publishAll("a", "8")
	d.wants("8")
}

// TestStore_limited says that somebody has given the stream limits that lose messages.
func TestStore_limited(t *testing.T) {
	h := newHouse(t)
	h.attach("d", false).sub("a").Detach(60)
	if h.log.Contains("limits that somebody has given the stream") {
		t.Error("it has none")
	}
	c := h.client()
	defer c.Close()
	if _, err := c.Update(t.Context(), msgsStream, func(cfg *jsclient.StreamConfig) { cfg.MaxMsgs = 2 }); err != nil {
		t.Fatal(err)
	}
	h.crash()
	h.publishAll("a", "1", "2", "3")
	if !h.log.Contains("limits that somebody has given the stream") {
		t.Error("not told")
	}
	d := h.attach("d", true)
	d.wants("2 3")
	d.pends(2)
	d.ackAll()
	h.holds(msgsStream, 0)
}
