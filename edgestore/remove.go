package edgestore

import "fmt"

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
	r, err := b.describe(seq, false)
	if err != nil {
		return 0, false, fmt.Errorf("remove %d: %w", seq, err)
	}
	b.mu.Lock()
	_, found := b.mu.lost.found.find(seq)
	if !found && r.Subject != "" {
		b.removeLocked(r)
		b.mu.Unlock()
		return r.Size, true, nil
	}
	around := SeqRange{seq, seq}
	if ref := b.mu.dir.find(seq); ref != nil && ref.first <= seq {
		around = SeqRange{ref.first, ref.last}
	}
	b.mu.Unlock()
	if _, err := b.bookIn(around.First, around.Last); err != nil {
		return 0, false, fmt.Errorf("remove %d: %w", seq, err)
	}
	return r.Size, true, nil
}

// describe is of one message; without a subject it is lost to damage.
func (b *base) describe(seq uint64, hot bool) (Removal, error) {
	r := Removal{Seq: seq}
	err := b.each(matcher{all: true, hot: hot}, seq, seq, func(h hit) bool {
		r.Size, r.Subject = h.size, h.subject
		return false
	})
	if err == nil && r.Size == 0 {
		b.mu.RLock()
		if ref := b.mu.dir.find(seq); ref != nil && ref.msgs > 0 {
			r.Size = min(ref.bytes/uint64(ref.msgs), b.mu.bytes)
		} else if e := b.mu.tab.get(seq); e != nil {
			r.Size, r.Subject = uint64(e.size), b.mu.subs.all[e.subj].name
		}
		b.mu.RUnlock()
	}
	return r, err
}

// Describe tells of the first message at or above from.
func (b *base) Describe(from uint64) (r Removal, readable bool, err error) {
	return b.describeFrom(from, false)
}

func (b *base) describeFrom(from uint64, hot bool) (r Removal, readable bool, err error) {
	for {
		b.mu.RLock()
		next, closed := b.mu.gaps.next(max(from, b.mu.first)), b.mu.closed
		live := next != 0 && b.liveLocked(next)
		if live && next > b.mu.drained && !closed {
			if e := b.mu.tab.get(next); e != nil {
				r = Removal{next, uint64(e.size), b.mu.subs.all[e.subj].name}
				_, found := b.mu.lost.found.find(next)
				b.mu.RUnlock()
				return r, !found, nil
			}
		}
		b.mu.RUnlock()
		if closed {
			return r, false, fmt.Errorf("describe %d: %w", from, ErrClosed)
		}
		if !live {
			return Removal{}, false, nil
		}
		if r, err = b.describe(next, hot); err != nil {
			return r, false, fmt.Errorf("describe %d: %w", next, err)
		}
		b.mu.RLock()
		_, found := b.mu.lost.found.find(next)
		live = b.liveLocked(next)
		b.mu.RUnlock()
		if live {
			return r, !found && r.Subject != "", nil
		}
	}
}

// Find lists the messages of a filter that can be read.
func (b *base) Find(filter string) ([]Removal, error) { return b.findAll(filter, false) }

func (b *base) findAll(filter string, hot bool) ([]Removal, error) {
	m := newMatcher([]string{filter})
	m.hot = hot
	list, err := b.find(m, filter, 0)
	if err != nil {
		return nil, fmt.Errorf("find %q: %w", filter, err)
	}
	return list, nil
}

// find is Find for messages below seq; 0 is no bound.
func (b *base) find(m matcher, filter string, seq uint64) (list []Removal, err error) {
	b.mu.RLock()
	lo, hi, closed := ^uint64(0), uint64(0), b.mu.closed
	if m.all {
		lo, hi = b.mu.first, b.mu.last
	} else {
		b.mu.subs.each(filter, func(_ uint32, s *subject) bool {
			lo, hi = min(lo, s.first), max(hi, s.last)
			return true
		})
	}
	b.mu.RUnlock()
	if closed {
		return nil, ErrClosed
	}
	if seq > 0 {
		hi = min(hi, seq-1)
	}
	if hi < lo {
		return nil, nil
	}
	err = b.each(m, lo, hi, func(h hit) bool {
		list = append(list, Removal{h.seq, h.size, h.subject})
		return true
	})
	return list, err
}

