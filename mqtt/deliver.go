package mqtt

import (
	"context"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/mqtt/session"
)

// againAtOnce is how many messages are read at once to be sent again.
const againAtOnce = 16

// delivery sends a kept session's messages to its client: those first that were sent
// before and are not acknowledged, then all that follows, in their order, as far as
// the client allows unacknowledged ones. It has a goroutine while there is something
// to send, which stop ends and waits for.
type delivery struct {
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu struct {
		sync.Mutex
		// ready: the client has its CONNACK, so there may be deliveries. The store tells of
		// messages before, from the moment when the connection has the session.
		ready, running, again, over bool
		owed                        []debt // in order
		paying                      bool
	}

	ensured bool // there is a row; of the reader

	// Of that goroutine.
	open    []uint16          // identifiers to be released again
	unacked []session.Unacked // to be sent again
	// retained are those of them that are retained messages.
	retained []session.Unacked
	page     []*session.Message
	noted    bool // the row says that messages may have been sent

	// Guarded by the lock of the connection's outbound.
	sent    map[uint16]uint64 // sequences of unacknowledged messages, by packet identifier
	blocked bool              // there is something to send, and the client allows no more
}

// begin makes ready. Nothing was sent to the client yet.
func (k *kept) begin() {
	k.ctx, k.cancel = context.WithCancel(k.conn.m.ctx)
	k.unacked, k.retained, k.open = k.session.Unacked(), k.session.Retained(), k.session.Open()
	k.conn.out.Lock()
	defer k.conn.out.Unlock()
	k.sent = make(map[uint16]uint64)
	for _, u := range append(k.unacked[:len(k.unacked):len(k.unacked)], k.retained...) {
		until := untilPuback
		if u.Exact {
			until = untilPubrec
		}
		k.conn.window.hold(u.ID, until)
	}
	for _, id := range k.open {
		k.conn.window.hold(id, untilPubcompAgain)
	}
	k.conn.acks.restore(k.session.Received()...)
}

// granted is the expiry of the session in seconds; 0 without one.
func (k *kept) granted() uint32 {
	if k == nil {
		return 0
	}
	return k.expiry
}

// start begins to deliver, behind the CONNACK [MQTT-3.2.0-1].
func (k *kept) start() {
	k.mu.Lock()
	k.mu.ready = true
	k.mu.Unlock()
	k.Wake()
}

// Wake is part of session.Peer.
func (k *kept) Wake() {
	m := &k.mu
	m.Lock()
	defer m.Unlock()
	m.again = true
	if !m.ready || m.running || m.over {
		return
	}
	m.running = true
	k.work.Add(1)
	go k.run()
}

// stop ends it, for the reader that ends.
func (k *kept) stop() {
	if k == nil {
		return
	}
	k.mu.Lock()
	k.mu.over = true
	k.mu.Unlock()
	k.cancel()
	k.work.Wait()
}

func (k *kept) run() {
	defer k.work.Done()
	for {
		k.mu.Lock()
		if !k.mu.again || k.mu.over {
			k.mu.running = false
			k.mu.Unlock()
			return
		}
		k.mu.again = false
		k.mu.Unlock()
		err := k.deliver()
		k.conn.out.Wake()
		if err != nil && k.ctx.Err() == nil {
			// The client comes back, and so does what it waits for.
			k.conn.notice(noticeNotDelivered, "err", err)
			k.conn.fail(fail(packets.ErrUnspecifiedError, "reading the session: %w", err))
		}
	}
}

// deliver sends until there is nothing more, or the client allows nothing more.
func (k *kept) deliver() error {
	if err := k.releaseAgain(); err != nil {
		return err
	}
	for {
		m, err := k.next()
		if m == nil || err != nil {
			return err
		}
		if err := k.prepare(m); err != nil {
			return err
		}
		if m.QoS == 2 && m.ID == 0 {
			return nil // there is no identifier for it yet
		}
		if sent, err := k.send(m); !sent {
			return err
		}
		k.page = k.page[1:]
	}
}

// prepare has the row know what it must before a message goes out.
func (k *kept) prepare(m *session.Message) error {
	var err error
	switch numbered := m.QoS == 2 && m.ID == 0 && k.number(); {
	case !k.noted:
		if err = k.session.Begin(k.ctx); err == nil {
			k.noted = true
		}
	case numbered:
		err = k.session.Save(k.ctx)
	}
	return err
}

// number gives identifiers to the messages of the page, as far as the client allows
// more: those with QoS 2 go out under one that the row has. It reports whether there
// are such.
func (k *kept) number() (some bool) {
	c := k.conn
	if !c.begin() {
		return false
	}
	defer c.out.Unlock()
	for _, m := range k.page {
		id, ok := c.window.free(m.QoS)
		if !ok {
			k.blocked = !some
			break
		}
		k.session.Sent(m, id)
		m.ID, m.Numbered, some = id, true, true
	}
	return some
}

// next is the message that comes next, nil for none.
func (k *kept) next() (m *session.Message, err error) {
	c := k.conn
	for len(k.page) == 0 && len(k.retained) > 0 {
		if err := k.retainedAgain(); err != nil {
			return nil, err
		}
	}
	for len(k.page) == 0 && len(k.unacked) > 0 {
		n := min(len(k.unacked), againAtOnce)
		for _, u := range k.unacked[:n] {
			switch m, err = k.session.Read(k.ctx, u); {
			case err != nil:
				return nil, err
			case m != nil:
				k.page = append(k.page, m)
			default: // somebody has deleted it
				k.gone(u)
			}
		}
		k.unacked = k.unacked[n:]
		if err := k.releaseAgain(); err != nil {
			return nil, err
		}
	}
	if len(k.page) == 0 {
		c.out.Wake()
		size := c.pageSize()
		if err := c.low(k.ctx, size/2); err != nil {
			return nil, err
		}
		c.out.Lock()
		n := min(max(c.window.max, againAtOnce), pageMsgs)
		c.out.Unlock()
		if k.page, err = k.session.Next(k.ctx, n, size); err != nil || len(k.page) == 0 {
			return nil, err
		}
	}
	return k.page[0], nil
}

