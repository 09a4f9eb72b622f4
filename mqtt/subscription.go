package mqtt

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/mqtt/session"
)

// subscription is one topic filter of one client, and the sink for it.
type subscription struct {
	conn    *conn
	filter  string
	qos     byte // granted
	noLocal bool
	id      uint32 // of MQTT 5, 0 for none
	// dollar is true when the filter names its first level, and so may match
	// topics that begin with '$' [MQTT-4.7.2-1].
	dollar   bool
	filtered bool // deliveries are checked against denied subjects
	// asPublished is Retain As Published: live messages have their RETAIN flag.
	asPublished bool
	subs        []*account.Sub
	kept        bool // of a session that outlives the connection: what is published with QoS 1 comes from there

	gone     atomic.Bool           // dropped, or replaced by another one
	watching atomic.Pointer[watch] // while retained messages are read for it
	sys      *sysTopics            // that tell it something; nil: none do
}

// end takes the interest of a subscription away.
func (s *subscription) end() {
	for _, sub := range s.subs {
		s.conn.account.Unsubscribe(sub)
	}
	if s.sys != nil {
		s.sys.leave(s)
	}
}

// Role, Cluster and Flush are those of an account.Sink.
func (s *subscription) Role() account.Role { return account.RoleClient }

// Cluster is "": a client is not a server.
func (s *subscription) Cluster() string { return "" }

// Flush wakes the writer of the connection.
func (s *subscription) Flush() { s.conn.out.Wake() }

// FlushNow is part of account.Prompt.
func (s *subscription) FlushNow() { s.conn.out.WriteNow() }

// Gate lets publishers wait for a client that does not keep up.
func (s *subscription) Gate() <-chan struct{} { return s.conn.out.Gate() }

// Deliver encodes the message for the client.
func (s *subscription) Deliver(_ *account.Sub, m *wire.Msg) bool {
	c := s.conn
	subj := m.VisibleSubject()
	switch {
	case !s.dollar && len(subj) > 0 && subj[0] == '$':
		return false
	case s.noLocal && m.From == c.id: // [MQTT-3.8.3-3]
		return false
	case s.filtered && c.grant.Permissions.DeniesDelivery(m.Subject):
		c.drops.count(dropDenied)
		return false
	case bytes.HasPrefix(m.Reply, jsAckPrefix):
		return false // a delivery of a JetStream consumer, meant for its client
	}
	flags := byte(0)
	if w := s.watching.Load(); (w != nil || s.asPublished) && wire.HeaderGet(m.Header, headerRetain) != nil {
		if s.asPublished {
			flags = flagRetain // [MQTT-3.3.1-13]
		}
		if w != nil {
			w.add(subj)
		}
	}
	qos := min(s.qos, session.PublishedQoS(m.Header))
	if qos > 0 && c.kept != nil {
		if s.kept && session.ComesBySession(m) {
			return false // it comes by the session (deliver.go)
		}
		qos = 1 // identifiers of QoS 2 are the session's
	}
	if !c.send(qos, flags, subj, m, s.id) {
		return false
	}
	if c.replies != nil && len(m.Reply) > 0 && c.version == v5 {
		c.replies.Arm(m.Reply, time.Now())
	}
	return true
}

var jsAckPrefix = []byte("$JS.ACK.")

// send queues one PUBLISH; flags is flagRetain or 0, id the subscription's identifier
// or 0. A client that does not keep up
// is disconnected, as NATS does: what it is owed comes by its session (deliver.go).
func (c *conn) send(qos, flags byte, subj []byte, m *wire.Msg, id uint32) bool {
	o := c.out
	if !c.begin() {
		return false
	}
	size, ok := c.encodeLocked(qos, qos == 0 || c.window.takes(), subj, m, id)
	if !ok {
		o.Unlock()
		c.drops.count(c.unsendable(size))
		return false
	}
	if !c.roomLocked(size + publishHead + queuedHead) {
		o.Unlock()
		c.drops.count(dropSlow)
		c.tooSlow()
		return false
	}
	c.queueLocked(qos, flags, size, m.Body)
	o.Unlock()
	return true
}

// encodeLocked makes topic and properties of a PUBLISH in the scratch space, which
// the outbound lock guards, and returns its remaining length. now says that it goes
// out at once if it goes out; ids are identifiers of subscriptions, 0 is none. It
// reports false for what the client can't be sent.
func (c *conn) encodeLocked(qos byte, now bool, subj []byte, m *wire.Msg, ids ...uint32) (size int, ok bool) {
	c.topic = appendTopic(c.topic[:0], subj)
	c.props = c.props[:0]
	if c.version == v5 {
		c.props = appendProperties(c.props, m.Reply, m.Header)
		for _, id := range ids { // [MQTT-3.3.4-3]
			if id > 0 {
				c.props = appendLength(append(c.props, packets.PropSubscriptionIdentifier), int(id))
			}
		}
	}
	size, ok = publishSize(c.version, qos, c.topic, c.props, m.Body), validTopic(c.topic)
	if a := c.aliasesOut; a != nil {
		if a.naming = false; ok && now {
			c.shortenLocked(size)
			size = publishSize(c.version, qos, c.topic, c.props, m.Body)
		}
	}
	return size, ok && c.fits(size)
}

// queueLocked queues what encodeLocked has made, or has it wait for a packet
// identifier.
func (c *conn) queueLocked(qos, flags byte, size int, body []byte) {
	var id uint16
	now := qos == 0
	if qos > 0 {
		id, now = c.window.take(qos)
	}
	if now {
		c.writeLocked(qos, flags, id, size, body)
		return
	}
	// The client allows no more unacknowledged messages.
	c.head = appendPublishHead(c.head[:0], c.version, qos, id, c.topic, c.props, size)
	c.head[0] |= flags
	c.window.queue(qos, c.head, body, identifierAt(size, c.topic))
	c.out.AsideLocked(queuedHead + len(c.head) + len(body))
	c.outBytes.Add(int64(len(body)))
}

// writeLocked is queueLocked for what has its packet identifier, or needs none.
func (c *conn) writeLocked(qos, flags byte, id uint16, size int, body []byte) {
	c.head = appendPublishHead(c.head[:0], c.version, qos, id, c.topic, c.props, size)
	c.head[0] |= flags
	c.out.WriteLocked(c.head)
	c.out.WriteLocked(body)
	c.namedLocked()
	c.outMsgs.Add(1)
	c.outBytes.Add(int64(len(body)))
}

// unsendable is why encodeLocked reported false.
func (c *conn) unsendable(size int) drop {
	if c.fits(size) {
		return dropUnfit
	}
	return dropTooLarge
}

// fits reports whether a PUBLISH with that remaining length is no larger than
// the client and the protocol allow. One that is too large must not be sent, and
// counts as sent [MQTT-3.1.2-25].
func (c *conn) fits(n int) bool {
	return n <= maxRemaining && (c.maxPacket <= 0 || 1+lengthWidth(n)+n <= c.maxPacket)
}
