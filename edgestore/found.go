package edgestore

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

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

// Readable is State without what is found and not booked. Where a read fails that
// says nothing about the data it is State.
func (b *base) Readable() (State, error) { return b.readable(false) }

func (b *base) readable(hot bool) (State, error) {
	st, err := b.state(hot)
	found := ranges(b.Found())
	if len(found) == 0 || err != nil {
		return st, err
	}
	if hot {
		return st, ErrCold
	}
	out := st
	for _, r := range found {
		out.Msgs -= min(r.Last-r.First+1, out.Msgs)
	}
	size, err := b.recountBytes(found)
	if err == nil {
		err = b.heal()
	}
	first, _, ferr := b.LoadNext(nil, st.FirstSeq, nil)
	if err != nil || ferr != nil && !errors.Is(ferr, ErrNotFound) {
		return st, nil
	}
	out.Bytes, out.NumSubjects = size, b.State().NumSubjects
	out.FirstSeq, out.FirstTime = first.Seq, time.Unix(0, first.Time).UTC()
	if out.Msgs == 0 || ferr != nil {
		out.FirstSeq, out.FirstTime, out.Msgs, out.Bytes, out.NumSubjects = st.LastSeq+1, time.Time{}, 0, 0, 0
	}
	out.NumDeleted = st.LastSeq + 1 - out.FirstSeq - out.Msgs
	return out, nil
}

// counted are the parts of some ranges that are not deleted.
func (b *base) counted(of ranges) (all ranges) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, r := range of {
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