// send queues one message for the client. It reports false when the client allows no
// more yet.
func (k *kept) send(m *session.Message) (sent bool, err error) {
	c := k.conn
	header, fresh := liveHeader(m, time.Now())
	msg := wire.Msg{Subject: []byte(m.Topic), Header: header, Body: m.Data}
	for {
		if !c.begin() {
			return false, errEnded
		}
		size, fits := c.encodeLocked(m.QoS, true, msg.Subject, &msg, m.IDs...)
		switch {
		case !fresh && (m.ID == 0 || m.Numbered) || !fits || c.denies(msg.Subject):
			switch {
			case !fits:
				c.drops.count(c.unsendable(size))
			case !fresh:
				c.drops.count(dropExpired)
			default:
				c.drops.count(dropDenied)
			}
			k.passLocked(m)
			c.out.Unlock()
			return true, nil
		case !m.Numbered && c.window.full():
			k.blocked = true
			c.out.Unlock()
			return false, nil
		case c.roomLocked(size + publishHead + queuedHead):
			k.queueLocked(m, size, &msg)
			c.out.Unlock()
			return true, nil
		}
		c.out.Unlock()
		if err := c.low(k.ctx, 0); err != nil {
			return false, err
		}
	}
}

// denies reports whether the client may not hear of a subject.
func (c *conn) denies(subj []byte) bool {
	p := c.grant.Permissions
	return p != nil && p.DeniesDelivery(subj)
}

// passLocked counts a message as acknowledged that the client is not sent, by the
// protocol or its rights [MQTT-3.1.2-25].
func (k *kept) passLocked(m *session.Message) {
	if m.ID == 0 {
		k.session.Pass(m)
		return
	}
	switch {
	case m.Numbered:
		k.conn.releaseLocked(m.ID)
		k.session.Acked(m.Seq)
	case m.QoS == 2: // the client may have it
		k.session.Handed(m.Seq, m.ID)
		k.conn.window.inUse[m.ID] = untilPubcompAgain
		k.owe(packets.Pubrel, m.ID, 0)
	default:
		k.conn.window.held--
		k.conn.releaseLocked(m.ID)
		k.session.Acked(m.Seq)
		k.session.Settled(m.ID)
	}
}

// gone is the end of a message that was sent on another connection and that somebody
// has deleted. With QoS 2 the client may have it: its identifier is released first.
func (k *kept) gone(u session.Unacked) {
	c := k.conn
	c.out.Lock()
	defer c.out.Unlock()
	if u.Exact {
		c.window.inUse[u.ID] = untilPubcompAgain
		k.open = append(k.open, u.ID)
		return
	}
	c.window.held--
	c.releaseLocked(u.ID)
}

func (k *kept) queueLocked(m *session.Message, size int, msg *wire.Msg) {
	c := k.conn
	id := m.ID
	switch {
	case id == 0:
		id, _ = c.window.free(m.QoS)
		k.session.Sent(m, id)
	case !m.Numbered:
		c.window.held--
	}
	k.sent[id] = m.Seq
	flags := byte(0)
	if m.Again {
		flags |= flagDup
	}
	if m.Retained || m.Options&8 != 0 && wire.HeaderGet(msg.Header, headerRetain) != nil {
		flags |= flagRetain // [MQTT-3.3.1-13]
	}
	c.writeLocked(m.QoS, flags, id, size, m.Data)
	if c.replies != nil && c.version == v5 {
		if topic := wire.HeaderGet(msg.Header, headerResponseTopic); topic != nil {
			if reply, err := appendSubject(nil, topic, c.topicRules()); err == nil {
				c.replies.Arm(reply, time.Now())
			}
		}
	}
}

const flagDup = 0x08

// ackedLocked is the sequence of a message that the client acknowledges; 0 for one
// that is none of the session.
func (k *kept) ackedLocked(id uint16) (seq uint64) {
	if k == nil {
		return 0
	}
	seq = k.sent[id]
	delete(k.sent, id)
	return seq
}

// againLocked reports whether there is room again for what had to wait.
func (k *kept) againLocked() bool {
	if k == nil || !k.blocked || !k.conn.window.low() {
		return false
	}
	k.blocked = false
	return true
}

// changeExpiry takes the session expiry of a DISCONNECT. One that was 0 stays so
// [MQTT-3.14.2-2].
func (c *conn) changeExpiry(body []byte) error {
	if c.version != v5 || len(body) < 2 {
		return nil
	}
	pk := &packets.Packet{ProtocolVersion: v5, FixedHeader: packets.FixedHeader{Type: packets.Disconnect, Remaining: len(body)}}
	if err := pk.DisconnectDecode(append([]byte(nil), body...)); err != nil {
		return err
	}
	wanted, given := pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag
	switch {
	case !given:
	case c.kept.granted() == 0 && wanted > 0:
		return fail(errProtocol, "DISCONNECT with a session expiry, and the session had none")
	case c.kept != nil:
		c.kept.expiry = wanted
	}
	return nil
}
