package journal

import (
	"errors"
	"fmt"

	"github.com/frondmq/frond/edgestore"
)

// Replay calls f for every durable record above from that can be read, in
// order. The entry and its data are valid until f returns; an error of f ends
// it. Call it between Open and Start. Records that can't be read are skipped
// and told to Events.Damaged and Damage.
func (j *Journal) Replay(from edgestore.LSN, f func(*edgestore.Entry) error) error {
	j.mu.Lock()
	started := j.mu.started
	j.mu.Unlock()
	if started {
		return errors.New("journal: Replay after Start")
	}
	segs := j.shelf.snapshot()
	defer func() {
		for _, s := range segs {
			j.shelf.doneReading(s)
		}
	}()
	w := walk{expect: from + 1, call: f, lost: j.noteLost}
	begun := false
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
		if !begun {
			// What lay before the first segment was released.
			begun = true
			w.expect = max(w.expect, s.first)
		}
		if err := w.segment(s); err != nil {
			return err
		}
		w.missing(w.limit)
	}
	return nil
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
	call   func(*edgestore.Entry) error
	lost   func(Lost)
}

// missing reports everything from the expected record up to next as lost.
func (w *walk) missing(next edgestore.LSN) {
	if next > w.expect {
		w.lost(Lost{w.expect, next - 1})
		w.expect = next
	}
}

func (w *walk) segment(s *segment) error {
	sc := newScanner(s)
	var f frame
	var e edgestore.Entry
	for sc.next(&f) {
		if f.first >= w.limit {
			continue
		}
		if f.flags&frameJump != 0 && f.first > w.expect {
			w.missing(f.synced + 1)
			w.expect = max(w.expect, f.first)
		}
		c := f.records()
		for {
			at, ok := c.next(&e.Record)
			if !ok || e.LSN >= w.limit {
				break
			}
			if e.LSN < w.expect {
				continue
			}
			w.missing(e.LSN)
			e.At = edgestore.Location{
				Segment: s.number,
				Offset:  f.off + frameHeader + int64(at),
				Length:  uint32(len(e.Data)),
			}
			w.expect = e.LSN + 1
			if err := w.call(&e); err != nil {
				return fmt.Errorf("replay LSN %d: %w", e.LSN, err)
			}
		}
	}
	return nil
}
