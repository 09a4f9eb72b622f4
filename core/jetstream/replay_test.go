package jetstream

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/edgestore"
)

// What is lost and can't be named is of a stream only if it may have had it: not
// of one that has all that was there in its store, or is seen in or behind the hole.
func TestReplay_spread(t *testing.T) {
	for name, c := range map[string]struct {
		skipUpTo, seen edgestore.LSN
		accounted      uint64
		last           uint64
	}{
		"may be its":               {0, 99, 0, 9},
		"may be its, but for some": {0, 99, 1, 8},
		"all of it is known":       {0, 99, 4, 5},
		"its store has a part":     {102, 99, 0, 9},
		"its store has it":         {103, 99, 0, 5},
		"its head is in the hole":  {0, 100, 0, 5},
		"it goes on behind it":     {0, 104, 0, 5},
	} {
		x, s, m := inRecovery(t)
		r := newReplay(x.e, journalEnd{})
		r.notes, r.accounted = make(map[uint64]notesOf), c.accounted
		for _, o := range x.e.allStreams() {
			r.seen[o.incarnation] = seenChain{at: 104}
		}
		r.seen[s.incarnation] = seenChain{at: c.seen}
		s.skipUpTo = c.skipUpTo
		if err := r.Hole(100, 103); err != nil {
			t.Fatal(err)
		}
		if err := r.spread(200); err != nil {
			t.Fatal(err)
		}
		if got := s.count(); got.last != c.last || got.wounded != (c.last > 5) {
			t.Errorf("%s: %+v, want the last to be %d", name, got, c.last)
		}
		if m.count().wounded || (x.toldKind(DamageLost) != nil) != (c.last > 5) {
			t.Errorf("%s: told %+v", name, x.toldKind(DamageLost))
		}
	}
}

// The creation of a stream may be lost only behind a hole, or with rows of the
// catalogue, and if the catalogue did not have the operation.
func TestReplay_unknownStreams(t *testing.T) {
	x, s, _ := inRecovery(t)
	r := newReplay(x.e, journalEnd{})
	unknown := func(inc uint64, lsn edgestore.LSN, want bool) {
		t.Helper()
		if r.unknown(&edgestore.Entry{Record: edgestore.Record{LSN: lsn, Incarnation: inc}}) != want {
			t.Errorf("operation %d of stream %d: unknown is %v", lsn, inc, !want)
		}
	}
	x.e.mu.cat.skipUpTo = 50
	unknown(999, 51, false)
	if err := r.Hole(40, 41); err != nil {
		t.Fatal(err)
	}
	unknown(999, 50, false)
	unknown(999, 51, true)
	unknown(s.incarnation, 51, false)
	r.holes, x.e.mu.cat.rebuilt = nil, true
	unknown(999, 51, true)
}

// In the middle of a run: a wounded stream goes where notes say, and a recovery
// that finds damage looks at the stream before it goes on.
func TestApply_runsOfARecovery(t *testing.T) {
	_, s, m := inRecovery(t)
	run := func(s *stream, kinds ...uint8) int {
		t.Helper()
		list := make([]edgestore.Entry, len(kinds))
		for i, kind := range kinds {
			list[i].Record = edgestore.Record{LSN: s.applied + 1 + edgestore.LSN(i), Kind: kind, Seat: 40 + uint64(i), Place: 5}
			if kind == opNotes {
				list[i].Data = appendNotes(nil, []note{{seat: 39, delta: -1}})
			}
		}
		var fx effects
		fx.begin(s, list)
		return s.applyRun(list, &fx)
	}
	s.watch.hurt.Store(true)
	if n := run(s, opShift, opShift); n != 1 {
		t.Errorf("%d operations were applied beside damage", n)
	}
	s.mu.Lock()
	s.wound(notesOf{{seat: 40, delta: 10, in: 41}})
	s.mu.Unlock()
	if n := run(s, opShift, opShift); n != 2 || s.last != 15 {
		t.Errorf("%d operations, the last sequence is %d, and a note says 15", n, s.last)
	}
	// A stream that failed while the server runs: who waits for a note still hears.
	s.mu.Lock()
	s.role, s.failed, s.notes = leader, errors.New("x"), nil
	s.unsureFrom(note{seat: 39, last: 3})
	s.mu.Unlock()
	if run(s, opShift); s.bound.Load() != 4 {
		t.Errorf("held from %d on", s.bound.Load())
	}
	if run(s, opNotes); s.bound.Load() != 0 {
		t.Errorf("the note is durable, and held is from %d on", s.bound.Load())
	}
	// Numbers that an origin passed over are a mirror's.
	skip := msgp.AppendInt64(msgp.AppendUint64(nil, 50), 1)
	for _, x := range []struct {
		s    *stream
		last uint64
	}{{s, 15}, {m, 50}} {
		x.s.mu.Lock()
		if err := x.s.applySkip(skip); err != nil || x.s.last != x.last {
			t.Errorf("%s: %d, want %d, %v", x.s.name, x.s.last, x.last, err)
		}
		x.s.mu.Unlock()
	}
}

