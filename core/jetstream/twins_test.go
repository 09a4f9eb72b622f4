package jetstream

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/edgestore"
)

// Two engines on one log: the leader has clients, timers and a clock, the
// follower only applies what the log gives it, in other pieces, with restarts in
// between, and sometimes takes the lead. Behind every step both have the same
// state (twins_state_test.go), and so has a third one at the end that applies all
// of it at once. The operations are those of the chaos test and what it does not
// do (twins_ops_test.go).

const (
	twinSteps = 60  // of a seed, at least
	twinMost  = 300 // what goroutines do is no matter of the seed: until there was enough of it
	twinLeast = 500 // operations of a seed, at least
)

func TestTwins_come_to_the_same(t *testing.T) { comeToTheSame(t, false) }

// Two engines whose disks fail to read at different times have the same state.
func TestTwins_with_disks_that_fail(t *testing.T) { comeToTheSame(t, true) }

func comeToTheSame(t *testing.T, faulty bool) {
	seeds := []uint64{1, 2}
	switch {
	case faulty && *crashSeed == 0 && os.Getenv("FROND_SOAK") == "":
		seeds = []uint64{3}
	case *crashSeed != 0:
		seeds = []uint64{*crashSeed}
	case os.Getenv("FROND_SOAK") != "":
		for range 20 {
			seeds = append(seeds, rand.Uint64())
		}
	}
	kinds := make(map[uint8]int)
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newTwins(t, seed, faulty)
				x.everything()
				for n := 0; !t.Failed() && (n < twinSteps || int(x.g.committed()) < twinLeast || n < twinMost && !x.changes.enough()); n++ {
					x.step(n)
				}
				x.end()
				for _, en := range x.g.entries {
					kinds[en.Kind]++
				}
				t.Logf("%d operations, %d refused, %d lost by elections; %d compared, %d restarts, %d elections with a restart, without %+v", len(x.g.entries), x.g.refused, x.g.dropped, x.compared, x.restarts, x.elections, x.changes)
				if faulty && x.lead.reads.failed+x.follow.reads.failed == 0 {
					t.Errorf("the disks failed %d and %d times", x.lead.reads.failed, x.follow.reads.failed)
				}
				x.changed()
				if x.restarts == 0 || x.elections == 0 || x.g.refused == 0 {
					t.Error("the run did too little to show anything")
				}
			})
		})
	}
	for name, kind := range operationKinds(t) {
		if kinds[kind] == 0 && *crashSeed == 0 && !t.Failed() { // one seed need not have them all
			t.Errorf("no operation of kind %s was applied", name)
		}
	}
}

// twins are the two engines and their log.
type twins struct {
	t      *testing.T
	rnd    *rand.Rand
	g      *twinGroup
	w      *chaosWorld // of the clients of the leader
	lead   *twin
	follow *twin
	made   int
	// faulty: now and then the disks do not read, each at its own times.
	faulty bool

	compared, restarts, elections int
	changes                       twinChanges
	short                         bool // it is about something else than how much
}

// twin is one of the engines, with its own folder and its own clock.
type twin struct {
	t       *testing.T
	name    string
	dir     string
	clock   *twinClock
	backend *twinBackend
	log     *twinLog
	e       *Engine
	bus     *testBus
	ended   chan twinOutcome // of a follower: what became of its start
	// change is a fault of the test, see twinLog.
	change func([]edgestore.Entry) []edgestore.Entry
	place  twinPlace
	// reads, if not nil, are the reads of the files of its stores.
	reads *twinReads
	// published counts what it sends by itself.
	published atomic.Int64
}

type twinOutcome struct {
	e   *Engine
	err error
}

// twinClock is the clock of the bubble on a machine that has its own.
type twinClock struct {
	began time.Time
	mu    sync.Mutex
	wall  time.Duration // what the wall clock is ahead of the bubble's
	ahead func() int64  // what the test has moved all clocks on
	boot  int
}

func (c *twinClock) up() time.Duration { return time.Since(c.began) + time.Duration(c.ahead()) }

func (c *twinClock) set(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall += d
}

func (c *twinClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Unix(0, c.began.UnixNano()+int64(c.up()+c.wall))
}

func (c *twinClock) configure(cfg *Config, name string) {
	cfg.Now = c.now
	cfg.ClockSynced = func(now time.Time) bool { return now.Year() >= 2026 }
	cfg.clocks = &clocks{
		mono:    func(time.Time) int64 { return int64(c.up()) },
		machine: func() (string, int64) { return name, int64(time.Hour + c.up()) },
	}
}

func newTwins(t *testing.T, seed uint64, faulty ...bool) *twins {
	x := bareTwins(t, seed, faulty...)
	x.w.found()
	x.found()
	x.g.refuse = 25
	return x
}

