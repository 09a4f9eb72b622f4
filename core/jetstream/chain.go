package jetstream

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/damage"
	"github.com/frondmq/frond/edgestore"
)

// How a stream keeps count when operations of it are lost.
//
// Every operation in the journal says its seat (how many operations of the
// stream came before it) and its place (the last sequence before it, if each of
// those took what it says). An operation that moves the last sequence otherwise
// than it says (a refusal, a duplicate, a purge beyond the end) makes the places
// behind it wrong. So the stream logs a note, which says the seat and by how
// much; the note's own place and all behind it are corrected by that, under the
// lock of the log. Nothing that depends on the operation is acknowledged or
// delivered before its note is durable.
//
// So behind a hole in the journal the exact sequence is known: the place of the
// first operation there, and what the notes behind it say of operations before
// it, for those it could not know. It does not matter whether other notes are
// lost in the hole: the place has them. What lies between is booked as lost. The
// stream is wounded from there to the end of the recovery: what it knew of
// message ids and limits may be gone, so each operation is taken as its note
// says, and accepted without one.

// note is that the operation at seat moved the last sequence by delta beside
// what it says. 0 is that it took what it says, though its message id could not be
// read: where the id can be read again, it would be a duplicate.
type note struct {
	seat  uint64
	delta int64
	in    uint64 // seat of the operation that carries the note; 0 as long as there is none
	last  uint64 // in memory only: messages above this sequence depend on the note
}

// record begins an operation of the stream. taking: it takes one sequence.
func (s *stream) record(kind uint8, taking bool) edgestore.Record {
	return s.recordAt(s.line.read(), kind, taking)
}

// recordAt is record by a reading of the clocks.
func (s *stream) recordAt(now moment, kind uint8, taking bool) edgestore.Record {
	return edgestore.Record{Kind: kind, Incarnation: s.incarnation, Stamp: now.stamp(), Chain: s.chain, Takes: taking, Twice: guarded(kind)}
}

// guarded are operations that are written twice: without them others mean
// nothing.
func guarded(kind uint8) bool {
	switch kind {
	case opStreamCreate, opStreamDelete, opFormat, opClockStep, opClockMove, opConfig, opConsumerCreate, opConsumerDelete, opConsumerConfig, opOrigin:
		return true
	}
	return false
}

// catalogueRecord begins an operation of the catalogue. Only those of streams
// in files are numbered.
func (e *Engine) catalogueRecord(log Log, kind uint8) edgestore.Record {
	return e.catalogueRecordAt(e.lineFor(log).read(), log, kind)
}

// catalogueRecordAt is catalogueRecord by a reading of the clocks.
func (e *Engine) catalogueRecordAt(now moment, log Log, kind uint8) edgestore.Record {
	r := edgestore.Record{Kind: kind, Stamp: now.stamp(), Twice: guarded(kind)}
	if log != Log(e.mem) {
		r.Chain = &e.catChain
	}
	return r
}

// lineFor is what operations of a log have their stamps on.
func (e *Engine) lineFor(log Log) *timeline {
	if log == Log(e.mem) {
		return e.local
	}
	return e.line
}

// behind is the chain behind an operation.
func behind(r *edgestore.Record) edgestore.Chain {
	c := edgestore.Chain{Seat: r.Seat, Place: r.Place}
	if r.Takes {
		c.Place++
	}
	return c
}

// followed is called when an operation was applied: the stream's count goes on.
// The caller holds mu.
func (s *stream) followed(r *edgestore.Record) {
	if r.Seat == 0 {
		if s.done.Seat == 0 {
			s.done.Place = s.last // format 1 of the journal had no count: it begins behind that
		}
		return
	}
	s.done = behind(r)
	delta := s.beside()
	switch {
	case delta != 0:
		s.note(note{seat: s.done.Seat, delta: delta, last: s.last})
		s.noted += delta
	case s.guessed: // what it took depends on the note as well
		s.note(note{seat: s.done.Seat, last: s.last - 1})
	}
	s.guessed = false
}

// beside is what the last sequence is beside the place and the notes.
func (s *stream) beside() int64 { return int64(s.counted()) - int64(s.done.Place) - s.noted }

// note has a note logged, and holds the answers and deliveries that depend on it.
func (s *stream) note(n note) {
	s.notes = append(s.notes, n)
	if s.role == leader {
		s.unsureFrom(n)
	}
}

// unsureFrom holds what depends on a note until it is durable.
func (s *stream) unsureFrom(n note) {
	s.unsure = append(s.unsure, n)
	if len(s.unsure) == 1 {
		s.bound.Store(n.last + 1)
	}
}

