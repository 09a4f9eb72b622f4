package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/frondmq/frond/edgestore"
)

// ErrTooLarge: the record does not fit into a segment.
var ErrTooLarge = errors.New("record is larger than a journal segment")

// Journal is an open journal. Append, Kick, Read, Sync, Release and the
// getters may be called from any goroutine.
type Journal struct {
	// Fixed at Open.
	o         Options
	boot      uint32
	recovered edgestore.LSN // the last one that Open found
	recovery  Recovery
	lock      io.Closer
	shelf     *shelf
	cache     *cache
	windows   *windows
	maxGroup  int // bytes of a group that fill a segment
	maxSpare  int // empty groups kept

	wake    chan struct{} // to the committer: take the open group
	hurry   chan struct{} // to the committer: don't gather any longer
	toApply chan *group
	lost    func(entries []edgestore.Entry) // nil: nobody asks
	closing chan struct{}
	done    sync.WaitGroup

	// mu guards what appenders and the committer share. No I/O and no
	// callback under it.
	mu struct {
		sync.Mutex
		refused error // why nothing is taken: closed or stalled
		next    edgestore.LSN
		open    *group
		full    []*group // groups that reached their bound, oldest first
		spare   []*group
		bound   int   // bytes of a group
		staged  int64 // bytes appended and not applied yet
		applied edgestore.LSN
		waiters []waiter
		damage  []Lost
		started bool
		closed  bool
	}

	synced atomic.Uint64
	room   atomic.Int64 // left in the active segment

	committer committer

	stats counters
}

// waiter is a call of Sync.
type waiter struct {
	lsn  edgestore.LSN
	done chan error
}

// Append copies a record into the open group and returns its LSN. The data of
// the record is r.Data followed by data; side is copied too and, like token,
// comes back with the entry. r.LSN is ignored; r.Stamp.Boot 0 means this boot.
// r.Seat and r.Place are set from r.Chain, in the order of the LSNs; a record
// that is not taken moves no chain.
//
// The record is not on its way before Kick (or Sync) is called. When Append
// returns an error nothing was taken; it is of class ErrBusy, ErrDiskFull,
// ErrClosed, ErrTooLarge or, while the disk refuses to write, whatever the disk
// said. Once it returned an LSN the entry is applied, or given to what Lost named,
// or the process ends.
func (j *Journal) Append(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	return j.append(r, side, token, false, data)
}

// AppendReserved is Append for small records that make room or keep promises:
// acknowledgements, deletes, expiry. It may use the reserve when the disk is
// full, and a quarter more of the memory budget.
func (j *Journal) AppendReserved(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	return j.append(r, side, token, true, data)
}

func (j *Journal) append(r *edgestore.Record, side []byte, token any, reserved bool, data [][]byte) (edgestore.LSN, error) {
	n := len(r.Data)
	for _, d := range data {
		n += len(d)
	}
	size := recordBytes(r, n)
	if limit := j.maxRecord(r.Twice); n > limit || size > limit {
		return 0, fmt.Errorf("append %d bytes, at most %d fit: %w", n, limit-recordHeader-groupFields, ErrTooLarge)
	}
	staged := int64(size + len(side))
	if r.Twice {
		staged += int64(copyBytes(size))
	}
	rolled := false
	j.mu.Lock()
	if err := j.refuseLocked(staged, reserved); err != nil {
		j.mu.Unlock()
		return 0, err
	}
	g := j.mu.open
	if len(g.buf) > 0 && (len(g.buf)+size > j.mu.bound || !g.fits(size, r.Twice, j.maxGroup)) {
		j.mu.full = append(j.mu.full, g)
		next := j.spareLocked()
		next.expect(g)
		g = next
		j.mu.open = g
		rolled = true
	}
	lsn := j.mu.next
	j.mu.next++
	if r.Chain != nil {
		r.Chain.Next(r)
	} else {
		r.Seat, r.Place = 0, 0
	}
	g.add(lsn, j.boot, r, size, side, token, data)
	g.staged += staged
	j.mu.staged += staged
	j.mu.Unlock()
	if rolled {
		j.Kick()
	}
	return lsn, nil
}

// maxRecord is the size of the largest record, its header included.
func (j *Journal) maxRecord(twice bool) int {
	n := j.maxGroup - frameHeader - sector
	if twice {
		n = (n - copyGap - sector - copyBytes(0)) / 2
	}
	return n
}

func (j *Journal) refuseLocked(staged int64, reserved bool) error {
	if j.mu.refused != nil {
		return j.mu.refused
	}
	budget := j.o.StagedBytes
	if reserved {
		budget += budget / 4
	}
	// A single record passes always: else one above the budget never would.
	if j.mu.staged > 0 && j.mu.staged+staged > budget {
		return edgestore.ErrBusy
	}
	// With the disk full, an eighth of the last segment and the reserve are
	// for reserved records.
	// So they are while the stores are behind with draining.
	if !reserved && j.shelf.behind.Load() && j.mu.staged+staged > j.room.Load()-j.o.SegmentBytes/8 {
		return edgestore.ErrBusy
	}
	if !reserved && j.shelf.full.Load() && j.mu.staged+staged > j.room.Load()-j.o.SegmentBytes/8 {
		return edgestore.ErrDiskFull
	}
	if err := j.shelf.unprepared.Load(); err != nil && !reserved && j.mu.staged+staged > j.room.Load()-j.o.SegmentBytes/8 {
		return *err
	}
	return nil
}

