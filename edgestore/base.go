package edgestore

import (
	"errors"
	"fmt"
	"slices"
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
	// damaged hears of what cannot be read; nil in a memory store.
	damaged func(first, last uint64, err error)
	// hurt: unreadable messages were found whose subjects still count them.
	hurt atomic.Bool

	mu struct {
		sync.RWMutex
		closed     bool
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
		lostDirty  bool // lost has changed since the last seal
		// after holds, for each flush that is sealed and not done, what was
		// removed since its seal: a replay from there needs it again.
		after []*gapSet
		// removals counts deletions, so that a long count can tell that
		// something went while it ran.
		removals uint64
		// touched lists drained sequences that were removed since the last
		// seal, one for each chunk in a row: their chunks may be dead or sparse.
		touched []uint64
	}
}

// backing is what a file store adds: chunks, and blobs of what is not in a
// chunk yet. All of it may be called from any goroutine.
type backing interface {
	cached(k chunkKey) *chunk
	load(ref *chunkRef) (*chunk, error)
	blob(at Location, buf []byte) ([]byte, error)
}

func (b *base) init(firstSeq uint64, track bool) {
	if firstSeq == 0 {
		firstSeq = 1
	}
	b.mu.first, b.mu.last = firstSeq, firstSeq-1
	b.mu.drained = b.mu.last
	b.mu.subs = newSubjects(track)
	if track {
		b.mu.gaps.dirty = make(map[uint64]struct{})
	}
	b.mu.tab.keep = b.memory
}

// State tells what the stream holds.
func (b *base) State() State {
	b.mu.RLock()
	s := State{
		Msgs: b.mu.msgs, Bytes: b.mu.bytes,
		FirstSeq: b.mu.first, LastSeq: b.mu.last,
		NumDeleted:  b.mu.last + 1 - b.mu.first - b.mu.msgs,
		NumSubjects: b.mu.subs.len(),
	}
	if b.mu.lastTime != 0 {
		s.LastTime = time.Unix(0, b.mu.lastTime).UTC()
	}
	first, known := b.mu.firstTime, b.mu.firstKnown == b.mu.first
	b.mu.RUnlock()
	if s.Msgs == 0 {
		return s
	}
	if !known {
		first = b.learnFirstTime()
	}
	s.FirstTime = time.Unix(0, first).UTC()
	return s
}