// bareTwins have no streams yet.
func bareTwins(t *testing.T, seed uint64, faulty ...bool) *twins {
	rnd := rand.New(rand.NewPCG(seed, 7))
	x := &twins{t: t, rnd: rnd, g: &twinGroup{rnd: rand.New(rand.NewPCG(seed, 8))}}
	x.faulty = slices.Contains(faulty, true)
	x.w = &chaosWorld{t: t, rnd: rnd, d: &chaosDisk{}, m: newChaosModel(), tally: newChaosTally(), unreadable: x.faulty}
	// The leader begins with a clock that was not set, the other one is ahead.
	x.lead, x.follow = x.newTwin(-30*years1), x.newTwin(27*years1)
	t.Cleanup(x.close) // before the folders go
	x.lead.open(x.g)
	x.follow.open(x.g)
	x.g.elect()
	x.promote(x.lead)
	return x
}

const years1 = 365 * 24 * time.Hour

func (x *twins) newTwin(wall time.Duration) *twin {
	x.made++
	c := &twinClock{began: time.Now(), wall: wall, ahead: x.w.d.clock.ahead.Load}
	place := twinPlace{edgestore.LSN(1 + x.made%3), edgestore.LSN(100 * x.made)}
	var reads *twinReads
	if x.faulty {
		reads = new(twinReads)
	}
	return &twin{t: x.t, place: place, reads: reads, name: fmt.Sprint("twin ", x.made), dir: x.t.TempDir(), clock: c, backend: &twinBackend{start: journalStart{id: uint64(x.made)}}}
}

func (n *twin) config(g *twinGroup) Config {
	c := testConfig(n.t)
	c.Logger = slog.New(slog.NewTextHandler(&testWriter{t: n.t}, &slog.HandlerOptions{Level: slog.LevelError}))
	c.Dir = n.dir
	c.DrainBytes = 1 << 40 // when the test says so
	c.idBytes, c.idsWake, c.idsMost = 400, 1<<30, 1<<30
	c.newestFormat = Format + 1000
	n.clock.configure(&c, n.name)
	if n.reads != nil {
		c.StoreCacheBytes = 1
		c.idDisk = n.reads.ids()
	}
	c.fill()
	at := c
	l := &twinLog{g: g, cmds: make(chan twinCommand), started: make(chan *replay), kick: make(chan struct{}, 1), quit: make(chan struct{}), change: n.change, place: n.place}
	if n.log != nil {
		l.applied, l.released = n.log.inFiles(), n.log.inFiles()
	}
	n.log = l
	n.backend.diskBackend, n.backend.log, n.backend.reads = diskBackend{&at}, n.log, n.reads
	c.backend = n.backend
	return c
}

// open starts a twin as a follower. What it has applied before and is not in its
// files is to be given to it again.
func (n *twin) open(g *twinGroup) {
	c := n.config(g)
	n.ended = make(chan twinOutcome, 1)
	go func() {
		e, err := New(c)
		n.ended <- twinOutcome{e, err}
	}()
	n.e = (<-n.log.started).e
}

// give has a follower apply what was committed up to an LSN, in pieces.
func (n *twin) give(rnd *rand.Rand, to edgestore.LSN) {
	n.reads.nowAndThen(rnd)
	defer n.reads.calm()
	for l := n.log; l.applied < to; {
		upTo := l.applied + 1 + edgestore.LSN(rnd.Uint64N(uint64(min(to-l.applied, 40))))
		list := l.g.between(l.applied, upTo)
		if l.change != nil {
			list = l.change(list)
		}
		if err := n.command(twinCommand{entries: list}); err != nil {
			n.t.Errorf("%s could not apply %d to %d: %v", n.name, l.applied+1, upTo, err)
		}
		l.applied = upTo
	}
}

func (n *twin) command(c twinCommand) error {
	c.done = make(chan error)
	n.log.cmds <- c
	return <-c.done
}

// stop ends a twin; kill does so without a drain, which a follower never does.
func (n *twin) stop(kill bool) {
	defer func() { n.e = nil }()
	if n.ended != nil {
		_ = n.command(twinCommand{end: true, err: errTwinStops})
		<-n.ended
		n.ended = nil
		return
	}
	if kill {
		n.e.drain.most = -time.Hour
	}
	if err := n.e.Close(); err != nil {
		n.t.Errorf("%s: %v", n.name, err)
	}
}

// drain brings what a follower has applied into its files, or a part of it.
func (n *twin) drain(rnd *rand.Rand) {
	for _, s := range n.e.allStreams() {
		if s.memory || rnd.IntN(3) == 0 {
			continue
		}
		if err := s.packIDs(); err != nil {
			n.t.Error(err)
		}
		if !s.seal() {
			continue
		}
		if err := s.store.Flush(); err != nil {
			n.t.Error(err)
		}
		if h, rows, ok := s.flushed(); ok {
			n.e.noteHead(s.incarnation, h, rows)
		}
	}
	if rnd.IntN(3) > 0 {
		if err := n.e.writeCatalogue(); err != nil {
			n.t.Error(err)
		}
	}
	n.log.Release(n.e.releasable(n.place.lsn(n.log.applied)))
}

