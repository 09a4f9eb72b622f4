package edgestore

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// base is what the memory store and the file store share: the index of a
// stream and everything that reads it. Messages lie in the memtable or, in a
// file store and at or below drained, in the chunks that dir lists.
//
// Mutations come from one goroutine; they read what they need of chunks
// before they take the lock, then change the index under it, so that a reader
// sees all of a mutation or nothing. A flush is the only other writer, and
// moves messages from the memtable to chunks without changing what is stored.
type base struct {
	files backing // nil in a memory store; set once
	// memory stores count other bytes, and keep what they are given.
	memory bool
	// hurt: unreadable messages were found whose subjects still count them.
	hurt atomic.Bool
	// damaged hears of what cannot be read; nil in a memory store.
	damaged func(first, last uint64, err error)

	mu struct {
		sync.RWMutex
		closed     bool
		lostDirty  bool // lost has changed since the last seal
		first      uint64
		last       uint64
		msgs       uint64
		bytes      uint64
		lastTime   int64
		firstTime  int64 // of sequence firstKnown
		firstKnown uint64
		gaps       gapSet
		subs       subjects
		tab        memtable
		dir        directory
		drained    uint64
		lost       losses
		// after holds, for each flush that is sealed and not done, what was
		// removed since its seal: a replay from there needs it again.
		after []*gapSet
		// removals counts deletions, so that a long count can tell that
		// something went while it ran.
		removals uint64
		// touched lists drained sequences that were removed since the last
		// seal, one for each chunk in a row: their chunks may be dead or sparse.
		touched []uint64
		ready   *purgeRead // nil: nothing was read for a purge
	}
}

// backing is what a file store adds: chunks, and blobs of what is not in a
// chunk yet. All of it may be called from any goroutine.
type backing interface {
	cached(k chunkKey) *chunk
	load(ref *chunkRef) (*chunk, error)
	// blob fails with ErrCold when it is hot and the journal has it on the disk alone.
	blob(at Location, buf []byte, hot bool) ([]byte, error)
}

func (b *base) init(firstSeq uint64, track bool) {
	if firstSeq == 0 {
		firstSeq = 1
	}
	b.mu.first, b.mu.last = firstSeq, firstSeq-1
	b.mu.drained = b.mu.last
	b.mu.subs = newSubjects(track)
	b.mu.gaps.track = track
	b.mu.tab.keep = b.memory
}

// Index tells what the stream holds, but when the first message came.
func (b *base) Index() State {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.indexLocked()
}

func (b *base) indexLocked() State {
	s := State{
		Msgs: b.mu.msgs, Bytes: b.mu.bytes,
		FirstSeq: b.mu.first, LastSeq: b.mu.last,
		NumDeleted:  b.mu.last + 1 - b.mu.first - b.mu.msgs,
		NumSubjects: b.mu.subs.len(),
	}
	if b.mu.lastTime != 0 {
		s.LastTime = time.Unix(0, b.mu.lastTime).UTC()
	}
	return s
}

// Has reports whether a message is there.
func (b *base) Has(seq uint64) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return !b.mu.closed && b.liveLocked(seq)
}

// State tells what the stream holds.
func (b *base) State() State {
	s, _ := b.state(false)
	return s
}

func (b *base) state(hot bool) (State, error) {
	b.mu.RLock()
	s := b.indexLocked()
	first, known := b.mu.firstTime, b.mu.firstKnown == b.mu.first
	b.mu.RUnlock()
	if s.Msgs == 0 {
		return s, nil
	}
	if !known {
		var err error
		if first, err = b.learnFirstTime(hot); err != nil {
			return s, err
		}
	}
	s.FirstTime = time.Unix(0, first).UTC()
	return s, nil
}

