package jetstream

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// countedStore counts old messages by the disk, and has something happen before or
// behind that if counting does not hold up applying.
type countedStore struct {
	edgestore.Store
	s    *stream
	once sync.Once
	late bool // do is done behind it
	do   func()
}

// oldCold is memory that does not know how many there are of what came first.
type oldCold struct{ edgestore.Reads }

func (c oldCold) Count(filters []string, start uint64, lastPerSubject bool) (edgestore.Count, error) {
	if start <= 2 {
		return edgestore.Count{}, edgestore.ErrCold
	}
	return c.Reads.Count(filters, start, lastPerSubject)
}

func (c *countedStore) Hot() edgestore.Reads { return oldCold{c.Store.Hot()} }

func (c *countedStore) Count(filters []string, start uint64, lastPerSubject bool) (edgestore.Count, error) {
	free := c.s.mu.TryLock()
	if free {
		c.s.mu.Unlock()
	}
	if free && !c.late {
		c.once.Do(c.do)
	}
	n, err := c.Store.Count(filters, start, lastPerSubject)
	if free && c.late {
		c.once.Do(c.do)
	}
	return n, err
}

// What is stored while a consumer counts anew is counted once: told as pending is
// what will be delivered, and nothing is when that is done. (The law test with a
// bit in a store saw three messages of 222 pending that were delivered.)
func TestConsumer_countsBetweenTwoRuns(t *testing.T) {
	for name, late := range map[string]bool{"stored before": false, "stored behind": true} {
		t.Run(name, func(t *testing.T) { testCounts(t, late, false) })
		t.Run(name+", and one goes", func(t *testing.T) { testCounts(t, late, true) })
	}
}

func testCounts(t *testing.T, late, goes bool) {
	e, b := newTestEngine(t)
	mustStream(t, b, "name=S subjects=[s.>] storage=memory")
	mustConsumer(t, b, "S", "c", "durable_name=c ack_policy=explicit filter_subject=s.>")
	b.publish(t, "s.purged", "")
	b.publish(t, "s.a", "")
	s := e.account("A").stream("S")
	want := uint64(4)
	if goes {
		want = 3
	}
	did := false
	c := &countedStore{Store: s.store, s: s, late: late, do: func() {
		for range 3 {
			b.publish(t, "s.new", "")
		}
		if goes {
			b.call(t, "STREAM.MSG.DELETE.S", "seq=2", nil)
		}
		did = true
	}}
	s.mu.Lock()
	s.store = c
	s.mu.Unlock()
	b.call(t, "STREAM.PURGE.S", "filter=s.purged", nil)
	b.consumer(t, "S", "c")                                          // it has counted
	if n := b.consumer(t, "S", "c").NumPending; !goes && n != want { // else it is counted again
		t.Errorf("pending are %d, told %d", want, n)
	}
	if eventually(t, func() bool { return b.consumer(t, "S", "c").NumPending == want }); !did {
		t.Error("applying was held up")
	}
	in := b.pull(t, "S.c", "batch=10 no_wait")
	defer in.stop()
	for left := int(want) - 1; left >= 0; left-- {
		if m := in.next(); !strings.HasSuffix(m.Reply, fmt.Sprint(".", left)) {
			t.Errorf("with %d behind it: %+v", left, m)
		}
	}
	if i := b.consumer(t, "S", "c"); i.NumPending != 0 {
		t.Errorf("all are delivered, told as pending: %d", i.NumPending)
	}
}

// A consumer that is made in one run with the messages before it has them counted
// once: the others are told of them, it has them in its first count.
func TestConsumer_madeBehindMessagesOfItsRun(t *testing.T) {
	e, b := newTestEngine(t)
	mustStream(t, b, "name=S subjects=[s.>] storage=memory")
	mustConsumer(t, b, "S", "c", "durable_name=c ack_policy=explicit")
	s := e.account("A").stream("S")
	publish := func() {
		b.route(&wire.Msg{Subject: []byte("s.a")})
	}
	s.mu.Lock()
	publish()
	eventually(t, func() bool { // the applier has it, and waits
		e.mem.mu.Lock()
		defer e.mem.mu.Unlock()
		return len(e.mem.mu.open.entries) == 0
	})
	publish()
	op := consumerCreate{"late", 1, []byte(jsonOf(t, "durable_name=late ack_policy=explicit deliver_policy=all max_ack_pending=1")), 0}
	rec := s.record(opConsumerCreate, false)
	if err := e.append(e.mem, true, &rec, nil, nil, op.append(nil)); err != nil {
		t.Fatal(err)
	}
	publish()
	s.mu.Unlock()
	eventually(t, func() bool { return s.member("late") != nil })
	s.member("late").activate()
	for _, name := range []string{"c", "late"} {
		if i := b.consumer(t, "S", name); i.NumPending != 3 {
			t.Errorf("%s: three are pending, told %d", name, i.NumPending)
		}
	}
}

// What was read under no lock is delivered only if it is what the machine wants when
// the lock is there again.
func TestConsumer_whatWasReadIsStillWanted(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s.>]")
	mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit filter_subject=s.a")
	for range 5 {
		x.put("S", "s.a", "x")
	}
	x.b.call(t, "STREAM.MSG.DELETE.S", "seq=4", nil)
	m := x.e.account("A").stream("S").member("c")
	m.mu.Lock()
	defer m.mu.Unlock()
	one := func(seq uint64) consumer.Want { return consumer.Want{Kind: consumer.WantSeq, Seq: seq} }
	next := func(from uint64) consumer.Want { return consumer.Want{Kind: consumer.WantNew, Seq: from} }
	for _, c := range []struct {
		name      string
		read, now consumer.Want
		found     uint64 // 0: nothing
		filter    string
		want      bool
	}{
		{"the same", next(2), next(2), 3, "s.a", true},
		{"one between was passed over", next(2), next(3), 3, "s.a", true},
		{"it was passed over", next(2), next(4), 3, "s.a", false},
		{"one before it is wanted", next(3), next(2), 3, "s.a", false},
		{"it is gone", next(2), next(2), 4, "s.a", false},
		{"other filters", next(2), next(2), 3, "s.b", false},
		{"a redelivery", one(3), one(3), 3, "s.a", true},
		{"another redelivery", one(3), one(2), 3, "s.a", false},
		{"a redelivery of what is gone", one(4), one(4), 4, "s.a", false},
		{"a redelivery instead of the next", next(3), one(3), 3, "s.a", false},
		{"nothing", next(2), next(2), 0, "s.a", true},
		{"nothing behind where it is wanted", next(3), next(2), 0, "s.a", false},
	} {
		f := &foundMsg{want: c.read, filters: []string{c.filter}, msg: edgestore.Msg{Seq: c.found}}
		if c.found == 0 {
			f.err = edgestore.ErrNotFound
		}
		if got := m.answers(f, c.now); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
