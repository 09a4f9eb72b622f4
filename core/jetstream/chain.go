package jetstream

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/edgestore"
)

// How a stream keeps count when operations of it are lost.
//
// Every operation in the journal says its seat (how many operations of the
// stream came before it) and its place (how many sequences those take if each
// takes what it says). What a stream's last sequence is ahead of its place is
// its shift. It stays the same as long as messages are accepted; an operation
// that moves the last sequence otherwise than it says (a refusal, a duplicate,
// a purge beyond the end) changes it. Then the stream logs a note with the
// seat and the shift behind it, and nothing that depends on it is
// acknowledged before the note is durable.
//
// So behind a hole in the journal the exact sequence is known: place plus
// shift. What lies between is booked as lost. The stream is wounded from there
// to the end of the recovery: what it knew of message ids and limits may be
// gone, so each operation is taken as its note says, and accepted without one.

// note is that the operation at seat changed the shift.
type note struct {
	seat          uint64
	before, after int64 // the shift
}

// record begins an operation of the stream. taking: it takes one sequence.
func (s *stream) record(kind uint8, taking bool) edgestore.Record {
	return edgestore.Record{Kind: kind, Incarnation: s.incarnation, Stamp: s.e.stamp(), Chain: s.chain, Takes: taking, Twice: guarded(kind)}
}

// guarded are operations that are written twice: without them others mean
// nothing.
func guarded(kind uint8) bool {
	switch kind {
	case opStreamCreate, opStreamDelete, opConfig, opConsumerCreate, opConsumerDelete, opConsumerConfig, opOrigin:
		return true
	}
	return false
}

// catalogueRecord begins an operation of the catalogue. Only those of streams
// in files are numbered.
func (e *Engine) catalogueRecord(log Log, kind uint8) edgestore.Record {
	r := edgestore.Record{Kind: kind, Stamp: e.stamp(), Twice: guarded(kind)}
	if log != Log(e.mem) {
		r.Chain = &e.catChain
	}
	return r
}

// behind is the chain behind an operation.
func behind(r *edgestore.Record) edgestore.Chain {
	c := edgestore.Chain{Seat: r.Seat, Place: r.Place}
	if r.Takes {
		c.Place++
	}
	return c
}

// shiftAt is what last is ahead of place.
func shiftAt(last, place uint64) int64 { return int64(last) - int64(place) }

// followed is called when an operation was applied: the stream's count goes on.
// The caller holds mu.
func (s *stream) followed(r *edgestore.Record) {
	if r.Seat == 0 {
		return
	}
	s.done = behind(r)
	shift := shiftAt(s.last, s.done.Place)
	if shift == s.shift {
		return
	}
	// A mirror's messages carry their own sequences.
	if s.config().Mirror == nil {
		s.note(note{s.done.Seat, s.shift, shift})
	}
	s.shift = shift
}

// note has a note logged, and holds the answers that depend on it.
func (s *stream) note(n note) {
	s.notes = append(s.notes, n)
	if s.live {
		s.unsure = append(s.unsure, n.seat)
	}
}

// heldAnswer is an operation that was applied and not answered yet.
type heldAnswer struct {
	entry   edgestore.Entry
	outcome outcome
}

// holds reports whether the answer to an operation has to wait for a note. The
// caller holds mu.
func (s *stream) holds(r *edgestore.Record) bool {
	return len(s.unsure) > 0 && r.Seat >= s.unsure[0]
}

// hold keeps what the answer to an operation needs: the entry is borrowed.
func (s *stream) hold(en *edgestore.Entry, o *outcome) {
	h := heldAnswer{*en, *o}
	h.entry.Side = bytes.Clone(en.Side)
	h.entry.Data = bytes.Clone(en.Data)
	s.held = append(s.held, h)
}

// settled gives the answers that waited and need not any more, oldest first,
// and how many of a run's operations can be answered at once. The others of the
// run are held.
func (s *stream) settled(run []edgestore.Entry, out []outcome) (before []heldAnswer, now int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.held) > 0 && !s.holds(&s.held[0].entry.Record) {
		before = append(before, s.held[0])
		s.held = slices.Delete(s.held, 0, 1)
	}
	for now < len(run) && !s.holds(&run[now].Record) {
		now++
	}
	for i := now; i < len(run); i++ {
		s.hold(&run[i], &out[i])
	}
	return before, now
}

// retryNotes logs the notes that the log did not take before.
func (e *Engine) retryNotes() {
	for _, s := range e.allStreams() {
		if s.memory {
			continue
		}
		s.mu.Lock()
		s.logNotes()
		s.mu.Unlock()
	}
}

// holding reports whether answers wait for notes.
func (e *Engine) holding() bool {
	for _, s := range e.allStreams() {
		s.mu.RLock()
		n := len(s.held)
		s.mu.RUnlock()
		if n > 0 {
			return true
		}
	}
	return false
}

// logNotes logs the notes that are not in the log yet. It reports whether all
// are. The caller holds mu.
func (s *stream) logNotes() bool {
	for len(s.notes) > 0 {
		n := min(len(s.notes), maxNotes)
		rec := s.record(opShift, false)
		b := msgp.AppendUint64(nil, uint64(n))
		for _, x := range s.notes[:n] {
			b = msgp.AppendUint64(b, x.seat)
			b = msgp.AppendInt64(b, x.before)
			b = msgp.AppendInt64(b, x.after)
			rec.Twice = rec.Twice || x.after > x.before // numbers passed over leave no other trace
		}
		if s.e.append(s.log, true, &rec, nil, nil, b) != nil {
			return false
		}
		s.notes = slices.Delete(s.notes, 0, n)
	}
	return true
}