// sure ends what unsureFrom began, for notes of operations up to seat.
func (s *stream) sure(seat uint64) {
	if len(s.unsure) == 0 || s.unsure[0].seat > seat {
		return
	}
	for len(s.unsure) > 0 && s.unsure[0].seat <= seat {
		s.unsure = s.unsure[1:]
	}
	bound := uint64(0)
	if len(s.unsure) > 0 {
		bound = s.unsure[0].last + 1
	}
	s.bound.Store(bound)
	for _, m := range s.consumers.list {
		if m.bounded.Swap(false) {
			s.fx.woken(m)
		}
	}
}

// deliverable reports whether a message may be delivered: not while its sequence
// depends on a note that is not durable. m is told when it may.
func (s *stream) deliverable(m *member, seq uint64) bool {
	if b := s.bound.Load(); b == 0 || seq < b {
		return true
	}
	m.bounded.Store(true)
	b := s.bound.Load() // the note may have become durable before that
	return b == 0 || seq < b
}

// noteRest ends the recovery: what the last sequence is beside the place stands
// in no note that will be applied, so it is noted. The caller holds mu.
func (s *stream) noteRest() {
	rest := int64(s.counted()) - int64(s.done.Place)
	s.noted = rest
	for _, n := range s.notes {
		rest -= n.delta
	}
	if rest != 0 {
		s.notes = append(s.notes, note{seat: s.done.Seat, delta: rest}) // of which message on is not known
	}
	for _, n := range s.notes {
		s.unsureFrom(n)
	}
	if rest != 0 {
		s.bound.Store(1)
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
	return len(s.unsure) > 0 && r.Seat >= s.unsure[0].seat
}

// hold keeps what the answer to an operation needs: the entry is borrowed. Only
// who republishes needs a published message itself.
func (s *stream) hold(en *edgestore.Entry, o *outcome) {
	h := heldAnswer{*en, *o}
	h.entry.Side = bytes.Clone(en.Side)
	if h.entry.Data = nil; en.Kind != opPublish || s.view.Load().republish != nil {
		h.entry.Data = bytes.Clone(en.Data)
	}
	s.held = append(s.held, h)
}

// settled gives the answers that waited and need not any more, oldest first,
// and how many of a run's operations can be answered at once. The others of the
// run are held.
func (s *stream) settled(run []edgestore.Entry, out []outcome) (before []heldAnswer, now int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := 0
	for free < len(s.held) && !s.holds(&s.held[free].entry.Record) {
		free++
	}
	if free > 0 {
		before, s.held = s.held[:free:free], append([]heldAnswer(nil), s.held[free:]...)
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
		s.logNotes(s.line.read())
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

// logNotes logs the notes that are not in the log yet, if the stream leads. It
// reports whether all are. The caller holds mu: notes are in the log in the order of
// what they are for.
func (s *stream) logNotes(now moment) bool {
	for s.role == leader && len(s.notes) > 0 {
		rec, data, n := s.notesNext(now)
		if s.e.append(s.log(), true, &rec, nil, nil, data) != nil {
			return false
		}
		s.notes = slices.Delete(s.notes, 0, n)
	}
	return len(s.notes) == 0
}

// notesNext is the next operation with notes, and how many it has. The caller holds mu.
func (s *stream) notesNext(now moment) (rec edgestore.Record, data []byte, n int) {
	n = min(len(s.notes), maxNotes)
	rec = s.recordAt(now, opNotes, false)
	for _, x := range s.notes[:n] {
		rec.Corrects += x.delta
		rec.Twice = rec.Twice || x.delta > 0 // numbers passed over leave no other trace
	}
	return rec, appendNotes(nil, s.notes[:n]), n
}

// maxNotes is how many notes one operation carries.
const maxNotes = 512

func appendNotes(b []byte, list []note) []byte {
	b = msgp.AppendUint64(b, uint64(len(list)))
	for _, x := range list {
		b = msgp.AppendInt64(msgp.AppendUint64(b, x.seat), x.delta)
	}
	return b
}

// readNotes reads the notes that an operation carries.
func readNotes(en *edgestore.Entry) ([]note, error) {
	r := opReader{b: en.Data}
	n := r.uint()
	if n > uint64(len(en.Data)) {
		return nil, fmt.Errorf("notes: %w: %d in %d bytes", edgestore.ErrCorrupt, n, len(en.Data))
	}
	list := make([]note, 0, n)
	for range n {
		list = append(list, note{seat: r.uint(), delta: r.int(), in: en.Seat})
	}
	return list, r.done("notes")
}

// applyNotes takes note that notes are durable, and that the place has them.
func (s *stream) applyNotes(en *edgestore.Entry) error {
	list, err := readNotes(en)
	if err != nil || len(list) == 0 {
		return err
	}
	for _, x := range list {
		s.noted -= x.delta
	}
	last := list[len(list)-1].seat
	if s.role != leader {
		// Who does not lead comes to the same results, and must not note them once more.
		s.notes = slices.DeleteFunc(s.notes, func(x note) bool { return x.seat <= last })
	}
	s.sure(last)
	return nil
}

// notesOf are the notes of one stream in the whole journal, by seat.
type notesOf []note

func (l notesOf) sort() {
	sort.Slice(l, func(i, j int) bool { return l[i].seat < l[j].seat || l[i].seat == l[j].seat && l[i].in < l[j].in })
}

// of gives the note of one operation.
func (l notesOf) of(seat uint64) (note, bool) {
	i, ok := slices.BinarySearchFunc(l, seat, func(x note, seat uint64) int { return cmp.Compare(x.seat, seat) })
	if !ok {
		return note{}, false
	}
	return l[i], true
}

// pending is what the notes of the operations up to seat say, of those that
// stand behind the operation at in.
func (l notesOf) pending(seat, in uint64) (delta int64) {
	i, _ := slices.BinarySearchFunc(l, seat+1, func(x note, seat uint64) int { return cmp.Compare(x.seat, seat) })
	// Notes stand in the order of what they are for.
	for i--; i >= 0 && l[i].in > in; i-- {
		delta += l[i].delta
	}
	return delta
}

// before is the last sequence before an operation.
func (l notesOf) before(r *edgestore.Record) uint64 {
	return uint64(max(int64(r.Place)+l.pending(r.Seat-1, r.Seat), 0))
}

// bridge moves the stream on over operations that are lost, to behind the
// operation that to names, which left the last sequence at last; upTo is the
// newest LSN that may be one of them. What lies between is booked as lost. It is
// used by the recovery only.
func (s *stream) bridge(to edgestore.Chain, last uint64, upTo edgestore.LSN, notes notesOf) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if to.Seat <= s.done.Seat {
		return nil
	}
	operations := to.Seat - s.done.Seat
	from := s.counted() + 1
	s.wound(notes)
	s.done = to
	s.passed(upTo)
	if err := s.loseOrOwe(from, last); err != nil {
		return err
	}
	// What is noted is in the place, or stands behind it.
	s.notes, s.noted = nil, int64(s.counted())-int64(to.Place)
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
	return s.loseOrOwe(s.counted()+1, s.counted()+n)
}

// wound makes the rest of the recovery take operations as their notes say. The
// caller holds mu.
func (s *stream) wound(notes notesOf) { s.wounded, s.wounds = true, notes }

// errWound asks for the operation to be applied once more, now that the stream
// takes what comes as its notes say.
var errWound = errors.New("the stream is wounded")

// goByNotes is called when what an operation is decided by is damaged. A
// recovery may have decided by it once, so it must not decide again; nil is that
// the decision is made without. The caller holds mu.
func (s *stream) goByNotes() error {
	if err := s.copyDamaged("what an operation is decided by"); err != nil {
		return err
	}
	if s.role != recovering || s.wounded {
		return nil
	}
	notes, err := s.e.replay.notesOf(s.incarnation)
	if err != nil {
		return s.fail(err)
	}
	s.wound(notes)
	return errWound
}

// refusedBefore reports whether a note says that an operation of a wounded
// stream, which takes a sequence, did not get one.
func (s *stream) refusedBefore(en *edgestore.Entry) bool {
	if !s.wounded || !en.Takes {
		return false
	}
	n, noted := s.wounds.of(en.Seat)
	return noted && n.delta < 0
}

// keepPlace takes a wounded stream to where an operation says that it was, if
// that is further on: what came between could not be applied.
func (s *stream) keepPlace(en *edgestore.Entry) error {
	if before := s.wounds.before(&en.Record); en.Seat != 0 && before > s.last && s.config().Mirror == nil {
		return s.lose(s.last+1, before)
	}
	return nil
}

// noteMoves takes a wounded stream to where a note says that an operation left
// it, if that is further on.
func (s *stream) noteMoves(en *edgestore.Entry) {
	n, noted := s.wounds.of(en.Seat)
	if !noted || n.delta <= 0 {
		return
	}
	last := s.wounds.before(&en.Record) + uint64(n.delta)
	if en.Takes {
		last++
	}
	if last > s.last && last <= asset.MaxSeq {
		s.store.Skip(last, en.Stamp.Wall)
		s.last = last
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
	if last = min(last, asset.MaxSeq); last < first {
		return nil
	}
	if _, err := s.store.Lose(first, last); err != nil {
		return err
	}
	s.last = max(s.last, s.store.Index().LastSeq)
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
	switch {
	case s.counted() >= from:
		d.Lost = []edgestore.SeqRange{{First: from, Last: s.counted()}}
		d.What = fmt.Sprintf("%d operation(s) of stream %q are lost, with the messages %s", operations, s.name, damage.RangesText(d.Lost))
		if s.last < from {
			d.What += "; those behind its newest message the mirror fetches again, if its origin still has them"
		}
	}
	s.e.report(d)
}
