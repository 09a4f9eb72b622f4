package jetstream

import "fmt"

// role is what a stream is to its log. It says who acts: applying an operation
// is the same for all of them.
type role uint8

const (
	// recovering: the log is read again at the start. What a note says was refused
	// is refused again, and nobody is told anything.
	recovering role = iota
	// follower: another server leads. Operations are applied as they come, and the
	// consumers learn from them what was delivered and acknowledged; nothing is
	// appended, delivered, expired, answered or fetched.
	follower
	// leader: what happens by itself is decided here and appended, consumers run
	// and are ahead of the log by what they have not logged yet, and whoever
	// waits is answered.
	leader
)

// sharedLog is a Log that other servers append to as well. One of them leads at a
// time; a Log that is none of these has nobody else.
type sharedLog interface {
	Log
	// Leads reports whether this server does. Whoever makes it the leader later
	// calls Engine.lead.
	Leads() bool
	// Damaged tells that this server's copy of a stream is damaged. The others
	// have theirs, so nothing is booked as lost: the server gets one of those, and
	// does not lead until then. It may be called more than once, must not block,
	// and not call the engine.
	Damaged(incarnation uint64, why error)
}

// roleIn is the role of what begins to follow a log now.
func roleIn(log Log) role {
	if l, ok := log.(sharedLog); ok && !l.Leads() {
		return follower
	}
	return leader
}

// shared reports whether others follow the stream's operations, so that these have
// to say all that a next leader must know.
func (s *stream) shared() bool {
	_, ok := s.log().(sharedLog)
	return ok
}

// copyDamaged reports whether operations must not be decided by what is damaged
// on this disk, since others share the log: then the stream stops, and the log is
// told. The caller holds mu.
func (s *stream) copyDamaged(what string) error {
	l, ok := s.log().(sharedLog)
	if !ok {
		return nil
	}
	err := fmt.Errorf("%s is damaged on this server, and others share the log: its copy has to be made anew from theirs", what)
	l.Damaged(s.incarnation, err)
	return s.fail(err)
}

// stopIfDamaged is called behind each operation: whatever it met that can't be
// read, the others may have decided otherwise. The caller holds mu.
func (s *stream) stopIfDamaged() {
	if s.watch != nil && s.failed == nil && s.watch.hurt.Load() {
		_ = s.copyDamaged("what it has stored") // the stream has stopped
	}
}

// leads reports whether the stream is to act.
func (s *stream) leads() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.role == leader
}

// lead makes this server the leader of a log's streams. It is called between two
// calls of apply, on their goroutine, when all that was appended by other leaders
// is applied: what the streams and their consumers know is then the whole truth.
func (e *Engine) lead(log Log) {
	for _, s := range e.allStreams() {
		if s.log() != log {
			continue
		}
		s.mu.Lock()
		if s.role == follower && !s.deleted {
			s.takeLead()
			s.toAttach.Store(true)
		}
		s.mu.Unlock()
	}
	poke(e.clock.wake)
}

// takeLead ends the recovery or the following of a stream. The caller holds mu.
func (s *stream) takeLead() {
	s.role = leader
	if !s.memory {
		s.watch.lead()
		if s.failed == nil {
			*s.chain = s.done
			s.noteRest()
		}
	}
	s.consumers.recovered()
}

// attachLater puts a stream that became the leader's on the bus, on a worker: it
// waits for whoever changes the account's streams.
func (s *stream) attachLater() {
	if !s.toAttach.CompareAndSwap(true, false) {
		return
	}
	queued := s.e.api.Do(func() {
		s.acct.changes.Lock()
		defer s.acct.changes.Unlock()
		if b := s.acct.bus(); b != nil && s.working() {
			if err := s.attach(b); err != nil {
				s.refused("attaching the stream", err)
				s.toAttach.Store(true)
				return
			}
		}
		s.e.api.Do(s.tidy)
	})
	if !queued {
		s.toAttach.Store(true)
	}
}
