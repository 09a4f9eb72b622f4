package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// drainer brings what was applied from memory into the files of the stores
// and of the catalogue, and then lets the journal reuse its segments. It runs
// when enough has gathered, when the disk is full, and at the end.
type drainer struct {
	e       *Engine
	pending atomic.Int64  // bytes applied, and bytes let go of, since the last drain began
	newest  atomic.Uint64 // LSN of the operation applied last
	spare   *spare
	busy    sync.Mutex    // one drain at a time
	most    time.Duration // what the drain at the end may take
	until   atomic.Int64  // nanoseconds since 1970 when that ends; 0: not yet
	wake    chan struct{}
	soon    chan struct{} // a drain is due within drainDelay
	cancel  context.CancelFunc
	stopped chan struct{}
}

// newDrainer makes one; recovered is the newest operation that the recovery
// applied.
func newDrainer(e *Engine, recovered edgestore.LSN) *drainer {
	d := &drainer{e: e, wake: make(chan struct{}, 1), soon: make(chan struct{}, 1), stopped: make(chan struct{}), spare: newSpare(e.cfg.Dir), most: closeDrain}
	d.newest.Store(uint64(recovered))
	return d
}

func (d *drainer) start() {
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	go d.run(ctx)
}

// applied counts what the journal's applier has done.
func (e *Engine) applied(a *applier, entries []edgestore.Entry) {
	if !a.durable || a.replays || len(entries) == 0 {
		return
	}
	n := int64(0)
	for i := range entries {
		n += int64(len(entries[i].Data)) + recordOverhead
		e.latest = max(e.latest, entries[i].Stamp.Wall)
	}
	e.drain.newest.Store(uint64(entries[len(entries)-1].LSN))
	if e.drain.pending.Add(n) >= e.cfg.DrainBytes {
		e.drain.kick()
	}
}

// recordOverhead is about what a record costs the journal beside its data.
const recordOverhead = 32

func (d *drainer) kick() {
	if d == nil {
		return
	}
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// later has what was deleted leave the disk in a while, together with what else
// is deleted until then.
func (d *drainer) later() {
	if d != nil {
		poke(d.soon)
	}
}

func (d *drainer) run(ctx context.Context) {
	defer close(d.stopped)
	retry := time.NewTimer(drainRetry)
	retry.Stop() // until a drain fails
	defer retry.Stop()
	var said time.Time // when a failure was logged last
	var delay <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.soon:
			if delay == nil {
				delay = time.After(drainDelay)
			}
			continue
		case <-d.wake:
		case <-retry.C:
		case <-delay:
		}
		delay = nil
		err := d.drain()
		retry.Stop()
		switch now := time.Now(); {
		case err == nil && !said.IsZero():
			d.e.logger.Info("JetStream stores take what is in the journal again")
			said = time.Time{}
		case err == nil:
		default:
			if now.Sub(said) >= drainSilence {
				d.e.logger.Error("JetStream stores do not take what is in the journal, it stays there", "err", err)
				said = now
			}
			retry.Reset(drainRetry)
		}
	}
}

const (
	// drainRetry is when a drain that failed is tried again by itself,
	// drainSilence how long the next failures are not logged.
	drainRetry   = 5 * time.Second
	drainSilence = 10 * time.Minute
	// drainDelay is how long the files of a deleted stream stay at most, when
	// their room is not needed: deletes that come one by one share a drain.
	drainDelay = time.Minute
	// closeDrain is what the drain at the end may take: whoever stops a server does
	// not wait for ever, and a stream that was never drained costs several syncs.
	closeDrain = 10 * time.Second
)

// close ends the goroutine and drains once more; twice when that fails, for a
// file that could not be written is made anew by the next flush. What it has no
// time for stays in the journal.
func (d *drainer) close() error {
	d.until.Store(time.Now().Add(d.most).UnixNano())
	d.cancel()
	<-d.stopped
	if d.drain() == nil {
		return nil
	}
	return d.drain()
}

// drain flushes everything dirty. A stream whose store fails keeps its part of
// the journal; the others go on. When the disk is full, what was removed makes
// room first.
func (d *drainer) drain() error {
	d.busy.Lock()
	defer d.busy.Unlock()
	d.pending.Store(0)
	newest := edgestore.LSN(d.newest.Load())
	err := d.round(newest)
	if vfs.IsNoSpace(err) && d.makeRoom() {
		err = d.round(newest)
	}
	if err == nil {
		d.spare.fill()
	}
	return err
}

