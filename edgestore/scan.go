package edgestore

// hit is one live message that a scan has found. It is valid until the scan's
// function returns.
type hit struct {
	seq     uint64
	time    int64
	size    uint64
	subject string
	ent     *entry // in the memtable
	chunk   *chunk // or in a chunk, message i
	i       int
}

// upLocked calls f for live messages in lo..hi that match, ascending, until f
// returns false. pin is a chunk that the caller holds, or nil. When it needs a
// chunk that is not in memory it stops and returns that and where to go on.
func (b *base) upLocked(m *matcher, lo, hi uint64, pin *chunk, f func(h hit) bool) (uint64, *chunkRef) {
	lo, hi = max(lo, b.mu.first), min(hi, b.mu.last)
	if b.mu.msgs == 0 {
		return 0, nil
	}
	for lo <= hi && lo <= b.mu.drained {
		ref := b.mu.dir.find(lo)
		if ref == nil || ref.first > hi {
			break
		}
		lo = max(lo, ref.first)
		end := min(ref.last, hi)
		if next := b.mu.gaps.next(lo); next == 0 || next > end || !ref.mayHave(m) || b.skipLostLocked(ref) {
			lo = end + 1
			continue
		}
		c := pin
		if c == nil || c.key != ref.key() {
			if c = b.files.cached(ref.key()); c == nil {
				return lo, ref
			}
		}
		if !b.chunkUpLocked(m, c, lo, end, f) {
			return 0, nil
		}
		lo = end + 1
	}
	if lo <= b.mu.drained {
		lo = b.mu.drained + 1
	}
	if lo <= hi {
		b.tabScanLocked(m, lo, hi, false, f)
	}
	return 0, nil
}

// downLocked is upLocked in descending order.
func (b *base) downLocked(m *matcher, lo, hi uint64, pin *chunk, f func(h hit) bool) (uint64, *chunkRef) {
	lo, hi = max(lo, b.mu.first), min(hi, b.mu.last)
	if b.mu.msgs == 0 || lo > hi {
		return 0, nil
	}
	if hi > b.mu.drained {
		if !b.tabScanLocked(m, max(lo, b.mu.drained+1), hi, true, f) {
			return 0, nil
		}
		hi = b.mu.drained
	}
	for lo <= hi && hi > 0 {
		ref := b.mu.dir.findDown(hi)
		if ref == nil || ref.last < lo {
			break
		}
		hi = min(hi, ref.last)
		begin := max(ref.first, lo)
		prev, ok := b.mu.gaps.prev(hi)
		if ok && prev >= begin && ref.mayHave(m) && !b.skipLostLocked(ref) {
			c := pin
			if c == nil || c.key != ref.key() {
				if c = b.files.cached(ref.key()); c == nil {
					return hi, ref
				}
			}
			if !b.chunkDownLocked(m, c, begin, hi, f) {
				return 0, nil
			}
		}
		if begin == 0 {
			break
		}
		hi = begin - 1
	}
	return 0, nil
}

func (b *base) skipLostLocked(ref *chunkRef) bool {
	if len(b.mu.lost.found) == 0 {
		return false
	}
	l, ok := b.mu.lost.found.find(ref.first)
	return ok && l.Last >= ref.last
}

func (b *base) chunkUpLocked(m *matcher, c *chunk, lo, hi uint64, f func(h hit) bool) bool {
	want := c.matches(m)
	h := hit{chunk: c}
	for i := c.search(lo); i < len(c.msgs); i++ {
		cm := &c.msgs[i]
		if cm.seq > hi {
			return true
		}
		if (want != nil && !want[cm.subj]) || b.mu.gaps.has(cm.seq) {
			continue
		}
		h.set(i)
		if !f(h) {
			return false
		}
	}
	return true
}

func (b *base) chunkDownLocked(m *matcher, c *chunk, lo, hi uint64, f func(h hit) bool) bool {
	want := c.matches(m)
	h := hit{chunk: c}
	i := c.search(hi)
	if i == len(c.msgs) || c.msgs[i].seq > hi {
		i--
	}
	for ; i >= 0; i-- {
		cm := &c.msgs[i]
		if cm.seq < lo {
			return true
		}
		if (want != nil && !want[cm.subj]) || b.mu.gaps.has(cm.seq) {
			continue
		}
		h.set(i)
		if !f(h) {
			return false
		}
	}
	return true
}

func (h *hit) set(i int) {
	cm := &h.chunk.msgs[i]
	h.i, h.seq, h.time = i, cm.seq, cm.time
	h.subject = h.chunk.subjects[cm.subj]
	h.size = FileSize(len(h.subject), int(cm.header), int(cm.body))
}

// tabScanLocked scans the memtable.
func (b *base) tabScanLocked(m *matcher, lo, hi uint64, down bool, f func(h hit) bool) bool {
	id, literal := uint32(0), m.literal != ""
	if literal {
		var ok bool
		if id, ok = b.mu.subs.find(m.literal); !ok {
			return true
		}
	}
	visit := func(seq uint64, e *entry) bool {
		if literal && e.subj != id {
			return true
		}
		// A deleted entry may name a subject that is gone: ask for life first.
		if b.mu.gaps.has(seq) {
			return true
		}
		if len(b.mu.lost.found) > 0 {
			if _, lost := b.mu.lost.found.find(seq); lost {
				return true
			}
		}
		name := b.mu.subs.all[e.subj].name
		if !literal && !m.match(name) {
			return true
		}
		return f(hit{seq: seq, time: e.time, size: uint64(e.size), subject: name, ent: e})
	}
	if down {
		return b.mu.tab.down(lo, hi, visit)
	}
	return b.mu.tab.up(lo, hi, visit)
}

// each visits live messages in lo..hi that match, ascending; f runs under the
// lock, chunks are read outside of it.
func (b *base) each(m matcher, lo, hi uint64, f func(h hit) bool) error {
	var pin *chunk
	for {
		b.mu.RLock()
		if b.mu.closed {
			b.mu.RUnlock()
			return ErrClosed
		}
		pos, miss := b.upLocked(&m, lo, hi, pin, f)
		b.mu.RUnlock()
		if miss == nil {
			return nil
		}
		if m.hot {
			return ErrCold
		}
		lo = pos
		var err error
		if pin, err = b.fetch(miss); err != nil {
			return err
		}
	}
}

// eachDown is each in descending order.
func (b *base) eachDown(m matcher, lo, hi uint64, f func(h hit) bool) error {
	var pin *chunk
	for {
		b.mu.RLock()
		if b.mu.closed {
			b.mu.RUnlock()
			return ErrClosed
		}
		pos, miss := b.downLocked(&m, lo, hi, pin, f)
		b.mu.RUnlock()
		if miss == nil {
			return nil
		}
		if m.hot {
			return ErrCold
		}
		hi = pos
		var err error
		if pin, err = b.fetch(miss); err != nil {
			return err
		}
	}
}

// fetch reads a chunk. When the chunk is damaged, what it held is marked lost,
// and when a flush has replaced it meanwhile there is nothing wrong: both give
// nil, and the caller looks again.
func (b *base) fetch(ref *chunkRef) (*chunk, error) {
	c, err := b.files.load(ref)
	if err == nil {
		return c, nil
	}
	b.mu.RLock()
	now := b.mu.dir.find(ref.first)
	moved := now == nil || now.key() != ref.key()
	b.mu.RUnlock()
	switch {
	case moved:
		return nil, nil
	case isCorrupt(err):
		b.markFound(ranges{{ref.first, ref.last}}, err)
		return nil, nil
	}
	return nil, err
}