// learnFirstTime finds the time of the first message after it has changed.
func (b *base) learnFirstTime() int64 {
	var at int64
	var seq uint64
	err := b.each(matcher{all: true}, 0, ^uint64(0), func(h hit) bool {
		at, seq = h.time, h.seq
		return false
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil && seq != 0 {
		// Damage in front of seq makes it the best there is.
		if b.mu.first <= seq {
			b.mu.firstTime, b.mu.firstKnown = at, b.mu.first
		}
		return at
	}
	if ref := b.mu.dir.find(b.mu.first); ref != nil {
		return ref.firstTime
	}
	return b.mu.lastTime
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
	e := entry{time: m.Time, seg: blob.Segment, off: blob.Offset, len: blob.Length, size: uint32(size)}
	var data []byte
	if b.memory {
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

// Remove deletes one message. A message that cannot be read goes like any
// other, with the average size of its chunk: limits must be able to move on.
// What else of its chunk cannot be read is booked as lost with it.
func (b *base) Remove(seq uint64) (uint64, bool, error) {
	b.mu.RLock()
	live, closed := b.liveLocked(seq), b.mu.closed
	b.mu.RUnlock()
	if closed {
		return 0, false, fmt.Errorf("remove %d: %w", seq, ErrClosed)
	}
	if !live {
		return 0, false, nil
	}
	r, err := b.describe(seq)
	if err != nil {
		return 0, false, fmt.Errorf("remove %d: %w", seq, err)
	}
	b.mu.Lock()
	_, found := b.mu.lost.found.find(seq)
	if !found && r.subject != "" {
		b.removeLocked(r)
		b.mu.Unlock()
		return r.size, true, nil
	}
	around := SeqRange{seq, seq}
	if ref := b.mu.dir.find(seq); ref != nil && ref.first <= seq {
		around = SeqRange{ref.first, ref.last}
	}
	b.mu.Unlock()
	if _, err := b.bookIn(around.First, around.Last); err != nil {
		return 0, false, fmt.Errorf("remove %d: %w", seq, err)
	}
	return r.size, true, nil
}

// removal is what deleting a message needs to know of it.
type removal struct {
	seq     uint64
	size    uint64
	subject string // "": lost to damage
}

func (b *base) describe(seq uint64) (removal, error) {
	r := removal{seq: seq}
	err := b.each(matcher{all: true}, seq, seq, func(h hit) bool {
		r.size, r.subject = h.size, h.subject
		return false
	})
	if err == nil && r.size == 0 {
		b.mu.RLock()
		if ref := b.mu.dir.find(seq); ref != nil && ref.msgs > 0 {
			r.size = min(ref.bytes/uint64(ref.msgs), b.mu.bytes)
		} else if e := b.mu.tab.get(seq); e != nil {
			r.size, r.subject = uint64(e.size), b.mu.subs.all[e.subj].name
		}
		b.mu.RUnlock()
	}
	return r, err
}

func (b *base) removeLocked(r removal) {
	var e *entry
	if r.seq > b.mu.drained {
		e = b.mu.tab.get(r.seq)
	} else {
		b.touchLocked(r.seq)
	}
	b.forgetSubjectLocked(r, e)
	for _, a := range b.mu.after {
		a.add(r.seq)
	}
	b.mu.removals++
	b.mu.msgs--
	b.mu.bytes -= min(r.size, b.mu.bytes)
	if b.memory {
		b.mu.tab.remove(r.seq)
	}
	switch {
	case b.mu.msgs == 0:
		b.emptyLocked()
	case r.seq == b.mu.first:
		b.mu.first = b.mu.gaps.next(r.seq + 1)
		b.mu.gaps.dropBelow(b.mu.first)
	default:
		b.mu.gaps.add(r.seq)
	}
}

func (b *base) touchLocked(seq uint64) {
	if n := len(b.mu.touched); n > 0 {
		if ref := b.mu.dir.find(b.mu.touched[n-1]); ref != nil && ref.first <= seq && seq <= ref.last {
			return
		}
	}
	b.mu.touched = append(b.mu.touched, seq)
}

// forgetSubjectLocked takes one message off its subject. e is its entry if it is
// in the memtable, and tells where the next of the subject is.
func (b *base) forgetSubjectLocked(r removal, e *entry) {
	id, ok := b.mu.subs.byName[r.subject]
	if !ok {
		return
	}
	s := &b.mu.subs.all[id]
	if s.msgs <= 1 {
		b.mu.subs.drop(id)
		return
	}
	s.msgs--
	b.mu.subs.mark(id)
	if r.seq == s.first {
		s.first, s.flags = r.seq+1, s.flags|staleFirst
		if e != nil && e.next != 0 {
			n := r.seq + uint64(e.next)
			if b.liveLocked(n) {
				s.first, s.flags = n, s.flags&^staleFirst
			}
		}
	}
	if r.seq == s.last {
		s.last, s.flags = r.seq-1, s.flags|staleLast
	}
	if s.msgs == 1 {
		switch {
		case s.flags&staleLast == 0:
			s.first, s.flags = s.last, s.flags&^staleFirst
		case s.flags&staleFirst == 0:
			s.last, s.flags = s.first, s.flags&^staleLast
		}
	}
}

// Compact deletes everything below seq. FirstSeq becomes seq or, when that is
// deleted already, the first message above it.
func (b *base) Compact(seq uint64) (uint64, error) {
	booked := uint64(0)
	for {
		n, unread, err := b.compact(seq)
		if err == nil && unread != nil {
			// What cannot be read goes first: then the rest can be counted.
			n, err = b.bookIn(unread.First, unread.Last)
			if err == nil && n > 0 {
				booked += n
				continue
			}
			if err == nil {
				err = errNotHeld
			}
		}
		if err != nil {
			return booked, fmt.Errorf("compact below %d: %w", seq, err)
		}
		return booked + n, nil
	}
}

// compact does it, or tells where something could not be read.
func (b *base) compact(seq uint64) (n uint64, unread *SeqRange, err error) {
	b.mu.RLock()
	first, last, msgs, closed := b.mu.first, b.mu.last, b.mu.msgs, b.mu.closed
	b.mu.RUnlock()
	switch {
	case closed:
		return 0, nil, ErrClosed
	case seq <= first:
		b.mu.Lock()
		defer b.mu.Unlock()
		b.forgetLostLocked(seq)
		return 0, nil, nil
	case seq > last || msgs == 0:
		b.mu.Lock()
		defer b.mu.Unlock()
		b.clearLocked(seq)
		return msgs, nil, nil
	}
	removed, bytes, counts := uint64(0), uint64(0), make(map[string]uint64)
	err = b.each(matcher{all: true}, first, seq-1, func(h hit) bool {
		removed++
		bytes += h.size
		counts[h.subject]++
		return true
	})
	if err != nil {
		return 0, nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	here := seq - first - b.mu.gaps.count(first, seq-1)
	if here > removed {
		return 0, &SeqRange{first, seq - 1}, nil
	}
	if here == b.mu.msgs {
		b.clearLocked(seq)
		return here, nil, nil
	}
	b.compactLocked(seq, here, bytes, counts)
	return here, nil, nil
}

// bookIn books what cannot be read of the chunks in first..last.
func (b *base) bookIn(first, last uint64) (uint64, error) {
	gone, err := b.unreadable(first, last, false)
	if err != nil {
		return 0, err
	}
	return b.book(gone)
}

// forgetLostLocked lets go of losses below seq: they would be deleted now.
func (b *base) forgetLostLocked(seq uint64) {
	l := &b.mu.lost
	if l.empty() || seq <= 1 || min(l.booked.lowest(), l.found.lowest()) >= seq {
		return
	}
	l.booked, l.found = l.booked.sub(1, seq-1), l.found.sub(1, seq-1)
	b.mu.lostDirty = true
}

func (b *base) compactLocked(seq, n, bytes uint64, counts map[string]uint64) {
	for name, c := range counts {
		id, ok := b.mu.subs.byName[name]
		if !ok {
			continue
		}
		s := &b.mu.subs.all[id]
		if s.msgs <= c {
			b.mu.subs.drop(id)
			continue
		}
		s.msgs -= c
		b.mu.subs.mark(id)
		if s.msgs == 1 && s.flags&staleLast == 0 {
			s.first, s.flags = s.last, s.flags&^staleFirst
		} else if s.first < seq {
			s.first, s.flags = seq, s.flags|staleFirst
		}
	}
	b.forgetLostLocked(seq)
	b.touchRangeLocked(b.mu.first, seq-1)
	for _, a := range b.mu.after {
		a.addRange(b.mu.first, seq-1)
	}
	b.mu.removals++
	b.mu.msgs -= n
	b.mu.bytes -= min(bytes, b.mu.bytes)
	b.mu.first = b.mu.gaps.next(seq)
	b.mu.gaps.dropBelow(b.mu.first)
	if b.memory {
		b.dropEntriesLocked()
	}
}

// dropEntriesLocked forgets entries below first, in a memory store.
func (b *base) dropEntriesLocked() {
	b.mu.tab.dropBelow(b.mu.first)
	if len(b.mu.tab.blocks) == 0 {
		return
	}
	// The block that first lies in.
	var old []uint64
	b.mu.tab.up(b.mu.tab.blocks[0].base, b.mu.first-1, func(seq uint64, _ *entry) bool {
		old = append(old, seq)
		return true
	})
	for _, seq := range old {
		b.mu.tab.remove(seq)
	}
}

// touchRangeLocked remembers the chunks of lo..hi.
func (b *base) touchRangeLocked(lo, hi uint64) {
	hi = min(hi, b.mu.drained)
	for lo <= hi {
		ref := b.mu.dir.find(lo)
		if ref == nil {
			return
		}
		b.touchLocked(ref.last)
		lo = ref.last + 1
	}
}

// clearLocked removes everything; the next message gets seq or above.
func (b *base) clearLocked(seq uint64) {
	b.mu.removals++
	b.forgetLostLocked(seq)
	if b.mu.msgs > 0 {
		b.touchRangeLocked(b.mu.first, b.mu.last)
		for _, a := range b.mu.after {
			a.addRange(b.mu.first, b.mu.last)
		}
	}
	b.mu.last = max(b.mu.last, seq-1)
	b.mu.first = b.mu.last + 1
	b.mu.msgs, b.mu.bytes = 0, 0
	b.mu.gaps.clear()
	b.mu.subs.clear()
	if b.memory {
		b.mu.tab.blocks = nil
	}
}

// Purge deletes messages that match filter below seq, but the newest keep.
func (b *base) Purge(filter string, seq, keep uint64) (uint64, error) {
	m := newMatcher([]string{filter})
	if m.all {
		return b.Compact(b.keepFrom(seq, keep))
	}
	b.mu.RLock()
	lo, hi, closed := ^uint64(0), uint64(0), b.mu.closed
	b.mu.subs.each(filter, func(_ uint32, s *subject) bool {
		lo, hi = min(lo, s.first), max(hi, s.last)
		return true
	})
	b.mu.RUnlock()
	if closed {
		return 0, fmt.Errorf("purge %q: %w", filter, ErrClosed)
	}
	if seq > 0 {
		hi = min(hi, seq-1)
	}
	if hi < lo {
		return 0, nil
	}
	var list []removal
	err := b.each(m, lo, hi, func(h hit) bool {
		list = append(list, removal{h.seq, h.size, h.subject})
		return true
	})
	if err != nil {
		return 0, fmt.Errorf("purge %q: %w", filter, err)
	}
	if uint64(len(list)) <= keep {
		return 0, nil
	}
	list = list[:uint64(len(list))-keep]
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range list {
		b.removeLocked(r)
	}
	return uint64(len(list)), nil
}

// keepFrom is the sequence that a purge of everything compacts to.
func (b *base) keepFrom(seq, keep uint64) uint64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if seq == 0 {
		seq = b.mu.last + 1
	}
	if keep == 0 || b.mu.msgs == 0 {
		return seq
	}
	pos := min(seq, b.mu.last+1)
	for ; keep > 0 && pos > b.mu.first; keep-- {
		p, ok := b.mu.gaps.prev(pos - 1)
		if !ok || p < b.mu.first {
			return b.mu.first
		}
		pos = p
	}
	return pos
}

// Damage lists what is lost, booked or not.
func (b *base) Damage() []SeqRange {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.mu.lost.empty() {
		return nil
	}
	all := b.mu.lost.booked
	for _, r := range b.mu.lost.found {
		b.countedLocked(r, func(lo, hi uint64) { all = all.add(lo, hi) })
	}
	return slices.Clone(all)
}

// Found lists what cannot be read and is not booked.
func (b *base) Found() []SeqRange {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var all ranges
	for _, r := range b.mu.lost.found {
		b.countedLocked(r, func(lo, hi uint64) { all = all.add(lo, hi) })
	}
	return all
}

// markFound remembers what cannot be read and forgets nothing else: counters
// change when it is booked. It tells of what is new.
func (b *base) markFound(bad ranges, cause error) {
	b.mu.Lock()
	var fresh ranges
	for _, r := range bad {
		if b.foundLocked(r.First, r.Last) {
			fresh = append(fresh, r)
		}
	}
	b.mu.Unlock()
	b.tell(fresh, cause)
}

// foundLocked reports whether lo..hi is new, as a whole or in part. The caller
// tells of it when the lock is free.
func (b *base) foundLocked(lo, hi uint64) bool {
	if r, ok := b.mu.lost.found.find(lo); ok && r.Last >= hi {
		return false
	}
	b.mu.lost.found = b.mu.lost.found.add(lo, hi)
	b.mu.lostDirty = true
	b.hurt.Store(true)
	return true
}

func (b *base) tell(fresh ranges, cause error) {
	if b.damaged == nil {
		return
	}
	for _, r := range fresh {
		b.damaged(r.First, r.Last, cause)
	}
}

func isCorrupt(err error) bool { return errors.Is(err, ErrCorrupt) }

// lostError says that a message is lost. Booked losses are deletions too.
type lostError struct {
	seq    uint64
	booked bool
}

func (e *lostError) Error() string { return fmt.Sprintf("load %d: %v", e.seq, ErrLost) }

// Is makes a lost message one of class ErrLost, and of ErrDeleted or ErrCorrupt.
func (e *lostError) Is(target error) bool {
	return target == ErrLost || e.booked && target == ErrDeleted || !e.booked && target == ErrCorrupt
}
