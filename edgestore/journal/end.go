package journal

import "github.com/frondmq/frond/edgestore"

// end finds how the log ends.
type end struct {
	segs  []found       // oldest first
	floor edgestore.LSN // what was released

	last   edgestore.LSN
	unsure int64 // from here on nothing intact says that it was synced
	end    int64 // where the next frame goes
	boot   uint32
	torn   bool
	clean  bool

	// readable is the newest record that is intact; what is durable behind it
	// is missing.
	readable edgestore.LSN

	// heads are followed from the newest mark on, up to the record known.
	heads *heads
	known edgestore.LSN
}

// begin takes the mark of the small file.
func (e *end) begin(m *marked) {
	e.heads.set(m)
	e.known = m.next - 1
}

// find reads the last segment. durable is what is known from elsewhere.
func (e *end) find(durable edgestore.LSN) error {
	e.last, e.readable = durable, durable
	if e.known == 0 {
		e.heads.set(&marked{since: 1})
	}
	if len(e.segs) == 0 {
		e.readable = e.floor
		return nil
	}
	s := e.segs[len(e.segs)-1].segment
	sc := newHeadScanner(s)
	for {
		frames, said, err := e.follow(sc.reset(s), durable)
		if err != nil {
			return err
		}
		if e.torn && said > e.last {
			durable = said // it is damage, then: something behind it knows better
			continue
		}
		e.last = max(e.last, durable)
		e.readable, err = e.lastReadable(frames)
		e.readable = max(e.readable, e.floor)
		return err
	}
}

// follow goes through the frames of the last segment as far as the log goes,
// and returns where those with records are, and up to where a frame behind the
// end says that the log was synced.
func (e *end) follow(sc *scanner, durable edgestore.LSN) (frames []int64, said edgestore.LSN, err error) {
	s := sc.seg
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	s.marks.mu.at, s.marks.mu.boots, s.marks.mu.complete = nil, nil, true
	e.last, e.unsure, e.end = durable, segmentHeader, segmentHeader
	e.torn, e.clean = false, false
	above := false // in the group that was being written
	var f frame
	for sc.next(&f) {
		if f.synced >= e.last {
			above = false
			durable = max(durable, f.synced)
			e.last, e.unsure = durable, f.off
		}
		// Records are read where it is not known that they are durable, or not
		// whose they are.
		if (f.count == 0 && f.first > e.known+1 || f.count > 0 && f.last() > min(durable, e.known)) && !sc.body(&f) {
			break
		}
		if f.count > 0 && f.first > durable && f.flags&frameCopy == 0 {
			if f.first != e.last+1 || !f.whole() {
				e.torn = true
				break
			}
			above = true
			e.last = f.last()
		}
		s.marks.addLocked(f.off, f.boot)
		e.end = f.end()
		if !above {
			e.unsure = e.end
		}
		e.boot = f.boot
		e.clean = f.count == 0 && f.flags&frameClean != 0
		if f.count > 0 || f.flags&frameJump != 0 {
			frames = append(frames, f.off)
		}
		e.noteHeads(&f)
	}
	for e.torn && sc.next(&f) {
		said = max(said, f.synced)
	}
	return frames, said, sc.err
}

// noteHeads follows the heads over a frame.
func (e *end) noteHeads(f *frame) {
	if f.count == 0 {
		if f.first > e.known+1 {
			m := f.mark()
			e.begin(&m)
		}
		return
	}
	if f.flags&frameCopy != 0 || f.last() <= e.known {
		return
	}
	if f.first > e.known+1 {
		e.heads.set(&marked{since: f.first})
	}
	next := f.first
	var r edgestore.Record
	for c := f.records(); ; next++ {
		if _, ok := c.next(&r); !ok {
			break
		}
		if r.LSN != next || r.Seat == 0 {
			e.heads.set(&marked{since: r.LSN})
			next = r.LSN
		}
		if r.Seat == 0 {
			e.heads.since = r.LSN + 1
			continue
		}
		h := edgestore.Head{Incarnation: r.Incarnation, Chain: edgestore.Chain{Seat: r.Seat, Place: r.Place}}
		if r.Takes {
			h.Chain.Place++
		}
		e.heads.put(h, r.LSN)
	}
	e.known = next - 1
}

// headsAtEnd are the heads, when they are known up to the end.
func (e *end) headsAtEnd() (list []edgestore.Head, since edgestore.LSN) {
	if e.known != e.last {
		e.heads.set(&marked{since: e.last + 1})
	}
	for _, h := range e.heads.list {
		list = append(list, h.Head)
	}
	return list, e.heads.since
}

// lastReadable finds the newest intact record. frames are those of the last
// segment that has any; the segments before it are only read when it has none.
func (e *end) lastReadable(frames []int64) (last edgestore.LSN, err error) {
	for i := len(e.segs) - 1; ; i-- {
		s := e.segs[i].segment
		for k := len(frames) - 1; k >= 0; k-- {
			lsn, copies, err := lastIn(s, frames[k], e.last)
			if err != nil {
				return 0, err
			}
			if last = max(last, lsn); last > 0 && !copies {
				return last, nil
			}
		}
		if i == 0 {
			return max(last, s.first-1), nil
		}
		frames = frames[:0]
		var f frame
		sc := newHeadScanner(e.segs[i-1].segment)
		for sc.next(&f) {
			if (f.count > 0 || f.flags&frameJump != 0) && f.first < s.first {
				frames = append(frames, f.off)
			}
		}
		if sc.err != nil {
			return 0, sc.err
		}
	}
}

// lastIn is the newest intact record up to limit in the frame at off; 0: none.
// Behind a frame of copies the log may go further in one before it. Where the
// LSN was moved on, nothing is missing before.
func lastIn(s *segment, off int64, limit edgestore.LSN) (last edgestore.LSN, copies bool, err error) {
	sc := newScanner(s)
	sc.off = off
	var f frame
	if !sc.next(&f) {
		return 0, true, sc.err
	}
	if f.flags&frameJump != 0 {
		return min(f.first-1, limit), false, nil
	}
	copies = f.flags&frameCopy != 0
	var r edgestore.Record
	for c := f.records(); ; {
		if _, ok := c.next(&r); !ok || r.LSN > limit {
			return last, copies, nil
		}
		last = r.LSN
	}
}

// missing is what was durable behind the last readable record.
func (e *end) missing() Lost {
	if e.readable >= e.last {
		return Lost{}
	}
	return Lost{e.readable + 1, e.last}
}
