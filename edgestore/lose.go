package edgestore

import (
	"errors"
	"fmt"
	"slices"
)

// Lose books as lost every message in first..last that cannot be read, and
// every sequence in it above the last one, which moves to last. See Store.
func (b *base) Lose(first, last uint64) (uint64, error) {
	if first == 0 || last < first {
		return 0, fmt.Errorf("lose %d..%d: not a range", first, last)
	}
	b.mu.RLock()
	closed := b.mu.closed
	b.mu.RUnlock()
	if closed {
		return 0, fmt.Errorf("lose %d..%d: %w", first, last, ErrClosed)
	}
	gone, err := b.unreadable(first, last, true)
	if err != nil {
		return 0, fmt.Errorf("lose %d..%d: %w", first, last, err)
	}
	n, err := b.book(gone)
	if err != nil {
		return 0, fmt.Errorf("lose %d..%d: %w", first, last, err)
	}
	return n + b.loseEnd(first, last), nil
}

// loseEnd books what lies above the last sequence.
func (b *base) loseEnd(first, last uint64) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if last <= b.mu.last {
		return 0
	}
	lo := max(first, b.mu.last+1)
	if b.mu.msgs == 0 {
		b.mu.first = last + 1
		b.mu.gaps.clear()
	} else {
		b.mu.gaps.addRange(b.mu.last+1, last)
	}
	b.mu.last = last
	b.mu.lost.booked = b.mu.lost.booked.add(lo, last)
	b.mu.lostDirty = true
	return last - lo + 1
}

