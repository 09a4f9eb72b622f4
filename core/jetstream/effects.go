package jetstream

import "github.com/frondmq/frond/edgestore"

// effects are what is to be done when a step has applied operations. The step
// itself (applier.step) decides and changes what the engine knows, by the operations
// and what is stored: it starts nothing, looks at no clock, chooses nothing at
// random and sends nothing. So whoever gives the same operations to an engine in one
// goroutine has the same effects in the same order: see simulator_test.go.
//
// They are carried out in one place (applier.carryOut), when no lock is held. The
// slices belong to the applier and are used again.
type effects struct {
	// stream is the one that the operations were of, nil for the catalogue, or when
	// it is gone.
	stream *stream
	// run are the operations, and out what became of each. The first now of them are
	// answered; the others are held.
	run []edgestore.Entry
	out []outcome
	now int
	// before are answers that waited for what was applied now, of the stream owner.
	before []heldAnswer
	owner  *stream
	// wake are the consumers that have something to do.
	wake []*member
	// notes: the stream has notes for the log.
	notes bool
	// freed is how many bytes were let go of: they come back with a drain.
	freed int64
	// uncreate is a stream that could not be created, 0 for none.
	uncreate uint64
}

// begin forgets the step before.
func (fx *effects) begin(s *stream, run []edgestore.Entry) {
	if cap(fx.out) < len(run) {
		fx.out = make([]outcome, maxRun)
	}
	*fx = effects{stream: s, owner: s, run: run, out: fx.out[:len(run)], wake: fx.wake[:0]}
	clear(fx.out)
}

// woken notes that a consumer has something to do. Outside of a step, fx is nil, it
// does that at once.
func (fx *effects) woken(m *member) {
	if fx == nil {
		m.e.work.schedule(m)
		return
	}
	fx.wake = append(fx.wake, m)
}

// schedule has those who have something to do do it.
func (fx *effects) schedule(e *Engine) {
	if fx == nil {
		return
	}
	for _, m := range fx.wake {
		e.work.schedule(m)
	}
	clear(fx.wake)
	fx.wake = fx.wake[:0]
}

// carryOut does what a step asks for.
func (a *applier) carryOut(fx *effects) {
	s := fx.stream
	if fx.freed > 0 {
		a.e.drain.pending.Add(fx.freed) // whoever purges wants the space back
	}
	if fx.notes {
		s.mu.Lock()
		s.logNotes(s.line.read())
		s.mu.Unlock()
	}
	fx.schedule(a.e)
	if fx.uncreate != 0 {
		a.e.uncreate(a.log(), fx.uncreate)
	}
	a.arrived(fx.run)
	for i := range fx.before {
		a.tell(fx.owner, &fx.before[i].entry, &fx.before[i].outcome)
	}
	for i := range fx.run[:fx.now] {
		a.tell(s, &fx.run[i], &fx.out[i])
	}
}

// step applies the first operations of a list: one of the catalogue, or those of
// one stream that follow each other. It returns how many, and leaves in a.fx what is
// to be done.
func (a *applier) step(entries []edgestore.Entry) int {
	inc := entries[0].Incarnation
	if inc == 0 {
		a.catalogue(&entries[0])
		return 1
	}
	n := 1
	for n < min(len(entries), maxRun) && entries[n].Incarnation == inc {
		n++
	}
	a.stream(inc, entries[:n])
	return n
}