// learnFirstTime finds the time of the first message after it has changed, or
// after the start. Of a chunk that has all of its messages the directory says it:
// else a start would read a chunk of every stream, and keep it.
func (b *base) learnFirstTime(hot bool) (int64, error) {
	b.mu.Lock()
	first := b.mu.first
	if ref := b.mu.dir.find(first); ref != nil && ref.first <= first && ref.last <= b.mu.last &&
		ref.last+1-first-b.mu.gaps.count(first, ref.last) == uint64(ref.msgs) {
		at := ref.firstTime
		b.mu.firstTime, b.mu.firstKnown = at, first
		b.mu.Unlock()
		return at, nil
	}
	b.mu.Unlock()
	var at int64
	var seq uint64
	err := b.each(matcher{all: true, hot: hot}, 0, ^uint64(0), func(h hit) bool {
		at, seq = h.time, h.seq
		return false
	})
	if hot && cold(err) {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil && seq != 0 {
		// Damage in front of seq makes it the best there is.
		if b.mu.first <= seq {
			b.mu.firstTime, b.mu.firstKnown = at, b.mu.first
		}
		return at, nil
	}
	if ref := b.mu.dir.find(b.mu.first); ref != nil {
		return ref.firstTime, nil
	}
	return b.mu.lastTime, nil
}

// sizeOf is what a message counts; memory stores count as their peers do.
func (b *base) sizeOf(subject, header, body int) uint64 {
	if b.memory {
		return uint64(subject + header + body + 16)
	}
	return FileSize(subject, header, body)
}

// maxMessage keeps lengths within the 32 bits that entries have for them.
const maxMessage = 1 << 30

// Append adds a message at the end.
func (b *base) Append(m *Msg, blob Location) error {
	if len(m.Header)+len(m.Body)+len(m.Subject) > maxMessage {
		return fmt.Errorf("append %d: message of %d bytes is too large", m.Seq, len(m.Header)+len(m.Body))
	}
	if m.Subject == "" {
		return fmt.Errorf("append %d: empty subject", m.Seq)
	}
	size := b.sizeOf(len(m.Subject), len(m.Header), len(m.Body))
	e := entry{time: m.Time, size: uint32(size)}
	var data []byte
	if !b.memory {
		if err := e.place(blob); err != nil {
			return fmt.Errorf("append %d: %w", m.Seq, err)
		}
	} else {
		e.len = uint32(len(m.Header))
		data = make([]byte, 0, len(m.Header)+len(m.Body))
		data = append(append(data, m.Header...), m.Body...)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.closed {
		return fmt.Errorf("append %d: %w", m.Seq, ErrClosed)
	}
	if m.Seq <= b.mu.last {
		return fmt.Errorf("append %d: the last sequence is %d already", m.Seq, b.mu.last)
	}
	if b.mu.msgs == 0 {
		b.mu.first = m.Seq
		b.mu.gaps.clear()
	} else if m.Seq > b.mu.last+1 {
		b.mu.gaps.addRange(b.mu.last+1, m.Seq-1)
	}
	if b.mu.first == m.Seq {
		b.mu.firstTime, b.mu.firstKnown = m.Time, m.Seq
	}
	e.subj = b.mu.subs.intern(m.Subject)
	s := &b.mu.subs.all[e.subj]
	if s.msgs == 0 {
		s.first = m.Seq
	} else if s.flags&staleLast == 0 && m.Seq-s.last <= 1<<32-1 {
		if p := b.mu.tab.get(s.last); p != nil {
			p.next = uint32(m.Seq - s.last)
		}
	}
	s.last = m.Seq
	s.flags &^= staleLast
	s.msgs++
	b.mu.subs.mark(e.subj)
	b.mu.tab.put(m.Seq, e, data)
	b.mu.last, b.mu.lastTime = m.Seq, m.Time
	b.mu.msgs++
	b.mu.bytes += size
	return nil
}

// Skip moves the end forward over sequences that are not stored.
func (b *base) Skip(last uint64, at int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if last <= b.mu.last {
		return
	}
	if b.mu.msgs == 0 {
		b.mu.first = last + 1
		b.mu.gaps.clear()
	} else {
		b.mu.gaps.addRange(b.mu.last+1, last)
	}
	b.mu.last, b.mu.lastTime = last, at
}

func (b *base) liveLocked(seq uint64) bool {
	return seq >= b.mu.first && seq <= b.mu.last && b.mu.msgs > 0 && !b.mu.gaps.has(seq)
}
