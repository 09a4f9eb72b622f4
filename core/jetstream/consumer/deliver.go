package consumer

import "math"

// WantKind says which message is to be read next.
type WantKind uint8

const (
	// WantNothing: there is nothing to do until NextDeadline or an input.
	WantNothing WantKind = iota
	// WantSeq: exactly this sequence. If it is gone, call Removed.
	WantSeq
	// WantNew: the first message at or above the sequence that matches the
	// filters. If there is none, call CaughtUp.
	WantNew
)

// Want is what to read next.
type Want struct {
	Kind WantKind
	Seq  uint64
}

// Candidate is the message that was read for a Want.
type Candidate struct {
	Seq  uint64
	Time int64 // when it was stored
	Size int   // subject, header and body as they are sent
}

// Delivery is one message to be sent. The slices are valid until the next call.
type Delivery struct {
	To    []byte // where it is published; shown is the stored subject
	Reply []byte // $JS.ACK…
	// PinID, when not nil, goes into a header Nats-Pin-Id.
	PinID   []byte
	Seq     uint64
	DSeq    uint64
	Count   uint64 // deliveries, from 1
	Pending uint64 // matching messages behind this one
}

// Next says what to read next. It ends requests that do not wait when there is
// nothing.
func (m *Machine) Next(now int64, fx *Effects) Want {
	if m.paused(now) {
		if m.cfg.Pull() {
			m.atEnd(fx)
		}
		return Want{}
	}
	if now < m.notBefore {
		return Want{}
	}
	if m.cfg.Pull() {
		if m.pick(now, fx) == nil {
			return Want{}
		}
	} else if !m.here || m.cfg.FlowControl && m.flow.stalled() {
		return Want{}
	}
	if e := m.queue.peek(&m.st.pending); e != nil {
		return Want{WantSeq, e.seq}
	}
	if m.full() {
		m.blocked(fx)
		return Want{}
	}
	if len(m.st.list) > 0 {
		return Want{WantSeq, m.st.list[0]}
	}
	if m.st.next > m.last {
		m.pendingN = 0 // some may be counted that were read over, see Deliver
		m.atEnd(fx)
		return Want{}
	}
	return Want{WantNew, m.st.next}
}

// full reports whether as many messages wait for acknowledgements as may.
func (m *Machine) full() bool {
	return m.cfg.MaxAckPending > 0 && m.st.pending.len() >= m.cfg.MaxAckPending
}

// blocked is reached when too much waits for acknowledgements. With
// AckFlowControl it is flow control that brings them.
func (m *Machine) blocked(fx *Effects) {
	if m.cfg.AckPolicy == AckFlowControl && !m.flow.open {
		m.askFlow(fx)
	}
}

// CaughtUp says that no message from the position up to last matches: the last
// sequence that the stream had when it was asked.
func (m *Machine) CaughtUp(now int64, last uint64, fx *Effects) {
	if len(m.st.list) > 0 || last < m.st.next {
		return
	}
	m.skipTo(last + 1)
	if last >= m.last {
		m.last = last
		m.pendingN = 0
	}
}

// skipTo moves the position forward over what is not wanted.
func (m *Machine) skipTo(next uint64) {
	if next <= m.st.next {
		return
	}
	m.st.advance(next)
	if !m.st.tracks() {
		m.st.floor = m.st.looked()
	}
}

// Matches reports whether a stored message with this subject is for this
// consumer.
func (m *Machine) Matches(subject []byte) bool {
	return matches(m.filters, subject)
}

// Appended tells of a message that was stored. It reports whether the message
// is for this consumer.
func (m *Machine) Appended(seq uint64, subject []byte) bool {
	m.last = max(m.last, seq)
	if seq < m.st.next {
		return false
	}
	if m.Matches(subject) {
		m.pendingN++
		return true
	}
	if seq == m.st.next && len(m.st.list) == 0 {
		// Not worth a read later.
		m.skipTo(seq + 1)
	}
	return false
}

// Deliver takes the message that Next wanted. It is not ok when the message is
// not to be sent now: it was acknowledged before, the pace holds it back, or
// the requests had no room for it. Then Next says how to go on.
//
// What went from the stream before Removed told of it is read over, and stays
// counted as pending; not behind the last message that Appended told of.
func (m *Machine) Deliver(now int64, c *Candidate, fx *Effects) (Delivery, bool) {
	m.delivered.valid = false
	e := m.st.pending.get(c.Seq)
	d := Delivery{Seq: c.Seq, DSeq: m.st.dseq + 1, Count: 1, Pending: m.pendingN}
	if e != nil {
		d.Count = uint64(e.count) + 1
	} else {
		if c.Seq < m.st.next {
			return d, false
		}
		if _, ok := m.st.ahead[c.Seq]; ok {
			m.skipTo(c.Seq + 1)
			m.uncount()
			return d, false
		}
		switch {
		case c.Seq > m.last: // nobody told of it yet
			m.pendingN = 0
		case c.Seq == m.last:
			m.pendingN = min(m.pendingN, 1)
		}
		d.Pending = m.pendingN
		if d.Pending > 0 {
			d.Pending--
		}
	}
	m.reply = append(m.reply[:0], m.ackPrefix...)
	m.reply = appendAckTail(m.reply, d.Count, d.Seq, d.DSeq, c.Time, d.Pending)
	d.Reply = m.reply
	cost := c.Size + len(d.Reply)

	if e == nil && m.holdForReplay(now, c) || m.holdForRate(now, int64(cost)) {
		return d, false
	}
	var r *request
	free, advisories := len(m.pin.id) == 0, 0
	if m.cfg.Pull() {
		if r = m.fit(now, cost, fx); r == nil {
			return d, false
		}
		d.To = r.reply
		advisories = len(fx.Advisories)
		d.PinID = m.pinFor(now, r, fx)
	} else {
		d.To = m.deliverTo
	}
	m.delivered = lastDelivery{
		valid: true, again: e != nil, seq: c.Seq, cost: cost, request: r,
		pendingN: e == nil && m.pendingN > 0, statuses: len(fx.Statuses), to: append(m.delivered.to[:0], d.To...),
		madePin: free && len(d.PinID) > 0, advisories: advisories,
	}
	m.count(now, e, c, fx)
	d.To = m.delivered.to // the request may be gone
	if r != nil {
		m.served(now, r, cost, fx)
	} else {
		m.sent(now, cost, fx)
	}
	m.active(now)
	return d, true
}

