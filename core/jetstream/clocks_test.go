package jetstream

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/edgestore"
)

// dues are the ticks at which the messages of a stream are due by their TTL.
func (s *stream) dues() map[uint64]int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make(map[uint64]int64)
	if s.expiries != nil {
		for _, slot := range s.expiries.heap {
			slot.each(func(seq uint64, due int64) bool { all[seq] = due; return true })
		}
	}
	return all
}

// applyMove applies a move as the log would have it done.
func (s *stream) applyMove(t *testing.T, m move) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.applyClockMove(moveData(m)); err != nil {
		t.Fatal(err)
	}
}

const tenMinutes = int64(10 * time.Minute)

// moved checks which messages are due ten minutes later than before, and that no
// other is.
func moved(t *testing.T, when string, before, after map[uint64]int64, which ...uint64) {
	t.Helper()
	want := make(map[uint64]int64)
	for seq, due := range before {
		want[seq] = due
	}
	for _, seq := range which {
		want[seq] += tenMinutes / int64(tick)
	}
	if !reflect.DeepEqual(after, want) {
		t.Errorf("%s: due at %v, want %v, before %v", when, after, want, before)
	}
}

// A move is of what was stamped here: not of what has the time of an origin,
// whether the stream is a mirror or was one.
func TestClockState_movesItsOwn(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=O subjects=[o] allow_msg_ttl")
	mustStream(t, x.b, "name=M mirror={name=O} allow_msg_ttl")
	for range 3 {
		x.put("O", "o", "x", "Nats-TTL", "1h")
	}
	eventually(t, func() bool { return x.b.origins(t, "M").State.LastSeq == 3 })
	o, m := x.e.account("A").stream("O"), x.e.account("A").stream("M")
	to := x.e.line.at() + int64(time.Hour)
	before := m.dues()
	if len(before) != 3 {
		t.Fatalf("%v", before)
	}
	m.applyMove(t, move{1, to, tenMinutes})
	moved(t, "a mirror", before, m.dues())
	before = o.dues()
	o.mu.Lock()
	o.clock.mirrored = 2 // as if it had been one
	o.mu.Unlock()
	o.applyMove(t, move{1, to, tenMinutes})
	moved(t, "what was a mirror", before, o.dues(), 3)
}

// What a mirror got with a time that can't be right, while its own clock was not
// known to be, counts from when it came, and is moved once.
func TestClockState_movesTheUnsure(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=M mirror={name=NOTHERE} allow_msg_ttl")
	s := x.e.account("A").stream("M")
	header := []byte("NATS/1.0\r\nNats-TTL: 1h\r\n\r\n")
	const came = int64(1_000_000_000_000)
	s.mu.Lock()
	s.clock = clockState{}
	for seq := uint64(3); seq <= 9; seq += 3 {
		s.addTTL(&incoming{Msg: edgestore.Msg{Seq: seq, Time: 5, Header: header}, stamp: edgestore.Stamp{Wall: came + int64(seq)}, foreign: true})
	}
	clock := s.clock
	s.mu.Unlock()
	if clock.unsure != [2]uint64{3, 9} || clock.unset != came+9 || !clock.dirty {
		t.Errorf("%+v", clock)
	}
	before := s.dues()
	if len(before) != 3 {
		t.Fatalf("%v", before)
	}
	s.applyMove(t, move{1, came + int64(time.Hour), tenMinutes})
	after := s.dues()
	moved(t, "the first move", before, after, 3, 6, 9)
	s.applyMove(t, move{came + int64(time.Hour), came + int64(2*time.Hour), tenMinutes})
	moved(t, "the second move", after, s.dues())
	// One whose own time may be right is where that says.
	s.mu.Lock()
	s.clock = clockState{}
	s.addTTL(&incoming{Msg: edgestore.Msg{Seq: 10, Time: in2026.UnixNano(), Header: header}, stamp: edgestore.Stamp{Wall: came}, foreign: true})
	if s.clock.unsure != [2]uint64{} || s.clock.unset != 0 {
		t.Errorf("%+v", s.clock)
	}
	s.mu.Unlock()
}