// promote makes a follower the leader, which needs no start if it runs.
func (x *twins) promote(n *twin) {
	n.give(x.rnd, x.g.committed())
	x.lead = n
	if n.ended == nil {
		_ = n.command(twinCommand{do: func() { n.e.lead(n.log, func() { x.g.open(n.log) }) }})
		x.w.e, x.w.b = n.e, n.bus
		return
	}
	x.g.open(n.log)
	_ = n.command(twinCommand{end: true})
	out := <-n.ended
	n.ended = nil
	if out.err != nil {
		x.t.Fatalf("%s: %v", n.name, out.err)
	}
	n.e, n.bus = out.e, newTestBus("A")
	n.bus.spy = n.spy
	x.w.e, x.w.b = n.e, n.bus
	x.w.listen()
	if err := n.e.EnableAccount(n.bus); err != nil {
		x.t.Fatal(err)
	}
	x.subscribe()
}

// elect makes the follower the leader: when the leader was stopped, or whatever
// that has on its way. Its files have nothing that the log has not, so it follows
// with them.
func (x *twins) elect() {
	x.elections++
	was := x.lead
	calm := x.rnd.IntN(2) == 0
	if calm {
		was.stop(x.rnd.IntN(2) == 0)
	}
	x.g.elect()
	x.promote(x.follow)
	x.follow = was
	if !calm {
		was.stop(false)
	}
	was.open(x.g)
}

// step is one operation or several, and the comparison behind them.
func (x *twins) step(n int) {
	x.lead.reads.nowAndThen(rand.New(rand.NewPCG(uint64(n), 9)))
	for range 1 + x.rnd.IntN(3) {
		x.operation()
	}
	if x.faulty { // else what the operations began is under way in what follows
		x.settle()
		x.lead.reads.calm()
	}
	what := x.rnd.IntN(16)
	switch {
	case n%20 < 2:
		what = n % 20 // now and then in any case
	case n%5 == 3:
		what = 7
	}
	switch what {
	case 0:
		x.elect()
	case 1, 2:
		x.restarts++
		x.follow.stop(x.rnd.IntN(2) == 0)
		x.follow.open(x.g)
	case 3, 4, 5, 6:
		x.follow.drain(x.rnd)
	case 7, 8:
		x.change()
	}
	x.settle()
	if what > 13 || n%20 == 2 { // with what its consumers did and no log has yet
		x.operation()
		if err := x.lead.e.drain.drain(); err != nil {
			x.t.Error(err)
		}
		x.settle()
	}
	x.compare()
}

// settle waits until the leader has nothing more to do and all of it is committed.
func (x *twins) settle() {
	x.wait(x.lead.name+" does not come to an end", func() bool {
		before := x.g.committed()
		<-time.After(lazyCommit)
		synctest.Wait()
		return x.g.idle() && x.g.committed() == before && x.settled()
	})
}

// wait lets time pass until something is so.
func (x *twins) wait(not string, ok func() bool) {
	x.t.Helper()
	for range 200 {
		synctest.Wait()
		if ok() {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	x.t.Fatal(not)
}

// settled reports whether the log has all that the leader's consumers and notes
// have to say, and which consumers a start has ended.
func (x *twins) settled() bool {
	for _, s := range x.lead.e.allStreams() {
		s.mu.RLock()
		open := len(s.notes) + len(s.consumers.forgotten) // what the log refused comes with the next look
		s.mu.RUnlock()
		for _, m := range s.members() {
			m.mu.Lock()
			open += len(m.deltas.unsent)
			if m.deltas.logged && m.m.HasDelta() {
				open++
			}
			m.mu.Unlock()
		}
		if open > 0 {
			return false
		}
	}
	return true
}

func (x *twins) compare() {
	x.t.Helper()
	x.compared++
	x.rest()
	x.follow.give(x.rnd, x.g.committed())
	// A follower whose disk does not read takes its time, in which the leader's
	// consumers deliver again: both are to be at the same operation.
	x.wait(x.follow.name+" does not catch up", func() bool {
		given := x.g.committed()
		x.follow.give(rand.New(rand.NewPCG(uint64(given), 11)), given)
		synctest.Wait()
		return x.g.idle() && x.settled() && x.g.committed() == given
	})
	for _, n := range []*twin{x.lead, x.follow} {
		for _, s := range n.e.allStreams() {
			if s.failed != nil {
				x.t.Errorf("%s: stream %s has stopped: %v", n.name, s.name, s.failed)
			}
		}
	}
	if d := difference(stateOf(x.lead.e), stateOf(x.follow.e)); d != "" {
		x.t.Errorf("%s, which leads, and %s differ behind operation %d: %s", x.lead.name, x.follow.name, x.g.committed(), d)
	}
}

// end compares with an engine that applies all at once.
func (x *twins) end() {
	if !x.t.Failed() {
		late := x.newTwin(0)
		late.open(x.g)
		late.give(rand.New(rand.NewPCG(0, 0)), x.g.committed())
		if d := difference(stateOf(x.lead.e), stateOf(late.e)); d != "" {
			x.t.Errorf("%s, which leads, and one that came late differ: %s", x.lead.name, d)
		}
		late.stop(true)
	}
}

// close ends both, however far the test came.
func (x *twins) close() {
	for _, n := range []*twin{x.lead, x.follow} {
		if n.e != nil {
			n.stop(false)
		}
	}
}
