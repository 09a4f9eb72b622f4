package journal

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/frondmq/frond/edgestore/vfs"
)

// retryEvery is how often the keeper looks whether space has come back.
const retryEvery = time.Second

// zeroStep is how much is zero-filled between two looks at whether to stop.
const zeroStep = 256 << 10

// keep is the keeper: the goroutine that has files ready before they are
// needed, and puts away those that are not needed any more.
func (s *shelf) keep() {
	defer close(s.done)
	timer := time.NewTimer(retryEvery)
	defer timer.Stop()
	for {
		again := s.tend()
		var retry <-chan time.Time
		if again {
			timer.Reset(retryEvery)
			retry = timer.C
		}
		select {
		case <-s.stop:
			return
		case <-s.kicked:
		case <-retry:
		}
	}
}

// tend does what is to be done, in the order of its weight: the next segment,
// the reserve, the ballast. It reports whether it must be tried again later.
func (s *shelf) tend() (again bool) {
	s.bury()
	err := s.fillNext()
	if err == nil {
		err = s.fillReserve()
	} else if s.behind.Load() {
		_ = s.fillReserve() // the room is there, and next may be the reserve
	}
	if errors.Is(err, errStopped) {
		return false
	}
	if err != nil && vfs.IsNoSpace(err) && !s.behind.Load() {
		s.dropBallast()
	}
	if err == nil && !s.fillBallast() {
		again = true
	}
	s.trim()
	s.mu.Lock()
	had := s.mu.err != nil
	s.mu.err = nil
	if s.mu.next == nil && err != nil {
		s.mu.err = wrapSpace(err)
	}
	if had != (s.mu.err != nil) {
		s.broadcastLocked()
	}
	s.mu.Unlock()
	if err == nil {
		s.behind.Store(false)
	}
	if s.behind.Load() {
		err = nil // there is room for what drains it
		again = true
	}
	s.tell(err)
	return again || err != nil
}

// tell says when segments can't be made any more, why, and when they can again.
func (s *shelf) tell(err error) {
	full, fails := vfs.IsNoSpace(err), err != nil && !vfs.IsNoSpace(err)
	if was := s.full.Swap(full); was != full {
		if full {
			if f := s.o.Events.Full; f != nil {
				f(wrapSpace(err))
			}
		} else if f := s.o.Events.Roomy; f != nil {
			f()
		}
	}
	was := s.unprepared.Load() != nil
	if fails {
		err = fmt.Errorf("the journal can't make another segment: %w", err)
		s.unprepared.Store(&err)
	} else {
		s.unprepared.Store(nil)
	}
	if was != fails {
		if fails {
			if f := s.o.Events.Unprepared; f != nil {
				f(err)
			}
		} else if f := s.o.Events.Prepared; f != nil {
			f()
		}
	}
}

var errStopped = errors.New("stopped")

// popFree takes a file to be used again that nobody reads.
func (s *shelf) popFree() *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, seg := range s.mu.free {
		if seg.refs == 0 {
			s.mu.free = append(s.mu.free[:i], s.mu.free[i+1:]...)
			return seg
		}
	}
	return nil
}

// fillNext prepares the next segment: from a drained one, a fresh file, or,
// when there is no room for that, the reserve.
func (s *shelf) fillNext() error {
	s.mu.Lock()
	have := s.mu.next != nil
	s.mu.number++
	number := s.mu.number
	if have {
		s.mu.number--
	}
	s.mu.Unlock()
	if have {
		return s.freeNext()
	}
	err := s.roomToDrain()
	spare := err != nil && s.recycle(segmentName(number)) == nil
	if err == nil {
		err = s.toName(segmentName(number))
	}
	if err != nil && !spare && (errors.Is(err, errStopped) || !s.useReserve(segmentName(number))) {
		return err
	}
	seg, openErr := s.prepare(number)
	if openErr != nil {
		s.o.FS.Remove(s.path(segmentName(number)))
		return errors.Join(err, openErr)
	}
	seg.reserve = err != nil
	s.mu.Lock()
	s.mu.next = seg
	s.broadcastLocked()
	s.mu.Unlock()
	return err
}

