package edgestore

import (
	"fmt"
	"slices"
)

// LastFor is the newest message of a subject, or of all that match.
func (b *base) LastFor(filter string) (uint64, error) { return b.lastFor(filter, false) }

func (b *base) lastFor(filter string, hot bool) (uint64, error) {
	m := newMatcher([]string{filter})
	if m.all {
		b.mu.RLock()
		defer b.mu.RUnlock()
		if b.mu.msgs == 0 {
			return 0, nil
		}
		seq, _ := b.mu.gaps.prev(b.mu.last)
		return seq, nil
	}
	for {
		if err := b.healed(hot); err != nil {
			return 0, fmt.Errorf("last of %q: %w", filter, err)
		}
		var best, sure uint64
		var stale string
		b.mu.RLock()
		b.mu.subs.each(filter, func(_ uint32, s *subject) bool {
			if s.flags&staleLast == 0 {
				sure = max(sure, s.last)
			} else if s.last > best {
				best, stale = s.last, s.name
			}
			return true
		})
		b.mu.RUnlock()
		if best <= sure && !b.hurt.Load() {
			return sure, nil
		}
		if err := b.settle(stale, hot); err != nil {
			return 0, fmt.Errorf("last of %q: %w", filter, err)
		}
	}
}

// Subject tells of one subject.
func (b *base) Subject(name string) (SubjectState, bool, error) { return b.subject(name, false) }

func (b *base) subject(name string, hot bool) (SubjectState, bool, error) {
	for {
		if err := b.healed(hot); err != nil {
			return SubjectState{}, false, fmt.Errorf("subject %q: %w", name, err)
		}
		b.mu.RLock()
		s := b.mu.subs.get(name)
		if s == nil {
			b.mu.RUnlock()
			return SubjectState{}, false, nil
		}
		state, stale := SubjectState{s.msgs, s.first, s.last}, s.unsure()
		b.mu.RUnlock()
		if !stale {
			return state, true, nil
		}
		if err := b.settle(name, hot); err != nil {
			return SubjectState{}, false, fmt.Errorf("subject %q: %w", name, err)
		}
	}
}

// Subjects visits the subjects that match. f runs outside the lock: it may
// call the store.
func (b *base) Subjects(filter string, f func(subject string, s SubjectState) bool) error {
	return b.subjects(filter, f, false)
}

func (b *base) subjects(filter string, f func(subject string, s SubjectState) bool, hot bool) error {
	type item struct {
		name  string
		state SubjectState
		stale bool
	}
	var list []item
	if err := b.healed(hot); err != nil {
		return fmt.Errorf("subjects of %q: %w", filter, err)
	}
	b.mu.RLock()
	b.mu.subs.each(filter, func(_ uint32, s *subject) bool {
		list = append(list, item{s.name, SubjectState{s.msgs, s.first, s.last}, s.unsure()})
		return true
	})
	b.mu.RUnlock()
	for _, it := range list {
		if it.stale {
			s, ok, err := b.subject(it.name, hot)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			it.state = s
		}
		if !f(it.name, it.state) {
			return nil
		}
	}
	return nil
}

// SubjectPage visits a part of the subjects that match, and counts them all. f
// runs outside the lock.
func (b *base) SubjectPage(filter string, offset, limit int, f func(subject string, msgs uint64)) int {
	for again := false; ; again = true {
		_ = b.heal()
		page, wrong, n := b.subjectPage(filter, offset, limit)
		if len(wrong) == 0 || again {
			for i := range page {
				f(page[i].name, page[i].msgs)
			}
			return n
		}
		for _, name := range wrong {
			_, _, _ = b.Subject(name) // counts it anew, and it may have none
		}
	}
}

type subjectCount struct {
	name string
	msgs uint64
}

// subjectPage also names the subjects whose count is not sure, which there are
// only behind damage.
func (b *base) subjectPage(filter string, offset, limit int) (page []subjectCount, wrong []string, n int) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	b.mu.subs.each(filter, func(_ uint32, s *subject) bool {
		if s.miscounted() {
			wrong = append(wrong, s.name)
		}
		if n >= offset && len(page) < limit {
			page = append(page, subjectCount{s.name, s.msgs})
		}
		n++
		return true
	})
	return page, wrong, n
}