// makeRoom reports whether it found any.
func (d *drainer) makeRoom() bool {
	made := d.spare.drop()
	for _, s := range d.e.allStreams() {
		if st, ok := s.store.(interface{ Shrink() (bool, error) }); ok {
			freed, _ := st.Shrink() // an error is one of the flush that follows
			made = made || freed
		}
	}
	return made
}

// round flushes everything dirty once.
func (d *drainer) round(newest edgestore.LSN) error {
	var errs []error
	left := 0
	for _, s := range d.e.allStreams() {
		if s.memory {
			continue
		}
		if d.late() {
			left++
			continue
		}
		if err := s.packIDs(); err != nil {
			errs = append(errs, fmt.Errorf("stream %q: %w", s.name, err))
		}
		if !s.seal() {
			continue
		}
		if err := s.store.Flush(); err != nil {
			errs = append(errs, fmt.Errorf("stream %q: %w", s.name, err))
		}
		if h, rows, ok := s.flushed(); ok {
			d.e.noteHead(s.incarnation, h, rows)
		}
	}
	if err := d.e.writeCatalogue(); err != nil {
		errs = append(errs, err)
	}
	d.e.journal.Release(d.e.releasable(newest))
	if left > 0 {
		d.e.logger.Info("JetStream stops before all streams are in their files: the journal has the rest", "streams", left)
	}
	return errors.Join(errs...)
}

// late tells that the drain at the end has taken as long as it may.
func (d *drainer) late() bool {
	until := d.until.Load()
	return until != 0 && time.Now().UnixNano() >= until
}

// writeCatalogue brings the catalogue up to date on disk.
func (e *Engine) writeCatalogue() error {
	trash, dirty := e.sealCatalogue()
	if !dirty {
		return nil
	}
	return e.flushCatalogue(trash)
}

// writeStart has the catalogue on disk say which start of the journal this is,
// and nothing else: what the journal has above it, which may be very many
// streams, waits for a drain.
func (e *Engine) writeStart() error {
	e.table.Seal(e.table.Applied(), []edgestore.Aux{e.mu.cat.started.row()})
	return e.table.Flush()
}

func (e *Engine) flushCatalogue(trash map[uint64]edgestore.Store) error {
	if err := e.table.Flush(); err != nil {
		e.mu.Lock()
		for inc, st := range trash {
			if e.mu.cat.trash == nil {
				e.mu.cat.trash = make(map[uint64]edgestore.Store)
			}
			e.mu.cat.trash[inc] = st
		}
		e.mu.Unlock()
		return fmt.Errorf("catalogue: %w", err)
	}
	e.mu.Lock()
	if durable := e.table.Applied(); durable >= e.mu.cat.applied {
		e.mu.cat.dirtyFrom = 0
	} else {
		e.mu.cat.dirtyFrom = durable + 1
	}
	e.mu.Unlock()
	var errs []error
	for inc, st := range trash {
		var err error
		if st != nil {
			err = st.Delete()
		} else {
			err = e.cfg.backend.remove(inc)
		}
		if err != nil {
			// The row that says so stays, so that a restart removes them.
			errs = append(errs, fmt.Errorf("files of deleted stream %d: %w", inc, err))
			continue
		}
		e.buried(inc)
	}
	return errors.Join(errs...)
}

// closeTrash closes the stores of deleted streams that no drain has removed: an
// engine that this process opens on the folder later must not find them locked.
func (e *Engine) closeTrash() {
	e.mu.Lock()
	trash := e.mu.cat.trash
	e.mu.cat.trash = nil
	e.mu.Unlock()
	for _, st := range trash {
		if st != nil {
			_ = st.Close() // what is lost with an error was to go
		}
	}
}

// releasable is up to where nothing needs the journal any more: below the
// oldest operation that some store or the catalogue has only in memory, and
// not above what was applied when the drain began.
func (e *Engine) releasable(newest edgestore.LSN) edgestore.LSN {
	upTo := newest
	lower := func(from edgestore.LSN) {
		if from != 0 {
			upTo = min(upTo, from-1)
		}
	}
	e.mu.RLock()
	lower(e.mu.cat.dirtyFrom)
	for _, o := range e.mu.offline {
		lower(o.from)
	}
	e.mu.RUnlock()
	for _, s := range e.allStreams() {
		if !s.memory {
			lower(s.undrained())
		}
	}
	return upTo
}
