package mqtt

import (
	"encoding/binary"
	"errors"
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/mqtt/session"
)

// receiveMaximum is how many messages of one client may wait for the disk. MQTT
// 5 clients are told; who has sent more is not read further.
const receiveMaximum = 1024

// keepReceipts is the largest queue kept when all is acknowledged.
const keepReceipts = 64

// acks are the PUBACKs and PUBRECs that one connection owes, in the order of its
// PUBLISH packets [MQTT-4.6.0-2]. Messages become durable in any order; each
// acknowledgement waits for those before it.
type acks struct {
	conn *conn

	mu struct {
		sync.Mutex
		queue []*receipt // owed are those from head on
		head  int
		// exact are the identifiers of QoS 2 messages that the client has not
		// released: whether their PUBREC was sent. A message under one of them
		// is one that was taken already [MQTT-4.3.3-10]. A kept session has
		// them too, and gives them to its next connection.
		exact map[uint16]bool
		room  chan struct{} // holds one: the queue became shorter; nil before somebody has waited
		// storing are the QoS 2 messages that are not stored yet; quiet is closed when
		// there are none, for who waits.
		storing int
		quiet   chan struct{}
	}
}

// receipt is one PUBLISH on its way to the disk: a wire.Receipt.
type receipt struct {
	acks  *acks
	id    uint16
	qos   byte  // 1 or 2
	again bool  // a PUBREC that was sent before
	keeps keeps // of the routing goroutine

	// Guarded by acks.mu.
	waits int // streams that have not stored it yet, and one for the routing
	code  byte
	err   error
	why   error // that the client is told beside the code
}

func newAcks(c *conn) *acks { return &acks{conn: c} }

// begin remembers a QoS 2 message. It reports false when the message was taken
// before; then the PUBREC is sent again if it is not on its way yet. It fails for who
// releases none of very many.
func (a *acks) begin(id uint16) (fresh bool, err error) {
	a.mu.Lock()
	sent, known := a.mu.exact[id]
	if !known && len(a.mu.exact) >= session.MaxReceived {
		a.mu.Unlock()
		return false, fail(packets.ErrReceiveMaximum, "%d messages with QoS 2 are not released", session.MaxReceived)
	}
	if !known {
		if a.mu.exact == nil {
			a.mu.exact = make(map[uint16]bool)
		}
		a.mu.exact[id] = false
	}
	a.mu.Unlock()
	if sent {
		r := a.open(id, 2)
		r.again = true
		r.routed(packets.CodeSuccess.Code)
	}
	return !known, nil
}

// holds reports whether there is a QoS 2 message under that identifier.
func (a *acks) holds(id uint16) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, known := a.mu.exact[id]
	return known
}

// restore remembers QoS 2 messages of former connections.
func (a *acks) restore(ids ...uint16) {
	if len(ids) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.exact == nil {
		a.mu.exact = make(map[uint16]bool)
	}
	for _, id := range ids {
		a.mu.exact[id] = true
	}
}

// settle waits until all QoS 2 messages are stored, or the server stops.
func (a *acks) settle() {
	a.mu.Lock()
	if a.mu.storing == 0 {
		a.mu.Unlock()
		return
	}
	quiet := make(chan struct{})
	a.mu.quiet = quiet
	a.mu.Unlock()
	select {
	case <-quiet:
	case <-a.conn.m.ctx.Done():
	}
}

// storedLocked is called when a message has been stored, or could not be.
func (a *acks) storedLocked(r *receipt) {
	if r.qos != 2 {
		return
	}
	if r.err != nil && a.conn.kept != nil {
		a.conn.kept.session.Release(r.id) // the next under this identifier is a new one
	}
	if a.mu.storing--; a.mu.storing == 0 && a.mu.quiet != nil {
		close(a.mu.quiet)
		a.mu.quiet = nil
	}
}

// release forgets a QoS 2 message on the client's PUBREL. early is true when
// the client could not send one yet.
func (a *acks) release(id uint16) (known, early bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	sent, known := a.mu.exact[id]
	if known && sent {
		delete(a.mu.exact, id)
		if len(a.mu.exact) == 0 {
			a.mu.exact = nil // maps never shrink
		}
	}
	return known, known && !sent
}

// open begins the receipt of one PUBLISH. The caller closes it after routing.
func (a *acks) open(id uint16, qos byte) *receipt {
	r, ok := a.conn.m.receipts.Get().(*receipt)
	if !ok {
		r = new(receipt)
	}
	*r = receipt{acks: a, id: id, qos: qos, waits: 1}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.queue = append(a.mu.queue, r)
	if qos == 2 {
		a.mu.storing++
	}
	return r
}

// Expect is called by a stream that takes the message.
func (r *receipt) Expect() {
	r.acks.mu.Lock()
	r.waits++
	r.acks.mu.Unlock()
}

