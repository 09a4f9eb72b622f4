package edgestore

import (
	"fmt"
	"sort"
	"time"
)

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
		if id, ok = b.mu.subs.byName[m.literal]; !ok {
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

// Load reads one message.
func (b *base) Load(seq uint64, buf []byte) (Msg, []byte, error) {
	for {
		b.mu.RLock()
		err := b.loadableLocked(seq)
		if !b.mu.closed && !b.mu.lost.empty() {
			if _, lost := b.mu.lost.booked.find(seq); lost {
				err = &lostError{seq, true}
			} else if _, lost = b.mu.lost.found.find(seq); lost && err == nil {
				err = &lostError{seq, false}
			}
		}
		b.mu.RUnlock()
		if err != nil {
			return Msg{}, buf, err
		}
		m, out, found, err := b.pick(matcher{all: true}, seq, seq, false, buf)
		if err != nil || found {
			return m, out, err
		}
		// It was there and is not now: removed or found damaged just now.
		b.mu.RLock()
		_, lost := b.mu.lost.found.find(seq)
		live := b.liveLocked(seq)
		b.mu.RUnlock()
		if live && !lost {
			// The directory and the chunk disagree: the chunk never had it.
			b.markFound(ranges{{seq, seq}}, errNotHeld)
		}
	}
}

func (b *base) loadableLocked(seq uint64) error {
	switch {
	case b.mu.closed:
		return ErrClosed
	case seq == 0 || seq > b.mu.last:
		return ErrNotFound
	case !b.liveLocked(seq):
		return ErrDeleted
	}
	return nil
}

// pick finds the first (or, going down, the last) matching message in lo..hi
// and reads it.
func (b *base) pick(m matcher, lo, hi uint64, down bool, buf []byte) (msg Msg, out []byte, found bool, err error) {
	var p picked
	take := func(h hit) bool { p.take(h, b); return false }
	for {
		p = picked{}
		if down {
			err = b.eachDown(m, lo, hi, take)
		} else {
			err = b.each(m, lo, hi, take)
		}
		if err != nil || p.seq == 0 {
			return Msg{}, buf, false, err
		}
		msg, out, err = b.read(&p, buf)
		if err == nil {
			return msg, out, true, nil
		}
		again, err := b.unread(&p, err)
		if err != nil || !again {
			return Msg{}, buf, false, err
		}
	}
}

// picked is a hit taken out of the lock.
type picked struct {
	seq     uint64
	time    int64
	subject string
	chunk   *chunk
	i       int
	at      Location
	data    []byte // memory store; bytes of a message never change
	header  int
}

func (p *picked) take(h hit, b *base) {
	p.seq, p.time, p.subject, p.chunk, p.i = h.seq, h.time, h.subject, h.chunk, h.i
	if h.ent != nil {
		p.at = h.ent.location()
		if b.memory {
			p.data, p.header = b.mu.tab.bytes(h.seq), int(h.ent.len)
		}
	}
}

// read makes the message of what was picked, with bytes in buf.
func (b *base) read(p *picked, buf []byte) (Msg, []byte, error) {
	m := Msg{Seq: p.seq, Time: p.time, Subject: p.subject}
	switch {
	case b.memory:
		buf = append(buf[:0], p.data...)
		m.setParts(buf, p.header)
		return m, buf, nil
	case p.chunk != nil:
		body, err := p.chunk.bodies()
		if err != nil {
			return m, buf, err
		}
		cm := &p.chunk.msgs[p.i]
		buf = append(buf[:0], body[cm.off:cm.off+cm.header+cm.body]...)
		m.setParts(buf, int(cm.header))
		return m, buf, nil
	}
	blob, err := b.files.blob(p.at, buf)
	if err != nil {
		return m, buf, err
	}
	subject, header, body, err := ParseBlob(blob)
	if err != nil {
		return m, buf, err
	}
	if string(subject) != p.subject {
		return m, buf, fmt.Errorf("message %d: blob of subject %q where %q was: %w", p.seq, subject, p.subject, ErrCorrupt)
	}
	m.Header, m.Body = header, body
	return m, blob, nil
}

func (m *Msg) setParts(b []byte, header int) {
	if header > 0 {
		m.Header = b[:header:header]
	}
	m.Body = b[header:]
}

// unread decides what a failed read means: the message has moved or gone
// (again), or its bytes are damaged (lost, and again), or the disk failed.
func (b *base) unread(p *picked, cause error) (again bool, err error) {
	var fresh ranges
	defer func() { b.tell(fresh, cause) }()
	b.mu.Lock()
	defer b.mu.Unlock()
	lost := func(lo, hi uint64) {
		if b.foundLocked(lo, hi) {
			fresh = ranges{{lo, hi}}
		}
	}
	if b.mu.closed {
		return false, ErrClosed
	}
	if !b.liveLocked(p.seq) {
		return true, nil
	}
	if p.chunk == nil {
		if p.seq <= b.mu.drained {
			return true, nil
		}
		if e := b.mu.tab.get(p.seq); e == nil || e.location() != p.at {
			return true, nil
		}
		if !isCorrupt(cause) {
			return false, fmt.Errorf("load %d: %w", p.seq, cause)
		}
		lost(p.seq, p.seq)
		return true, nil
	}
	ref := b.mu.dir.find(p.seq)
	if ref == nil || ref.key() != p.chunk.key {
		return true, nil
	}
	lost(ref.first, ref.last)
	return true, nil
}

// scanWindow is how many sequences a search with wildcards walks before it
// asks the subjects where their messages are.
const scanWindow = 4096

// LoadNext reads the first message at or above start that matches.
func (b *base) LoadNext(filters []string, start uint64, buf []byte) (Msg, []byte, error) {
	m := newMatcher(filters)
	lo, hi := start, ^uint64(0)
	for pass := 0; pass < 2; pass++ {
		end := hi
		if !m.all {
			ok := true
			if pass == 1 || m.literal != "" {
				lo, hi, ok = b.boundUp(&m, lo)
				end = hi
			} else {
				end = b.windowUp(lo)
			}
			if !ok {
				break
			}
		}
		msg, out, found, err := b.pick(m, lo, end, false, buf)
		if found || err != nil {
			return msg, out, err
		}
		if m.all || m.literal != "" {
			break
		}
		if end == ^uint64(0) {
			break
		}
		lo = max(lo, end) + 1
	}
	return Msg{}, buf, b.absent()
}

func (b *base) absent() error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.mu.closed {
		return ErrClosed
	}
	return ErrNotFound
}

