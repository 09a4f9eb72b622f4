package jetstream

import (
	"fmt"
	"runtime"
	"strings"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core/wire"
)

// Elections of twins that go on running: the leader becomes a follower with
// whatever it has on its way, and the other way round.

// twinChanges counts what they met.
type twinChanges struct {
	changes, backAgain int // backAgain: the one that begins to lead has led before, since its start
	unknown, stored    int // receipts that were on their way
	pulls, held        int // requests that were ended, answers that waited for notes
	goroutines         int // that there are when both run and are at rest
}

func (n *twin) spy(m *wire.Msg) {
	if m.Own {
		n.published.Add(1)
	}
}

// change makes the follower the leader, and the leader a follower, before or
// behind that.
func (x *twins) change() {
	c := &x.changes
	c.changes++
	was, next := x.lead, x.follow
	if next.ended == nil {
		c.backAgain++
	}
	pull := x.waitForNothing(was)
	r := x.publishOnTheWay(was)
	for _, s := range was.e.allStreams() {
		s.mu.RLock()
		c.held += len(s.held)
		s.mu.RUnlock()
	}
	x.handOver(x.rnd.IntN(2) == 0)
	x.told(pull, r)
	x.wait(was.name+" is still on the bus", func() bool { return x.silent(was) })
}

// handOver is the election itself; late: the last leader does not know of it before
// the next one leads.
func (x *twins) handOver(late bool) {
	was, next := x.lead, x.follow
	gone, upTo := x.g.elect()
	stepDown := func() {
		was.log.applied = upTo // by the goroutine that follows from now on
		_ = was.command(twinCommand{lost: gone, do: func() { was.e.follow(was.log) }})
	}
	if !late {
		stepDown()
	}
	x.promote(next)
	if late {
		stepDown()
	}
	x.follow = was
	synctest.Wait()
	was.published.Store(0)
}

// waitForNothing leaves a request at the leader.
func (x *twins) waitForNothing(n *twin) *inbox {
	in := x.w.b.inbox(x.t, fmt.Sprint("_WAIT.", x.changes.changes))
	x.w.b.route(&wire.Msg{Subject: []byte(nextPrefix + twinLossy + ".wait"), Reply: []byte(in.subject), Body: []byte(jsonOf(x.t, "batch=1 expires=1h"))})
	m := n.e.account("A").stream(twinLossy).member("wait")
	if x.rnd.IntN(2) == 0 { // else it may still be in the mailbox
		x.wait("the request does not arrive", func() bool { return m.Info().NumWaiting > 0 })
	}
	return in
}

// publishOnTheWay publishes what is on its way at the election, or stored just
// before it, or refused, which a note is to say before anybody hears of it.
func (x *twins) publishOnTheWay(n *twin) *testReceipt {
	r := &testReceipt{stored: make(chan string, 3)}
	m := &wire.Msg{Subject: []byte(twinLossy + ".l"), Body: []byte("on its way"), Receipt: r}
	s := n.e.account("A").stream(twinLossy)
	until := func() bool { return len(r.stored) > 0 }
	x.g.mu.Lock()
	switch x.rnd.IntN(3) {
	case 0:
		x.g.held, until = true, func() bool { return true }
	case 1:
		x.g.holds = opNotes
		m.Header = []byte(header(hdrExpectedLastSeq, "999999"))
		refused := until
		until = func() bool {
			s.mu.RLock()
			defer s.mu.RUnlock()
			return len(s.held) > 0 || refused()
		}
	}
	x.g.mu.Unlock()
	x.w.b.route(m)
	for range 200 { // what has not come so far is on its way still
		if synctest.Wait(); until() {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	return r
}

// told checks that everybody who waited for the one that led heard of the end.
func (x *twins) told(pull *inbox, r *testReceipt) {
	x.t.Helper()
	synctest.Wait()
	defer pull.stop()
	if m := pull.next(); !strings.HasPrefix(m.Header, "NATS/1.0 409 Leadership Change") {
		x.t.Errorf("a request that waited heard %q", m.Header)
	}
	x.changes.pulls++
	select {
	case text := <-r.stored:
		switch {
		case strings.HasSuffix(text, " unknown"):
			x.changes.unknown++
		case !strings.Contains(text, " error "): // refused by the log
			x.changes.stored++
		}
	default:
		x.t.Error("a receipt was told nothing")
	}
	if len(r.stored) > 0 || r.expected != 1 {
		x.t.Errorf("a receipt was told %d times more, and was to expect %d", len(r.stored), r.expected)
	}
}

// silent reports whether a follower is on no bus, but for requests, has no timers,
// and nobody who waits.
func (x *twins) silent(n *twin) bool {
	n.bus.mu.Lock()
	subjects := 0
	for _, s := range n.bus.subs {
		if p := s.subject; strings.HasPrefix(p, chaosPlain) || strings.HasPrefix(p, "$JS.ACK.") || strings.HasPrefix(p, nextPrefix) || strings.HasPrefix(p, "$JSC.R.") {
			subjects++
		}
	}
	for _, w := range n.bus.seen {
		subjects += len(w)
	}
	n.bus.mu.Unlock()
	n.e.clock.mu.Lock()
	timers := len(n.e.clock.mu.heap)
	n.e.clock.mu.Unlock()
	held := 0
	for _, s := range n.e.allStreams() {
		s.mu.RLock()
		held += len(s.held) + len(s.unsure) + len(s.consumers.forgotten) + int(s.bound.Load())
		for _, m := range s.consumers.byName {
			m.mu.Lock()
			if m.volatile.Load() || m.inLog != nil || m.m.Waiting() > 0 {
				held++
			}
			m.mu.Unlock()
		}
		s.mu.RUnlock()
		if s.expiring.Load() || s.moving.Load() || s.releasing.Load() != 0 {
			held++
		}
	}
	return subjects == 0 && timers == 0 && held == 0
}

// rest checks, when both are at rest, that a follower did nothing, and that no
// goroutine is left from before.
func (x *twins) rest() {
	x.t.Helper()
	if x.follow.ended != nil {
		return // it does not run yet
	}
	if n := x.follow.published.Load(); n > 0 {
		x.t.Errorf("%s, which follows, has sent %d messages", x.follow.name, n)
	}
	c, n := &x.changes, runtime.NumGoroutine()
	if c.goroutines == 0 {
		c.goroutines = n
	}
	if n > c.goroutines {
		buf := make([]byte, 1<<20)
		x.t.Errorf("%d goroutines, and there were %d:\n%s", n, c.goroutines, buf[:runtime.Stack(buf, true)])
	}
}

// enough reports whether there was some of everything.
func (c *twinChanges) enough() bool {
	return c.changes >= 10 && c.backAgain >= 3 && c.unknown >= 5 && c.stored > 0 && c.held > 0
}

// changed checks that the run had enough of it.
func (x *twins) changed() {
	c := &x.changes
	if len(x.g.uneven) > 0 {
		x.t.Errorf("operations that do not follow each other: %q", x.g.uneven)
	}
	if *crashSeed == 0 && !x.short && (!c.enough() || c.pulls != c.changes) {
		x.t.Errorf("the run did too little to show anything: %+v", *c)
	}
}
