package jetstream

import (
	"errors"
	"strconv"

	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// clockEvery is how many messages that nobody acknowledges are delivered as of one
// look at the clock, which takes longer than much else that a delivery needs. With
// acknowledgements each has its own: a redelivery may be late, never early.
const clockEvery = 8

// deliver sends what can be sent, up to the budget.
func (m *member) deliver(pubs *publishers) (more bool) {
	p := pubs.of(m.s.acct)
	if p == nil {
		return false
	}
	var now int64
	unacked := m.m.Config().AckPolicy == consumer.AckNone
	for i := range stepBudget {
		if i%clockEvery == 0 || !unacked {
			now = m.now()
		}
		w := m.m.Next(now, &m.fx)
		m.perform(pubs)
		if w.Kind == consumer.WantNothing {
			return false
		}
		msg, ok := m.load(now, w)
		if m.unread {
			return false
		}
		if !ok {
			m.perform(pubs)
			continue
		}
		if !m.s.deliverable(m, msg.Seq) {
			return false
		}
		c := consumer.Candidate{Seq: msg.Seq, Time: m.s.shown(msg.Seq, msg.Time), Size: len(msg.Subject) + len(msg.Header) + len(msg.Body)}
		if m.m.Config().HeadersOnly {
			c.Size -= len(msg.Body)
		}
		d, ok := m.m.Deliver(now, &c, &m.fx)
		if ok && m.send(p, &msg, &d) == 0 {
			m.notTaken(now, &msg)
		}
		m.perform(pubs)
	}
	return true
}

// notTaken is for a delivery that nobody took: nobody was there, or a link on
// the way could never carry it.
func (m *member) notTaken(now int64, msg *edgestore.Msg) {
	why := m.msg.Unfit
	if why == "" {
		m.m.Undelivered(now, &m.fx)
		return
	}
	if m.m.Unfit(now, why, &m.fx) {
		m.e.logger.Error("message can not be sent to who fetches the stream, it is passed over",
			"stream", m.s.name, "consumer", m.name, "seq", msg.Seq, "bytes", len(msg.Header)+len(msg.Body), "err", why)
	}
}

// load reads the message that the machine wants; not ok means that it is gone,
// and the machine was told, or that it is unread. A read that fails says nothing
// about a message: nothing is passed over, and it is tried again.
func (m *member) load(now int64, w consumer.Want) (msg edgestore.Msg, ok bool) {
	var err error
	st := m.s.store
	m.unread = false
	if w.Kind == consumer.WantSeq {
		msg, m.buf, err = st.Load(w.Seq, m.buf)
		if err != nil && !m.notRead(now, w.Seq, err) {
			m.m.Removed(now, w.Seq, nil, consumer.ReasonDeleted, &m.fx)
		}
		return msg, err == nil
	}
	if msg, m.buf, err = st.LoadNext(m.m.Filters(), w.Seq, m.buf); err == nil {
		return msg, true
	}
	// What is stored between the look and the answer must not be passed over:
	// the end is taken first, then looked again.
	last := st.State().LastSeq
	if msg, m.buf, err = st.LoadNext(m.m.Filters(), w.Seq, m.buf); err == nil {
		return msg, true
	}
	if !m.notRead(now, w.Seq, err) {
		m.m.CaughtUp(now, max(last, w.Seq), &m.fx)
	}
	return msg, false
}

// notRead reports whether a message may be there though it could not be read.
func (m *member) notRead(now int64, seq uint64, err error) bool {
	m.unread = !goneForGood(err) && !errors.Is(err, edgestore.ErrClosed)
	if m.unread && m.unreadSaid.due(now) {
		m.e.logger.Error("consumer could not read its stream and waits for that", "stream", m.s.name, "consumer", m.name, "seq", seq, "err", err)
	}
	return m.unread
}

// send publishes a delivery and returns how many took it.
func (m *member) send(p Publisher, msg *edgestore.Msg, d *consumer.Delivery) int {
	header, body := msg.Header, msg.Body
	if d.PinID != nil || m.m.Config().HeadersOnly {
		h := m.hdr[:0]
		if len(header) >= len(hdrPlain)+2 {
			h = append(h, header[:len(header)-2]...)
		} else {
			h = append(h, hdrPlain...)
		}
		if d.PinID != nil {
			h = wire.AppendHeader(h, "Nats-Pin-Id", string(d.PinID))
		}
		if m.m.Config().HeadersOnly {
			h = wire.AppendHeader(h, hdrMsgSize, strconv.Itoa(len(body)))
			body = nil
		}
		h = append(h, crlf...)
		m.hdr, header = h, h
	}
	m.shown = append(m.shown[:0], msg.Subject...)
	m.msg = wire.Msg{Subject: d.To, Shown: m.shown, Reply: d.Reply, Header: header, Body: body, Feeds: m.m.Config().Feeds()}
	return p.Publish(&m.msg)
}