// settle makes the bounds of a subject exact.
func (b *base) settle(name string, hot bool) error {
	m := newMatcher([]string{name})
	if m.literal == "" {
		// A stored subject that looks like a pattern: match its name exactly.
		m = matcher{filters: []string{name}, literal: name, hash: hashSubject(name)}
	}
	m.hot = hot
	b.mu.RLock()
	s := b.mu.subs.get(name)
	if s == nil || !s.unsure() {
		b.mu.RUnlock()
		return nil
	}
	first, last, flags, wrong := s.first, s.last, s.flags, s.miscounted()
	b.mu.RUnlock()
	if wrong {
		return b.recountOne(name, m, first, last)
	}
	if flags&staleFirst != 0 {
		at := uint64(0)
		err := b.each(m, first, last, func(h hit) bool { at = h.seq; return false })
		if err != nil {
			return err
		}
		if b.hurt.Load() {
			return b.healed(hot)
		}
		if at == 0 {
			return b.recountOne(name, m, first, last)
		}
		b.setFirst(name, at)
	}
	if flags&staleLast != 0 {
		at := uint64(0)
		err := b.eachDown(m, first, last, func(h hit) bool { at = h.seq; return false })
		if err != nil {
			return err
		}
		if b.hurt.Load() {
			return b.healed(hot)
		}
		if at == 0 {
			return b.recountOne(name, m, first, last)
		}
		b.setLast(name, at)
	}
	return nil
}

// unsure: what is known of the subject must be looked at before it is told.
func (s *subject) unsure() bool { return s.flags&(staleFirst|staleLast) != 0 || s.miscounted() }

// miscounted: the bounds say that there is one message, and the count more. A
// message that no chunk holds was counted.
func (s *subject) miscounted() bool {
	return s.msgs > 1 && s.first == s.last && s.flags&(staleFirst|staleLast) == 0
}

// recountOne counts a subject of which the store does not hold what it says.
func (b *base) recountOne(name string, m matcher, first, last uint64) error {
	for range 3 {
		var c SubjectState
		b.mu.RLock()
		removals, end := b.mu.removals, b.mu.last
		b.mu.RUnlock()
		err := b.each(m, first, last, func(h hit) bool { c.add(h.seq); return true })
		if err != nil {
			return err
		}
		b.mu.Lock()
		same := removals == b.mu.removals && end == b.mu.last
		if same {
			b.mu.subs.correct(map[string]SubjectState{name: c})
		}
		b.mu.Unlock()
		if same {
			return nil
		}
	}
	return errBusyHealing
}

// add counts one more message, the newest so far.
func (c *SubjectState) add(seq uint64) {
	if c.Msgs == 0 {
		c.First = seq
	}
	c.Msgs++
	c.Last = seq
}

// setFirst stores the first sequence that a scan has found. It holds if the
// message is still there: what lies below was looked at, and grows no more.
func (b *base) setFirst(name string, seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.mu.subs.get(name)
	if s != nil && s.flags&staleFirst != 0 && seq >= s.first && b.liveLocked(seq) {
		s.first, s.flags = seq, s.flags&^staleFirst
	}
}

func (b *base) setLast(name string, seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.mu.subs.get(name)
	if s != nil && s.flags&staleLast != 0 && seq != 0 && seq <= s.last && b.liveLocked(seq) {
		s.last, s.flags = seq, s.flags&^staleLast
	}
}

// settleWhere settles the subjects that match and that ask says are in
// question, until none is.
func (b *base) settleWhere(m *matcher, ask func(s *subject) bool) error {
	for {
		if err := b.healed(m.hot); err != nil {
			return err
		}
		var names []string
		b.mu.RLock()
		b.mu.subs.eachAny(m, func(_ uint32, s *subject) bool {
			if s.flags&(staleFirst|staleLast) != 0 && ask(s) {
				names = append(names, s.name)
			}
			return true
		})
		b.mu.RUnlock()
		if len(names) == 0 {
			return nil
		}
		for _, n := range names {
			if err := b.settle(n, m.hot); err != nil {
				return err
			}
		}
	}
}

// LastPerSubject lists the newest sequence of each subject that matches, of
// those in start..upTo.
func (b *base) LastPerSubject(filters []string, start, upTo uint64) ([]uint64, error) {
	return b.lastPerSubject(newMatcher(filters), start, upTo)
}

