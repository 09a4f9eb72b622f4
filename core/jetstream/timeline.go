package jetstream

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/edgestore"
)

// clocks are what the system has beside the wall clock. Tests have others.
type clocks struct {
	// mono is the monotonic clock at a reading of the wall clock. It may stop
	// while the machine sleeps.
	mono func(now time.Time) int64
	// machine is which run of the machine this is, and how long it runs, sleep
	// included; "" when the system does not say.
	machine func() (run string, up int64)
}

// systemClocks are those of the machine, for a reading of time.Now.
func systemClocks() *clocks {
	started := time.Now()
	return &clocks{
		mono:    func(now time.Time) int64 { return int64(now.Sub(started)) },
		machine: machineUp,
	}
}

// timeline gives stamps: see timetable for what they are. Any goroutine may use
// it.
type timeline struct {
	now    func() time.Time
	right  func(time.Time) bool // nil: the wall clock always is
	clocks *clocks

	state atomic.Pointer[lineState]

	// mu is held by whoever changes the state, and nothing is waited for while it
	// is.
	mu     sync.Mutex
	origin int64 // up minus mono when the server started

	// steps is held from the look to the taking of a step: only then the timetable
	// changes.
	steps sync.Mutex
	saved timetable // as the log has it
}

// lineState is immutable.
type lineState struct {
	base   int64 // the line, less the monotonic clock
	timers int64 // the same for timers, which know no jumps but sleep
	start  int64 // the line at the start of the server
	drift  int64 // the wall clock, less the monotonic clock, when it was looked at last
	table  timetable
	boot   uint32 // of stamps; 0: the journal's
}

func newTimeline(cfg *Config) *timeline {
	l := &timeline{now: cfg.Now, right: cfg.ClockSynced, clocks: cfg.clocks}
	now := l.now()
	mono, wall := l.clocks.mono(now), now.UnixNano()
	if _, up := l.clocks.machine(); up != 0 {
		l.origin = up - mono
	}
	l.state.Store(&lineState{base: wall - mono, timers: wall - mono, start: wall, drift: wall - mono})
	return l
}

// known reports whether the wall clock may be right when it says now.
func (l *timeline) known(now time.Time) bool {
	return now.Year() < lastRight && (l.right == nil || l.right(now))
}

// begin takes the line up where the timetable and the latest stamp left it. If
// the timetable is lost, ages count from now.
func (l *timeline) begin(t *timetable, latest int64, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	mono := l.clocks.mono(now)
	run, up := l.clocks.machine()
	if run == "" {
		up = mono
	}
	next, at := t.begin(latest, now.UnixNano(), l.known(now), run, up)
	if lost && latest > 0 {
		next.moves = []move{{1, at, at}}
	}
	l.saved = *t
	l.state.Store(&lineState{base: at - mono, timers: at - mono, start: at, drift: now.UnixNano() - mono, table: next, boot: l.state.Load().boot})
}

// moment is one reading of the clocks. Steps and ticks are given it by the goroutine
// that runs them.
type moment struct {
	st   *lineState
	mono int64
}

// stamp is that of an operation that is appended now.
func (n moment) stamp() edgestore.Stamp {
	return edgestore.Stamp{Boot: n.st.boot, Mono: n.timer() - n.st.start, Wall: n.at(), Synced: n.st.table.unset == 0}
}

// at is where the line is.
func (n moment) at() int64 { return n.st.base + n.mono }

// timer is the time that timers live by: it never jumps while the server runs,
// whatever the wall clock does, and never falls over restarts.
func (n moment) timer() int64 { return n.st.timers + n.mono }

// wall is the wall clock, as far as it is believed.
func (n moment) wall() int64 { return n.at() + n.st.table.last() }

// read is a reading of the monotonic clock, and the state that holds for it. The
// clock is read first: what is stamped by an old state then has a stamp from
// before the state changed.
func (l *timeline) read() moment {
	now := l.now()
	mono := l.clocks.mono(now)
	st := l.state.Load()
	// After a sleep the wall clock is ahead. This costs nothing, asking for the
	// sleep does.
	if d := now.UnixNano() - mono - st.drift; d > clockSlack || d < -clockSlack {
		l.mu.Lock()
		defer l.mu.Unlock()
		now = l.now()
		mono = l.clocks.mono(now)
		l.awake(now, mono)
		st = l.state.Load()
	}
	return moment{st, mono}
}

