package session

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/testkit"
)

func TestStore_kept(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false).sub("a.>", "b", "a.x")
	h.publishAll("a.x", "1", "2")
	if kept, err := h.publish("c", "no"); kept || err != nil {
		t.Errorf("what nobody waits for: kept %v, %v", kept, err)
	}
	h.publishAll("a", "3")
	h.publishAll("b", "4")
	d.wants("1 2 3 4")
	d.Acked(d.Unacked()[1].Seq)
	d.Detach(60)
	h.publishAll("a.y.z", "5")
	if n, _ := d.Pending(); n != 4 {
		t.Errorf("%d pending", n)
	}
	h.restart()
	d = h.attach("d", true)
	if u := d.Unacked(); len(u) != 3 || u[0].ID != 1 || u[1].ID != 3 || u[2].ID != 4 {
		t.Fatalf("unacknowledged: %+v", u)
	}
	m, err := d.Read(t.Context(), d.Unacked()[1])
	if err != nil || string(m.Data) != "3" || !m.Again || m.ID != 3 {
		t.Errorf("%+v, %v", m, err)
	}
	d.wants("5")
	testkit.Eventually(t, "what was there is counted", func() bool { n, _ := d.Pending(); return n == 4 })
	d.ackAll()
	h.holds(msgsStream, 0)
	if n, b := d.Pending(); n != 0 || b != 0 {
		t.Errorf("%d messages, %d bytes pending", n, b)
	}
}

// TestStore_acknowledges when a message is on disk and counted, not before.
func TestStore_acknowledges(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false).sub("a")
	p := &counting{d: d, told: make(chan int64, 1)}
	h.s.Put(h.origin, &Publication{Subject: []byte("a"), Header: []byte("NATS/1.0\r\n\r\n"), Publisher: "p"}, p)
	if p.expected != 1 {
		t.Fatalf("expected %d times", p.expected)
	}
	if n := <-p.told; n != 1 {
		t.Errorf("acknowledged with %d counted", n)
	}
}

type counting struct {
	d        *device
	expected int
	told     chan int64
}

func (c *counting) Expect() { c.expected++ }
func (c *counting) Stored(_ string, _ uint64, _ bool, err error) {
	n, _ := c.d.Pending()
	if err != nil {
		n = -1
	}
	c.told <- n
}

// TestStore_later has a filter take what is stored behind it only.
func TestStore_later(t *testing.T) {
	h := newHouse(t)
	h.attach("d", false).sub("a")
	e := h.attach("e", false).sub("b")
	h.publishAll("a", "1")
	e.sub("a")
	h.publishAll("a", "2")
	e.wants("2")
}

// TestStore_crash has nothing lost that was acknowledged, and says of what was sent
// and is in no row that it comes again.
func TestStore_crash(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false).sub("a")
	e := h.attach("e", false).sub("a")
	e.Detach(60)
	h.publishAll("a", "1", "2", "3", "4")
	d.wants("1 2 3 4")
	d.Acked(d.Unacked()[0].Seq)
	h.crash()
	d = h.attach("d", true)
	var all []string
	for _, u := range d.Unacked() {
		m, err := d.Read(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(m.Data)+"!")
	}
	got := strings.Join(append(all, d.next()...), " ")
	if got != "1! 2! 3! 4!" && got != "2! 3! 4!" {
		t.Errorf("after the crash: %q", got)
	}
	h.publishAll("a", "5")
	d.wants("5")
	d.ackAll()
	h.attach("e", true).wants("1 2 3 4 5")
	h.holds(msgsStream, 5)
}

// TestStore_sweep deletes at the start what nobody waits for, and nothing else.
func TestStore_sweep(t *testing.T) {
	h := newHouse(t)
	h.attach("d", false).sub("a").Detach(60)
	e := h.attach("e", false).sub("a", "b")
	for i := range 300 {
		h.publishAll("a", fmt.Sprint("a", i))
		h.publishAll("b", fmt.Sprint("b", i))
	}
	// The row goes, and what it waited for is left.
	h.s.mu.Lock()
	row := e.row
	h.s.mu.Unlock()
	c := h.client()
	defer c.Close()
	if err := c.DeleteMessage(t.Context(), RowStream, row); err != nil {
		t.Fatal(err)
	}
	h.crash()
	h.holds(msgsStream, 300)
	d := h.attach("d", true)
	got := d.next()
	if len(got) != 300 || got[0] != "a0" || got[299] != "a299" {
		t.Errorf("%d messages: %v", len(got), got)
	}
}

// TestStore_ends counts down what sessions waited for that have ended.
func TestStore_ends(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false).sub("a.*")
	e := h.attach("e", false).sub("a.x")
	h.publishAll("a.x", "1", "2")
	h.publishAll("a.y", "3")
	d.wants("1 2 3")
	d.Acked(d.Unacked()[0].Seq)
	d.Detach(60)
	if err := h.s.Drop(t.Context(), nil, "d", "u"); err != nil {
		t.Fatal(err)
	}
	h.holds(msgsStream, 2)
	h.holds(RowStream, 1)
	e.wants("1 2")
	e.Detach(0)
	h.holds(msgsStream, 0)
	h.holds(RowStream, 0)
	if n := h.s.Len(); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