// freeNext lets everything into the next segment, not only reserved records, when
// there is room to drain it.
func (s *shelf) freeNext() error {
	s.mu.Lock()
	held := s.o.SharedDisk && s.mu.next != nil && s.mu.next.reserve
	s.mu.Unlock()
	if !held {
		return nil
	}
	if err := s.roomToDrain(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.mu.next != nil && s.mu.reserve { // else it is the reserve
		s.mu.next.reserve = false
	}
	s.mu.Unlock()
	return nil
}

// toName puts a file of segment size, drained or fresh, under a name.
func (s *shelf) toName(name string) error {
	if err := s.recycle(name); !errors.Is(err, errNoneFree) {
		return err
	}
	if err := s.roomFor(s.o.SegmentBytes); err != nil {
		return err
	}
	if err := s.fresh(s.o.SegmentBytes); err != nil {
		return err
	}
	return s.o.FS.Rename(s.path(freshName), s.path(name))
}

var errNoneFree = errors.New("no drained segment")

// recycle puts a drained file under a name.
func (s *shelf) recycle(name string) error {
	seg := s.popFree()
	if seg == nil {
		return errNoneFree
	}
	s.noteReleased()
	err := seg.file.Close()
	if renameErr := s.o.FS.Rename(seg.path, s.path(name)); renameErr != nil {
		return errors.Join(err, renameErr)
	}
	return nil
}

// noteReleased writes down what was released, before its file goes: else a
// start would take it for lost. Where that fails it may do so; nothing is lost.
func (s *shelf) noteReleased() {
	s.mu.Lock()
	upTo, noted := s.mu.released, s.mu.noted
	s.mu.Unlock()
	if upTo <= noted {
		return
	}
	b := make([]byte, releaseBytes)
	putReleased(b, s.id, upTo)
	f, err := s.o.FS.Open(s.path(metaName))
	if err == nil {
		if _, err = f.WriteAt(b, releasePage); err == nil {
			err = f.Sync()
		}
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		if f := s.o.Events.SyncFailed; f != nil {
			f(metaName, err)
		}
		return
	}
	s.mu.Lock()
	s.mu.noted = upTo
	s.mu.Unlock()
}

// roomToDrain refuses another segment when the stores could not drain it, and
// what is waiting, into what the disk has left: a journal that cannot be drained
// does not become smaller again. A quarter more is for what the stores put
// around messages; a segment more is for what must go on when the disk is full.
// When it was full, there must be a little more, lest it goes to and fro.
func (s *shelf) roomToDrain() error {
	if !s.o.SharedDisk || s.opening {
		return nil
	}
	size := s.o.SegmentBytes
	empty := 2 * size // needed when nothing waits
	if s.full.Load() {
		empty += size / 2
	}
	live := int64(0)
	s.mu.Lock()
	for _, seg := range s.mu.live {
		live += seg.size
	}
	if s.mu.ballast {
		empty -= s.o.BallastBytes
	}
	s.mu.Unlock()
	need := (empty + live) * 5 / 4
	free, err := s.o.FS.Free(s.o.Dir)
	if err != nil || free < 0 {
		return nil
	}
	// What is drained takes a quarter more, and gives back its segments but
	// those that are kept.
	kept := int64(s.o.KeepFree+1) * size
	s.behind.Store(free < need && free-live/4-kept >= (empty+size)*5/4)
	if free < need {
		return fmt.Errorf("%d bytes free, %d needed to drain the journal: %w", free, need, syscall.ENOSPC)
	}
	return nil
}

// roomFor refuses early what would take the room that the ballast gave up: that
// is for the stores, which drain the journal into it.
func (s *shelf) roomFor(size int64) error {
	s.mu.Lock()
	if !s.mu.ballast {
		size += max(s.o.BallastBytes, 0)
	}
	s.mu.Unlock()
	free, err := s.o.FS.Free(s.o.Dir)
	if err == nil && free >= 0 && free < size {
		return fmt.Errorf("%d bytes free, %d needed: %w", free, size, syscall.ENOSPC)
	}
	return nil
}

// fresh makes a zero-filled file with the name freshName. Zero-filled, because
// then a commit changes nothing but bytes: no block is allocated, no extent
// converted, no length changed, and fdatasync has no metadata to write.
func (s *shelf) fresh(size int64) (err error) {
	f, err := s.o.FS.Create(s.path(freshName))
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			s.o.FS.Remove(s.path(freshName))
		}
	}()
	for off := int64(0); off < size; off += zeroStep {
		select {
		case <-s.stop:
			return errStopped
		default:
		}
		if err := vfs.Zero(f, off, min(off+zeroStep, size), zeroStep); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) useReserve(name string) bool {
	s.mu.Lock()
	have := s.mu.reserve
	s.mu.reserve = false
	s.mu.Unlock()
	return have && s.o.FS.Rename(s.path(reserveName), s.path(name)) == nil
}