// Drop deletes what Describe and Find told of.
func (b *base) Drop(list []Removal) (n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range list {
		if !b.mu.closed && b.liveLocked(list[i].Seq) {
			b.removeLocked(list[i])
			n++
		}
	}
	return n
}

func (b *base) removeLocked(r Removal) {
	var e *entry
	if r.Seq > b.mu.drained {
		e = b.mu.tab.get(r.Seq)
	} else {
		b.touchLocked(r.Seq)
	}
	b.forgetSubjectLocked(r, e)
	for _, a := range b.mu.after {
		a.add(r.Seq)
	}
	b.mu.removals++
	b.mu.msgs--
	b.mu.bytes -= min(r.Size, b.mu.bytes)
	if b.memory {
		b.mu.tab.remove(r.Seq)
	}
	switch {
	case b.mu.msgs == 0:
		b.emptyLocked()
	case r.Seq == b.mu.first:
		b.mu.first = b.mu.gaps.next(r.Seq + 1)
		b.mu.gaps.dropBelow(b.mu.first)
	default:
		b.mu.gaps.add(r.Seq)
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
func (b *base) forgetSubjectLocked(r Removal, e *entry) {
	id, ok := b.mu.subs.find(r.Subject)
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
	if r.Seq == s.first {
		s.first, s.flags = r.Seq+1, s.flags|staleFirst
		if e != nil && e.next != 0 {
			n := r.Seq + uint64(e.next)
			if b.liveLocked(n) {
				s.first, s.flags = n, s.flags&^staleFirst
			}
		}
	}
	if r.Seq == s.last {
		s.last, s.flags = r.Seq-1, s.flags|staleLast
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
	var removed, bytes uint64
	var counts map[string]uint64
	if p := b.takeReady("", seq, 0); p != nil {
		removed, bytes, counts = p.below, p.bytes, p.counts
	} else if removed, bytes, counts, err = b.countBelow(matcher{all: true}, first, seq); err != nil {
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

// countBelow is what there is from first on below seq.
func (b *base) countBelow(m matcher, first, seq uint64) (n, bytes uint64, counts map[string]uint64, err error) {
	counts = make(map[string]uint64)
	err = b.each(m, first, seq-1, func(h hit) bool {
		n++
		bytes += h.size
		counts[h.subject]++
		return true
	})
	return n, bytes, counts, err
}

// bookIn books what cannot be read of the chunks in first..last.
func (b *base) bookIn(first, last uint64) (uint64, error) {
	gone, err := b.unreadable(first, last, false)
	if err != nil {
		return 0, err
	}
	return b.book(gone)
}

// forgetLostLocked lets go of losses below seq, which is the first message now: what
// was removed and what was lost below it is not told apart any more.
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
		id, ok := b.mu.subs.find(name)
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
	b.goneLocked(b.mu.first, seq-1)
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

// touchRangeLocked remembers the chunks of lo..hi; what is not drained has none.
func (b *base) touchRangeLocked(lo, hi uint64) {
	for lo <= hi {
		ref := b.mu.dir.find(lo)
		if ref == nil {
			return
		}
		b.touchLocked(ref.last)
		lo = ref.last + 1
	}
}

// goneLocked lets the seals hear of what is removed in lo..hi: what was there.
func (b *base) goneLocked(lo, hi uint64) {
	for _, a := range b.mu.after {
		b.countedLocked(SeqRange{lo, hi}, a.addRange)
	}
}

// clearLocked removes everything; the next message gets seq or above.
func (b *base) clearLocked(seq uint64) {
	b.mu.removals++
	b.forgetLostLocked(seq)
	if b.mu.msgs > 0 {
		b.touchRangeLocked(b.mu.first, b.mu.last)
		b.goneLocked(b.mu.first, b.mu.last)
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
	var list []Removal
	if p := b.takeReady(filter, seq, keep); p != nil {
		list = p.list
	} else {
		var err error
		if list, err = b.find(m, filter, seq); err != nil {
			return 0, fmt.Errorf("purge %q: %w", filter, err)
		}
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

// emptyLocked is the state of a stream that has no message left.
func (b *base) emptyLocked() {
	b.mu.first = b.mu.last + 1
	b.mu.gaps.clear()
	b.mu.bytes = 0
	b.mu.subs.clear()
}