// Stored is called by that stream when the message is durable, or could not
// be stored.
func (r *receipt) Stored(stream string, _ uint64, _ bool, err error) {
	a := r.acks
	if err != nil {
		a.conn.notice(noticeNotStored, "stream", stream, "err", err)
	}
	a.mu.Lock()
	if err != nil && r.err == nil {
		r.err, r.code, r.why = err, reasonOf(err), toldReason(err)
		if a.conn.version != v5 && core.IsRefused(err) {
			r.code = packets.CodeSuccess.Code // there is no word for it, and no hope
		}
	}
	sent := a.doneLocked(r)
	a.mu.Unlock()
	if sent {
		a.conn.out.Wake()
	}
}

// routed is the end of the routing. code is what to answer if no stream has
// another opinion. It is called by the reader, which wakes the writer before it
// waits for more.
func (r *receipt) routed(code byte) {
	a := r.acks
	a.mu.Lock()
	if r.err == nil {
		r.code = code
	}
	a.doneLocked(r)
	a.mu.Unlock()
}

// reasonOf is the MQTT 5 reason of a refusal, of a stream's or for a session that
// waits for too much.
func reasonOf(err error) byte {
	var full *session.FullError
	if core.IsFull(err) || errors.As(err, &full) {
		return packets.ErrQuotaExceeded.Code
	}
	return packets.ErrUnspecifiedError.Code
}

// doneLocked takes one wait off r and queues what can be sent.
func (a *acks) doneLocked(r *receipt) (some bool) {
	if r.waits--; r.waits < 0 {
		panic("BUG: mqtt: a stream stored a message that it did not expect")
	}
	if r.waits > 0 {
		return false
	}
	a.storedLocked(r)
	sent := 0
	for _, r := range a.mu.queue[a.mu.head:] {
		if r.waits > 0 || !a.conn.acknowledge(r) {
			break
		}
		sent++
	}
	if sent == 0 {
		return false
	}
	for i := a.mu.head; i < a.mu.head+sent; i++ {
		// All waits are over, so nobody else has it.
		*a.mu.queue[i] = receipt{}
		a.conn.m.receipts.Put(a.mu.queue[i])
		a.mu.queue[i] = nil
	}
	if a.mu.head += sent; a.mu.head >= len(a.mu.queue)/2 {
		n := copy(a.mu.queue, a.mu.queue[a.mu.head:])
		clear(a.mu.queue[n:])
		a.mu.queue, a.mu.head = a.mu.queue[:n], 0
		if n == 0 && cap(a.mu.queue) > keepReceipts {
			a.mu.queue = nil
		}
	}
	select {
	case a.mu.room <- struct{}{}: // never by nil
	default:
	}
	return true
}

// roomed is what tells that the queue became shorter.
func (a *acks) roomed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.room == nil {
		a.mu.room = make(chan struct{}, 1)
	}
	return a.mu.room
}

// waiting is the number of PUBLISH packets not acknowledged yet.
func (a *acks) waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.mu.queue) - a.mu.head
}

// acknowledge sends one PUBACK or PUBREC. A client without reason codes is not
// told of a failure that may pass: it gets no acknowledgement and is
// disconnected, and sends again later. The lock of acks is held.
func (c *conn) acknowledge(r *receipt) bool {
	if c.version != v5 && r.code >= 0x80 {
		c.fail(fail(packets.ErrUnspecifiedError, "storing a QoS %d message: %w", r.qos, r.err))
		return false
	}
	if !c.begin() {
		return false
	}
	reason := c.reasonText(r.why)
	if !c.answerLocked(ackBytes + len(reason)) {
		c.out.Unlock()
		c.tooSlow()
		return false
	}
	kind := packets.Puback
	if r.qos == 2 {
		kind = packets.Pubrec
		switch {
		case r.again:
		case r.code >= 0x80: // the next under this identifier is a new one [MQTT-4.3.3-9]
			delete(c.acks.mu.exact, r.id)
		default:
			c.acks.mu.exact[r.id] = true
		}
	}
	var buf [ackBytes]byte
	answer := appendAck(buf[:0], kind, c.version, r.id, r.code)
	if reason != "" {
		answer = c.appendReason(answer, reason)
	}
	c.out.WriteLocked(answer)
	c.answers.Add(1)
	c.out.Unlock()
	return true
}

// ackBytes is the size of an acknowledgement with its reason.
const ackBytes = 5

// appendAck appends a PUBACK or PUBREC, or the PUBREL or PUBCOMP of QoS 2.
func appendAck(dst []byte, kind, version byte, id uint16, code byte) []byte {
	first := kind << 4
	if kind == packets.Pubrel {
		first |= 2
	}
	if version == v5 && code != 0 {
		dst = append(dst, first, 3)
		dst = binary.BigEndian.AppendUint16(dst, id)
		return append(dst, code)
	}
	dst = append(dst, first, 2)
	return binary.BigEndian.AppendUint16(dst, id)
}
