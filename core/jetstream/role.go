package jetstream

import (
	"fmt"
	"slices"

	"github.com/frondmq/frond/core/jetstream/consumer"
)

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
//
// It makes this server the leader with Engine.lead and ends that with
// Engine.follow, both between two calls of apply, on their goroutine. From the end
// of a term on it takes nothing that was begun in that term: a goroutine may come
// late, and its operation says when and what it is by what this server knew then.
type sharedLog interface {
	Log
	// Leads reports whether this server does: at the start whether it begins so.
	Leads() bool
	// Term is a number of the time for which this server leads, which no other such
	// time has, here or on another server; never 0. What is appended says it as the
	// boot of its stamp, and what says another one is refused with ErrBusy.
	Term() uint32
	// Damaged tells that this server's copy of a stream is damaged. The others
	// have theirs, so nothing is booked as lost: the server gets one of those, and
	// does not lead until then. It may be called more than once, must not block,
	// and not call the engine.
	Damaged(incarnation uint64, why error)
}

// leadsLog reports whether this server is to act by a log: to append what happens
// by itself, and to answer.
func (e *Engine) leadsLog(log Log) bool {
	_, shared := log.(sharedLog)
	return !shared || e.leading.Load()
}

// roleIn is the role of what begins to follow a log now.
func (e *Engine) roleIn(log Log) role {
	if e.leadsLog(log) {
		return leader
	}
	return follower
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

// lead makes this server the leader of a log, when all that was appended by other
// leaders is applied: what the streams and their consumers know is then the whole
// truth. Where they stand is settled first; open is called then, and from there on
// the log takes what is appended here.
func (e *Engine) lead(log sharedLog, open func()) {
	e.line.steps.Lock()
	e.line.begin(&e.mu.cat.clock, max(e.latest, e.latestStored()), false)
	e.line.setBoot(log.Term())
	e.line.steps.Unlock()
	streams := e.streamsOf(log)
	for _, s := range streams {
		s.mu.Lock()
		if s.failed == nil {
			*s.chain = s.done
		}
		s.mu.Unlock()
	}
	e.catChain = e.mu.cat.done
	open()
	e.leading.Store(true)
	e.checkClock() // before anything has a stamp
	for _, s := range streams {
		s.mu.Lock()
		if s.role == follower && !s.deleted {
			s.takeLead()
			s.logNotes(s.line.read())
			s.busStale.Store(true)
		}
		s.mu.Unlock()
		s.followRole()
	}
}

// streamsOf are the streams of a log.
func (e *Engine) streamsOf(log Log) []*stream {
	return slices.DeleteFunc(e.allStreams(), func(s *stream) bool { return s.log() != log })
}

// takeLead ends the recovery or the following of a stream, whose chain is where
// the log goes on. The caller holds mu.
func (s *stream) takeLead() {
	s.role = leader
	if !s.memory {
		s.watch.lead()
		if s.failed == nil {
			s.noteRest()
		}
	}
	s.consumers.recovered()
}

// follow ends this server's lead of a log: another one has it, or nobody. The log
// takes nothing from here any more, and tells applier.lost what it had taken of
// which nobody knows what will become. What the streams and their consumers know
// from then on is what was applied, and nothing of what they were ahead of that.
// When it returns nothing is decided, delivered or fetched here any more; that the
// streams leave the bus is done by a worker.
func (e *Engine) follow(log sharedLog) {
	e.leading.Store(false)
	a := &applier{e: e}
	for _, s := range e.streamsOf(log) {
		s.mu.Lock()
		if s.role != leader {
			s.mu.Unlock()
			continue
		}
		held, members := s.loseLead()
		s.mu.Unlock()
		for i := range held {
			a.tell(s, &held[i].entry, &outcome{err: errNotAvailable, unknown: true})
		}
		for _, m := range members {
			m.loseLead(&a.pubs)
		}
		s.origins.Halt()
		s.followRole()
	}
	a.pubs.flush()
}

// loseLead makes a leader a follower. It gives the answers that wait for notes,
// and all consumers: those that no log knows are gone. The caller holds mu.
func (s *stream) loseLead() (held []heldAnswer, members []*member) {
	s.role = follower
	// Of the notes that are in no operation that was applied it knows like those
	// who followed.
	s.notes, s.unsure = s.unsure, nil
	s.bound.Store(0)
	held, s.held = s.held, nil
	s.sweepAgain.Store(false)
	if s.watch != nil {
		s.watch.follow()
	}
	c := &s.consumers
	c.events, c.compact = nil, false
	members = slices.Clone(c.list)
	c.rejoin()
	for _, m := range members {
		if m.volatile.Load() {
			c.remove(m)
			m.deleted.Store(true)
			s.parted = append(s.parted, m)
		}
	}
	s.leave.Store(true)
	s.busStale.Store(true)
	return held, members
}

// loseLead ends what a consumer does, and takes it back to where the log has it.
// Requests that wait are told, those that came in too: the next leader does not
// know them. Whatever else came in comes again.
func (m *member) loseLead(pubs *publishers) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wake(0)
	t := &m.taken
	m.box.empty(t)
	if m.role == leader {
		now := m.now()
		for i := range t.inputs {
			if t.inputs[i].kind == inputPull {
				m.handle(now, &t.inputs[i])
			}
		}
		status := consumer.LeadershipChange
		if m.volatile.Load() {
			status = consumer.ConsumerDeleted
		}
		m.m.EndRequests(status, &m.fx)
		m.fx.Inactive = false
		m.perform(pubs)
	}
	m.backToLog()
	t.told()
	t.reset()
	m.role = follower
	m.acked, m.recount, m.recountAt, m.unread, m.replayed = nil, false, 0, false, false
	m.bounded.Store(false)
}

