package jetstream

import (
	"fmt"
	"testing"

	"github.com/frondmq/frond/edgestore"
)

// restless is a store that counts by the disk alone, and of which something goes
// whenever it has counted.
type restless struct {
	edgestore.Store
	counts int
}

func (r *restless) Hot() edgestore.Reads { return restlessHot{r.Store.Hot(), r} }

func (r *restless) Count(filters []string, start uint64, lastPerSubject bool) (edgestore.Count, error) {
	r.counts++
	c, err := r.Store.Count(filters, start, lastPerSubject)
	c.Removals--
	return c, err
}

type restlessHot struct {
	edgestore.Reads
	r *restless
}

func (h restlessHot) Count(filters []string, start uint64, lastPerSubject bool) (edgestore.Count, error) {
	if start <= h.r.Index().LastSeq {
		return edgestore.Count{}, edgestore.ErrCold
	}
	return h.Reads.Count(filters, start, lastPerSubject)
}

// A consumer of which what is pending never comes out right does not count all the
// time: it delivers.
func TestMember_countsAgainAfterAPause(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, `name=S subjects=[s.>]`)
	mustConsumer(t, x.b, "S", "c", `durable_name=c ack_policy=explicit filter_subject=s.a`)
	for i := range 6 {
		x.put("S", fmt.Sprint("s.", []string{"a", "b"}[i%2]), "x")
	}
	s := x.e.account("A").stream("S")
	m := s.member("c")
	s.mu.Lock()
	m.mu.Lock()
	r := &restless{Store: s.store}
	s.store = r
	defer func() { // an engine that is closed drains its own
		s.mu.Lock()
		m.mu.Lock()
		defer s.mu.Unlock()
		defer m.mu.Unlock()
		s.store = r.Store
	}()
	m.wake(0)
	m.countSoon()
	m.mu.Unlock()
	s.mu.Unlock()

	if m.step(new(publishers)) {
		t.Error("it is to step again at once, though it has counted")
	}
	m.mu.Lock()
	counts, at := r.counts, m.recountAt
	m.recountAt = 1 << 62
	m.mu.Unlock()
	if counts == 0 || at == 0 {
		t.Fatalf("counted %d times, and again at %d", counts, at)
	}
	for range 3 {
		x.b.pull(t, "S.c", `1`).next()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.counts != counts {
		t.Errorf("it counted %d times more for 3 messages", r.counts-counts)
	}
	if m.countSoon(); !m.countDue(0) {
		t.Error("what happened since does not have it counted at once")
	}
}