// maxNotes is how many notes one operation carries.
const maxNotes = 512

func readNotes(data []byte) ([]note, error) {
	r := opReader{b: data}
	n := r.uint()
	if n > uint64(len(data)) {
		return nil, fmt.Errorf("shift operation: %w: %d notes in %d bytes", edgestore.ErrCorrupt, n, len(data))
	}
	list := make([]note, 0, n)
	for range n {
		list = append(list, note{r.uint(), r.int(), r.int()})
	}
	return list, r.done("shift")
}

// applyShift takes note that notes are durable.
func (s *stream) applyShift(data []byte) error {
	list, err := readNotes(data)
	if err != nil || len(list) == 0 {
		return err
	}
	last := list[len(list)-1].seat
	if !s.live {
		// A recovery comes to the same results again and must not note them twice.
		s.notes = slices.DeleteFunc(s.notes, func(x note) bool { return x.seat <= last })
	}
	for len(s.unsure) > 0 && s.unsure[0] <= last {
		s.unsure = s.unsure[1:]
	}
	return nil
}

// notesOf is what is known of one stream's shifts from the whole journal.
type notesOf []note

func (l notesOf) sort() {
	slices.SortFunc(l, func(a, b note) int { return cmp.Compare(a.seat, b.seat) })
}

// at finds the note of one operation.
func (l notesOf) at(seat uint64) (note, bool) {
	i, ok := slices.BinarySearchFunc(l, seat, func(x note, seat uint64) int { return cmp.Compare(x.seat, seat) })
	if !ok {
		return note{}, false
	}
	return l[i], true
}

// shift is the shift behind the operation at seat, when that of the one at
// known is have: the newest note up to seat says it, else the first above.
func (l notesOf) shift(seat, known uint64, have int64) int64 {
	i, ok := slices.BinarySearchFunc(l, seat, func(x note, seat uint64) int { return cmp.Compare(x.seat, seat) })
	if ok {
		return l[i].after
	}
	if i > 0 && l[i-1].seat > known {
		return l[i-1].after
	}
	if i < len(l) {
		return l[i].before
	}
	return have
}

// bridge moves the stream on over operations that are lost, to behind the
// operation that to names; upTo is the newest LSN that may be one of them. What
// lies between is booked as lost. It is used by the recovery only.
func (s *stream) bridge(to edgestore.Chain, upTo edgestore.LSN, notes notesOf) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if to.Seat <= s.done.Seat {
		return nil
	}
	operations := to.Seat - s.done.Seat
	shift := notes.shift(to.Seat, s.done.Seat, s.shift)
	from, last := s.last+1, int64(to.Place)+shift
	s.wound(notes)
	s.done = to
	s.passed(upTo)
	if s.config().Mirror == nil && last > int64(s.last) {
		if err := s.lose(from, uint64(last)); err != nil {
			return err
		}
	}
	s.shift = shiftAt(s.last, s.done.Place)
	s.tellLost(from, operations)
	return nil
}

// moveOn is bridge for operations that may be the stream's or not.
func (s *stream) moveOn(n uint64, upTo edgestore.LSN, notes notesOf) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wound(notes)
	s.done.Seat += n
	s.done.Place += n
	s.passed(upTo)
	if s.config().Mirror != nil {
		return nil
	}
	return s.lose(s.last+1, s.last+n)
}

// wound makes the rest of the recovery take operations as their notes say. The
// caller holds mu.
func (s *stream) wound(notes notesOf) { s.wounded, s.wounds = true, notes }

// refusedBefore reports whether a note says that an operation of a wounded
// stream, which takes a sequence, did not get one.
func (s *stream) refusedBefore(en *edgestore.Entry) bool {
	if !s.wounded || !en.Takes {
		return false
	}
	n, noted := s.wounds.at(en.Seat)
	return noted && int64(en.Place)+1+n.after <= int64(s.last)
}

// noteMoves takes a wounded stream to where a note says that an operation left
// it, if that is further on.
func (s *stream) noteMoves(en *edgestore.Entry) {
	n, noted := s.wounds.at(en.Seat)
	if !noted {
		return
	}
	if last := int64(behind(&en.Record).Place) + n.after; last > int64(s.last) && last <= maxSeq {
		s.store.Skip(uint64(last), en.Stamp.Wall)
		s.last = uint64(last)
	}
}

// passed says that nothing up to an LSN will be applied any more.
func (s *stream) passed(upTo edgestore.LSN) {
	s.applied = max(s.applied, upTo)
	if s.dirtyFrom == 0 {
		s.dirtyFrom = s.applied
	}
}

// lose books sequences as lost. The caller holds mu.
func (s *stream) lose(first, last uint64) error {
	if last = min(last, maxSeq); last < first {
		return nil
	}
	if _, err := s.store.Lose(first, last); err != nil {
		return err
	}
	s.last = max(s.last, s.store.State().LastSeq)
	s.consumers.purged("")
	return nil
}

// tellLost reports what was lost from a sequence on. The caller holds mu.
func (s *stream) tellLost(from, operations uint64) {
	d := Damage{
		Kind: DamageLost, Account: s.acct.name, Stream: s.name, Where: s.where(),
		What: fmt.Sprintf("%d operation(s) of stream %q are lost; no message is among them", operations, s.name),
		Do:   "compare the stream with where its messages came from, then acknowledge this; look at the health of the disk or card",
	}
	if s.last >= from {
		d.Lost = []edgestore.SeqRange{{First: from, Last: s.last}}
		d.What = fmt.Sprintf("%d operation(s) of stream %q are lost, with the messages %s", operations, s.name, rangesText(d.Lost))
	}
	s.e.report(d)
}
