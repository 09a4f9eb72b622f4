package jetstream

import (
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/edgestore"
)

// A device whose clock says 1970 stores messages with that time. When the clock
// is set they must not be 50 years old: that the clock was set is an operation,
// and what a stream holds then lives for its max_age from there on. The same
// holds when a clock that was right jumps far ahead.

// clockJump is what a clock must go ahead by, beside the monotonic one, to count
// as set anew. A machine that sleeps looks the same, so it is long.
const clockJump = 30 * 24 * time.Hour

// Messages with a TTL of their own still go by the wall clock alone.

// clockStep says that the clock was set, and what was stored before.
type clockStep struct {
	upTo uint64 // sequence
	at   int64  // nanoseconds since 1970, by the clock that is right
}

// maxClockSteps bounds what a stream remembers: the oldest two that are near
// each other become one.
const maxClockSteps = 64

const auxClock = "clock"

// clockState is what a stream knows of its clock; the stream's mu guards it.
type clockState struct {
	unset bool // messages were stored while the clock was not known to be right
	steps []clockStep
	dirty bool
}

// stored is called for each message that is stored.
func (c *clockState) stored(stamp *edgestore.Stamp) {
	if !stamp.Synced && !c.unset {
		c.unset, c.dirty = true, true
	}
}

// heldUntil is before when nothing above its max_age is dropped, as long as the
// first message is that with the sequence first; 0 is no such time.
func (c *clockState) heldUntil(first uint64, age time.Duration) int64 {
	for _, x := range c.steps {
		if x.upTo >= first {
			return x.at + int64(age)
		}
	}
	return 0
}

// apply takes note that the clock was set.
func (c *clockState) apply(x clockStep, first uint64) {
	kept := c.steps[:0]
	for _, old := range c.steps {
		if old.upTo >= first {
			kept = append(kept, old)
		}
	}
	c.steps = append(kept, x)
	if len(c.steps) > maxClockSteps {
		c.steps = append(c.steps[:0], c.steps[1:]...)
	}
	c.unset, c.dirty = false, true
}

func (c *clockState) append(b []byte) []byte {
	b = msgp.AppendBool(b, c.unset)
	b = msgp.AppendUint64(b, uint64(len(c.steps)))
	for _, x := range c.steps {
		b = msgp.AppendInt64(msgp.AppendUint64(b, x.upTo), x.at)
	}
	return b
}

func (c *clockState) load(value []byte) error {
	r := opReader{b: value}
	c.unset = r.bool()
	for n := min(r.uint(), maxClockSteps); n > 0 && r.err == nil; n-- {
		c.steps = append(c.steps, clockStep{r.uint(), r.int()})
	}
	return r.done("clock of the stream")
}

// clockJumped reports whether the clock went far ahead since the last call.
func (e *Engine) clockJumped(now time.Time) bool {
	offset := now.UnixNano() - int64(now.Sub(e.started))
	was := e.clockOffset.Swap(offset)
	return was != 0 && offset-was >= int64(clockJump)
}

// stepClock logs that the clock was set, if that matters to what the stream
// holds. It reports whether one is on its way.
func (s *stream) stepClock(now time.Time, jumped bool) bool {
	s.mu.RLock()
	due := (s.clock.unset || jumped) && !s.deleted && s.failed == nil && s.config().MaxAge > 0
	s.mu.RUnlock()
	if s.stepping.Load() {
		return true
	}
	if !due {
		return false
	}
	rec := s.record(opClockStep, false)
	s.stepping.Store(true)
	if err := s.e.append(s.log, true, &rec, nil, nil, msgp.AppendInt64(nil, now.UnixNano())); err != nil {
		s.stepping.Store(false)
		s.e.logger.Warn("clock step put off", "stream", s.name, "err", err)
	}
	return true
}

func (s *stream) applyClockStep(data []byte) error {
	s.stepping.Store(false)
	r := opReader{b: data}
	at := r.int()
	if err := r.done("clock step"); err != nil {
		return err
	}
	s.clock.apply(clockStep{s.last, at}, s.store.State().FirstSeq)
	return nil
}