// unreadable reads what is stored in first..last and returns what cannot be:
// what is damaged, and what is counted and held by no chunk.
//
// Messages that are not in chunks yet are read with blobs only.
func (b *base) unreadable(first, last uint64, blobs bool) (ranges, error) {
	if b.memory {
		return nil, nil
	}
	var holes ranges // between what is readable
	next := first
	err := b.each(matcher{all: true}, first, last, func(h hit) bool {
		if h.seq > next {
			holes = append(holes, SeqRange{next, h.seq - 1})
		}
		next = h.seq + 1
		return true
	})
	if err != nil {
		return nil, err
	}
	if next <= last {
		holes = append(holes, SeqRange{next, last})
	}
	if blobs {
		if err := b.readBlobs(first, last); err != nil {
			return nil, err
		}
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out ranges
	for _, r := range holes {
		b.countedLocked(r, func(lo, hi uint64) { out = out.add(lo, hi) })
	}
	for _, r := range b.mu.lost.found {
		if r.Last >= first && r.First <= last {
			b.countedLocked(SeqRange{max(r.First, first), min(r.Last, last)}, func(lo, hi uint64) { out = out.add(lo, hi) })
		}
	}
	return out, nil
}

// countedLocked calls f for the runs of sequences in r that are not deleted.
func (b *base) countedLocked(r SeqRange, f func(lo, hi uint64)) {
	if b.mu.msgs == 0 {
		return
	}
	last := min(r.Last, b.mu.last)
	for seq := max(r.First, b.mu.first); seq <= last; {
		lo := b.mu.gaps.next(seq)
		if lo == 0 || lo > last {
			return
		}
		hi := last
		b.mu.gaps.each(lo, last, func(g, _ uint64) bool { hi = g - 1; return false })
		f(lo, hi)
		seq = hi + 1
	}
}

// readBlobs reads the messages in first..last that are not in chunks, and takes
// note of those that are damaged.
func (b *base) readBlobs(first, last uint64) error {
	var buf []byte
	for at := first; ; {
		var list []picked
		b.mu.RLock()
		lo := max(at, b.mu.drained+1, b.mu.first)
		if lo <= min(last, b.mu.last) {
			b.tabScanLocked(&matcher{all: true}, lo, min(last, b.mu.last), false, func(h hit) bool {
				var p picked
				p.take(h, b)
				list = append(list, p)
				return len(list) < 512
			})
		}
		b.mu.RUnlock()
		if len(list) == 0 {
			return nil
		}
		for i := range list {
			_, out, err := b.read(&list[i], buf, false)
			if err == nil {
				buf = out
			} else if _, err = b.unread(&list[i], err); err != nil {
				return err
			}
		}
		at = list[len(list)-1].seq + 1
	}
}

// book takes messages that cannot be read out of everything that counts them,
// and returns how many there were. What is left is counted from what is
// readable. Only the mutating goroutine may call it.
func (b *base) book(gone ranges) (uint64, error) {
	if len(gone) == 0 {
		return 0, nil
	}
	b.markFound(gone, errNotHeld) // scans pass them over now
	counts, err := b.recount(gone)
	if err != nil {
		return 0, err
	}
	size, err := b.recountBytes(gone)
	if err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n := uint64(0)
	for _, r := range gone {
		n += b.cutLocked(r)
	}
	if n == 0 {
		return 0, nil
	}
	b.mu.removals++
	b.mu.msgs -= min(n, b.mu.msgs)
	b.mu.bytes = size
	if b.mu.msgs == 0 {
		b.emptyLocked()
		return n, nil
	}
	if b.mu.gaps.has(b.mu.first) {
		b.mu.first = b.mu.gaps.next(b.mu.first)
		b.mu.gaps.dropBelow(b.mu.first)
	}
	b.mu.subs.correct(counts)
	return n, nil
}

var errNotHeld = fmt.Errorf("counted, and in no chunk: %w", ErrCorrupt)

// correct puts counted states in the place of those that may be wrong.
func (t *subjects) correct(counts map[string]SubjectState) {
	for name, c := range counts {
		id, ok := t.find(name)
		if !ok {
			continue
		}
		if c.Msgs == 0 {
			t.drop(id)
			continue
		}
		s := &t.all[id]
		s.msgs, s.first, s.last = c.Msgs, c.First, c.Last
		s.flags &^= staleFirst | staleLast
		t.mark(id)
	}
}

// heal corrects what is known of the subjects after damage was found: nobody
// can tell which subjects the unreadable messages had, so what is readable is
// counted. Everybody may call it; a reader gives up when the store changes
// beside it too often, and the next one tries again.
func (b *base) heal() error { return b.healed(false) }

func (b *base) healed(hot bool) error {
	for range 3 {
		if !b.hurt.Load() {
			return nil
		}
		if hot {
			return ErrCold
		}
		b.mu.RLock()
		found, removals, last := b.mu.lost.found, b.mu.removals, b.mu.last
		b.mu.RUnlock()
		counts, err := b.recount(found)
		if err != nil {
			return err
		}
		b.mu.Lock()
		same := removals == b.mu.removals && last == b.mu.last && slices.Equal(found, b.mu.lost.found)
		if same {
			b.mu.subs.correct(counts)
			b.hurt.Store(false)
		}
		b.mu.Unlock()
	}
	if b.hurt.Load() {
		return errBusyHealing
	}
	return nil
}

var errBusyHealing = errors.New("the store changes too fast to count it")

// cutLocked makes gaps of what is counted in r, and returns how many that were.
func (b *base) cutLocked(r SeqRange) (n uint64) {
	var runs ranges
	b.countedLocked(r, func(lo, hi uint64) { runs = append(runs, SeqRange{lo, hi}) })
	for _, x := range runs {
		n += x.Last - x.First + 1
		b.touchRangeLocked(x.First, x.Last)
		for _, a := range b.mu.after {
			a.addRange(x.First, x.Last)
		}
		b.mu.gaps.addRange(x.First, x.Last)
		b.mu.lost.booked = b.mu.lost.booked.add(x.First, x.Last)
	}
	b.mu.lost.found = b.mu.lost.found.sub(r.First, r.Last)
	b.mu.lostDirty = true
	return n
}

// recount counts the readable messages of each subject that may have lost some
// of gone; a subject with no message left has none. It reads from the first to
// the last message of those subjects.
func (b *base) recount(gone ranges) (map[string]SubjectState, error) {
	counts := make(map[string]SubjectState)
	lo, hi := ^uint64(0), uint64(0)
	b.mu.RLock()
	b.mu.subs.each(">", func(_ uint32, s *subject) bool {
		i := gone.at(s.first)
		if i == len(gone) || gone[i].First > s.last {
			return true
		}
		counts[s.name] = SubjectState{}
		if s.msgs > 1 || s.flags&(staleFirst|staleLast) != 0 {
			lo, hi = min(lo, s.first), max(hi, s.last)
		}
		return true
	})
	b.mu.RUnlock()
	if lo > hi {
		return counts, nil
	}
	err := b.each(matcher{all: true}, lo, hi, func(h hit) bool {
		if c, ok := counts[h.subject]; ok {
			c.add(h.seq)
			counts[h.subject] = c
		}
		return true
	})
	return counts, err
}

// recountBytes adds up the sizes of all messages but gone. Of a chunk that has
// all of its messages the size is known without reading it.
func (b *base) recountBytes(gone ranges) (uint64, error) {
	total := uint64(0)
	var read []SeqRange // chunks that have lost messages
	b.mu.RLock()
	for _, p := range b.mu.dir.pages {
		for i := range p.refs {
			r := &p.refs[i]
			lo := max(r.first, b.mu.first)
			if lo > r.last {
				continue
			}
			left := r.last - lo + 1 - b.mu.gaps.count(lo, r.last)
			j := gone.at(lo)
			hurt := j < len(gone) && gone[j].First <= r.last
			switch {
			case left == 0:
			case left == uint64(r.msgs) && !hurt:
				total += r.bytes
			default:
				read = append(read, SeqRange{lo, r.last})
			}
		}
	}
	b.mu.tab.up(max(b.mu.drained+1, b.mu.first), b.mu.last, func(seq uint64, e *entry) bool {
		if _, lost := gone.find(seq); !lost && !b.mu.gaps.has(seq) {
			total += uint64(e.size)
		}
		return true
	})
	b.mu.RUnlock()
	for _, r := range read {
		err := b.each(matcher{all: true}, r.First, r.Last, func(h hit) bool { total += h.size; return true })
		if err != nil {
			return 0, err
		}
	}
	return total, nil
}
