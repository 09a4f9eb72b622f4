package journal

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/frondmq/frond/edgestore"
)

// Replay gives h every durable record above from, in order, and the holes
// where records were durable and can't be read; these are told to
// Events.Damaged and Damage too. A record that was written twice is in a hole
// only when both are damaged. A read that goes on failing is no damage: Replay
// returns its error. Call it between Open and Start.
func (j *Journal) Replay(from edgestore.LSN, h edgestore.ReplayHandler) error {
	call := each(h.Entry)
	if r, ok := h.(edgestore.RunHandler); ok {
		call = r.Entries
	}
	return j.walk(from, call, func(l Lost) error {
		j.noteLost(l)
		return h.Hole(l.First, l.Last)
	})
}

// Scan gives f every durable record above from that can be read, in order, and
// tells no damage: it is for looking ahead, out of a Replay too. Call it
// between Open and Start.
func (j *Journal) Scan(from edgestore.LSN, f func(*edgestore.Entry) error) error {
	return j.walk(from, each(f), func(Lost) error { return nil })
}

// each gives the entries of a run one by one.
func each(f func(*edgestore.Entry) error) func([]edgestore.Entry) error {
	return func(run []edgestore.Entry) error {
		for i := range run {
			if err := f(&run[i]); err != nil {
				return fmt.Errorf("LSN %d: %w", run[i].LSN, err)
			}
		}
		return nil
	}
}

func (j *Journal) walk(from edgestore.LSN, call func([]edgestore.Entry) error, lost func(Lost) error) error {
	j.mu.Lock()
	started := j.mu.started
	j.mu.Unlock()
	if started {
		return errors.New("journal: Replay or Scan after Start")
	}
	segs := j.shelf.snapshot()
	defer func() {
		for _, s := range segs {
			j.shelf.doneReading(s)
		}
	}()
	// Of what was released some may still be there; what is not is no loss.
	w := walk{expect: from + 1, floor: j.shelf.releasedUpTo(), call: call, lost: lost}
	first := w.floor + 1
	if len(segs) > 0 {
		first = min(first, segs[0].first)
	}
	w.expect = max(w.expect, first)
	for i, s := range segs {
		// What a later segment begins with is not taken from this one: it was
		// written again there.
		w.limit = j.recovered + 1
		if i+1 < len(segs) {
			w.limit = segs[i+1].first
		}
		if w.limit <= w.expect {
			continue
		}
		if err := w.segment(s); err != nil {
			return err
		}
		if err := w.missing(w.limit); err != nil {
			return err
		}
	}
	w.seg, w.copies = nil, nil
	return w.missing(j.recovered + 1)
}

func (j *Journal) noteLost(l Lost) {
	j.mu.Lock()
	for _, known := range j.mu.damage {
		if known == l {
			j.mu.Unlock()
			return
		}
	}
	j.mu.damage = append(j.mu.damage, l)
	j.mu.Unlock()
	if f := j.o.Events.Damaged; f != nil {
		f(l)
	}
}

// walk reads records in order and notices what is missing.
type walk struct {
	expect edgestore.LSN // the next one
	limit  edgestore.LSN // the first that is not wanted
	floor  edgestore.LSN // what is missing up to here is told to nobody
	call   func([]edgestore.Entry) error
	lost   func(Lost) error

	seg *segment
	sc  scanner
	e   edgestore.Entry   // the one that was read
	run []edgestore.Entry // of one frame, to be given; expect is behind them
	// copies are second records whose first ones were not met, in order.
	copies []edgestore.Entry
	// ahead is up to where in the segment copies were looked for.
	ahead int64
}

