package core

import (
	"errors"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/wire"
)

// overhead bounds what AppendMsg adds to subject, sid, reply, header and body:
// the verb, blanks, two sizes and two line ends.
const overhead = 48

// Deliver is part of account.Sink: it encodes m into the outbound buffer.
func (c *client) Deliver(s *account.Sub, m *wire.Msg) bool {
	sess := c.session.Load()
	if !sess.echo && m.From == c.id {
		return false
	}
	if sess.perms != nil && sess.perms.DeniesDelivery(m.VisibleSubject()) {
		return false
	}
	b := c.out
	size := len(m.VisibleSubject()) + len(s.SID) + len(m.Reply) + len(m.Header) + len(m.Body) + overhead
	b.Lock()
	if err := b.AdmitLocked(size); err != nil {
		b.Unlock()
		if errors.Is(err, outbound.ErrSlowPending) {
			c.cut(wire.ReasonSlowPending)
		}
		return false
	}
	ok, last := s.Take()
	if !ok {
		b.Unlock()
		return false
	}
	messageLocked(b, m, s.SID, sess.headers, size)
	c.sent.msgs++
	c.sent.bytes += int64(len(m.Header) + len(m.Body))
	b.Unlock()
	if c.trace != nil {
		c.trace.message("->>", wire.AppendMsg(nil, m, s.SID, sess.headers), m)
	}
	if sess.replies != nil && len(m.Reply) > 0 {
		sess.replies.Arm(m.Reply, time.Now())
	}
	if last {
		c.subs.Lock()
		c.subs.used = append(c.subs.used, s)
		c.subs.Unlock()
		c.hasUsed.Store(true)
	}
	return true
}

// wholeBytes is the largest message that is written in one piece. Larger ones
// fill chunks to the end, so that what waits takes hardly more memory than it
// counts.
const wholeBytes = 4 << 10

// messageLocked queues a message of at most n bytes, which were admitted.
func messageLocked(b *outbound.Buffer, m *wire.Msg, sid string, headers bool, n int) {
	if n <= wholeBytes {
		b.CommitLocked(wire.AppendMsg(b.RoomLocked(n), m, sid, headers))
		return
	}
	line := b.RoomLocked(n - len(m.Header) - len(m.Body))
	b.CommitLocked(wire.AppendMsgLine(line, m, sid, headers))
	if headers {
		b.WriteLocked(m.Header)
	}
	b.WriteLocked(m.Body)
	b.WriteLocked(crlf)
}

var crlf = []byte("\r\n")

// appendMsg queues a message with headers for the subscription sid.
func (c *client) appendMsg(m *wire.Msg, sid string) error {
	n := len(m.Subject) + len(sid) + len(m.Header) + len(m.Body) + overhead
	c.out.Lock()
	defer c.out.Unlock()
	err := c.out.AdmitLocked(n)
	if err == nil {
		messageLocked(c.out, m, sid, true, n)
	}
	return err
}

// Flush is part of account.Sink: it wakes the writer, once for a burst.
func (c *client) Flush() {
	c.out.Wake()
	c.removeUsed()
}

// FlushNow is part of account.Prompt.
func (c *client) FlushNow() {
	c.out.WriteNow()
	c.removeUsed()
}

// Gate is part of account.Gated.
func (c *client) Gate() <-chan struct{} { return c.out.Gate() }

// removeUsed takes the subscriptions away that have had their last message.
func (c *client) removeUsed() {
	if !c.hasUsed.Load() {
		return
	}
	c.hasUsed.Store(false)
	c.subs.Lock()
	used := c.subs.used
	c.subs.used = nil
	for _, s := range used {
		if c.subs.bySID[s.SID] == s {
			delete(c.subs.bySID, s.SID)
		}
	}
	c.subs.Unlock()
	for _, s := range used {
		s.End()
	}
}
