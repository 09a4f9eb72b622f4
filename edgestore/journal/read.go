package journal

import (
	"fmt"
	"sync"

	"github.com/frondmq/frond/edgestore"
)

// Read returns the bytes at loc, which lie within the data of one record, in
// buf when that is large enough. They are checked, unless they come from
// memory. The error is of class ErrCorrupt when the record is damaged, and
// ErrNotFound when its segment was released.
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
	mu      sync.Mutex // guards bytes, also while they are read
	bytes   []byte
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
	seg.findFrames()
	off, end, ok := seg.marks.around(loc.Offset, seg.size)
	if !ok {
		return nil, fmt.Errorf("no frame there: %w", edgestore.ErrCorrupt)
	}
	// Behind the last mark the segment still grows: read what is needed now.
	end = min(end, max(align(loc.Offset+int64(loc.Length)), off+2*frameMax))
	win := w.take(seg.number, off)
	defer win.mu.Unlock()
	if b, ok := findRecord(win.bytes, off, seg.seed, loc); ok {
		return append(buf[:0], b...), nil
	}
	n := int(end - off)
	if cap(win.bytes) < n {
		win.bytes = make([]byte, n)
	}
	win.bytes = win.bytes[:n]
	readWhatCanBeRead(seg.file, win.bytes, off)
	b, ok := findRecord(win.bytes, off, seg.seed, loc)
	if !ok {
		return nil, fmt.Errorf("no intact record there: %w", edgestore.ErrCorrupt)
	}
	return append(buf[:0], b...), nil
}

// findRecord finds the record that holds loc in a stretch of frames that
// begins at off, checks it, and returns the bytes.
func findRecord(b []byte, off int64, seed uint32, loc edgestore.Location) ([]byte, bool) {
	want := int(loc.Offset - off)
	var f frame
	for at := 0; at+frameHeader <= len(b) && at < want; {
		body, ok := getFrame(b[at:], seed, &f)
		if !ok || int64(at)+frameHeader+body > int64(len(b)) {
			at += sector
			continue
		}
		records := b[at+frameHeader:][:body]
		if want < at+frameHeader+int(body) {
			return findInFrame(records, want-at-frameHeader, int(loc.Length), f.seed)
		}
		at += align(frameHeader + int(body))
	}
	return nil, false
}

func findInFrame(records []byte, want, n int, seed uint32) ([]byte, bool) {
	for at := 0; at < len(records); {
		header, total, ok := recordSpan(records[at:])
		if !ok {
			return nil, false
		}
		if want < at+total {
			var r edgestore.Record
			if want < at+header || want+n > at+total {
				return nil, false
			}
			if _, _, ok := getRecord(records[at:], seed, &r); !ok {
				return nil, false
			}
			return records[want : want+n], true
		}
		at += total
	}
	return nil, false
}

// findFrames makes the marks of a segment that an earlier life wrote.
func (s *segment) findFrames() {
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	if s.marks.mu.complete {
		return
	}
	// The scan holds the lock: whoever else reads this segment needs it too.
	sc := newScanner(s)
	var f frame
	for sc.next(&f) {
		s.marks.addLocked(f.off)
	}
	s.marks.mu.complete = true
}