// awake lets the line go on by what the monotonic clock has slept. The caller
// holds mu.
func (l *timeline) awake(now time.Time, mono int64) {
	next := *l.state.Load()
	next.drift = now.UnixNano() - mono
	if run, up := l.clocks.machine(); run != "" {
		if slept := up - mono - l.origin; slept > int64(time.Millisecond) {
			l.origin += slept
			next.base += slept
			next.timers += slept
		}
	}
	l.state.Store(&next)
}

// setBoot names the boot that stamps say from now on. It is one number for as long
// as this server leads a log that others share, and another one each time: what is
// between two stamps of one boot is known by the monotonic clock of one machine.
// Without one the journal adds its own.
func (l *timeline) setBoot(boot uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := *l.state.Load()
	next.boot = boot
	l.state.Store(&next)
}

// stamp is that of an operation that is appended now.
func (l *timeline) stamp() edgestore.Stamp { return l.read().stamp() }

// at is where the line is now.
func (l *timeline) at() int64 { return l.read().at() }

// timer is moment.timer now.
func (l *timeline) timer() int64 { return l.read().timer() }

// table is the timetable as it is now; it must not be changed.
func (l *timeline) table() *timetable { return &l.state.Load().table }

// wall is what is shown for a stamp.
func (l *timeline) wall(at int64) int64 { return l.table().wall(at) }

// wallNow is the wall clock, as far as it is believed.
func (l *timeline) wallNow() time.Time { return time.Unix(0, l.read().wall()).UTC() }

// timerWall is what is shown for a time of a timer.
func (l *timeline) timerWall(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	st, at := l.state.Load(), t.UnixNano()
	if at >= st.start {
		at += st.base - st.timers
	}
	return time.Unix(0, st.table.wall(at)).UTC()
}

// timersAhead is what the timers of this line are ahead of those of another one.
func (l *timeline) timersAhead(of *timeline) int64 {
	return l.state.Load().timers - of.state.Load().timers
}

// timerAt is when a time by the wall clock is, for a timer: as far away as it is from
// the wall clock, whatever time it is.
func (l *timeline) timerAt(t time.Time) int64 {
	st := l.state.Load()
	return saturated(unixNano(t), st.timers-st.base-st.table.last())
}

// lineOf is the first point on the line that is shown as t or later.
func (l *timeline) lineOf(t time.Time) int64 { return l.table().line(unixNano(t)) }

// unixNano is t in nanoseconds since 1970, or the nearest that there is.
func unixNano(t time.Time) int64 {
	switch y := t.UTC().Year(); {
	case y < 1970:
		return 0
	case y > 2261:
		return 1<<63 - 1
	}
	return t.UnixNano()
}

// lineStep is what follows from a look at the clocks.
type lineStep struct {
	table timetable
	jump  int64
	by    int64 // what the wall clock was set by; 0: the server was started
	set   bool  // it was not known to be right before
}

// look is a reading of all clocks.
type look struct {
	moment
	wall  int64 // what the wall clock says
	known bool  // it may be right
}

// look reads the clocks, and lets the line go on by what the monotonic one slept.
func (l *timeline) look() look {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	mono := l.clocks.mono(now)
	l.awake(now, mono)
	return look{moment{l.state.Load(), mono}, now.UnixNano(), l.known(now)}
}

// follows compares the clocks, and says whether the log has to be told something.
// The caller holds steps, and calls take once the log was told.
func (l *timeline) follows(at look) (s lineStep, due bool) {
	st := at.st
	by := at.wall - at.moment.wall()
	s.set = st.table.unset != 0
	switch {
	case !at.known, !s.set && by >= -clockSlack && by <= clockSlack:
		// A clock that shows what can't be is not believed.
		s.set = false
		if due = st.table.news(&l.saved); due {
			s.table = st.table.clone() // which the caller changes, and others read
		}
		return s, due
	}
	s.by = by
	s.table, s.jump = st.table.step(at.at(), by)
	return s, true
}

// take lets a step count.
func (l *timeline) take(s *lineStep) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := *l.state.Load()
	next.table = s.table
	next.base += s.jump
	l.state.Store(&next)
	l.saved = s.table
}
