package core

import (
	"errors"
	"time"

	"github.com/frondmq/frond/core/account"
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
	b.mu.Lock()
	if err := b.admitLocked(size); err != nil {
		b.mu.Unlock()
		if errors.Is(err, errSlowPending) {
			c.cut(wire.ReasonSlowPending)
		}
		return false
	}
	ok, last := s.Take()
	if !ok {
		b.mu.Unlock()
		return false
	}
	b.messageLocked(m, s.SID, sess.headers, size)
	b.mu.msgs++
	b.mu.msgBytes += int64(len(m.Header) + len(m.Body))
	b.mu.Unlock()
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

// Flush is part of account.Sink: it wakes the writer, once for a burst.
func (c *client) Flush() {
	c.out.wakeWriter()
	c.removeUsed()
}

// FlushNow is part of account.Prompt.
func (c *client) FlushNow() {
	c.out.writeNow()
	c.removeUsed()
}

// Gate is part of account.Gated.
func (c *client) Gate() <-chan struct{} { return c.out.closedGate() }

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
		if c.subs.bySID[string(s.SID)] == s {
			delete(c.subs.bySID, string(s.SID))
		}
	}
	c.subs.Unlock()
	for _, s := range used {
		s.End()
	}
}
