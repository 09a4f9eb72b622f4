package journal

import (
	"fmt"
	"sync"

	"github.com/frondmq/frond/edgestore"
)

// Read returns the bytes at loc, which lie within the data of one record, in
// buf when that is large enough. They are checked, unless they come from
// memory. The error is of class ErrCorrupt when the record is damaged, and
// ErrNotFound when its segment was released. Any other is of the disk, was told
// to Events.ReadFailed, and says nothing about the record.
func (j *Journal) Read(loc edgestore.Location, buf []byte) ([]byte, error) {
	if loc == (edgestore.Location{}) {
		return buf[:0], fmt.Errorf("read from the journal: no location: %w", edgestore.ErrNotFound)
	}
	if loc.Length == 0 {
		return buf[:0], nil
	}
	if b, ok := j.cache.read(loc, buf); ok {
		return b, nil
	}
	seg := j.shelf.acquire(loc.Segment)
	if seg == nil {
		return buf[:0], fmt.Errorf("read journal segment %s: released: %w", segmentName(loc.Segment), edgestore.ErrNotFound)
	}
	defer j.shelf.doneReading(seg)
	b, err := j.windows.read(seg, loc, buf)
	if err != nil {
		return buf[:0], fmt.Errorf("read %d bytes at %d of journal segment %s: %w",
			loc.Length, loc.Offset, segmentName(loc.Segment), err)
	}
	return b, nil
}

// Recent is Read for what is in memory.
func (j *Journal) Recent(loc edgestore.Location, buf []byte) (b []byte, ok bool) {
	if loc.Length == 0 {
		return buf[:0], loc != edgestore.Location{}
	}
	if b, ok := j.cache.read(loc, buf); ok {
		return b, true
	}
	seg := j.shelf.acquire(loc.Segment)
	if seg == nil {
		return buf, false
	}
	defer j.shelf.doneReading(seg)
	return j.windows.recent(seg, loc, buf)
}

// windows are the stretches of segments that were read last, unchecked: a
// reader that drains the journal comes back to each for many records.
type windows struct {
	mu struct {
		sync.Mutex
		list []*window // the one used last comes first
	}
}

// window is one stretch, from the beginning of a frame on.
type window struct {
	segment uint64
	off     int64
	mu      sync.Mutex // guards the rest, also while bytes are read
	boot    uint32     // of its first frame: what an earlier boot left there is stale
	bytes   []byte
	last    bookmark
}

// bookmark is where a window found its last record. Readers go from record to
// record: each would otherwise be looked for from the beginning of its frame,
// past a hundred others when they are small.
type bookmark struct {
	at, end int // of that record and of its frame, within the window
	frame   frame
}

const maxWindows = 4

// take returns the window for a stretch, locked; it may hold other bytes still.
func (w *windows) take(segment uint64, off int64) *window {
	w.mu.Lock()
	list := w.mu.list
	i := 0
	for i < len(list) && (list[i].segment != segment || list[i].off != off) {
		i++
	}
	if i == len(list) {
		if len(list) < maxWindows {
			list = append(list, &window{})
		} else {
			// A new one instead of the oldest: somebody may be reading that.
			list[i-1] = &window{}
			i--
		}
		list[i].segment, list[i].off = segment, off
	}
	win := list[i]
	copy(list[1:i+1], list[:i])
	list[0] = win
	w.mu.list = list
	w.mu.Unlock()
	win.mu.Lock()
	return win
}

func (w *windows) read(seg *segment, loc edgestore.Location, buf []byte) ([]byte, error) {
	if err := seg.findFrames(); err != nil {
		return nil, err
	}
	off, end, boot, ok := seg.marks.around(loc.Offset, seg.size)
	if !ok {
		return nil, fmt.Errorf("no frame there: %w", edgestore.ErrCorrupt)
	}
	// Behind the last mark the segment still grows: read what is needed now.
	end = min(end, max(align(loc.Offset+int64(loc.Length)), off+2*frameMax))
	win := w.take(seg.number, off)
	defer win.mu.Unlock()
	win.boot = boot
	if b, ok := win.find(seg.seed, loc); ok {
		return append(buf[:0], b...), nil
	}
	n := int(end - off)
	if cap(win.bytes) < n {
		win.bytes = make([]byte, n)
	}
	win.bytes, win.last = win.bytes[:n], bookmark{}
	if err := seg.readAt(win.bytes, off); err != nil {
		win.bytes = win.bytes[:0]
		return nil, err
	}
	b, ok := win.find(seg.seed, loc)
	if !ok {
		return nil, fmt.Errorf("no intact record there: %w", edgestore.ErrCorrupt)
	}
	return append(buf[:0], b...), nil
}

// recent is read for a stretch that is in memory and that nobody reads into.
func (w *windows) recent(seg *segment, loc edgestore.Location, buf []byte) ([]byte, bool) {
	w.mu.Lock()
	var win *window
	for _, x := range w.mu.list {
		if x.segment == seg.number && x.off <= loc.Offset && (win == nil || x.off > win.off) {
			win = x
		}
	}
	w.mu.Unlock()
	if win == nil || !win.mu.TryLock() {
		return buf, false
	}
	defer win.mu.Unlock()
	b, ok := win.find(seg.seed, loc)
	if !ok {
		return buf, false
	}
	return append(buf[:0], b...), true
}

// find finds the record that holds loc, checks it, and returns the bytes.
func (w *window) find(seed uint32, loc edgestore.Location) ([]byte, bool) {
	b, want := w.bytes, int(loc.Offset-w.off)
	if w.last.at <= want && want < w.last.end {
		return w.findInFrame(want, int(loc.Length))
	}
	var f frame
	boot := w.boot
	for at := 0; at+frameHeader <= len(b) && at < want; {
		body, ok := getFrame(b[at:], seed, &f)
		header := int(f.header())
		if !ok || f.boot < boot || int64(at+header)+body > int64(len(b)) {
			at += sector
			continue
		}
		boot = f.boot
		end := at + header + int(body)
		if want < end {
			w.last = bookmark{at: at + header, end: end, frame: f}
			return w.findInFrame(want, int(loc.Length))
		}
		at += align(header + int(body))
	}
	return nil, false
}

// findInFrame goes on from the last record, which stays within its frame and at
// or before what is wanted.
func (w *window) findInFrame(want, n int) ([]byte, bool) {
	c := &w.last
	for c.at < c.end {
		records := w.bytes[c.at:c.end]
		header, total, ok := c.frame.span(records)
		if !ok {
			return nil, false
		}
		if want < c.at+total {
			var r edgestore.Record
			if want < c.at+header || want+n > c.at+total {
				return nil, false
			}
			if _, _, ok := c.frame.record(records, &r); !ok {
				return nil, false
			}
			return w.bytes[want : want+n], true
		}
		c.at += total
	}
	return nil, false
}

// findFrames makes the marks of a segment that an earlier life wrote.
func (s *segment) findFrames() error {
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	if s.marks.mu.complete {
		return nil
	}
	// The scan holds the lock: whoever else reads this segment needs it too.
	sc := newHeadScanner(s)
	var f frame
	s.marks.mu.at, s.marks.mu.boots = nil, nil
	for sc.next(&f) {
		s.marks.addLocked(f.off, f.boot)
	}
	s.marks.mu.complete = sc.err == nil
	return sc.err
}
