package jetstream

import (
	"fmt"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
)

// journalEnd is what the journal knows of its end beside its records.
type journalEnd struct {
	missing journal.Lost // records that were durable, behind the last one that can be read
	// heads are the streams of the newest records: every one from since on is of
	// one of these.
	heads []chainHead
	since edgestore.LSN
	start journalStart
	// remade: its small file was gone or damaged, and is there again.
	remade bool
	mended []journal.Mended
	aside  []journal.Aside
}

// chainHead is how far the operations of a stream go.
type chainHead struct {
	incarnation uint64
	chain       edgestore.Chain // behind its last operation
}

// replay applies again what the journal gives, and keeps count of what it lost:
// see chain.go.
type replay struct {
	applier
	end     journalEnd
	newest  edgestore.LSN
	latest  int64 // stamp
	records int
	// What streams work with one after another: with very many of them, what each
	// had of its own would leave holes all over the heap.
	names subjectNames
	in    incoming

	// seen is the chain behind the newest operation of each incarnation, also of
	// those that a store had already.
	seen map[uint64]seenChain
	// notes are all notes in the journal, read ahead when they are needed first.
	notes map[uint64]notesOf
	holes []journal.Lost
	// accounted is how many of the operations in the holes are known to be of
	// some stream.
	accounted uint64
	// kept are the operations of streams that nobody knows, by incarnation.
	kept map[uint64]*keptOperations
}

type seenChain struct {
	chain edgestore.Chain
	at    edgestore.LSN
}

func newReplay(e *Engine, end journalEnd) *replay {
	return &replay{applier: applier{e: e, durable: true, replays: true}, end: end, seen: make(map[uint64]seenChain)}
}

// Hole implements edgestore.ReplayHandler. The journal's event tells of it.
func (r *replay) Hole(first, last edgestore.LSN) error {
	r.holes = append(r.holes, journal.Lost{First: first, Last: last})
	return nil
}

func (r *replay) holesEnd() edgestore.LSN {
	if n := len(r.holes); n > 0 {
		return r.holes[n-1].Last
	}
	return 0
}

// Entry implements edgestore.ReplayHandler.
func (r *replay) Entry(en *edgestore.Entry) error { return r.Entries([]edgestore.Entry{*en}) }

// Entries implements edgestore.RunHandler. What is looked at for one operation
// is looked at once for those of one stream that follow each other without a
// gap: an operation in the middle finds the stream where the one before left it.
func (r *replay) Entries(list []edgestore.Entry) error {
	for len(list) > 0 {
		n, err := r.next(list)
		if err != nil {
			return fmt.Errorf("LSN %d: %w", list[0].LSN, err)
		}
		list = list[n:]
	}
	return nil
}

// next takes the first operations of a list and returns how many.
func (r *replay) next(list []edgestore.Entry) (n int, err error) {
	first := &list[0]
	r.latest = max(r.latest, first.Stamp.Wall)
	if first.Seat != 0 {
		if err := r.follow(first); err != nil {
			return 0, err
		}
	}
	inc := first.Incarnation
	switch {
	case inc == 0:
		n = 1
		r.catalogue(first)
	case r.unknown(first):
		n = 1
		err = r.keep(first)
	default:
		n = r.stream(inc, list[:r.gapless(list)])
	}
	last := &list[n-1]
	if last.Seat != 0 {
		r.seen[inc] = seenChain{behind(&last.Record), last.LSN}
	}
	for i := range list[:n] {
		r.latest = max(r.latest, list[i].Stamp.Wall)
	}
	r.records += n
	r.newest = last.LSN
	return n, err
}

// gapless is how many operations of a list belong to the stream of the first one
// and need no other look than that.
func (r *replay) gapless(list []edgestore.Entry) int {
	s := r.e.stream(list[0].Incarnation)
	if s == nil || list[0].Seat == 0 || r.mayBeUnknown() {
		return 1
	}
	n := 1
	for n < min(len(list), maxRun) && list[n].Incarnation == list[0].Incarnation && list[n].Seat == list[n-1].Seat+1 && list[n].Seat != s.watch.doubt &&
		(list[n].LSN <= s.skipUpTo) == (list[0].LSN <= s.skipUpTo) {
		n++
	}
	return n
}

