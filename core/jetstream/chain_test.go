package jetstream

import (
	"bytes"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
)

// The steps by which a stream keeps count (chain.go), one by one: what a damaged
// journal makes of them as a whole is in the tests of the law.

// inRecovery has a stream S with the sequences 1 to 5 and a mirror M of it, both
// as a recovery has them; notes are not logged behind the test's back.
func inRecovery(t *testing.T) (x *box, s, mirror *stream) {
	t.Helper()
	x, refuse := newBoxWithoutNotes(t)
	for i := range 5 {
		x.put("S", "s.a", text(i))
	}
	mustStream(t, x.b, "name=M mirror={name=S}")
	eventually(t, func() bool { return x.b.origins(t, "M").State.LastSeq == 5 })
	refuse.Store(true)
	x.e.drain.busy.Lock() // what a test has told would be drained
	t.Cleanup(x.e.drain.busy.Unlock)
	s, mirror = x.e.account("A").stream("S"), x.e.account("A").stream("M")
	for _, s := range []*stream{s, mirror} {
		s.mu.Lock()
		s.role, s.notes, s.noted = recovering, nil, int64(s.last)-int64(s.done.Place)
		s.mu.Unlock()
	}
	return x, s, mirror
}

// count is what a stream keeps count by.
type count struct {
	done    edgestore.Chain
	last    uint64
	noted   int64
	notes   []note
	lost    []edgestore.SeqRange
	wounded bool
}

func (s *stream) count() count {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return count{s.done, s.last, s.noted, append([]note(nil), s.notes...), s.store.Damage(), s.wounded}
}

func (s *stream) counts(t *testing.T, want count) {
	t.Helper()
	if got := s.count(); !reflect.DeepEqual(got, want) {
		t.Errorf("stream %q has\n%+v, want\n%+v", s.name, got, want)
	}
	if want.noted != int64(s.counted())-int64(want.done.Place) {
		t.Errorf("%+v: the last sequence is not the place and what is noted", want)
	}
}

// Behind a bridge the stream is where the operation says, what it had to note is
// in the place, and what will be noted behind is known.
func TestChain_bridge(t *testing.T) {
	x, s, _ := inRecovery(t)
	done, applied := s.count().done, s.applied
	s.mu.Lock()
	s.note(note{seat: done.Seat, delta: -1})
	s.dirtyFrom = 0 // all of it is drained
	s.mu.Unlock()
	to := edgestore.Chain{Seat: done.Seat + 6, Place: 11}
	notes := notesOf{{seat: to.Seat - 4, delta: -9, in: to.Seat - 3}, {seat: to.Seat - 2, delta: -1, in: to.Seat + 1}, {seat: to.Seat, delta: -2, in: to.Seat + 3}, {seat: to.Seat + 2, delta: -7, in: to.Seat + 3}}
	notes.sort()
	if err := s.bridge(to, 8, applied+100, notes); err != nil {
		t.Fatal(err)
	}
	want := count{to, 8, -3, nil, []edgestore.SeqRange{{First: 6, Last: 8}}, true}
	s.counts(t, want)
	if s.applied != applied+100 || s.dirtyFrom != applied+100 {
		t.Errorf("applied up to %d, to be drained from %d", s.applied, s.dirtyFrom)
	}
	if d := x.toldKind(DamageLost); d == nil || len(d.Lost) != 1 || d.Lost[0] != want.lost[0] {
		t.Errorf("told is %+v", d)
	}
	if err := s.bridge(done, 4, applied, notes); err != nil {
		t.Fatal(err)
	}
	s.counts(t, want) // it is further on already
	if err := s.moveOn(2, applied, notes); err != nil {
		t.Fatal(err)
	}
	s.counts(t, count{edgestore.Chain{Seat: to.Seat + 2, Place: 13}, 10, -3, nil, []edgestore.SeqRange{{First: 6, Last: 10}}, true})
}

