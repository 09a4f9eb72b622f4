package consumer

import (
	"math"
	"slices"
)

// Ack takes an acknowledgement: a is its subject, body its payload without
// headers. It reports whether a reply, when there is one, is to be answered
// with an empty message, which must wait until the delta is durable.
//
// A subject whose sequence is no number, and one that names what was not
// delivered yet, are not answered. +NXT is not either: its reply gets messages.
func (m *Machine) Ack(now int64, a AckSubject, body, reply []byte, fx *Effects) (answer bool) {
	if !m.timed() || a.Seq == 0 {
		return false
	}
	if a.Seq >= m.st.next && a.Seq > m.lostUpTo {
		return false
	}
	m.active(now)
	ack := ParseAck(body)
	switch ack.Kind {
	case AckAck, AckNext:
		m.ackOne(now, a, true, fx)
	case AckTerm:
		m.term(now, a, ack.Reason, fx)
	case AckNak:
		m.nak(now, a, ack.Delay, fx)
	case AckProgress:
		if e := m.st.pending.get(a.Seq); e != nil {
			e.delayed = false
			m.touch(e, now)
			m.timers.set(e, later(now, m.wait(e.count)), &m.st.pending)
		}
	}
	if ack.Kind == AckNext {
		m.Pull(now, reply, ack.Next, fx)
		return false
	}
	return true
}

func (m *Machine) ackOne(now int64, a AckSubject, sampled bool, fx *Effects) {
	m.touchAcked(now)
	e := m.st.pending.get(a.Seq)
	if sampled && e != nil && m.sample > 0 && m.cfg.AckPolicy == AckExplicit && m.rnd(100) < m.sample {
		fx.advise(Advisory{Kind: Sampled, Seq: a.Seq, DSeq: a.DSeq, Deliveries: uint64(e.count), AckTime: now - e.at})
	}
	switch {
	case m.cfg.AckPolicy == AckAll:
		m.ackUpTo(now, a.Seq, a.DSeq, fx)
	case e != nil:
		m.settle(e)
		fx.Acked = append(fx.Acked, a.Seq)
	case a.Seq >= m.st.next:
		// A crash forgot the delivery; its acknowledgement is as good.
		if _, known := m.st.ahead[a.Seq]; !known {
			m.change(opAhead, int64(a.Seq-m.st.next), 0)
			fx.Acked = append(fx.Acked, a.Seq)
		}
	default:
		if m.forget(a.Seq) {
			fx.Acked = append(fx.Acked, a.Seq)
		}
	}
}

// settle is the one way in which a single pending message goes.
func (m *Machine) settle(e *entry) {
	m.queue.taken(e)
	m.change(opSettle, int64(e.seq-m.st.floor.Stream), 0)
}

// forget drops a message from those that were given up.
func (m *Machine) forget(seq uint64) bool {
	if _, ok := m.st.exhausted[seq]; !ok {
		return false
	}
	m.change(opForget, int64(seq), 0)
	return true
}

// ackUpTo acknowledges everything at or below seq.
func (m *Machine) ackUpTo(now int64, seq, dseq uint64, fx *Effects) {
	if seq <= m.st.floor.Stream || seq >= m.st.next && seq > m.lostUpTo {
		return
	}
	m.touchAcked(now)
	if seq < m.st.next {
		dseq = m.firstDelivery(seq)
	} else {
		// The count of forgotten deliveries is not known; it is believed
		// within reason, since the client is told by it where it stands.
		dseq = min(dseq, m.st.dseq+(seq-m.st.next+1)*16)
	}
	for e := m.st.pending.first(); e != nil && e.seq <= seq; e = m.st.pending.after(e) {
		m.queue.taken(e)
		fx.Acked = append(fx.Acked, e.seq)
	}
	if seq >= m.st.next {
		fx.Acked = append(fx.Acked, seq)
		fx.Recount = true
	}
	m.change(opSettleAll, int64(seq), int64(dseq))
}

// firstDelivery is the consumer sequence that goes with the floor at seq: that
// of the first delivery of the last message that it covers, and the newest of
// all when nothing is pending above.
func (m *Machine) firstDelivery(seq uint64) uint64 {
	if e := m.st.pending.last(); e == nil || e.seq <= seq {
		return m.st.dseq
	}
	e := m.st.pending.get(seq)
	for x := m.st.pending.first(); e == nil && x != nil; x = m.st.pending.after(x) {
		if x.seq > seq {
			return x.dseq - 1
		}
	}
	return e.dseq
}

func (m *Machine) term(now int64, a AckSubject, reason []byte, fx *Effects) {
	if e := m.st.pending.get(a.Seq); e != nil {
		fx.advise(Advisory{Kind: Terminated, Seq: a.Seq, DSeq: a.DSeq, Deliveries: uint64(e.count), Reason: fx.keep(reason)})
	}
	m.ackOne(now, a, false, fx)
}