// backToLog throws away what the consumer did and the log has not. Where it stands
// without a log it keeps: nobody knows better. The caller holds mu.
func (m *member) backToLog() {
	was := m.m
	if m.inLog != nil {
		was, m.deltas.number = m.inLog, m.inLogNumber
	}
	fresh := m.newMachine(m.cfg, consumer.Start{})
	if err := fresh.ApplySnapshot(was.AppendSnapshot(nil)); err != nil { // it has just made that
		m.e.logger.Error("a consumer can't be taken back to where the log has it", "stream", m.s.name, "consumer", m.name, "err", err)
	}
	m.m, m.inLog, m.inLogNumber = fresh, nil, 0
	m.fx.Reset()
	m.deltas.unsent, m.deltas.answers, m.deltas.dirty = nil, nil, true
}

// followRole puts a stream that became the leader's on the bus, or takes one that
// is not any more off it, on a worker: it waits for whoever changes the account's
// streams.
func (s *stream) followRole() {
	if !s.busStale.CompareAndSwap(true, false) {
		return
	}
	if !s.e.api.Do(s.onBus) {
		s.busStale.Store(true)
	}
}

// onBus is what followRole has done. It may be called at any time.
func (s *stream) onBus() {
	s.acct.changes.Lock()
	defer s.acct.changes.Unlock()
	if s.leave.Swap(false) { // also when it leads again: all of that begins anew
		s.detach()
		s.detachParted()
	}
	if !s.leads() {
		return
	}
	if b := s.acct.bus(); b != nil && s.working() {
		if err := s.attach(b); err != nil {
			s.refused("attaching the stream", err)
			s.busStale.Store(true)
			return
		}
	}
	s.e.api.Do(s.tidy)
}

// detachParted takes the consumers off the bus that went with the lead.
func (s *stream) detachParted() {
	s.mu.Lock()
	parted := s.parted
	s.parted = nil
	s.mu.Unlock()
	for _, m := range parted {
		m.detach()
	}
}