func (b *base) windowUp(lo uint64) uint64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	lo = max(lo, b.mu.first)
	if b.mu.last <= lo || b.mu.last-lo <= scanWindow {
		return ^uint64(0)
	}
	return lo + scanWindow
}

// boundUp tells between which sequences the first match at or above lo must
// be.
func (b *base) boundUp(m *matcher, lo uint64) (uint64, uint64, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	lower, upper := ^uint64(0), uint64(0)
	b.mu.subs.eachAny(m, func(_ uint32, s *subject) bool {
		if s.last < lo {
			return true
		}
		upper = max(upper, s.last)
		at := max(s.first, lo)
		if s.first < lo && s.msgs == 2 && s.flags&(staleFirst|staleLast) == 0 {
			at = s.last
		}
		if m.literal != "" && s.first < lo && s.flags&staleFirst == 0 {
			at = max(at, b.followLocked(s.first, lo))
		}
		lower = min(lower, at)
		return true
	})
	return lower, upper, upper != 0 && lower <= upper
}

// followLocked goes from one message of a subject to the next while they are in
// the memtable, and returns a sequence at or above lo below which, from lo on,
// the subject has none.
func (b *base) followLocked(seq, lo uint64) uint64 {
	for range 64 {
		e := b.mu.tab.get(seq)
		if e == nil || e.next == 0 || seq <= b.mu.drained {
			break
		}
		seq += uint64(e.next)
		if seq >= lo && b.liveLocked(seq) {
			return seq
		}
	}
	return lo
}

// LoadPrev reads the last message at or below start that matches.
func (b *base) LoadPrev(filters []string, start uint64, buf []byte) (Msg, []byte, error) {
	m := newMatcher(filters)
	lo, hi := uint64(0), start
	for pass := 0; pass < 2; pass++ {
		begin := uint64(0)
		if !m.all {
			ok := true
			if pass == 1 || m.literal != "" {
				lo, hi, ok = b.boundDown(&m, hi)
				begin = lo
			} else {
				begin, hi = b.windowDown(hi)
			}
			if !ok {
				break
			}
		}
		msg, out, found, err := b.pick(m, begin, hi, true, buf)
		if found || err != nil {
			return msg, out, err
		}
		if m.all || m.literal != "" || begin == 0 {
			break
		}
		hi = begin - 1
	}
	return Msg{}, buf, b.absent()
}

