package journal

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// shelf holds the segment files: those with records, the one that comes next,
// and those that may be used again. Its keeper (keeper.go) is the only one that
// makes, renames and removes files, so that commits don't wait for that.
type shelf struct {
	o      *Options
	id     uint64
	boot   uint32
	synced func() edgestore.LSN

	mu struct {
		sync.Mutex
		live   []*segment // ascending; the last one is active
		next   *segment   // prepared and empty
		free   []*segment // drained, to be used again
		dead   []*segment // to be removed
		number uint64     // the highest ever used
		// released: no record up to here is needed, and its segment may be gone;
		// noted of it is what journal.id says.
		released, noted edgestore.LSN
		reserve         bool  // the reserve file is there
		ballast         bool  // the ballast file is there
		err             error // why there is no next one; nil while it may just take time
		changed         chan struct{}
	}
	// opening: a start must succeed on a full disk too, so that it can drain.
	opening bool
	// full: no room for another segment but the reserve.
	full atomic.Bool
	// unprepared: why there is no other segment, if not for want of room.
	unprepared atomic.Pointer[error]
	// behind: there will be room when what waits is drained.
	behind atomic.Bool

	kicked chan struct{}
	stop   chan struct{}
	done   chan struct{}
}

const (
	reserveName = "reserve"
	ballastName = "ballast"
	freshName   = "fresh.tmp"
)

func newShelf(o *Options, id uint64, boot uint32, synced func() edgestore.LSN) *shelf {
	s := &shelf{
		o: o, id: id, boot: boot, synced: synced,
		kicked: make(chan struct{}, 1),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	s.mu.changed = make(chan struct{})
	return s
}

func (s *shelf) path(name string) string { return filepath.Join(s.o.Dir, name) }

// kick lets the keeper look after the files.
func (s *shelf) kick() {
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

// take makes the next segment the active one, and waits until there is one or
// there can't be one.
func (s *shelf) take() (*segment, error) {
	for {
		s.mu.Lock()
		seg, err, changed := s.mu.next, s.mu.err, s.mu.changed
		if seg != nil {
			s.mu.next = nil
			s.mu.live = append(s.mu.live, seg)
		}
		s.mu.Unlock()
		if seg == nil && err != nil {
			return nil, err // the keeper tries again by itself
		}
		s.kick()
		if seg != nil {
			return seg, nil
		}
		<-changed
	}
}

// changed is closed at the next change of what is on the shelf.
func (s *shelf) changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.changed
}

func (s *shelf) broadcastLocked() {
	close(s.mu.changed)
	s.mu.changed = make(chan struct{})
}

// wrote notes what the committer has put into the active segment.
func (s *shelf) wrote(seg *segment, first, last edgestore.LSN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seg.first == 0 {
		seg.first = first
	}
	seg.last = last
}

// marked notes a frame without records.
func (s *shelf) marked(seg *segment, first, synced edgestore.LSN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seg.first == 0 {
		seg.first = synced + 1
	}
	seg.last = max(seg.last, first-1)
}

// giveUp takes a segment out of use after a failed write or sync. What had
// been synced in it stays readable.
func (s *shelf) giveUp(seg *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.bad = true
	if seg.first == 0 || seg.last < seg.first {
		if i := slices.Index(s.mu.live, seg); i >= 0 {
			s.mu.live = slices.Delete(s.mu.live, i, i+1)
			s.mu.dead = append(s.mu.dead, seg)
		}
	}
}

// release gives back every segment but the active one whose records are all at
// or below upTo.
func (s *shelf) release(upTo edgestore.LSN) {
	s.mu.Lock()
	freed := false
	for len(s.mu.live) > 1 && s.mu.live[0].last <= upTo {
		seg := s.mu.live[0]
		s.mu.live = slices.Delete(s.mu.live, 0, 1)
		s.mu.released = max(s.mu.released, seg.last)
		if seg.bad || seg.size != s.o.SegmentBytes {
			s.mu.dead = append(s.mu.dead, seg)
		} else {
			s.mu.free = append(s.mu.free, seg)
		}
		freed = true
	}
	s.mu.Unlock()
	if freed {
		s.kick()
	}
}

// releasedUpTo is the newest record whose segment was released.
func (s *shelf) releasedUpTo() edgestore.LSN {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.released
}

// acquire finds a segment for reading; done must be called after it.
func (s *shelf) acquire(number uint64) *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range s.mu.live {
		if seg.number == number {
			seg.refs++
			return seg
		}
	}
	return nil
}

func (s *shelf) doneReading(seg *segment) {
	s.mu.Lock()
	seg.refs--
	idle := seg.refs == 0
	s.mu.Unlock()
	if idle {
		s.kickIfWaiting()
	}
}

// kickIfWaiting wakes the keeper when a file could not be reused or removed
// because somebody read it.
func (s *shelf) kickIfWaiting() {
	s.mu.Lock()
	waiting := len(s.mu.dead) > 0 || s.mu.next == nil || !s.mu.reserve
	s.mu.Unlock()
	if waiting {
		s.kick()
	}
}

// snapshot lists the segments with records, oldest first, with one reference
// to each.
func (s *shelf) snapshot() []*segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	segs := slices.Clone(s.mu.live)
	for _, seg := range segs {
		seg.refs++
	}
	return segs
}

// close closes the files. The keeper has ended.
func (s *shelf) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, list := range [][]*segment{s.mu.live, s.mu.free, s.mu.dead, {s.mu.next}} {
		for _, seg := range list {
			if seg != nil && seg.file != nil {
				errs = append(errs, seg.file.Close())
			}
		}
	}
	s.mu.live, s.mu.free, s.mu.dead, s.mu.next = nil, nil, nil, nil
	return errors.Join(errs...)
}

// wrapSpace gives an error its class.
func wrapSpace(err error) error {
	if vfs.IsNoSpace(err) {
		return fmt.Errorf("%w: %w", edgestore.ErrDiskFull, err)
	}
	return err
}
