package consumer

import "time"

// SetActive says whether anybody listens on the deliver subject (in the
// deliver group, if there is one).
func (m *Machine) SetActive(now int64, here bool) {
	if here == m.here {
		return
	}
	m.here = here
	m.notBefore = 0
	if here {
		// A new listener knows nothing of earlier requests.
		m.flow.reset()
		if m.cfg.Heartbeat > 0 {
			m.beatAt = later(now, int64(m.cfg.Heartbeat))
		}
		if m.cfg.Sourcing {
			// A server that fetches counts its patience from the last sign, and
			// the first message may take long on the line.
			m.beatAt = now
		}
		return
	}
	m.goneAt = now
}

// sent accounts for a message that was pushed.
func (m *Machine) sent(now int64, cost int, fx *Effects) {
	if m.cfg.Heartbeat > 0 {
		m.beatAt = later(now, int64(m.cfg.Heartbeat))
	}
	if !m.cfg.FlowControl {
		return
	}
	m.flow.unacked += cost
	if m.flow.wantsRequest() {
		m.askFlow(fx)
		m.delivered.asked = true
	}
}

func (m *Machine) tickPush(now int64, fx *Effects) {
	if !m.here || m.cfg.Heartbeat <= 0 || now < m.beatAt {
		return
	}
	m.beatAt = later(now, int64(m.cfg.Heartbeat))
	var stalled []byte
	if m.flow.open {
		stalled = m.flow.id
	}
	fx.heartbeat(m.deliverTo, m.st.looked(), stalled)
	if m.cfg.AckPolicy == AckFlowControl && !m.flow.open && m.st.pending.len() > 0 {
		m.askFlow(fx)
	}
}

// Tick does what is due: redeliveries, expiries, heartbeats, the end of a
// pause, of a pin and of the consumer.
func (m *Machine) Tick(now int64, fx *Effects) {
	if m.pausedTill != 0 && now >= m.pausedTill {
		m.pausedTill = 0
		fx.advise(Advisory{Kind: Resumed})
	}
	if at := m.timers.next(); at != 0 && at <= now {
		m.scratch = m.timers.expired(m.scratch[:0], now, &m.st.pending)
		for _, seq := range m.scratch {
			m.again(m.st.pending.get(seq), fx)
		}
	}
	if m.cfg.Pull() {
		m.tickRequests(now, fx)
		m.tickPin(now, fx)
	} else {
		m.tickPush(now, fx)
	}
	if at := m.inactiveDue(); at != 0 && now >= at {
		if m.cfg.Pull() && m.anyListener(now) {
			m.active(now)
			return
		}
		// Asked once; if the caller could not, again after as long.
		m.activeAt, m.goneAt = now, now
		fx.Inactive = true
	}
}

func (m *Machine) anyListener(now int64) bool {
	for r := m.waiting.head; r != nil; r = r.next {
		if m.listened(now, r) {
			return true
		}
	}
	return false
}

// inactiveDue is when the consumer is called inactive if nothing happens; 0 is
// never.
func (m *Machine) inactiveDue() int64 {
	if m.cfg.Inactive <= 0 {
		return 0
	}
	if !m.cfg.Pull() {
		if m.here {
			return 0
		}
		return later(m.goneAt, int64(m.cfg.Inactive))
	}
	threshold := later(m.jitter, int64(m.cfg.Inactive))
	at := m.activeAt
	if e := m.st.pending.last(); e != nil {
		// Somebody may still be at work on it.
		at = max(at, later(e.at, m.wait(e.count)))
	}
	return at + threshold
}

