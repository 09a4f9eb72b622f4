package edgestore

import (
	"fmt"
	"time"
)

// Load reads one message.
func (b *base) Load(seq uint64, buf []byte) (Msg, []byte, error) { return b.load(seq, buf, false) }

func (b *base) load(seq uint64, buf []byte, hot bool) (Msg, []byte, error) {
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
		m, out, found, err := b.pick(matcher{all: true, hot: hot}, seq, seq, false, buf)
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
		msg, out, err = b.read(&p, buf, m.hot)
		if err == nil || err == ErrCold {
			return msg, out, err == nil, err
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
func (b *base) read(p *picked, buf []byte, hot bool) (Msg, []byte, error) {
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
	blob, err := b.files.blob(p.at, buf, hot)
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
	return b.loadNext(newMatcher(filters), start, buf)
}

func (b *base) loadNext(m matcher, start uint64, buf []byte) (Msg, []byte, error) {
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
func (b *base) SeqAt(t time.Time) (uint64, error) { return b.seqAt(t, false) }

func (b *base) seqAt(t time.Time, hot bool) (uint64, error) {
	at := t.UnixNano()
	if t.Before(time.Unix(0, 0)) {
		at = 0
	}
	lo := b.seqAtHint(at)
	seq := uint64(0)
	err := b.each(matcher{all: true, hot: hot}, lo, ^uint64(0), func(h hit) bool {
		if h.time >= at {
			seq = h.seq
			return false
		}
		return true
	})
	if err != nil {
		return 0, fmt.Errorf("sequence at %d: %w", at, err)
	}
	if seq == 0 {
		b.mu.RLock()
		defer b.mu.RUnlock()
		return b.mu.last + 1, nil
	}
	return seq, nil
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
