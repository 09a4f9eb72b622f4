package edgestore

import (
	"errors"
	"fmt"
	"time"
)

// hot is a store as far as it is in memory: index, memtable, the chunks in the
// cache and the newest bytes of the journal.
type hot struct{ b *base }

// Hot is the store for whoever holds a lock that others want.
func (b *base) Hot() Reads { return hot{b} }

func (h hot) matcher(filters []string) matcher {
	m := newMatcher(filters)
	m.hot = true
	return m
}

func (h hot) Load(seq uint64, buf []byte) (Msg, []byte, error) { return h.b.load(seq, buf, true) }

func (h hot) LoadNext(filters []string, start uint64, buf []byte) (Msg, []byte, error) {
	return h.b.loadNext(h.matcher(filters), start, buf)
}

func (h hot) LastFor(filter string) (uint64, error) { return h.b.lastFor(filter, true) }

func (h hot) Subject(subject string) (SubjectState, bool, error) { return h.b.subject(subject, true) }

func (h hot) Subjects(filter string, f func(subject string, s SubjectState) bool) error {
	return h.b.subjects(filter, f, true)
}

func (h hot) LastPerSubject(filters []string, start, upTo uint64) ([]uint64, error) {
	return h.b.lastPerSubject(h.matcher(filters), start, upTo)
}

func (h hot) SeqAt(t time.Time) (uint64, error) { return h.b.seqAt(t, true) }

func (h hot) Describe(from uint64) (Removal, bool, error) { return h.b.describeFrom(from, true) }

func (h hot) Find(filter string) ([]Removal, error) { return h.b.findAll(filter, true) }

func (h hot) Count(filters []string, start uint64, lastPerSubject bool) (Count, error) {
	return h.b.count(h.matcher(filters), start, lastPerSubject)
}

func (h hot) Readable() (State, error) { return h.b.readable(true) }

func (h hot) ReadPurge(filter string, seq, keep uint64) error {
	return h.b.readPurge(filter, seq, keep, true)
}

// purgeRead is what a Purge, or a Compact, has to know of what goes. It holds while
// nothing else went.
type purgeRead struct {
	filter   string // "" for everything below seq
	seq      uint64
	keep     uint64
	removals uint64
	last     uint64

	list   []Removal // of the filter
	below  uint64    // of everything: how many there are,
	bytes  uint64    // how large,
	counts map[string]uint64
}

// ReadPurge reads what a Purge has to know.
func (b *base) ReadPurge(filter string, seq, keep uint64) error {
	return b.readPurge(filter, seq, keep, false)
}

func (b *base) readPurge(filter string, seq, keep uint64, hot bool) (err error) {
	m := newMatcher([]string{filter})
	m.hot = hot
	p := &purgeRead{filter: filter, seq: seq, keep: keep}
	if m.all {
		p.filter, p.seq, p.keep = "", b.keepFrom(seq, keep), 0
	}
	b.mu.RLock()
	p.removals, p.last = b.mu.removals, b.mu.last
	first, none := b.mu.first, b.mu.closed || b.mu.msgs == 0 || m.all && (p.seq <= b.mu.first || p.seq > b.mu.last)
	b.mu.RUnlock()
	switch {
	case none:
		return nil // whoever does it knows enough
	case m.all:
		p.below, p.bytes, p.counts, err = b.countBelow(m, first, p.seq)
	default:
		p.list, err = b.find(m, filter, seq)
	}
	if err != nil {
		return fmt.Errorf("purge %q: %w", filter, err)
	}
	b.mu.Lock()
	b.mu.ready = p
	b.mu.Unlock()
	return nil
}

// takeReady gives what ReadPurge has read for just that, nil for none.
func (b *base) takeReady(filter string, seq, keep uint64) *purgeRead {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.mu.ready
	b.mu.ready = nil
	if p == nil || p.filter != filter || p.seq != seq || p.keep != keep || p.removals != b.mu.removals || p.last != b.mu.last {
		return nil
	}
	return p
}

// cold reports whether err says that only the disk knows.
func cold(err error) bool { return errors.Is(err, ErrCold) }
