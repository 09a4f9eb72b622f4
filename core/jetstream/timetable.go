package jetstream

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/edgestore"
)

// Every stamp is a point on the **line**: nanoseconds that only go on. While a
// machine runs the line goes on with its monotonic clock, sleep included, so an
// age is a difference on it, whatever is done to the wall clock. From one run of
// a machine to the next it goes on by what the wall clock did, if the clock was
// known to be right in both, and else it does not move: it never goes on by more
// than is sure.
//
// On a machine whose clock is right the line is the wall clock. The timetable
// keeps what differs: where the wall clock showed something else (shifts), and
// what came too early on the line because nobody knew yet how long the machine
// had been off (moves).

// timetable is immutable; the zero one is of a machine whose clock was always
// right. All times in it but by are on the line.
type timetable struct {
	shifts []shift // ascending
	moves  []move  // ascending; they do not overlap
	// unset is since when the wall clock is not known to be right; 0: it is.
	unset int64
	run   machineRun
	// latest is where the line was when this was written.
	latest int64
}

// shift is that the wall clock showed by more than the line, from some time to
// the next shift.
type shift struct {
	from int64
	end  int64 // nothing has a stamp from here to the next shift; 0: that is not so
	by   int64

	top int64 // the first that anything behind is shown as; it follows from the others
}

// move is that what is between from and to is by later than it says, at most to:
// the clock was set, and only then it was known when the machine had started.
type move struct{ from, to, by int64 }

// machineRun is one run of a machine, from its start to its end. The server may
// be started several times in it.
type machineRun struct {
	id     string // "" is not known: then it ends with the server
	anchor int64  // where the line was when the machine started, or would have been
	from   int64  // where the line was when the server first saw it
	before int64  // and where it was at the end of the run before
}

const (
	// clockSlack is what wall clock and line may differ by without being told:
	// daemons that keep the time step it by less, or slew it, which the monotonic
	// clock follows.
	clockSlack = int64(2 * time.Second)
	// maxShifts and maxMoves bound the timetable. A machine without a clock of
	// its own adds one of each at a start.
	maxShifts = 256
	maxMoves  = 256
)

// lastRight is the latest year in which a clock is believed: what lies centuries
// ahead is no time, and leaves no room to count on from.
const lastRight = 2200

// last is what the wall clock is ahead of the line at its end.
func (t *timetable) last() int64 {
	if n := len(t.shifts); n > 0 {
		return t.shifts[n-1].by
	}
	return 0
}

// wall is what is shown for a point on the line: what the wall clock would have
// said, had it been right. It never falls as the line goes on. Where two clocks
// contradict each other the later one is believed: what is older than its first
// reading is shown as of that at most.
func (t *timetable) wall(at int64) int64 {
	i := t.shiftAt(at)
	if i < 0 {
		return at
	}
	s := &t.shifts[i]
	if s.end != 0 {
		at = min(at, s.end)
	}
	return min(saturated(at, s.by), s.top)
}

// shiftAt finds the shift that a point lies in, -1 for none.
func (t *timetable) shiftAt(at int64) int {
	for i := len(t.shifts) - 1; i >= 0; i-- {
		if t.shifts[i].from <= at {
			return i
		}
	}
	return -1
}

// upTo is where the shift i ends.
func (t *timetable) upTo(i int) int64 {
	switch s := &t.shifts[i]; {
	case s.end != 0:
		return s.end
	case i+1 < len(t.shifts):
		return t.shifts[i+1].from
	}
	return math.MaxInt64
}

// line is the first point that is shown as at or later.
func (t *timetable) line(at int64) int64 {
	for i := range t.shifts {
		s := &t.shifts[i]
		if p := saturated(at, -s.by); at <= s.top && p <= t.upTo(i) {
			return max(s.from, p)
		}
	}
	if len(t.shifts) > 0 {
		return math.MaxInt64
	}
	return at
}