// What a mirror lost is not booked: its origin brings it again under the same
// numbers. Until then it owes it.
func TestChain_mirrorsAreBroughtAgain(t *testing.T) {
	_, _, m := inRecovery(t)
	want := m.count()
	want.wounded = true
	want.done.Seat += 3
	want.done.Place = 11
	if err := m.bridge(want.done, 9, m.applied, nil); err != nil {
		t.Fatal(err)
	}
	want.noted = -2 // that it owes up to 9
	m.counts(t, want)
	if err := m.moveOn(2, m.applied, nil); err != nil {
		t.Fatal(err)
	}
	if got := m.count(); got.last != 5 || len(got.lost) != 0 || m.counted() != 11 || got.done.Place != 13 || got.noted != -2 {
		t.Errorf("it owes up to %d: %+v", m.counted(), got)
	}
	if st := m.state(); st.LastSeq != 11 || st.Lost == nil || len(st.Lost.Msgs) != 6 || st.Lost.Msgs[0] != 6 {
		t.Errorf("its information says %+v", st)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.keepPlace(&edgestore.Entry{Record: edgestore.Record{Seat: want.done.Seat + 3, Place: 20}}); err != nil || m.last != 5 {
		t.Errorf("the place of an operation moved it to %d, %v", m.last, err)
	}
}

// The places of a mirror are the sequences that it was given, also where its origin
// has none, where one came twice, and behind a skip.
func TestChain_placesOfAMirror(t *testing.T) {
	c := edgestore.Chain{Seat: 7, Place: 3}
	for _, x := range []struct{ reaches, place, then uint64 }{{4, 3, 4}, {9, 8, 9}, {9, 9, 9}, {5, 9, 9}, {0, 9, 9}, {10, 9, 10}} {
		r := edgestore.Record{Reaches: x.reaches}
		if c.Next(&r); r.Place != x.place || r.Takes != (x.then > x.place) || behind(&r).Place != x.then || c.Place != x.then {
			t.Errorf("%+v: %+v, then %d", x, r, c.Place)
		}
	}
}

// A wounded stream is where the places and the notes say, never further back.
func TestChain_woundedGoesByPlacesAndNotes(t *testing.T) {
	_, s, _ := inRecovery(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wound(notesOf{{seat: 30, delta: -2, in: 33}, {seat: 40, delta: 10, in: 41}, {seat: 50, delta: 10, in: 51}, {seat: 60, delta: -1, in: 61}})
	entry := func(seat, place uint64, takes bool) *edgestore.Entry {
		return &edgestore.Entry{Record: edgestore.Record{Seat: seat, Place: place, Takes: takes}}
	}
	keep := func(en *edgestore.Entry, want uint64) {
		t.Helper()
		if err := s.keepPlace(en); err != nil || s.last != want || s.store.State().LastSeq != want {
			t.Errorf("before %+v: %d, want %d, %v", en.Record, s.last, want, err)
		}
	}
	keep(entry(20, 4, true), 5)
	keep(entry(0, 0, true), 5) // of format 1, which had no count
	keep(entry(20, 7, true), 7)
	keep(entry(31, 10, true), 8) // the refusal before it was not in its place yet
	move := func(en *edgestore.Entry, want uint64) {
		t.Helper()
		if s.noteMoves(en); s.last != want || s.store.State().LastSeq != want {
			t.Errorf("behind %+v: %d, want %d", en.Record, s.last, want)
		}
	}
	move(entry(35, 8, true), 8) // no note
	move(entry(60, 8, true), 8) // it was refused
	move(entry(40, 8, false), 18)
	move(entry(40, 2, false), 18)
	move(entry(50, 18, true), 29)
}

// A recovery comes to the results again that are noted behind: neither is noted
// twice, and at its end what no note says is noted, before anything that depends
// on it is answered or delivered.
func TestChain_notesOfARecovery(t *testing.T) {
	_, s, m := inRecovery(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	op := entryOfNotes(note{seat: 3, delta: -2}, note{seat: 6, delta: 1})
	s.notes, s.noted = []note{{seat: 3, delta: -2}, {seat: 6, delta: 1}, {seat: 9, delta: -4, last: 4}}, -5
	if err := s.applyNotes(op); err != nil {
		t.Fatal(err)
	}
	if len(s.notes) != 1 || s.notes[0].seat != 9 || s.noted != -4 {
		t.Errorf("left are %+v, noted %d", s.notes, s.noted)
	}
	// 5 is the last, 3 the place, and -4 is noted: 6 are in no note.
	s.done = edgestore.Chain{Seat: 12, Place: 3}
	s.noteRest()
	if want := []note{{seat: 9, delta: -4, last: 4}, {seat: 12, delta: 6}}; !reflect.DeepEqual(s.notes, want) || s.noted != 2 {
		t.Errorf("noted are %+v (%d), want %+v", s.notes, s.noted, want)
	}
	if s.bound.Load() != 1 || !s.holds(&edgestore.Record{Seat: 9}) || s.holds(&edgestore.Record{Seat: 8}) {
		t.Errorf("held from message %d on, by %+v", s.bound.Load(), s.unsure)
	}
	s.sure(12)
	if s.bound.Load() != 0 || s.holds(&edgestore.Record{Seat: 13}) {
		t.Errorf("when it is durable, held from message %d on, by %+v", s.bound.Load(), s.unsure)
	}
	// Without a rest nothing is held but what the notes are for.
	s.notes, s.done = []note{{seat: 13, delta: 2, last: 4}}, edgestore.Chain{Seat: 13, Place: 3}
	if s.noteRest(); len(s.notes) != 1 || s.bound.Load() != 5 {
		t.Errorf("held from message %d on, by %+v", s.bound.Load(), s.notes)
	}
	s.notes = nil
	s.sure(13)
	// One of a journal whose mirrors had no places.
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done.Place = 0
	if m.noteRest(); len(m.notes) != 1 || m.notes[0].delta != 5 || m.noted != 5 {
		t.Errorf("the mirror notes %+v, %d", m.notes, m.noted)
	}
}

func entryOfNotes(list ...note) *edgestore.Entry {
	return &edgestore.Entry{Record: edgestore.Record{Data: appendNotes(nil, list)}}
}

// diskOfNotes is a disk whose log tells of the notes that it takes.
type diskOfNotes struct {
	withoutNotes
	seen func([]note)
}

func (d diskOfNotes) journal() (fileLog, journalEnd, error) {
	l, end, err := d.withoutNotes.journal()
	if err != nil {
		return nil, end, err
	}
	return notesSeen{l.(logWithoutNotes), d.seen}, end, nil
}

type notesSeen struct {
	logWithoutNotes
	seen func([]note)
}

func (l notesSeen) AppendReserved(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	lsn, err := l.logWithoutNotes.AppendReserved(r, side, token, data...)
	if err == nil && r.Kind == opNotes {
		list, err := readNotes(&edgestore.Entry{Record: edgestore.Record{Data: bytes.Join(data, nil)}})
		if err != nil {
			return 0, err
		}
		l.seen(list)
	}
	return lsn, err
}

// However many notes wait, one operation carries a bounded number, and each is
// logged once.
func TestChain_manyNotes(t *testing.T) {
	var sizes []int
	seat := uint64(0)
	x, refuse := newBox(t), new(atomic.Bool)
	x.change = func(c *Config) {
		c.backend = diskOfNotes{withoutNotes{diskBackend{c}, refuse, 0}, func(list []note) {
			sizes = append(sizes, len(list))
			for _, note := range list {
				if note.seat != seat+1 {
					t.Errorf("note of %d behind that of %d", note.seat, seat)
				}
				seat = note.seat
			}
		}}
	}
	x.start()
	mustStream(t, x.b, "name=S subjects=[s.>]")
	s := x.e.account("A").stream("S")
	refuse.Store(true)
	const n = maxNotes + 88
	s.mu.Lock()
	s.done.Place, s.chain.Place = n, n // as many operations were refused
	for i := range n {
		s.note(note{seat: uint64(i + 1), delta: -1})
		s.noted--
	}
	if s.logNotes(s.line.read()) || len(s.notes) != n {
		t.Errorf("%d notes wait, want %d", len(s.notes), n)
	}
	s.mu.Unlock()
	refuse.Store(false)
	x.e.retryNotes()
	s.mu.RLock()
	end := *s.chain
	s.mu.RUnlock()
	if end.Place != 0 {
		t.Errorf("the place is %d, and nothing is stored", int64(end.Place))
	}
	x.e.journal.Kick()
	eventually(t, func() bool {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return len(s.unsure) == 0 && s.noted == 0
	})
	if !reflect.DeepEqual(sizes, []int{maxNotes, n - maxNotes}) {
		t.Errorf("operations with %v notes", sizes)
	}
}

// A store that has less than the head says is short, by its operations as by its
// sequences.
func TestChain_headOfAShortStore(t *testing.T) {
	_, s, _ := inRecovery(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skipUpTo = 50
	for _, c := range []struct {
		h     head
		short bool
	}{
		{head{applied: 50, last: 5}, false}, {head{applied: 51, last: 5}, true}, {head{applied: 50, last: 6}, true}, {head{applied: 10, last: 2}, false},
	} {
		if c.h.short(s) != c.short {
			t.Errorf("%+v is short: %v", c.h, !c.short)
		}
	}
}

// What a hole had is known by the seats of the streams behind it, and of the
// catalogue by a mark, too.
func TestReplay_accountsForWhatIsMissing(t *testing.T) {
	x, s, _ := inRecovery(t)
	r := newReplay(x.e, journalEnd{})
	r.notes = make(map[uint64]notesOf)
	if err := r.Hole(100, 107); err != nil {
		t.Fatal(err)
	}
	done := s.count().done
	follow := func(inc uint64, lsn edgestore.LSN, c edgestore.Chain, accounted uint64) {
		t.Helper()
		en := edgestore.Entry{Record: edgestore.Record{LSN: lsn, Kind: opPublish, Incarnation: inc, Seat: c.Seat, Place: c.Place, Takes: true}}
		if err := r.follow(&en); err != nil {
			t.Fatal(err)
		}
		if r.accounted != accounted {
			t.Errorf("operation %d of stream %d: %d accounted for, want %d", c.Seat, inc, r.accounted, accounted)
		}
	}
	follow(s.incarnation, 108, edgestore.Chain{Seat: done.Seat + 4, Place: 8}, 3) // first seen behind the hole: the store had it
	s.counts(t, count{edgestore.Chain{Seat: done.Seat + 3, Place: 8}, 8, 0, nil, []edgestore.SeqRange{{First: 6, Last: 8}}, true})
	// A stream that nobody knows may have had any number before: only what is
	// missing between two of its operations is known.
	follow(77, 109, edgestore.Chain{Seat: 9}, 3)
	follow(77, 110, edgestore.Chain{Seat: 11, Place: 2}, 4)
	was := x.e.mu.cat.done
	r.seen[0] = seenChain{was, 90}
	mark := chainHead{0, edgestore.Chain{Seat: was.Seat + 2}}
	if err := r.toHead(mark, 107); err != nil {
		t.Fatal(err)
	}
	if r.accounted != 6 || x.e.mu.cat.done != mark.chain || x.toldKind(DamageCatalogue) == nil {
		t.Errorf("%d accounted for, the catalogue is at %+v, told %+v", r.accounted, x.e.mu.cat.done, x.toldKind(DamageCatalogue))
	}
	if err := r.Hole(120, 120); err != nil { // what is missing at the end
		t.Fatal(err)
	}
	if holes := []journal.Lost{{First: 100, Last: 107}, {First: 120, Last: 120}}; !reflect.DeepEqual(r.holes, holes) || r.gap() != 9 {
		t.Errorf("%v, %d operations", r.holes, r.gap())
	}
}

// A stream whose store came back short goes on to where it had been, by its
// operations or by its sequences alone, and what lies between is told lost.
func TestChain_backToHead(t *testing.T) {
	for name, c := range map[string]struct {
		seats  uint64 // behind what was done
		last   uint64
		upTo   edgestore.LSN // beside what was applied
		passed edgestore.LSN
		lost   []edgestore.SeqRange
	}{
		"nothing is short":         {0, 5, 0, 0, nil},
		"it is further on":         {0, 3, 200, 0, nil},
		"by its operations":        {3, 9, 0, 100, []edgestore.SeqRange{{First: 6, Last: 9}}},
		"and the journal goes on":  {3, 9, 200, 200, []edgestore.SeqRange{{First: 6, Last: 9}}},
		"by its operations alone":  {3, 5, 0, 100, nil},
		"by its sequences":         {0, 8, 0, 100, []edgestore.SeqRange{{First: 6, Last: 8}}},
		"by them, the journal too": {0, 8, 200, 200, []edgestore.SeqRange{{First: 6, Last: 8}}},
	} {
		t.Run(name, func(t *testing.T) {
			x, s, _ := inRecovery(t)
			applied, done := s.applied, s.count().done
			s.dirtyFrom = 0 // all of it is drained
			if err := s.backToHead(applied, nil); err != nil || s.applied != applied {
				t.Errorf("without a head: %v", err)
			}
			chain := edgestore.Chain{Seat: done.Seat + c.seats, Place: done.Place + c.seats}
			s.head = &head{applied: applied + 100, chain: chain, last: c.last}
			if err := s.backToHead(applied+c.upTo, nil); err != nil {
				t.Fatal(err)
			}
			got := s.count()
			if want := max(c.last, 5); got.done != chain || got.last != want || !reflect.DeepEqual(got.lost, c.lost) {
				t.Errorf("%+v, want %+v, last %d, lost %v", got, chain, want, c.lost)
			}
			if want := applied + c.passed; s.applied != want || c.passed > 0 && s.dirtyFrom != want {
				t.Errorf("applied up to %d, to be drained from %d, want %d", s.applied, s.dirtyFrom, want)
			}
			d := x.toldKind(DamageLost)
			if (d != nil) != (c.passed > 0) || d != nil && !reflect.DeepEqual(d.Lost, c.lost) {
				t.Errorf("told is %+v, lost are %v", d, c.lost)
			}
		})
	}
}

// Operations of format 1 have no seats: the count begins behind the last of them,
// and one that has begun is not moved by them.
func TestChain_beginsBehindFormat1(t *testing.T) {
	_, s, _ := inRecovery(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done, s.noted = edgestore.Chain{}, 0
	s.followed(&edgestore.Record{})
	if s.done != (edgestore.Chain{Place: 5}) || len(s.notes) != 0 {
		t.Errorf("behind format 1: %+v, notes %+v", s.done, s.notes)
	}
	s.last = 6
	s.followed(&edgestore.Record{Seat: 1, Place: 5, Takes: true})
	if want := (edgestore.Chain{Seat: 1, Place: 6}); s.done != want || len(s.notes) != 0 || s.noted != 0 {
		t.Errorf("behind the first with a seat: %+v, notes %+v", s.done, s.notes)
	}
	s.last = 7
	if s.followed(&edgestore.Record{}); s.done.Place != 6 {
		t.Errorf("an operation without a seat moved the place to %d", s.done.Place)
	}
}

// A note that numbers were passed over is all that says so, and is written
// twice; one of a refusal is not.
func TestChain_whichNotesAreWrittenTwice(t *testing.T) {
	x := newBox(t)
	log := watchedLog{mu: new(sync.Mutex), twice: make(map[uint8][]bool)}
	x.change = func(c *Config) { c.backend = watchedBackend{diskBackend{c}, log} }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s.>]")
	notes := func() []bool {
		log.mu.Lock()
		defer log.mu.Unlock()
		return append([]bool(nil), log.twice[opNotes]...)
	}
	x.put("S", "s.a", text(1))
	if a := x.put("S", "s.a", "no", "Nats-Expected-Last-Sequence", "77"); a.Error == nil { // answered when the note is durable
		t.Fatal("not refused")
	}
	if got := notes(); !reflect.DeepEqual(got, []bool{false}) {
		t.Errorf("behind a refusal: %v", got)
	}
	x.b.call(t, "STREAM.PURGE.S", "seq=500", nil)
	if got := notes(); !reflect.DeepEqual(got, []bool{false, true}) {
		t.Errorf("behind a purge beyond the end: %v", got)
	}
}