// prepare writes the header of a segment whose file has its name already, and
// makes both durable: after this a commit needs nothing but its own bytes.
func (s *shelf) prepare(number uint64) (*segment, error) {
	path := s.path(segmentName(number))
	f, err := s.o.FS.Open(path)
	if err != nil {
		return nil, err
	}
	seg := &segment{number: number, path: path, file: f, seed: segmentSeed(s.id, number), format: Format,
		tail: segmentHeader, told: s.o.Events.ReadFailed}
	seg.marks.mu.complete = true
	if seg.size, err = f.Size(); err == nil {
		err = s.writeHeader(seg)
	}
	if err == nil {
		err = s.o.FS.SyncDir(s.o.Dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare segment %s: %w", segmentName(number), err), f.Close())
	}
	return seg, nil
}

func (s *shelf) writeHeader(seg *segment) error {
	page := make([]byte, segmentHeader)
	putSegmentInfo(page, segmentInfo{
		format: Format, id: s.id, number: seg.number, floor: s.synced(), boot: s.boot,
	})
	putReleased(page[headerRelease:], s.id, s.releasedUpTo())
	if _, err := seg.file.WriteAt(page, 0); err != nil {
		return err
	}
	return seg.file.Sync()
}

// fillReserve makes the file that AppendReserved falls back on.
func (s *shelf) fillReserve() error {
	s.mu.Lock()
	have := s.mu.reserve
	s.mu.Unlock()
	if have {
		return nil
	}
	if err := s.toName(reserveName); err != nil {
		return err
	}
	if err := s.o.FS.SyncDir(s.o.Dir); err != nil {
		return err
	}
	s.mu.Lock()
	s.mu.reserve = true
	s.mu.Unlock()
	return nil
}

// fillBallast reports whether the ballast is there (or not wanted).
func (s *shelf) fillBallast() bool {
	s.mu.Lock()
	have := s.mu.ballast || s.o.BallastBytes <= 0
	s.mu.Unlock()
	if have {
		return true
	}
	// Only with room to spare, else it would be filled and dropped in turns.
	if free, err := s.o.FS.Free(s.o.Dir); err != nil || free >= 0 && free < 2*s.o.BallastBytes+s.o.SegmentBytes {
		return false
	}
	if err := s.fresh(s.o.BallastBytes); err != nil {
		return errors.Is(err, errStopped)
	}
	if err := s.o.FS.Rename(s.path(freshName), s.path(ballastName)); err != nil {
		return false
	}
	s.mu.Lock()
	s.mu.ballast = true
	s.mu.Unlock()
	return true
}

func (s *shelf) dropBallast() {
	s.mu.Lock()
	have := s.mu.ballast
	s.mu.ballast = false
	s.mu.Unlock()
	if have {
		s.o.FS.Remove(s.path(ballastName))
	}
}

// trim lets go of more free files than are kept.
func (s *shelf) trim() {
	s.mu.Lock()
	for len(s.mu.free) > s.o.KeepFree {
		s.mu.dead = append(s.mu.dead, s.mu.free[0])
		s.mu.free = s.mu.free[1:]
	}
	s.mu.Unlock()
	s.bury()
}

// bury removes dead files that nobody reads.
func (s *shelf) bury() {
	s.mu.Lock()
	var gone []*segment
	kept := s.mu.dead[:0]
	for _, seg := range s.mu.dead {
		if seg.refs == 0 {
			gone = append(gone, seg)
		} else {
			kept = append(kept, seg)
		}
	}
	s.mu.dead = kept
	s.mu.Unlock()
	if len(gone) > 0 {
		s.noteReleased()
	}
	for _, seg := range gone {
		// What can't be removed now is found, and found to be of no use, at
		// the next start.
		seg.file.Close()
		s.o.FS.Remove(seg.path)
	}
}

// ready takes a first segment; used while opening, before the keeper runs.
func (s *shelf) ready() (*segment, error) {
	s.opening = true
	defer func() { s.opening = false }()
	for again := true; ; again = false {
		err := s.fillNext()
		s.mu.Lock()
		have := s.mu.next != nil // perhaps the reserve, in spite of the error
		ballast := s.mu.ballast
		s.mu.Unlock()
		if have {
			return s.take()
		}
		if !again || !ballast || !vfs.IsNoSpace(err) {
			return nil, wrapSpace(err)
		}
		s.dropBallast()
	}
}
