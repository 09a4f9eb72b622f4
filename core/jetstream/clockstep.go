package jetstream

import (
	"fmt"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/edgestore"
)

// When the wall clock was set, opClockStep in the catalogue says so: it carries
// the timetable (timetable.go) that holds from then on. It is appended before
// anything has a stamp from behind the step, so whatever is durable is as the
// timetable says.
//
// What messages expire by their own TTL stands in an index, by where on the line
// they are due. A step that moves what is in it is applied to that by an
// operation of the stream, opClockMove, before anything of the stream expires.

const (
	rowClock = "clock" // in the catalogue: the timetable
	auxClock = "clock"
)

// checkClock looks whether the wall clock was set, or the machine has slept, and
// has the log told. What the log does not take now is tried again with the next
// look; until then everything goes on by the clock before.
func (e *Engine) checkClock() {
	if e.local != e.line {
		e.checkLine(e.local, nil)
	}
	if e.journal == nil || e.leadsLog(e.journal) {
		e.checkLine(e.line, e.journal)
	}
}

// checkLine is checkClock for one line; log is nil when none has to know.
func (e *Engine) checkLine(l *timeline, log Log) {
	l.steps.Lock()
	defer l.steps.Unlock()
	at := l.look()
	if s, due := e.clockTick(l, at); due {
		e.takeStep(l, log, at.moment, &s)
	}
}

// clockTick says what follows from a look at the clocks, if anything does. The caller
// holds steps of the line.
func (e *Engine) clockTick(l *timeline, at look) (s lineStep, due bool) {
	if s, due = l.follows(at); due {
		s.table.forget(e.oldest(l, at.at()))
	}
	return s, due
}

// takeStep does what clockTick asks for: the log is told, then the step counts, and
// then the consumers know. It does all of it or nothing.
func (e *Engine) takeStep(l *timeline, log Log, now moment, s *lineStep) {
	if log != nil {
		rec := e.catalogueRecordAt(now, log, opClockStep)
		if err := e.append(log, true, &rec, nil, nil, s.table.append(nil)); err != nil {
			if e.clockSaid.due(e.now()) {
				e.logger.Warn("the clock was set; that can't be written down yet, and messages have times by the clock before", "err", err)
			}
			return
		}
	}
	l.take(s)
	switch {
	case s.set:
		e.logger.Info("the clock is right now: messages stored since the start got their times by it", "ahead", time.Duration(s.by))
	case s.by != 0:
		e.logger.Warn("the clock was set: messages stored since the machine started got their times by it, and their age stays", "ahead", time.Duration(s.by))
	default:
		return
	}
	for _, st := range e.allStreams() {
		if st.line != l {
			continue
		}
		for _, m := range st.members() {
			m.clockSet(s.set)
		}
	}
}

// noteLine writes down where the line is, when the server is stopped while the
// clock is not known to be right: nothing else would say how long it ran.
func (e *Engine) noteLine() {
	e.line.steps.Lock()
	defer e.line.steps.Unlock()
	t := *e.line.table()
	if t.unset == 0 || e.journal == nil || !e.leadsLog(e.journal) {
		return
	}
	t.latest = e.line.at()
	rec := e.catalogueRecord(e.journal, opClockStep)
	e.appendLazy(e.journal, &rec, nil, t.append(nil))
}

// oldest is the oldest stamp on a line of a message that is still there; nothing is
// known of the streams that could not be opened.
func (e *Engine) oldest(l *timeline, now int64) int64 {
	e.mu.RLock()
	n := len(e.mu.offline)
	e.mu.RUnlock()
	if n > 0 {
		return 0
	}
	oldest := now
	for _, s := range e.allStreams() {
		st := s.store.State() // which may read
		s.mu.RLock()
		switch {
		case st.Msgs == 0, s.line != l:
		case !s.foreign(st.FirstSeq):
			oldest = min(oldest, st.FirstTime.UnixNano())
		case s.config().Mirror == nil:
			oldest = 0 // the first one of its own is not known
		case len(s.clock.arrivals) > 0:
			oldest = min(oldest, s.clock.arrivals[0].at)
		}
		s.mu.RUnlock()
	}
	return oldest
}

// clockStep applies opClockStep to the catalogue. While the server runs its
// timetable holds already.
func (a *applier) clockStep(en *edgestore.Entry) *apierror.Error {
	if a.replays && en.LSN <= a.e.mu.cat.skipUpTo {
		return nil
	}
	t, err := readTimetable(en.Data)
	if err != nil {
		return apierror.Of(err, errStoreFailed)
	}
	a.e.mu.Lock()
	defer a.e.mu.Unlock()
	c := &a.e.mu.cat
	c.clock, c.clockDirty = t, true
	c.touch(en.LSN)
	return nil
}

// clockState is what a stream knows of times; the stream's mu guards it.
type clockState struct {
	// unset is the newest stamp in the index of TTLs from a time when the clock
	// was not known to be right, and moved up to where that index was moved.
	unset, moved int64
	// mirrored is the last sequence that came with the time of an origin: none is
	// on the line up to there.
	mirrored uint64
	// doubtful is the newest sequence of a mirror with a time that can't be right:
	// up to it only the arrivals count.
	doubtful uint64
	// unsure are the first and last of those in the index of TTLs that came, by a
	// stamp from such a time, and were not moved.
	unsure [2]uint64
	// arrivals are when the messages of a mirror came: whatever clock they are
	// by, they are at least as old as they are here.
	arrivals []arrival
	dirty    bool
}

// arrival is that everything up to a sequence was there at a stamp.
type arrival struct {
	seq uint64
	at  int64
}

// firstTimes is before when no server has stored a message that a mirror could
// have: a clock that says so was not set.
var firstTimes = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()