func (b *base) lastPerSubject(m matcher, start, upTo uint64) ([]uint64, error) {
	if upTo == 0 {
		upTo = ^uint64(0)
	}
	err := b.settleWhere(&m, func(s *subject) bool {
		return s.flags&staleLast != 0 && s.last >= start && s.first <= upTo
	})
	if err != nil {
		return nil, err
	}
	var out []uint64
	older := make(map[string]struct{}) // subjects with newer messages than upTo
	lo := ^uint64(0)
	b.mu.RLock()
	b.mu.subs.eachAny(&m, func(_ uint32, s *subject) bool {
		switch {
		case s.last < start || s.first > upTo:
		case s.last <= upTo:
			out = append(out, s.last)
		case s.msgs > 1:
			older[s.name] = struct{}{}
			lo = min(lo, s.first)
		}
		return true
	})
	b.mu.RUnlock()
	if len(older) > 0 {
		err = b.eachDown(m, max(lo, start), upTo, func(h hit) bool {
			if _, ok := older[h.subject]; ok {
				out = append(out, h.seq)
				delete(older, h.subject)
			}
			return len(older) > 0
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	return out, nil
}

// Count counts what matches at or above start.
func (b *base) Count(filters []string, start uint64, lastPerSubject bool) (Count, error) {
	return b.count(newMatcher(filters), start, lastPerSubject)
}

func (b *base) count(m matcher, start uint64, lastPerSubject bool) (Count, error) {
	if lastPerSubject {
		return b.countLast(&m, start)
	}
	if m.all {
		b.mu.RLock()
		defer b.mu.RUnlock()
		c, lo := b.countLocked(), max(start, b.mu.first)
		if b.mu.msgs > 0 && lo <= b.mu.last {
			c.Msgs = b.mu.last - lo + 1 - b.mu.gaps.count(lo, b.mu.last)
		}
		return c, nil
	}
	return b.countMatching(m, start)
}

// countLocked is a count of nothing, as of now.
func (b *base) countLocked() Count { return Count{Last: b.mu.last, Removals: b.mu.removals} }

func (b *base) countLast(m *matcher, start uint64) (Count, error) {
	err := b.settleWhere(m, func(s *subject) bool { return s.flags&staleLast != 0 && s.last >= start })
	if m.hot && err != nil {
		return Count{}, err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	c := b.countLocked()
	b.mu.subs.eachAny(m, func(_ uint32, s *subject) bool {
		if s.last >= start {
			c.Msgs++
		}
		return true
	})
	return c, nil
}

// countMatching adds up subjects that lie on one side of start, and scans
// for those that lie on both, in the direction that has less to read. When
// something is deleted while chunks are read the parts do not add up, and it
// begins again; the last try has the best guess.
func (b *base) countMatching(m matcher, start uint64) (Count, error) {
	for try := 0; ; try++ {
		if err := b.healed(m.hot); m.hot && err != nil {
			return Count{}, err
		}
		sure, across := uint64(0), uint64(0)
		lo, hi := ^uint64(0), uint64(0)
		var names map[string]struct{}
		b.mu.RLock()
		b.mu.subs.eachAny(&m, func(_ uint32, s *subject) bool {
			switch {
			case s.last < start:
			case s.first >= start:
				sure += s.msgs
			case s.msgs == 2 && s.flags&(staleFirst|staleLast) == 0:
				sure++
			default:
				across += s.msgs
				lo, hi = min(lo, s.first), max(hi, s.last)
				if names == nil {
					names = make(map[string]struct{})
				}
				names[s.name] = struct{}{}
			}
			return true
		})
		c := b.countLocked()
		b.mu.RUnlock()
		if c.Msgs = sure; across == 0 {
			return c, nil
		}
		n := uint64(0)
		count := func(h hit) bool {
			if _, ok := names[h.subject]; ok {
				n++
			}
			return true
		}
		var err error
		if start-lo < hi-start {
			if err = b.each(m, lo, start-1, count); err == nil {
				n = across - min(n, across)
			}
		} else {
			err = b.each(m, start, hi, count)
		}
		if m.hot && err != nil {
			return Count{}, err
		}
		b.mu.RLock()
		same := b.mu.removals == c.Removals && !b.hurt.Load()
		b.mu.RUnlock()
		if err != nil || same || try == 3 {
			c.Msgs += n
			return c, nil
		}
	}
}
