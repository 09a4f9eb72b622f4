package jetstream

import (
	"errors"
	"slices"
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
	var f foundMsg
	carried := false // f was read by the disk, for what is wanted next
	unacked := m.m.Config().AckPolicy == consumer.AckNone
	for i := range stepBudget {
		if i%clockEvery == 0 || !unacked || carried {
			now = m.now()
		}
		w := m.m.Next(now, &m.fx)
		m.perform(pubs)
		if w.Kind == consumer.WantNothing {
			return false
		}
		if !carried || !m.answers(&f, w) {
			m.buf = m.find(m.s.store.Hot(), w, m.m.Filters(), m.buf, &f)
			if carried = errors.Is(f.err, edgestore.ErrCold); carried {
				if m.findUnlocked(w, &f); m.deleted.Load() || m.role != leader {
					return false
				}
				continue // as things are now
			}
		}
		carried = false
		msg, ok := m.found(now, w, &f)
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

// foundMsg is what a read for a consumer came to.
type foundMsg struct {
	want    consumer.Want
	filters []string
	msg     edgestore.Msg
	last    uint64 // if there is no message, none up to this matches
	err     error
}

// find reads the message that the machine wants into buf.
func (m *member) find(st edgestore.Reads, w consumer.Want, filters []string, buf []byte, f *foundMsg) []byte {
	f.want, f.filters = w, filters
	if w.Kind == consumer.WantSeq {
		f.msg, buf, f.err = st.Load(w.Seq, buf)
		return buf
	}
	if f.msg, buf, f.err = st.LoadNext(filters, w.Seq, buf); f.err == nil || errors.Is(f.err, edgestore.ErrCold) {
		return buf
	}
	// What is stored between the look and the answer must not be passed over:
	// the end is taken first, then looked again.
	f.last = m.s.store.Index().LastSeq
	f.msg, buf, f.err = st.LoadNext(filters, w.Seq, buf)
	return buf
}

// findUnlocked is find by the disk. It lets go of mu while that reads: whoever
// changes the consumer, asks about it, or drains it need not wait.
func (m *member) findUnlocked(w consumer.Want, f *foundMsg) {
	filters, buf := m.m.Filters(), m.buf
	m.buf = nil
	m.mu.Unlock()
	buf = m.find(m.s.store, w, filters, buf, f)
	m.mu.Lock()
	m.buf = buf
}

// answers reports whether what was read is still what is wanted, whatever happened
// to the consumer and the stream meanwhile: messages that are gone by now are not
// delivered any more.
func (m *member) answers(f *foundMsg, w consumer.Want) bool {
	switch {
	case f.want.Kind != w.Kind || !slices.Equal(f.filters, m.m.Filters()):
		return false
	case f.err != nil:
		return f.want.Seq == w.Seq
	case w.Kind == consumer.WantSeq:
		return f.want.Seq == w.Seq && m.s.store.Has(w.Seq)
	}
	return f.want.Seq <= w.Seq && w.Seq <= f.msg.Seq && m.s.store.Has(f.msg.Seq)
}

// found takes what was read; not ok means that it is gone, and the machine was
// told, or that it is unread. A read that fails says nothing about a message:
// nothing is passed over, and it is tried again.
func (m *member) found(now int64, w consumer.Want, f *foundMsg) (msg edgestore.Msg, ok bool) {
	m.unread = false
	switch {
	case f.err == nil:
		return f.msg, true
	case m.notRead(now, w.Seq, f.err):
	case w.Kind == consumer.WantSeq:
		m.m.Removed(now, w.Seq, nil, consumer.ReasonDeleted, &m.fx)
	default:
		m.m.CaughtUp(now, max(f.last, w.Seq), &m.fx)
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
