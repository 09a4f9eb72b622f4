package jetstream

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// What a stream knows of times outlives a restart, and what is done to its index
// of TTLs is done once.

func moveData(m move) []byte {
	b := msgp.AppendInt64(nil, m.to)
	return msgp.AppendInt64(msgp.AppendInt64(msgp.AppendInt64(b, m.from), m.to), m.by)
}

// What came from the origin of a mirror stays foreign when the mirror became a
// stream of its own, behind a drain and a restart too.
func TestClockState_promotedMirror(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=O subjects=[o]")
	for i := range 3 {
		x.put("O", "o", text(i))
	}
	mustStream(t, x.b, "name=M mirror={name=O}")
	eventually(t, func() bool { return x.b.origins(t, "M").State.LastSeq == 3 })
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	x.b.call(t, "STREAM.UPDATE.M", "name=M subjects=[m]", nil)
	x.put("M", "m", "its own")
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	x.kill()
	x.start()
	s := x.e.account("A").stream("M")
	if !s.foreign(3) || s.foreign(4) || s.clock.mirrored != 3 {
		t.Errorf("mirrored up to %d: 3 is foreign %v, 4 %v", s.clock.mirrored, s.foreign(3), s.foreign(4))
	}
}

// A move is applied once, however often it is logged, and a restart behind a
// drain knows it.
func TestClockState_movedOnce(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s] allow_msg_ttl")
	x.put("S", "s", text(1), "Nats-TTL", "1h")
	s := x.e.account("A").stream("S")
	m := move{from: 1, to: x.e.line.at() + int64(time.Hour), by: int64(10 * time.Minute)}
	apply := func() (due int64) {
		s = x.e.account("A").stream("S")
		rec := s.record(opClockMove, false)
		if err := x.e.append(s.log(), true, &rec, nil, nil, moveData(m)); err != nil {
			t.Fatal(err)
		}
		x.put("S", "s", text(2)) // so it is applied
		s.mu.Lock()
		defer s.mu.Unlock()
		due, _ = s.expiries.next()
		return due
	}
	s.mu.Lock()
	before, _ := s.expiries.next()
	s.mu.Unlock()
	want := before + int64(10*time.Minute)/int64(tick)
	for i := range 2 {
		if due := apply(); due != want {
			t.Errorf("applied %d times it is due at %d, want %d", i+1, due, want)
		}
	}
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	x.kill()
	x.start()
	if s := x.e.account("A").stream("S"); s.clock.moved != m.to {
		t.Errorf("behind a restart moved is %d, want %d", s.clock.moved, m.to)
	}
	if due := apply(); due != want {
		t.Errorf("behind a restart it is due at %d, want %d", due, want)
	}
}

// Of a move to its end, which many became, those in the index keep their
// distances: the newest of them comes to the end, and none beyond it. A log that
// does not take it now takes it later.
func TestClockState_moveToTheEnd(t *testing.T) {
	x := newBox(t)
	var refuse atomic.Bool
	x.change = func(c *Config) { c.backend = withoutNotes{diskBackend{c}, &refuse, opClockMove} }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s] allow_msg_ttl")
	x.put("S", "s", text(1), "Nats-TTL", "2h")
	s := x.e.account("A").stream("S")
	due := func() int64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		at, _ := s.expiries.next()
		return at
	}
	before := due()
	s.mu.Lock()
	newest := s.newest
	s.clock.unset = newest // as if the clock had not been known to be right
	s.mu.Unlock()
	l := x.e.line
	l.mu.Lock()
	st := *l.state.Load()
	to := newest + int64(time.Hour)
	st.table.moves = []move{{1, to, to - 1}}
	l.state.Store(&st)
	l.saved = st.table
	l.mu.Unlock()

	refuse.Store(true)
	x.e.ticks()
	if !movesDue(s) || s.moving.Load() {
		t.Errorf("the log takes no move: still due, and none on its way: %v", s.moving.Load())
	}
	refuse.Store(false)
	eventually(t, func() bool { x.e.ticks(); return !movesDue(s) })
	if got, want := due(), before+int64(time.Hour)/int64(tick); got < want-1 || got > want+1 {
		t.Errorf("due at %d, want %d", got, want)
	}
}

// movesDue reports whether the stream has still to be told of a move.
func movesDue(s *stream) bool {
	_, due := s.moveDue(s.line.read())
	return due
}