// NextDeadline is when Tick, and then Next, are to be called if nothing happens
// before; 0 is never. It may be in the past.
func (m *Machine) NextDeadline(now int64) int64 {
	at := m.timers.next()
	sooner := func(t int64) {
		if t != 0 && (at == 0 || t < at) {
			at = t
		}
	}
	sooner(m.pausedTill)
	if m.notBefore > now {
		sooner(m.notBefore)
	}
	if m.cfg.Pull() {
		sooner(m.waiting.look())
		sooner(m.pinDue())
	} else if m.here && m.cfg.Heartbeat > 0 {
		sooner(m.beatAt)
	}
	sooner(m.inactiveDue())
	return at
}

// Pause holds deliveries until the time given, which may be zero or past to let
// them go on. It reports whether the consumer is paused now.
func (m *Machine) Pause(now int64, until time.Time) bool {
	m.pausedTill, m.cfg.PauseUntil = 0, nil
	if until.IsZero() {
		return false
	}
	m.cfg.PauseUntil = &until
	if t := m.moment(until); t > now {
		m.pausedTill = t
		return true
	}
	return false
}

// ClockSet is called when the wall clock was set: the times of messages may be
// others now, so a replay at the original pace begins its pace anew. A pause goes
// on for as long as it was meant to; but what it was meant to was only known now,
// if this is the first time that the clock is right.
func (m *Machine) ClockSet(first bool) {
	m.replayAt, m.notBefore = 0, 0
	if first && m.pausedTill != 0 && m.cfg.PauseUntil != nil {
		m.pausedTill = m.moment(*m.cfg.PauseUntil)
	}
}

// Update takes a changed configuration that CheckUpdate let pass; the pause
// stays as it is. Recount afterwards when the filters changed.
func (m *Machine) Update(now int64, cfg *Config, fx *Effects) {
	moved := cfg.DeliverSubject != m.cfg.DeliverSubject
	m.Reconfigure(cfg)
	m.tokensAt = now
	m.hasten()
	if !moved {
		return
	}
	m.here, m.goneAt = false, now
	m.flow.reset()
	for e := m.st.pending.first(); e != nil; {
		next := m.st.pending.after(e)
		m.again(e, fx)
		e = next
	}
}

// hasten makes what is pending due sooner, where a shorter wait asks for it.
// What a client put off stays put off.
func (m *Machine) hasten() {
	for e := m.st.pending.first(); e != nil; e = m.st.pending.after(e) {
		wait := m.wait(e.count)
		if at := later(e.at, wait); wait > 0 && !e.queued && !e.delayed && e.deadline != 0 && at < e.deadline {
			m.timers.set(e, at, &m.st.pending)
		}
	}
}

// Reconfigure is Update during a recovery: what came of the change is in the
// deltas.
func (m *Machine) Reconfigure(cfg *Config) {
	pause, till := m.cfg.PauseUntil, m.pausedTill
	m.configure(cfg)
	m.cfg.PauseUntil, m.pausedTill = pause, till
}

// Reset begins anew at seq, or behind the acknowledgement floor when it is 0.
// It returns where. atTime is, for a consumer that began at a time, the first
// sequence of that time.
func (m *Machine) Reset(now int64, seq, atTime uint64, fx *Effects) (uint64, error) {
	switch m.cfg.DeliverPolicy {
	case DeliverAll:
	case DeliverByStartSequence:
		if seq != 0 && seq < m.cfg.OptStartSeq {
			return 0, errInvalidReset.With("invalid reset: below start seq")
		}
	case DeliverByStartTime:
		if seq != 0 && seq < atTime {
			return 0, errInvalidReset.With("invalid reset: below start time")
		}
	default:
		if seq != 0 {
			return 0, errInvalidReset.With("invalid reset: not allowed")
		}
	}
	if seq == 0 {
		seq = m.st.floor.Stream + 1
	}
	m.change(opReset, int64(seq), 0)
	m.rec.known.ackedAt = 0
	fx.Recount = true
	m.timers.heap = m.timers.heap[:0]
	m.queue.clear()
	m.flow.reset()
	m.lostUpTo = 0
	m.notBefore, m.replayAt = 0, 0
	m.active(now)
	return seq, nil
}