func (m *Machine) nak(now int64, a AckSubject, delay int64, fx *Effects) {
	e := m.st.pending.get(a.Seq)
	if e == nil {
		return
	}
	fx.advise(Advisory{Kind: Naked, Seq: a.Seq, DSeq: a.DSeq, Deliveries: uint64(e.count)})
	// The time is kept so that after a restart the message is due when the
	// client wanted it.
	due := later(now, delay)
	m.touch(e, due-m.wait(e.count))
	if delay > 0 {
		e.delayed = true
		m.timers.set(e, due, &m.st.pending)
		if e.queued {
			m.queue.taken(e)
		}
		return
	}
	m.again(e, fx)
}

func (m *Machine) touch(e *entry, at int64) {
	m.change(opTouch, int64(e.seq-m.st.floor.Stream), at-m.st.deliveredAt)
}

// again queues e for another delivery, or gives it up.
func (m *Machine) again(e *entry, fx *Effects) {
	if m.cfg.MaxDeliver > 0 && int(e.count) >= m.cfg.MaxDeliver {
		fx.advise(Advisory{Kind: MaxDeliveries, Seq: e.seq, Deliveries: uint64(e.count)})
		m.queue.taken(e)
		m.change(opExhaust, int64(e.seq-m.st.floor.Stream), 0)
		return
	}
	m.queue.push(e, &m.st.pending)
}

// Reasons of Removed.
const (
	ReasonDeleted = "Unacknowledged message was deleted"
	ReasonLimits  = "Message deleted by stream limits"
)

// Removed says that one message is gone from the stream, or was not found for
// a Want. subject is that of the message, nil when it is not known.
func (m *Machine) Removed(now int64, seq uint64, subject []byte, reason string, fx *Effects) {
	if e := m.st.pending.get(seq); e != nil {
		fx.advise(Advisory{Kind: Terminated, Seq: seq, DSeq: e.dseq, Deliveries: uint64(e.count), Reason: fx.keep([]byte(reason))})
		m.settle(e)
		return
	}
	m.forget(seq)
	if seq < m.st.next {
		return
	}
	switch {
	case m.listed(seq):
		m.uncount()
		m.unlist(seq)
	case len(m.st.list) > 0 && seq < m.st.live:
	case subject == nil:
		fx.Recount = true
	case m.Matches(subject):
		m.uncount()
	}
}

func (m *Machine) unlist(seq uint64) {
	if m.st.tracks() {
		m.change(opUnlist, int64(seq), 0)
	} else {
		m.st.unlist(seq)
	}
}

// Compacted says that everything below first is gone from the stream. When that
// was asked for, by a purge of what this consumer is for, clients are told that
// its position is there; limits leave the position where it was.
func (m *Machine) Compacted(now int64, first uint64, purged bool, fx *Effects) {
	for e := m.st.pending.first(); e != nil && e.seq < first; e = m.st.pending.first() {
		m.settle(e)
	}
	m.scratch = m.exhausted(m.scratch[:0], first)
	for _, seq := range m.scratch {
		m.forget(seq)
	}
	if told := m.st.acked().Stream; first == 0 || first <= told+1 {
		return
	}
	m.last = max(m.last, first-1)
	if first > m.st.next {
		fx.Recount = true
		m.skipTo(first)
	}
	if !purged {
		return
	}
	if !m.st.tracks() {
		m.rec.moved = true
		m.st.shown = max(m.st.shown, first-1)
		return
	}
	if m.st.pending.len() == 0 {
		m.change(opSettleAll, int64(first-1), int64(m.st.dseq))
	}
}

// exhausted appends the messages below a sequence that were delivered as often as they
// may be, in order: what is logged of them must not be in the order of a map.
func (m *Machine) exhausted(list []uint64, below uint64) []uint64 {
	n := len(list)
	for seq := range m.st.exhausted {
		if seq < below {
			list = append(list, seq)
		}
	}
	slices.Sort(list[n:])
	return list
}

// Recheck drops what is pending and not in the stream any more, after a purge
// of some subjects.
func (m *Machine) Recheck(now int64, exists func(seq uint64) bool, fx *Effects) {
	fx.Recount = true
	m.scratch = m.scratch[:0]
	for e := m.st.pending.first(); e != nil; e = m.st.pending.after(e) {
		m.scratch = append(m.scratch, e.seq)
	}
	m.scratch = m.exhausted(m.scratch, math.MaxUint64)
	m.scratch = append(m.scratch, m.st.list...)
	for _, seq := range m.scratch {
		switch {
		case exists(seq):
		case m.listed(seq):
			m.unlist(seq)
		case m.st.pending.get(seq) != nil:
			m.settle(m.st.pending.get(seq))
		default:
			m.forget(seq)
		}
	}
}

// Needs reports whether a stored message with this sequence and subject is
// still wanted: it is pending, was given up without an acknowledgement, or was
// not delivered yet. Interest and workqueue streams keep what somebody needs.
func (m *Machine) Needs(seq uint64, subject []byte) bool {
	return m.MayNeed(seq) && (seq < m.st.next || m.wants(seq, subject))
}

// MayNeed is Needs for whoever does not know the subject: false is sure.
func (m *Machine) MayNeed(seq uint64) bool {
	if seq >= m.st.next {
		_, had := m.st.ahead[seq]
		return !had
	}
	if m.st.pending.get(seq) != nil {
		return true
	}
	_, ok := m.st.exhausted[seq]
	return ok
}
