package account

import "sync/atomic"

// Sub is one subscription. The exported fields are fixed once it was given to
// Subscribe, except Weight, which SetWeight changes.
type Sub struct {
	Subject string
	Queue   string
	SID     string // the subscriber's own name for it
	Sink    Sink
	// Domain, when not "", is the JetStream domain that all messages come from:
	// links that do not lead there need not hear of the subscription.
	Domain string
	// Weight is the number of queue members behind a link; 0 means 1. Read it
	// with Members.
	Weight int32

	max       atomic.Uint64
	delivered atomic.Uint64

	in atomic.Pointer[Account] // whose index it is in; changed under that one's mutex
}

// Members is the number of queue members that s stands for.
func (s *Sub) Members() int {
	if w := atomic.LoadInt32(&s.Weight); w > 1 {
		return int(w)
	}
	return 1
}

// counts is by how many subscriptions the account grows.
func (s *Sub) counts() int64 {
	if r := s.Sink.Role(); r == RoleLocal || r == RoleKept {
		return 0
	}
	return 1
}

// Take counts one delivery. ok is false when the limit was used up before;
// last is true for the delivery that uses it up. Sinks of clients call it for
// every message that they are about to take.
func (s *Sub) Take() (ok, last bool) {
	n := s.delivered.Add(1)
	limit := s.max.Load()
	if limit == 0 || n < limit {
		return true, false
	}
	return n == limit, n == limit
}

// Limit sets the number of deliveries, counted from the beginning, after which
// s ends. It reports false when that many were delivered already; then the
// limit holds as well and the caller unsubscribes.
func (s *Sub) Limit(max uint64) bool {
	s.max.Store(max)
	return s.delivered.Load() < max
}

// Spent reports whether the limit was reached, so that nothing will be
// delivered any more.
func (s *Sub) Spent() bool {
	limit := s.max.Load()
	return limit > 0 && s.delivered.Load() >= limit
}

// Max is the limit set, 0 for none.
func (s *Sub) Max() uint64 { return s.max.Load() }

// Delivered is the number of messages taken.
func (s *Sub) Delivered() uint64 {
	n, limit := s.delivered.Load(), s.max.Load()
	if limit > 0 && n > limit {
		return limit
	}
	return n
}

// End takes s away from the account it is in, if any.
func (s *Sub) End() {
	if a := s.in.Load(); a != nil {
		a.Unsubscribe(s)
	}
}