// maxArrivals is how exactly a mirror knows when its messages came: in this many
// parts of its max_age.
const maxArrivals = 64

// arrived takes note that a message of a mirror came.
func (c *clockState) arrived(m *incoming, age time.Duration) {
	seq, at := m.Seq, m.stamp.Wall
	if m.Time < firstTimes {
		c.doubtful, c.dirty = seq, true
	}
	if n := len(c.arrivals); age <= 0 || n > 0 && at-c.arrivals[n-1].at < int64(age)/maxArrivals {
		return
	}
	if len(c.arrivals) >= 2*maxArrivals {
		c.arrivals = append(c.arrivals[:0], c.arrivals[1:]...)
	}
	c.arrivals = append(c.arrivals, arrival{seq, at})
	c.dirty = true
}

// hereSince is the newest sequence that a mirror has since before a point on the
// line; 0 is none.
func (c *clockState) hereSince(t *timetable, at int64) uint64 {
	for i := len(c.arrivals) - 1; i >= 0; i-- {
		if t.settled(c.arrivals[i].at) < at {
			return c.arrivals[i].seq
		}
	}
	return 0
}

func (c *clockState) append(b []byte) []byte {
	b = msgp.AppendBool(b, false)
	b = msgp.AppendUint64(b, 0)
	b = msgp.AppendInt64(b, c.unset)
	b = msgp.AppendInt64(b, c.moved)
	b = msgp.AppendUint64(b, c.mirrored)
	b = msgp.AppendUint64(b, c.doubtful)
	b = msgp.AppendUint64(msgp.AppendUint64(b, c.unsure[0]), c.unsure[1])
	b = msgp.AppendUint64(b, uint64(len(c.arrivals)))
	for _, x := range c.arrivals {
		b = msgp.AppendInt64(msgp.AppendUint64(b, x.seq), x.at)
	}
	return b
}

func (c *clockState) load(value []byte) error {
	r := opReader{b: value}
	r.bool() // what earlier builds kept
	for n := r.uint(); n > 0 && r.err == nil; n-- {
		r.uint()
		r.int()
	}
	if r.err == nil && len(r.b) > 0 { // theirs ends here
		c.unset, c.moved, c.mirrored = r.int(), r.int(), r.uint()
		c.doubtful, c.unsure = r.uint(), [2]uint64{r.uint(), r.uint()}
		for n := min(r.uint(), 2*maxArrivals); n > 0 && r.err == nil; n-- {
			c.arrivals = append(c.arrivals, arrival{r.uint(), r.int()})
		}
	}
	return r.done("clock of the stream")
}

// foreign reports whether the time of a message is that of an origin, and not on
// the line.
func (s *stream) foreign(seq uint64) bool {
	return s.config().Mirror != nil || seq <= s.mirrored.Load()
}

// shown is the time of a stored message as clients see it.
func (s *stream) shown(seq uint64, at int64) int64 {
	if s.foreign(seq) {
		return at
	}
	return s.line.wall(at)
}

// lineOf is shown the other way: what to look for in the store.
func (s *stream) lineOf(t time.Time) time.Time {
	if s.config().Mirror != nil {
		return t
	}
	return time.Unix(0, s.line.lineOf(t))
}

// promoted is called when a mirror becomes a stream of its own.
func (s *stream) promoted() {
	s.clock.mirrored, s.clock.dirty = s.last, true
	s.mirrored.Store(s.last)
	s.newest = 0
}

// moveDue is what the stream has to be told of what was moved and is in its index of
// TTLs. It reports whether there is something; nothing may expire until that is
// applied. No operation is to be appended while one is on its way.
func (s *stream) moveDue(now moment) (op operation, due bool) {
	if s.moving.Load() {
		return op, true
	}
	s.mu.RLock()
	unset, moved := s.clock.unset, s.clock.moved
	dead := s.deleted || s.failed != nil
	s.mu.RUnlock()
	if dead || unset == 0 {
		return op, false
	}
	for _, m := range now.st.table.moves {
		if m.to <= moved || m.from > unset {
			continue
		}
		by := m.by
		if by == m.to-m.from { // all of it to its end, but they keep their distances
			by = max(0, m.to-unset)
		}
		b := msgp.AppendInt64(nil, now.at())
		b = msgp.AppendInt64(msgp.AppendInt64(msgp.AppendInt64(b, m.from), m.to), by)
		return operation{kind: opClockMove, what: "clock step", data: [3][]byte{b}}, true // one after the other
	}
	return op, false
}

// applyClockMove moves what is in the index of TTLs.
func (s *stream) applyClockMove(data []byte) error {
	s.moving.Store(false)
	r := opReader{b: data}
	r.int() // when it was decided
	var m move
	if r.err == nil && len(r.b) > 0 { // those of earlier builds end here
		m = move{r.int(), r.int(), r.int()}
	}
	err := r.done("clock move")
	switch {
	case err != nil:
		return err
	case !m.possible():
		return fmt.Errorf("clock move operation: %w: %+v", edgestore.ErrCorrupt, m)
	case m.to <= s.clock.moved:
		return nil
	}
	own := s.clock.mirrored + 1
	if s.config().Mirror != nil {
		own = s.last + 1
	}
	from, err := s.seqAt(m.from)
	if err != nil {
		return err
	}
	to, err := s.seqAt(m.to)
	if err != nil {
		return err
	}
	s.expiries.move(max(from, own), to, m.by)
	if x := &s.clock.unsure; x[1] != 0 {
		s.expiries.move(x[0], x[1]+1, m.by)
		*x = [2]uint64{}
	}
	s.clock.moved, s.clock.dirty = m.to, true
	return nil
}