// missing goes on to next: what is between is taken from the copies, or lost.
func (w *walk) missing(next edgestore.LSN) error {
	for w.expect < next {
		for len(w.copies) > 0 && w.copies[0].LSN < w.expect {
			w.copies = w.copies[1:]
		}
		end := next
		if len(w.copies) > 0 {
			end = min(end, w.copies[0].LSN)
		}
		if end > w.expect {
			l := Lost{max(w.expect, w.floor+1), end - 1}
			w.expect = end
			if l.First > l.Last {
				continue
			}
			if err := w.lost(l); err != nil {
				return fmt.Errorf("replay: records %d to %d are damaged: %w", l.First, l.Last, err)
			}
			continue
		}
		w.expect++
		if err := w.give(w.copies[:1]); err != nil {
			return err
		}
	}
	return nil
}

// give hands out records.
func (w *walk) give(run []edgestore.Entry) error {
	if len(run) == 0 {
		return nil
	}
	if err := w.call(run); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return nil
}

// giveRun hands out what was gathered of a frame.
func (w *walk) giveRun() error {
	err := w.give(w.run)
	w.run = w.run[:0]
	return err
}

func (w *walk) segment(s *segment) error {
	w.seg, w.copies, w.ahead = s, nil, 0
	w.sc.reset(s)
	var f frame
	for w.sc.next(&f) {
		if err := w.frame(&f); err != nil {
			return err
		}
	}
	return w.sc.err
}

// frame goes on over one frame.
func (w *walk) frame(f *frame) error {
	if f.flags&frameJump != 0 && f.first > w.expect {
		if err := w.missing(min(f.synced+1, w.limit)); err != nil {
			return err
		}
		w.expect = max(w.expect, min(f.first, w.limit))
	}
	switch {
	case f.first >= w.limit:
	case f.flags&frameCopy == 0:
		return w.records(f)
	case f.end() > w.ahead:
		w.keep(f)
	}
	return nil
}

// records hands out the records of a frame.
func (w *walk) records(f *frame) error {
	e := &w.e
	for c := f.records(); ; {
		at, ok := c.next(&e.Record)
		if !ok || e.LSN >= w.limit {
			return w.giveRun()
		}
		if e.LSN < w.expect {
			continue
		}
		if e.LSN > w.expect {
			if err := w.giveRun(); err != nil {
				return err
			}
			if err := w.lookAhead(f); err != nil {
				return err
			}
			if err := w.missing(e.LSN); err != nil {
				return err
			}
		}
		e.At = w.at(f, e, at)
		w.expect = e.LSN + 1
		w.run = append(w.run, *e)
	}
}

// at is the location of a record in a frame, whose data begins at pos.
func (w *walk) at(f *frame, e *edgestore.Entry, pos int) edgestore.Location {
	return edgestore.Location{Segment: w.seg.number, Offset: f.off + f.header() + int64(pos), Length: uint32(len(e.Data))}
}

// keep remembers the copies in a frame that are still expected: in a sound log
// there are none, for what they are copies of comes first.
func (w *walk) keep(f *frame) {
	var e edgestore.Entry
	for c := f.records(); ; {
		at, ok := c.next(&e.Record)
		if !ok || e.LSN >= w.limit {
			return
		}
		if e.LSN < w.expect || len(w.copies) > 0 && e.LSN <= w.copies[len(w.copies)-1].LSN {
			continue
		}
		e.At = w.at(f, &e, at)
		kept := e
		kept.Data = bytes.Clone(e.Data)
		w.copies = append(w.copies, kept)
	}
}

// lookAhead collects the copies behind a frame with a hole in or before it, up
// to the end of its group.
func (w *walk) lookAhead(f *frame) error {
	if f.end() <= w.ahead {
		return nil
	}
	sc := newScanner(w.seg)
	sc.off, sc.boot = f.end(), f.boot
	w.ahead = sc.off
	var next frame
	for sc.next(&next) && next.flags&frameGroup == 0 && next.format > 1 && next.count > 0 {
		if next.flags&frameCopy != 0 {
			w.keep(&next)
		}
		w.ahead = next.end()
	}
	return sc.err
}
