package jetstream

import (
	"slices"
	"time"

	"github.com/frondmq/frond/edgestore"
)

// countedUnseen is what was counted in the stream under no lock.
type countedUnseen struct {
	filters []string
	from    uint64
	edgestore.Count
}

// countTries is how often it is counted before what came out has to do for now.
const countTries = 3

// What came out about right is counted again after a pause, of countPause at least and
// of countShare times what it took: where messages go all the time it never comes out
// right, and the consumer is there to deliver.
const (
	countPause = 100 * time.Millisecond
	countShare = 10
)

// countSoon has what is pending counted anew with the next step, for something
// happened that changes it. The caller holds mu.
func (m *member) countSoon() { m.recount, m.recountAt = true, 0 }

// countDue reports whether what is pending is to be counted now. The caller holds mu.
func (m *member) countDue(now int64) bool { return m.recount && now >= m.recountAt }

// counted ends a count that was begun at a time. The caller holds mu.
func (m *member) counted(begun, now int64) {
	if m.recountAt = 0; m.recount {
		m.recountAt = now + max(int64(countPause), countShare*(now-begun))
	}
}

// count counts anew what is pending. That is done between two runs of applying: the
// store knows half a run before the consumer does, and what it had counted would be
// counted once more when that is told. But while the disk reads for it no lock is
// held: then what was counted is as of the message that was the newest, and those
// that came since are in memory. When messages went meanwhile it is about right, and
// counted again after a pause.
//
// It gives the reading of the clocks from behind all locks, and reports whether the
// consumer still takes part. The caller holds mu.
func (m *member) count() (now moment, takesPart bool) {
	var c *countedUnseen
	begun := m.now()
	for try := 0; ; try++ {
		m.mu.Unlock()
		m.s.mu.RLock()
		m.mu.Lock()
		now = m.s.line.read()
		if m.role != leader { // since a moment
			m.s.mu.RUnlock()
			return now, false
		}
		m.learn(now.timer())
		sure := m.countHot(c)
		m.s.mu.RUnlock()
		if sure || try == countTries {
			m.counted(begun, now.timer())
			return now, true
		}
		q := new(countedUnseen)
		var lastPerSubject bool
		q.filters, q.from, lastPerSubject = m.m.Unseen()
		m.mu.Unlock()
		q.Count, _ = m.s.store.Count(q.filters, q.from, lastPerSubject)
		m.mu.Lock()
		if c = q; lastPerSubject {
			c = nil // it does not add up with what came since
		}
	}
}

// countHot counts from memory, or by what was counted before, and reports whether it
// could. The caller holds mu, and the stream's.
func (m *member) countHot(c *countedUnseen) bool {
	filters, from, lastPerSubject := m.m.Unseen()
	m.recount, m.fx.Recount = false, false
	hot := m.s.store.Hot()
	if now, err := hot.Count(filters, from, lastPerSubject); err == nil {
		m.m.Counted(now.Msgs)
		return true
	}
	m.recount = true
	if c == nil || from != c.from || !slices.Equal(filters, c.filters) {
		return false
	}
	m.m.Counted(c.Msgs)
	since, err := hot.Count(filters, max(from, c.Last+1), false)
	if err != nil {
		return false
	}
	m.m.Counted(c.Msgs + since.Msgs)
	m.recount = since.Removals != c.Removals
	return true
}
