package jetstream

import (
	"time"

	"github.com/frondmq/frond/edgestore"
)

// A tick is what a leader does because time passes. It is a function like a step: it
// takes a reading of the clocks, looks at what is applied, and leaves what is to be
// done, which is carried out in one place. It changes nothing itself.

// tickEffects are what a tick of a stream asks for. Its slice is used again.
type tickEffects struct {
	// term is when it was decided: the boot of stamps, which is the number of the
	// term where servers share the log. What is decided in one term is appended in
	// none that follows.
	term uint32
	// ops are to be appended, in order, up to the first that the log refuses.
	ops []operation
	// notes: there are notes that the log did not take.
	notes bool
	// sweep: messages that nobody needs are to be looked for.
	sweep bool
	// bus: the stream has another role, which the bus does not know yet.
	bus bool
	// unread is why messages could not be looked at.
	unread error
	// next is how long to the next tick, at most.
	next time.Duration
}

// operation is one that is to be appended.
type operation struct {
	kind  uint8
	takes bool   // a sequence
	what  string // what it is for, where one is told that the log refused it
	data  [3][]byte
}

// tick says what is due for a stream.
func (s *stream) tick(now moment, fx *tickEffects) {
	*fx = tickEffects{term: now.st.boot, ops: fx.ops[:0], next: expirePeriod}
	fx.bus = s.busStale.Load()
	s.mu.RLock()
	leads := s.role == leader
	fx.notes = leads && len(s.notes) > 0
	s.mu.RUnlock()
	if !leads {
		return
	}
	if op, due := s.moveDue(now); due {
		if op.kind != 0 {
			fx.ops = append(fx.ops, op)
		}
		fx.next = expirePause
		return
	}
	fx.sweep = s.sweepAgain.Load()
	s.expiryTick(now, fx)
}

// ticks has everything done that is due by itself, and tells how long to the next
// time.
func (e *Engine) ticks() (wait time.Duration) {
	e.checkClock()
	wait = expirePeriod
	var fx tickEffects
	for _, s := range e.allStreams() {
		s.tick(s.line.read(), &fx)
		wait = min(wait, fx.next)
		s.carryOut(&fx)
	}
	return max(wait, expirePause)
}

// carryOut does what a tick asks for. What is appended is stamped by another reading
// of the clocks: what the tick read of the disk took its time, and a stamp must not
// be older than others for that.
func (s *stream) carryOut(fx *tickEffects) {
	if fx.bus {
		s.followRole()
	}
	if fx.unread != nil {
		s.putOff("expiry", fx.unread)
	}
	if fx.sweep {
		s.sweepLater()
	}
	if len(fx.ops) == 0 && !fx.notes {
		return
	}
	now := s.line.read()
	if now.st.boot != fx.term {
		return
	}
	for i := range fx.ops {
		if !s.appendOp(now, &fx.ops[i]) {
			break
		}
	}
	clear(fx.ops)
	if fx.notes {
		s.mu.Lock()
		s.logNotes(now)
		s.mu.Unlock()
	}
}

// appendOp appends what a tick wants. It reports whether the log took it; if not, the
// next tick wants it again.
func (s *stream) appendOp(now moment, op *operation) bool {
	rec := s.recordAt(now, op.kind, op.takes)
	switch op.kind { // applying, and unlogged, ends it
	case opExpire:
		s.expiring.Store(true)
	case opClockMove:
		s.moving.Store(true)
	}
	err := s.e.append(s.log(), true, &rec, nil, nil, op.data[:]...)
	if err != nil {
		s.unlogged(&edgestore.Entry{Record: rec})
		s.refused(op.what, err)
	}
	return err == nil
}
