package jetstream

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// countedStore has something happen to the stream once, while a consumer counts
// what is pending, if counting does not hold up applying.
type countedStore struct {
	edgestore.Store
	s    *stream
	once sync.Once
	do   func()
}

func (c *countedStore) Pending(filters []string, start uint64, lastPerSubject bool) uint64 {
	if c.s.mu.TryLock() {
		c.s.mu.Unlock()
		c.once.Do(c.do)
	}
	return c.Store.Pending(filters, start, lastPerSubject)
}

// What is stored while a consumer counts anew is counted once: told as pending is
// what will be delivered, and nothing is when that is done. (The law test with a
// bit in a store saw three messages of 222 pending that were delivered.)
func TestConsumer_countsBetweenTwoRuns(t *testing.T) {
	e, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s.>"],"storage":"memory"}`)
	mustConsumer(t, b, "S", "c", `{"durable_name":"c","ack_policy":"explicit","filter_subject":"s.>"}`)
	b.publish(t, "s.purged", "")
	b.publish(t, "s.a", "")
	s := e.account("A").stream("S")
	c := &countedStore{Store: s.store, s: s, do: func() {
		for range 3 {
			b.publish(t, "s.new", "")
		}
	}}
	s.mu.Lock()
	s.store = c
	s.mu.Unlock()
	b.call(t, "STREAM.PURGE.S", `{"filter":"s.purged"}`, nil)
	b.consumer(t, "S", "c") // it has counted
	c.once.Do(c.do)
	if i := b.consumer(t, "S", "c"); i.NumPending != 4 {
		t.Errorf("pending are 4, told %d", i.NumPending)
	}
	in := b.pull(t, "S.c", `{"batch":10,"no_wait":true}`)
	defer in.stop()
	for left := 3; left >= 0; left-- {
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
	mustStream(t, b, `{"name":"S","subjects":["s.>"],"storage":"memory"}`)
	mustConsumer(t, b, "S", "c", `{"durable_name":"c","ack_policy":"explicit"}`)
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
	op := consumerCreate{"late", 1, []byte(`{"durable_name":"late","ack_policy":"explicit","deliver_policy":"all","max_ack_pending":1}`), 0}
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