// All that a stream knows of times is in its store behind a drain.
func TestClockState_isStored(t *testing.T) {
	for name, c := range map[string]func(s *stream){
		"arrivals": func(s *stream) {
			s.clock.arrived(&incoming{Msg: edgestore.Msg{Seq: 1, Time: in2026.UnixNano()}, stamp: edgestore.Stamp{Wall: 77}}, time.Hour)
		},
		"a time that can't be right": func(s *stream) { s.clock.arrived(&incoming{Msg: edgestore.Msg{Seq: 4, Time: 5}}, 0) },
		"an unknown clock": func(s *stream) {
			s.addTTL(&incoming{Msg: edgestore.Msg{Seq: 1, Time: 9, Header: []byte("NATS/1.0\r\nNats-TTL: 1h\r\n\r\n")}, stamp: edgestore.Stamp{Wall: 9}, foreign: true})
		},
		"a rescan": func(s *stream) {
			s.newest = 88
			ttls, err := s.ttlsStored()
			if err != nil {
				t.Error(err)
			}
			s.beginTTLs(ttls)
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newBox(t)
			x.start()
			mustStream(t, x.b, "name=M mirror={name=NOTHERE} allow_msg_ttl")
			s := x.e.account("A").stream("M")
			x.drain()
			s.mu.Lock()
			if s.clock.dirty {
				t.Error("there is something that is not stored")
			}
			c(s)
			want := s.clock
			s.dirtyFrom = s.applied // there is something to be drained
			s.mu.Unlock()
			x.drain()
			x.kill()
			x.start()
			got := x.e.account("A").stream("M").clock
			if want.dirty = false; reflect.DeepEqual(want, clockState{}) || !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// When the catalogue is lost with the timetable, what is there counts as stored
// at the start: nothing says how old it is. What the journal still has of it is
// taken instead, and a catalogue that is whole and has none is no loss.
func TestClockStep_lostTimetable(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for _, logged := range []bool{false, true} {
			t.Run(fmt.Sprintf("lost %v, in the journal %v", lost, logged), func(t *testing.T) {
				x, c := newBox(t), newTestMachine(in2026)
				x.change = c.configure
				x.start()
				mustStream(t, x.b, "name=S subjects=[s] max_age=1h")
				mustStream(t, x.b, "name=OTHER subjects=[other]")
				x.put("S", "s", text(1))
				for range 3 { // a segment each, so that the journal has no timetable any more
					for range 35 {
						x.put("OTHER", "other", strings.Repeat("x", 8000))
					}
					x.drain()
				}
				c.forward(40 * time.Minute)
				if logged {
					c.set(time.Hour)
					x.e.ticks()
				}
				x.put("S", "s", text(2))
				x.kill()
				if lost {
					if err := os.Remove(x.path(catalogueFile)); err != nil {
						t.Fatal(err)
					}
				}
				c.reboot(0)
				x.start()
				begin := x.e.line.at()
				all := lost && !logged
				if moves := x.e.line.table().moves; (len(moves) == 1 && moves[0].from == 1) != all {
					t.Errorf("moves %+v", moves)
				}
				c.forward(30 * time.Minute)
				expireAll(t, x.e)
				if n := len(sequences(x.e, "S")); all && n != 2 || !all && n != 1 {
					t.Errorf("%d messages half an hour behind the start", n)
				}
				c.forward(31 * time.Minute)
				expireAll(t, x.e)
				if n := len(sequences(x.e, "S")); n != 0 {
					t.Errorf("%d messages an hour behind the start at %d", n, begin)
				}
			})
		}
	}
}

// The timetable keeps what concerns the oldest message that is still there; where
// that is not known it keeps everything.
func TestClockStep_oldestThatIsKnown(t *testing.T) {
	x, s, m := inRecovery(t)
	own := s.store.State().FirstTime.UnixNano()
	is := func(what string, want int64) {
		t.Helper()
		if got := x.e.oldest(x.e.line, x.e.line.at()); got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	m.mu.Lock()
	m.clock.arrivals = nil
	m.mu.Unlock()
	is("a message of its own", own)
	m.mu.Lock()
	m.clock.arrivals = []arrival{{2, own - 100}, {5, own - 50}}
	m.mu.Unlock()
	is("one of a mirror came before", own-100)
	s.mirrored.Store(3)
	is("what was a mirror", 0)
	s.mirrored.Store(0)
	is("it never was", own-100)
	x.e.mu.Lock()
	x.e.mu.offline = map[uint64]*offline{77: nil}
	x.e.mu.Unlock()
	is("a stream that could not be opened", 0)
	x.e.mu.Lock()
	x.e.mu.offline = nil
	x.e.mu.Unlock()
}

// A step is drained with the catalogue though nothing else is to be written, and
// a server that stops with an unknown clock leaves where it was.
func TestClockStep_isKept(t *testing.T) {
	x, c := newBox(t), newTestMachine(in2026)
	x.change = c.configure
	x.start()
	x.drain()
	c.set(time.Hour)
	x.e.ticks()
	if err := x.e.journal.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		x.drain()
		var kept timetable
		err := x.e.table.Each(rowClock, func(_ string, value []byte) (err error) { kept, err = readTimetable(value); return err })
		return err == nil && kept.last() == int64(time.Hour)
	})
	x.stop()

	x, c = newBox(t), newTestMachine(in1970)
	x.change = c.configure
	x.start()
	c.forward(40 * time.Minute)
	was := x.e.line.at()
	x.stop()
	c.reboot(0)
	x.start()
	if at := x.e.line.at(); at < was {
		t.Errorf("the line is at %d, it was at %d", at, was)
	}
}