// The catalogue counts on over a restart, and gives no incarnation twice though
// nothing else is left of the stream that had it. Of a deleted one it keeps
// nothing.
func TestCatalogue_goesOn(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=OTHER subjects=[other]")
	mustStream(t, x.b, "name=S subjects=[s]")
	mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit")
	x.put("S", "s", text(1))
	x.drain()
	inc := x.e.account("A").stream("S").incarnation
	rows := func() (of []string) {
		if err := x.e.table.Each("", func(key string, _ []byte) error {
			if strings.Contains(key, fmt.Sprintf("%016x", inc)) {
				of = append(of, key)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return of
	}
	if n := len(rows()); n < 3 {
		t.Errorf("of a stream with a consumer there are only %q", rows())
	}
	x.put("S", "s", text(2)) // so that it has a head to be written
	x.b.call(t, "STREAM.DELETE.S", "", nil)
	for range 3 { // a segment each
		for range 35 {
			x.put("OTHER", "other", strings.Repeat("x", 8000))
		}
		x.drain()
	}
	if left := rows(); len(left) > 0 {
		t.Errorf("of a deleted stream there are %q", left)
	}
	seats := uint64(3) // two creations and a deletion, at least
	for range 2 {
		next, e := x.e.nextIncarnation.Load(), x.e
		x.kill()
		if got := e.catChain.Seat; got < seats { // which nobody counts any more
			t.Errorf("the catalogue counts on from %d, it was at %d", got, seats)
		}
		seats = e.catChain.Seat
		x.start()
		if got := x.e.nextIncarnation.Load(); got < next || next <= inc {
			t.Errorf("the next incarnation is %d, it was %d", got, next)
		}
	}
}

// A stream that could not be opened when only the journal had its creation is
// there as soon as it can be, whatever the journal let go of meanwhile.
func TestRecovery_createdAndNotOpened(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=OTHER subjects=[other]")
	mustStream(t, x.b, "name=S subjects=[s]")
	inc := x.e.account("A").stream("S").incarnation
	for range 2 {
		x.kill()
		x.change = func(c *Config) { c.backend = unreadable{diskBackend{c}, inc, errors.New("input/output error")} }
		x.start()
		if err := x.b.fails(t, "STREAM.INFO.S", ""); err.ErrCode != 10194 {
			t.Fatalf("%+v", err)
		}
		for range 3 { // a segment each
			for range 35 {
				x.put("OTHER", "other", strings.Repeat("x", 8000))
			}
			x.drain()
		}
	}
	x.kill()
	x.change = nil
	x.start()
	x.goesOn("S", "s", "")
	if lost := x.check("OTHER"); lost != 0 {
		t.Errorf("%d are lost", lost)
	}
}

// The folder of a stream under another number is not that stream: it is put aside,
// with the catalogue and without.
func TestRecovery_folderUnderAnotherNumber(t *testing.T) {
	for _, lost := range []bool{false, true} {
		x := newBox(t)
		x.start()
		mustStream(t, x.b, "name=S subjects=[s]")
		for i := range 5 {
			x.put("S", "s", text(i))
		}
		x.drain()
		inc := x.e.account("A").stream("S").incarnation
		x.put("S", "s", text(5))
		x.kill()
		copyTree(t, x.path("streams", fmt.Sprint(inc)), x.path("streams", fmt.Sprint(inc+50)))
		if lost {
			if err := os.Remove(x.path(catalogueFile)); err != nil {
				t.Fatal(err)
			}
		}
		x.start()
		if n := x.check("S"); n != 0 || x.e.account("A").stream("S").incarnation != inc {
			t.Errorf("catalogue lost: %v: %d are lost", lost, n)
		}
		if x.toldKind(DamageQuarantine) == nil || x.e.nextIncarnation.Load() <= inc+50 {
			t.Errorf("catalogue lost: %v: told %+v, next is %d", lost, x.e.Damage(true), x.e.nextIncarnation.Load())
		}
		x.goesOn("S", "s", "")
	}
}

// A stream that could not be made is not there after a restart, though the journal
// has its creation.
func TestRecovery_notMade(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=OTHER subjects=[other]")
	next := x.e.nextIncarnation.Load()
	x.kill()
	x.change = func(c *Config) { c.backend = unreadable{diskBackend{c}, next, errors.New("input/output error")} }
	x.start()
	if err := x.b.fails(t, "STREAM.CREATE.S", "name=S subjects=[s]"); err.ErrCode == 0 || x.e.nextIncarnation.Load() != next+1 {
		t.Fatalf("%+v", err)
	}
	x.put("OTHER", "other", "so what came before is durable")
	x.kill()
	x.change = nil
	x.start()
	if err := x.b.fails(t, "STREAM.INFO.S", ""); err.ErrCode != 10059 {
		t.Errorf("after a restart: %+v", err)
	}
}