func (b *base) windowDown(hi uint64) (uint64, uint64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	hi = min(hi, b.mu.last)
	if hi <= b.mu.first || hi-b.mu.first <= scanWindow {
		return 0, hi
	}
	return hi - scanWindow, hi
}

// boundDown tells between which sequences the last match at or below hi must
// be.
func (b *base) boundDown(m *matcher, hi uint64) (uint64, uint64, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	lower, upper := ^uint64(0), uint64(0)
	b.mu.subs.eachAny(m, func(_ uint32, s *subject) bool {
		if s.first > hi {
			return true
		}
		lower = min(lower, s.first)
		at := min(s.last, hi)
		if s.last > hi && s.msgs == 2 && s.flags&(staleFirst|staleLast) == 0 {
			at = s.first
		}
		upper = max(upper, at)
		return true
	})
	return lower, upper, upper != 0 && lower <= upper
}

// SeqAt is the first message stored at or after t.
func (b *base) SeqAt(t time.Time) uint64 {
	at := t.UnixNano()
	if t.Before(time.Unix(0, 0)) {
		at = 0
	}
	lo := b.seqAtHint(at)
	seq := uint64(0)
	err := b.each(matcher{all: true}, lo, ^uint64(0), func(h hit) bool {
		if h.time >= at {
			seq = h.seq
			return false
		}
		return true
	})
	if err != nil || seq == 0 {
		b.mu.RLock()
		defer b.mu.RUnlock()
		return b.mu.last + 1
	}
	return seq
}

// seqAtHint is a sequence at or below the answer, found by the newest times of
// chunks and blocks. A wall clock may have been set back, so the times need
// not ascend and the first one that is late enough decides.
func (b *base) seqAtHint(at int64) uint64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, p := range b.mu.dir.pages {
		if p.maxTime < at {
			continue
		}
		for i := range p.refs {
			if r := &p.refs[i]; r.maxTime >= at && r.last >= b.mu.first {
				if next := b.mu.gaps.next(max(r.first, b.mu.first)); next != 0 && next <= r.last {
					return r.first
				}
			}
		}
	}
	for _, blk := range b.mu.tab.blocks {
		if blk.maxTime >= at && blk.base+blockSpan > b.mu.drained {
			return max(blk.base, b.mu.drained+1)
		}
	}
	return b.mu.last + 1
}

// Deleted lists gaps; a negative max is no limit.
func (b *base) Deleted(max int) []uint64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []uint64
	if b.mu.msgs == 0 {
		return nil
	}
	b.mu.gaps.each(b.mu.first, b.mu.last, func(lo, hi uint64) bool {
		for seq := lo; ; seq++ {
			if max >= 0 && len(out) >= max {
				return false
			}
			out = append(out, seq)
			if seq == hi {
				return true
			}
		}
	})
	return out
}

// each calls f for runs of set sequences in lo..hi, ascending.
func (g *gapSet) each(lo, hi uint64, f func(lo, hi uint64) bool) {
	i, _ := g.at(lo >> gapShift)
	for ; i < len(g.pages); i++ {
		p := &g.pages[i]
		begin := p.key << gapShift
		if begin > hi {
			return
		}
		if p.full() {
			end := (p.key+p.run-1)<<gapShift | gapMask
			if !f(max(begin, lo), min(end, hi)) {
				return
			}
			continue
		}
		if p.words == nil {
			j := 0
			if lo > begin {
				j = sort.Search(len(p.list), func(j int) bool { return begin+uint64(p.list[j]) >= lo })
			}
			for ; j < len(p.list); j++ {
				seq := begin + uint64(p.list[j])
				if seq > hi || !f(seq, seq) {
					return
				}
			}
			continue
		}
		for seq := max(begin, lo); seq <= min(begin|gapMask, hi); seq++ {
			if p.has(uint16(seq&gapMask)) && !f(seq, seq) {
				return
			}
		}
	}
}