// saturated is a+b, or the nearest that there is.
func saturated(a, b int64) int64 {
	switch c := a + b; {
	case b > 0 && c < a:
		return math.MaxInt64
	case b < 0 && c > a:
		return math.MinInt64
	default:
		return c
	}
}

// settled is where on the line something belongs that has the stamp at.
func (t *timetable) settled(at int64) int64 {
	for i := len(t.moves) - 1; i >= 0; i-- {
		if m := &t.moves[i]; m.from <= at {
			if at < m.to {
				return min(saturated(at, m.by), m.to)
			}
			break
		}
	}
	return at
}

// cutoff is below which stamps are settled before at.
func (t *timetable) cutoff(at int64) int64 {
	for i := len(t.moves) - 1; i >= 0; i-- {
		if m := &t.moves[i]; m.from < at {
			if at <= m.to {
				return max(m.from, at-m.by)
			}
			break
		}
	}
	return at
}

// clone copies what a change writes to.
func (t *timetable) clone() timetable {
	c := *t
	c.shifts, c.moves = slices.Clone(t.shifts), slices.Clone(t.moves)
	return c
}

// shiftFrom has the wall clock ahead by more, from some point to the end; before
// is the latest stamp below that.
func (t *timetable) shiftFrom(from, before, by int64) {
	i := t.shiftAt(from)
	switch {
	case i < 0:
		t.shifts = slices.Insert(t.shifts, 0, shift{end: before}, shift{from: from})
		i = 1
	case t.shifts[i].from < from:
		s := shift{from: from, by: t.shifts[i].by, end: t.shifts[i].end}
		if t.shifts[i].end == 0 || t.shifts[i].end > before {
			t.shifts[i].end = max(before, t.shifts[i].from)
		}
		i++
		t.shifts = slices.Insert(t.shifts, i, s)
	}
	for ; i < len(t.shifts); i++ {
		t.shifts[i].by += by
	}
	t.bound()
}

// begin is the timetable for a start of the server, and where the line goes on:
// end is the latest stamp there is, up how long the machine runs, wall what the
// wall clock says, and known that this may be right.
func (t *timetable) begin(end, wall int64, known bool, id string, up int64) (next timetable, at int64) {
	end = max(end, t.latest, t.run.from)
	next = t.clone()
	if at = t.run.anchor + up; id != "" && id == t.run.id && at >= end {
		next.latest = t.latest // nothing new
		return next, at
	}
	first := end == 0
	end++ // what is there already is no part of what begins here
	switch {
	case first:
		at = max(wall, 1)
	case known && t.unset == 0:
		at = end + max(0, wall-end-t.last())
	default:
		at = end
	}
	if !known && t.unset == 0 {
		next.unset = at
	}
	next.run = machineRun{id, at - up, at, end}
	return next, at
}

// step is the timetable after the wall clock was set: at now it shows by more
// than it should. jump is what the line goes ahead by, because it had lost that.
//
// What has a stamp of this run of the machine is shown by the clock that is
// right now. Ages do not change by it, for the clock may be right or wrong now or
// before. But if it was known to be wrong until now, all between the last stamp
// before that and now was counted as nothing, and can be counted now.
func (t *timetable) step(now, by int64) (next timetable, jump int64) {
	next = t.clone()
	next.latest = now
	if t.unset == 0 {
		next.shiftFrom(t.run.from, t.run.before, by)
		return next, 0
	}
	next.unset = 0
	if by >= -clockSlack && by <= clockSlack {
		return next, 0
	}
	next.shiftFrom(t.unset, t.unset, by)
	if by < 0 {
		return next, 0
	}
	last := &next.shifts[len(next.shifts)-1]
	last.end = now
	next.shifts = append(next.shifts, shift{from: now + by, by: t.last()})
	next.moves = append(next.moves, move{t.unset, now + by, by})
	next.run.anchor += by
	next.latest = now + by
	next.bound()
	return next, by
}