// follow sees what is missing before an operation.
func (r *replay) follow(en *edgestore.Entry) error {
	inc := en.Incarnation
	was, known := r.seen[inc]
	if known && en.Seat > was.chain.Seat+1 {
		r.accounted += en.Seat - was.chain.Seat - 1
	}
	r.seen[inc] = seenChain{behind(&en.Record), en.LSN}
	to := edgestore.Chain{Seat: en.Seat - 1, Place: en.Place}
	if inc == 0 {
		r.e.followCatalogue(en, to)
		return nil
	}
	s := r.e.stream(inc)
	if s == nil || en.LSN <= s.skipUpTo || s.failed != nil {
		return nil // of a stream that stopped nothing is missing: it applied no more
	}
	if !known && len(r.holes) > 0 && to.Seat > s.done.Seat {
		r.accounted += min(to.Seat-s.done.Seat, r.gap())
	}
	if to.Seat > s.done.Seat {
		notes, err := r.notesOf(inc)
		if err != nil {
			return err
		}
		return s.bridge(to, lastBefore(en, notes), en.LSN-1, notes)
	}
	if s.watch.doubts(en.Seat) && !s.wounded {
		// What its operations were decided by can't be read any more, or is another now.
		notes, err := r.notesOf(inc)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.wound(notes)
		s.mu.Unlock()
	}
	return nil
}

// gap is how many operations are in the holes.
func (r *replay) gap() (n uint64) {
	for _, h := range r.holes {
		n += uint64(h.Last - h.First + 1)
	}
	return n
}

// notesOf gives the notes of one stream from the whole journal.
func (r *replay) notesOf(inc uint64) (notesOf, error) {
	if r.notes == nil {
		r.notes = make(map[uint64]notesOf)
		err := r.e.journal.Scan(0, func(en *edgestore.Entry) error {
			if en.Kind == opNotes && en.Incarnation != 0 {
				if list, err := readNotes(en); err == nil {
					r.notes[en.Incarnation] = append(r.notes[en.Incarnation], list...)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look ahead: %w", err)
		}
		for _, l := range r.notes {
			l.sort()
		}
	}
	return r.notes[inc], nil
}

// unknown reports whether an operation is of a stream that nobody knows, though
// it may be there: its creation may be what was lost.
func (r *replay) unknown(en *edgestore.Entry) bool {
	if en.LSN <= r.e.mu.cat.skipUpTo || !r.mayBeUnknown() {
		return false
	}
	known, deleted := r.e.knows(en.Incarnation)
	return !known && !deleted
}

// mayBeUnknown reports whether the creation of a stream may be lost.
func (r *replay) mayBeUnknown() bool { return len(r.holes) > 0 || r.e.mu.cat.rebuilt }

// finish deals with what is missing at the end: of the journal, and of stores
// that came back with less than the catalogue says.
func (r *replay) finish() error {
	if err := r.endKept(); err != nil {
		return err
	}
	upTo := max(r.newest, r.holesEnd())
	for _, h := range r.end.heads {
		if err := r.toHead(h, upTo); err != nil {
			return err
		}
	}
	for _, s := range r.e.allStreams() {
		if s.memory {
			continue
		}
		if s.failed != nil {
			*s.chain = r.seen[s.incarnation].chain // what it has not applied is counted too
			continue
		}
		if err := s.backToHead(upTo, r.notes[s.incarnation]); err != nil {
			return err
		}
	}
	return r.spread(upTo)
}

// toHead moves a stream on to where a mark says that it was.
func (r *replay) toHead(h chainHead, upTo edgestore.LSN) error {
	was := r.seen[h.incarnation]
	if h.chain.Seat > was.chain.Seat {
		r.accounted += min(h.chain.Seat-was.chain.Seat, r.gap())
		r.seen[h.incarnation] = seenChain{h.chain, upTo}
	}
	if h.incarnation == 0 {
		r.e.catalogueLost(h.chain)
		return nil
	}
	s := r.e.stream(h.incarnation)
	if s == nil || s.failed != nil || h.chain.Seat <= s.done.Seat {
		return nil
	}
	notes, err := r.notesOf(h.incarnation)
	if err != nil {
		return err
	}
	return s.bridge(h.chain, h.chain.Place, upTo, notes)
}

// spread deals with lost operations that can't be named: every stream that may
// have had them moves on by as many numbers.
func (r *replay) spread(upTo edgestore.LSN) error {
	gap := r.gap()
	if gap <= r.accounted || r.end.missing.First != 0 && r.end.since != 0 && r.end.since <= r.holes[0].First {
		return nil
	}
	rest := gap - r.accounted
	end := r.holesEnd()
	n := 0
	for _, s := range r.e.allStreams() {
		if s.memory || s.failed != nil || s.skipUpTo >= end {
			continue
		}
		if seen := r.seen[s.incarnation]; seen.at >= r.holes[len(r.holes)-1].First {
			continue // it goes on behind the hole, or its head is known
		}
		notes, err := r.notesOf(s.incarnation)
		if err != nil {
			return err
		}
		if err := s.moveOn(rest, upTo, notes); err != nil {
			return err
		}
		n++
	}
	if n > 0 {
		r.e.report(Damage{
			Kind: DamageLost, Where: "journal",
			What: fmt.Sprintf("%d lost operation(s) are of streams that can't be named: %d stream(s) that may have had them moved on by %d sequences, which are told lost", rest, n, rest),
			Do:   "compare the streams with where their messages came from, then acknowledge this; look at the health of the disk or card",
		})
	}
	return nil
}