func TestStore_filters(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false)
	for i := range 2 * maxAside {
		d.sub(fmt.Sprint("f", i))
	}
	for i := range 40 {
		h.publishAll(fmt.Sprint("f", i%(2*maxAside)), fmt.Sprint(i))
	}
	if got := d.next(); len(got) != 40 || got[39] != "39" {
		t.Errorf("by many filters: %v", got)
	}
	d.ackAll()
	// What is waited for when a filter goes comes still, also after a restart.
	h.publishAll("f1", "old")
	d.Unsubscribe("f1")
	d.sub("f0")
	if kept, _ := h.publish("f1", "new"); kept {
		t.Error("kept for a filter that was taken away")
	}
	h.crash()
	d = h.attach("d", true)
	d.wants("old!")
	d.ackAll()
	h.holds(msgsStream, 0)
	for i := range MaxFilters {
		if _, err := d.Subscribe(fmt.Sprint("g", i), 0, 0); err != nil {
			if err != ErrFilters || i < MaxFilters-2*maxAside-2 {
				t.Errorf("filter %d: %v", i, err)
			}
			return
		}
	}
	t.Error("filters without end")
}

// TestStore_anew goes on when somebody has deleted the stream.
func TestStore_anew(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false).sub("a")
	h.publishAll("a", "1", "2", "3")
	d.wants("1 2 3")
	c := h.client()
	defer c.Close()
	if err := c.Delete(t.Context(), msgsStream); err != nil {
		t.Fatal(err)
	}
	if _, err := h.publish("a", "lost"); err == nil {
		t.Error("acknowledged without a stream")
	}
	h.publishAll("a", "4")
	d.wants("4")
	d.ackAll()
	d.Detach(60)
	h.crash()
	h.publishAll("a", "5")
	h.attach("d", true).wants("5")
}

// TestStore_foreign delivers nothing that others put into the stream and nobody waits
// for, and goes on with a record of nats-server's.
func TestStore_foreign(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false).sub("a")
	c := h.client()
	defer c.Close()
	for _, m := range []jsclient.Outgoing{
		{Subject: msgsPrefix + "a", Data: []byte("foreign")},
		{Subject: rowPrefix + Hash("c1"), Data: []byte(`{"origin":"x","id":"c1","clean":false,"subs":{"a":1}}`)},
	} {
		if _, err := c.Publish(t.Context(), &m); err != nil {
			t.Fatal(err)
		}
	}
	h.publishAll("a", "mine")
	d.wants("mine")
	d.ackAll()
	d.Detach(60)
	h.crash()
	h.attach("c1", true).Detach(60)
	if _, _, err := h.s.Attach(t.Context(), nil, Client{ID: "c1", User: "v", Expiry: 60}); err != ErrOtherUser {
		t.Errorf("nats-server's session that somebody has: %v", err)
	}
	if !h.log.Contains("of nats-server goes on") {
		t.Error("not told")
	}
	if _, _, err := h.s.Attach(t.Context(), nil, Client{ID: "d", User: "v", Expiry: 60}); err != ErrOtherUser {
		t.Errorf("of another user: %v", err)
	}
}

// TestStore_attached has the expiry of a session run behind its connection, and not
// behind its row: a crash is the end of the connection.
func TestStore_attached(t *testing.T) {
	h := newHouse(t)
	c := h.client()
	defer c.Close()
	left := func(want time.Duration) {
		t.Helper()
		testkit.Eventually(t, fmt.Sprintf("%v are left an hour later", want), func() bool {
			m, err := c.Last(t.Context(), RowStream, h.s.rowSubject(Hash("d")))
			if err != nil {
				return false
			}
			r, err := readRow(m.Data, nil, 0)
			return err == nil && r.State.left(time.Hour) == want
		})
	}
	d := h.attach("d", false).sub("a")
	left(time.Minute)
	d.Detach(60)
	left(0)
	d = h.attach("d", true)
	left(time.Minute)
	d.Detach(60)
	left(0)
}

func TestLeftOf(t *testing.T) {
	for _, c := range []struct {
		expiry uint32
		since  time.Duration
		want   time.Duration
	}{
		{60, 20 * time.Second, 40 * time.Second},
		{60, 61 * time.Second, 0},
		{60, -time.Hour, time.Minute},                // the clock is behind
		{60, 50 * 365 * 24 * time.Hour, time.Minute}, // it was not set when the row was written
	} {
		if got := leftOf(c.expiry, c.since); got != c.want {
			t.Errorf("%d after %v: %v", c.expiry, c.since, got)
		}
	}
}

// TestStore_otherDomain deletes nothing that sessions wait for which are not here any
// more, and says so: of another domain, or since their stream is gone.
func TestStore_otherDomain(t *testing.T) {
	h := newHouse(t)
	h.attach("d", false).sub("a").Detach(60)
	h.publishAll("a", "1", "2")
	h.close()
	h.domain = "D"
	h.open()
	h.attach("d", false).sub("b").Detach(60)
	h.publishAll("b", "3")
	h.attach("d", true).wants("3")
	h.crash()
	if !h.log.Contains("sessions of another JetStream domain") {
		t.Error("nobody is told")
	}
	d := h.attach("d", true)
	d.ackAll()
	d.Detach(60)
	h.deletesNothing()
	h.holds(msgsStream, 3)
	h.close()
	h.domain = ""
	h.open()
	h.attach("d", true).wants("1 2")
	h.close()
	c := h.client()
	defer c.Close()
	if err := c.Delete(t.Context(), RowStream); err != nil {
		t.Fatal(err)
	}
	h.open()
	h.deletesNothing()
	h.holds(msgsStream, 3)
	if !h.log.Contains("sessions are gone") {
		t.Error("nobody is told that they are gone")
	}
}

// deletesNothing wants nothing deleted when all is counted.
func (h *house) deletesNothing() {
	h.Helper()
	<-h.s.counted
	if err := h.s.clear(h.Context()); err != nil {
		h.Fatal(err)
	}
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.s.mu.low > 1 {
		h.Errorf("all below %d is deleted", h.s.mu.low)
	}
}