// count records the delivery.
func (m *Machine) count(now int64, e *entry, c *Candidate, fx *Effects) {
	if e != nil {
		m.queue.taken(e)
		m.change(opRedeliver, int64(e.seq-m.st.floor.Stream), now-m.st.deliveredAt)
	} else {
		m.uncount()
		m.replayTS, m.replayAt = c.Time, now
		if !m.st.tracks() {
			m.rec.moved = true
			m.st.deliverNew(c.Seq, now)
			fx.Acked = append(fx.Acked, c.Seq)
			return
		}
		m.change(opDeliver, int64(c.Seq-m.st.next), now-m.st.deliveredAt)
		e = m.st.pending.last()
	}
	e.delayed = false
	if wait := m.wait(e.count); wait > 0 {
		m.timers.set(e, later(now, wait), &m.st.pending)
	}
}

func (m *Machine) uncount() {
	if m.pendingN > 0 {
		m.pendingN--
	}
}

// holdForReplay keeps a new message back until as much time has passed since
// the one before as did when they were stored.
func (m *Machine) holdForReplay(now int64, c *Candidate) bool {
	if m.cfg.ReplayPolicy != ReplayOriginal || c.Seq > m.replayEnd || m.replayAt == 0 {
		return false
	}
	gap := c.Time - m.replayTS
	if gap <= 1e6 || now >= m.replayAt+gap {
		return false
	}
	m.notBefore = m.replayAt + gap
	return true
}

// holdForRate takes cost bytes from the token bucket, or says that there are
// not enough.
func (m *Machine) holdForRate(now, cost int64) bool {
	if m.cfg.RateLimit == 0 {
		return false
	}
	perNano := float64(m.cfg.RateLimit) / 8 / 1e9
	gained := float64(max(now-m.tokensAt, 0)) * perNano
	m.tokens = int64(math.Min(float64(m.tokens)+gained, float64(m.burst)))
	m.tokensAt = now
	// What is larger than the burst goes when the bucket is full.
	if need := min(cost, m.burst); m.tokens < need {
		m.notBefore = now + int64(float64(need-m.tokens)/perNano) + 1
		return true
	}
	m.tokens -= cost
	return false
}

// retryAfter is how long a delivery that nobody took is held back, so that the
// caller's loop does not spin.
const retryAfter = 250e6

// Undelivered takes the last Delivery back: nobody was there. It must come
// before any other call, and before its effects are performed. The delivery
// does not count; the pull request is dropped, unless its interest may still be
// on its way.
func (m *Machine) Undelivered(now int64, fx *Effects) {
	l := &m.delivered
	if !l.valid {
		return
	}
	l.valid = false
	fx.Statuses = fx.Statuses[:l.statuses]
	m.uncountDelivery(l, fx)
	if m.cfg.RateLimit > 0 {
		m.tokens += int64(l.cost)
	}
	if l.request == nil {
		m.flow.unacked -= l.cost
		if l.asked {
			m.flow.open, m.flow.asked = false, 0
		}
		m.notBefore = now + retryAfter
		return
	}
	r := l.request
	if l.madePin {
		m.pin = pin{id: m.pin.id[:0]}
		r.id = r.id[:0]
		fx.Advisories = fx.Advisories[:l.advisories]
	}
	if r.heard || now-r.arrived >= m.grace {
		if !l.finished {
			m.waiting.drop(r)
		}
		return
	}
	if l.finished {
		m.waiting.revive(r)
	} else {
		m.waiting.unlink(r)
	}
	r.n++
	r.gave--
	r.bytes += l.cost
	r.holdUntil = now + retryAfter
	m.waiting.add(r)
}

func (m *Machine) uncountDelivery(l *lastDelivery, fx *Effects) {
	if l.pendingN {
		m.pendingN++
	}
	if l.again {
		e := m.st.pending.get(l.seq)
		m.change(opUnagain, int64(l.seq), 0)
		m.queue.unpop(e)
		return
	}
	if m.st.tracks() {
		m.change(opUndeliver, int64(l.seq), 0)
		return
	}
	m.rec.moved = true
	m.st.undeliverNew(l.seq)
	if n := len(fx.Acked); n > 0 && fx.Acked[n-1] == l.seq {
		fx.Acked = fx.Acked[:n-1]
	}
}