func (j *Journal) spareLocked() *group {
	if n := len(j.mu.spare); n > 0 {
		g := j.mu.spare[n-1]
		j.mu.spare = j.mu.spare[:n-1]
		return g
	}
	return newGroup()
}

// Kick sends what was appended on its way to the disk. Call it once after a
// batch of appends.
func (j *Journal) Kick() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Sync waits until everything appended so far is durable and applied.
func (j *Journal) Sync(ctx context.Context) error {
	j.mu.Lock()
	if j.mu.applied+1 >= j.mu.next {
		j.mu.Unlock()
		return nil
	}
	if err := j.mu.refused; err != nil {
		j.mu.Unlock()
		return fmt.Errorf("journal sync: %w", err)
	}
	w := waiter{lsn: j.mu.next - 1, done: make(chan error, 1)}
	j.mu.waiters = append(j.mu.waiters, w)
	j.mu.Unlock()
	select {
	case j.hurry <- struct{}{}:
	default:
	}
	j.Kick()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("journal sync: %w", ctx.Err())
	}
}

// wakeWaiters answers the Sync calls that are done, or all of them with err.
func (j *Journal) wakeWaiters(err error) {
	j.mu.Lock()
	var ready []waiter
	kept := j.mu.waiters[:0]
	for _, w := range j.mu.waiters {
		if err != nil || w.lsn <= j.mu.applied {
			ready = append(ready, w)
		} else {
			kept = append(kept, w)
		}
	}
	clear(j.mu.waiters[len(kept):])
	j.mu.waiters = kept
	j.mu.Unlock()
	for _, w := range ready {
		w.done <- err
	}
}

// Raise makes LSNs go on above lsn, which somebody remembers from before: an
// LSN must never be given twice, also when the journal was lost. Call it
// between Open and Start.
func (j *Journal) Raise(lsn edgestore.LSN) error {
	j.mu.Lock()
	started, next := j.mu.started, j.mu.next
	j.mu.Unlock()
	if started {
		return errors.New("journal: Raise after Start")
	}
	if lsn < next {
		return nil
	}
	if err := j.committer.findPlace(); err != nil {
		return fmt.Errorf("journal: move on to LSN %d: %w", lsn+1, err)
	}
	if err := j.committer.mark(lsn+1, next-1, frameJump); err != nil {
		return fmt.Errorf("journal: move on to LSN %d: %w", lsn+1, err)
	}
	j.synced.Store(uint64(lsn))
	j.committer.markMeta()
	j.mu.Lock()
	j.mu.next = lsn + 1
	j.mu.applied = lsn
	j.mu.Unlock()
	return nil
}

// Lost names who is told of entries that Close gave up, since the disk refused
// them to the end: a restart may find them or not. f gets each of them once, in
// order and behind all that is applied, on the goroutine that calls apply, and
// owns them as apply does. Call it before Start.
func (j *Journal) Lost(f func(entries []edgestore.Entry)) { j.lost = f }

// Start begins to commit what is appended. apply gets the entries in order,
// always from the same goroutine; it owns the slice and what is in it until it
// returns. It may append, but must not wait for the journal (Sync, Close).
func (j *Journal) Start(apply func(entries []edgestore.Entry)) {
	j.mu.Lock()
	if j.mu.started || j.mu.closed {
		j.mu.Unlock()
		panic("journal: Start after Start or Close")
	}
	j.mu.started = true
	j.mu.Unlock()
	j.done.Add(2)
	go j.shelf.keep()
	go func() {
		defer j.done.Done()
		defer close(j.toApply)
		j.committer.run()
	}()
	go func() {
		defer j.done.Done()
		j.applyGroups(apply)
	}()
}

// Release says that nothing at or below upTo is needed any more: its segments
// are used again.
func (j *Journal) Release(upTo edgestore.LSN) {
	j.shelf.release(min(upTo, j.Synced()))
}

// Synced is the newest durable LSN.
func (j *Journal) Synced() edgestore.LSN { return edgestore.LSN(j.synced.Load()) }

// Boot is the number of this boot, counted from 1 by the journal.
func (j *Journal) Boot() uint32 { return j.boot }

// First is the oldest LSN that may still be read; Synced()+1 when there is none.
func (j *Journal) First() edgestore.LSN {
	j.shelf.mu.Lock()
	defer j.shelf.mu.Unlock()
	for _, s := range j.shelf.mu.live {
		if s.first != 0 && s.last >= s.first {
			return s.first
		}
	}
	return j.Synced() + 1
}

// Recovery is what Open found.
func (j *Journal) Recovery() Recovery { return j.recovery }

// Damage lists the records that were durable and could not be read, as found
// by Open and Replay.
func (j *Journal) Damage() []Lost {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Lost(nil), j.mu.damage...)
}

// Close commits and applies what was appended, and gives the folder back. The
// error says when something could not be made durable; it was not
// acknowledged then.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.mu.closed {
		j.mu.Unlock()
		return nil
	}
	j.mu.closed = true
	j.mu.refused = edgestore.ErrClosed
	started := j.mu.started
	j.mu.Unlock()
	close(j.closing)
	var err error
	if started {
		j.done.Wait()
		close(j.shelf.stop)
		<-j.shelf.done
		err = j.committer.final
	}
	j.wakeWaiters(fmt.Errorf("journal sync: %w", edgestore.ErrClosed))
	err = errors.Join(err, j.committer.closeMeta(), j.shelf.close(), j.lock.Close())
	if err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}