// bound keeps the timetable small: the oldest shifts become one, and what the
// oldest moves are about counts as stored at the end of both. It also finds the
// tops.
func (t *timetable) bound() {
	for i := 0; i+1 < len(t.shifts); {
		if a, b := &t.shifts[i], &t.shifts[i+1]; a.by == b.by || len(t.shifts) > maxShifts {
			b.from = a.from
			t.shifts = slices.Delete(t.shifts, i, i+1)
			continue
		}
		i++
	}
	for len(t.moves) > maxMoves {
		a, b := t.moves[0], t.moves[1]
		t.moves[1] = move{a.from, b.to, b.to - a.from}
		t.moves = slices.Delete(t.moves, 0, 1)
	}
	top := int64(math.MaxInt64)
	for i := len(t.shifts) - 1; i >= 0; i-- {
		s := &t.shifts[i]
		s.top = top
		top = min(top, saturated(s.from, s.by))
	}
}

// forget drops what concerns nothing from before oldest, the oldest stamp of a
// message that is still there.
func (t *timetable) forget(oldest int64) {
	t.moves = slices.DeleteFunc(t.moves, func(m move) bool { return m.to <= oldest })
	n := 0
	for n+1 < len(t.shifts) && t.shifts[n+1].from <= oldest {
		n++
	}
	t.shifts = slices.Delete(t.shifts, 0, n)
	t.bound()
}

// news reports whether t says something that o does not, and that has to be known
// after a restart.
func (t *timetable) news(o *timetable) bool {
	return t.unset != o.unset || t.run.id != "" && t.run != o.run || !slices.Equal(t.shifts, o.shifts) || !slices.Equal(t.moves, o.moves)
}

func (t *timetable) append(b []byte) []byte {
	b = msgp.AppendInt64(b, t.latest)
	b = msgp.AppendInt64(b, t.unset)
	b = msgp.AppendString(b, t.run.id)
	b = msgp.AppendInt64(b, t.run.anchor)
	b = msgp.AppendInt64(b, t.run.from)
	b = msgp.AppendInt64(b, t.run.before)
	b = msgp.AppendUint64(b, uint64(len(t.shifts)))
	for _, s := range t.shifts {
		b = msgp.AppendInt64(msgp.AppendInt64(msgp.AppendInt64(b, s.from), s.end), s.by)
	}
	b = msgp.AppendUint64(b, uint64(len(t.moves)))
	for _, m := range t.moves {
		b = msgp.AppendInt64(msgp.AppendInt64(msgp.AppendInt64(b, m.from), m.to), m.by)
	}
	return b
}

func readTimetable(b []byte) (t timetable, err error) {
	r := opReader{b: b}
	t.latest, t.unset = r.int(), r.int()
	t.run = machineRun{r.string(), r.int(), r.int(), r.int()}
	n := r.uint()
	for ; n > 0 && n <= maxShifts && r.err == nil; n-- {
		t.shifts = append(t.shifts, shift{from: r.int(), end: r.int(), by: r.int()})
	}
	m := r.uint()
	for ; m > 0 && m <= maxMoves && r.err == nil; m-- {
		t.moves = append(t.moves, move{r.int(), r.int(), r.int()})
	}
	if err := r.done("clock step"); err != nil {
		return timetable{}, err
	}
	if n|m != 0 || !t.possible() {
		return timetable{}, fmt.Errorf("clock step operation: %w: the timetable is not in order", edgestore.ErrCorrupt)
	}
	t.bound()
	return t, nil
}

// possible reports whether shifts and moves can be: they ascend, moves do not
// overlap, and each is one that may be applied.
func (t *timetable) possible() bool {
	for i, s := range t.shifts {
		if s.from < 0 || s.end < 0 || i > 0 && s.from < t.shifts[i-1].from {
			return false
		}
	}
	upTo := int64(0)
	for _, m := range t.moves {
		if m.from < upTo || !m.possible() {
			return false
		}
		upTo = m.to
	}
	return true
}

// possible reports whether a move goes on, and not beyond its end.
func (m *move) possible() bool {
	return m.from >= 0 && m.to >= m.from && m.by >= 0 && m.by <= m.to
}
