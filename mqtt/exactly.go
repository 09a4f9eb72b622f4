package mqtt

import (
	"context"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// What follows a PUBLISH with QoS 2, on both sides. For a kept session each step is in
// its row before the other side hears of it (session/exact.go says why that is
// enough): PUBREL and PUBCOMP are owed until then, and paid many at a time.

// receivePatience is how long a client waits behind a start until it is known which
// of its identifiers were received.
const receivePatience = 5 * time.Minute

// takenBefore reports whether a publication with QoS 2 was taken already, which then
// needs nothing but its PUBREC. dup is the flag of the PUBLISH.
func (c *conn) takenBefore(id uint16, dup bool) (bool, error) {
	if k := c.kept; k != nil {
		if !k.ensured {
			ctx, cancel := context.WithTimeout(k.ctx, attachPatience)
			defer cancel()
			if err := k.session.Ensure(ctx); err != nil {
				return false, fail(packets.ErrUnspecifiedError, "storing the session: %w", err)
			}
			k.ensured = true
		}
		// Only what is sent again may be from before a start [MQTT-3.3.1-1].
		if dup && !c.acks.holds(id) {
			known, err := k.received(id)
			if err != nil {
				return false, err
			}
			if known {
				c.acks.restore(id)
			}
		}
	}
	fresh, err := c.acks.begin(id)
	return !fresh, err
}

// received reports whether a publication has come under an identifier that the client
// has not released, for the reader.
func (k *kept) received(id uint16) (bool, error) {
	k.conn.out.Wake()
	ctx, cancel := context.WithTimeout(k.ctx, receivePatience)
	defer cancel()
	known, err := k.session.HasReceived(ctx, id)
	if err != nil {
		err = fail(packets.ErrUnspecifiedError, "reading what was received of the session: %w", err)
	}
	return known, err
}

// exactly is the rest of QoS 2.
func (c *conn) exactly(f frame) error {
	id, err := c.identifier(f)
	if err != nil {
		return err
	}
	if c.kept.owesTooMuch() {
		return fail(packets.ErrReceiveMaximum, "PUBREL and PUBREC come again and again before their answers")
	}
	switch f.kind() {
	case packets.Pubrel:
		return c.pubrel(id)
	case packets.Pubrec:
		return c.pubrec(id, c.version == v5 && len(f.body) > 2 && f.body[2] >= 0x80)
	}
	return c.pubcomp(id)
}

// pubrel ends a publication of the client.
func (c *conn) pubrel(id uint16) error {
	known, early := c.acks.release(id)
	if early {
		return fail(errProtocol, "PUBREL before PUBREC")
	}
	k := c.kept
	if k != nil && !known {
		var err error
		if known, err = k.received(id); err != nil {
			return err
		}
	}
	code := packets.CodeSuccess.Code
	if !known {
		code = packets.ErrPacketIdentifierNotFound.Code
	}
	if k != nil {
		k.session.Release(id)
		k.owe(packets.Pubcomp, id, code) // an unknown one too: what has it forgotten is on its way to the disk
		return nil
	}
	return c.say(appendAck(nil, packets.Pubcomp, c.version, id, code))
}

// pubrec says that the client has a message, or refuses it.
func (c *conn) pubrec(id uint16, refused bool) error {
	// However much is waiting: what comes now was counted when it was queued.
	if !c.begin() {
		return nil
	}
	state := c.window.inUse[id]
	if refused && state == untilPubrec {
		c.freedLocked(id) // there is no PUBREL for it [MQTT-4.3.3-4]
		return nil
	}
	var seq uint64
	if state == untilPubrec {
		c.window.inUse[id] = untilPubcomp
		seq = c.kept.ackedLocked(id)
	}
	c.out.Unlock()
	switch {
	case c.kept != nil && state >= untilPubrec:
		if state == untilPubrec {
			c.kept.session.Handed(seq, id)
		}
		c.kept.owe(packets.Pubrel, id, 0)
		return nil
	case state >= untilPubrec:
		return c.say(appendAck(nil, packets.Pubrel, c.version, id, 0))
	}
	// A client that remembers it from another server is told so, and let go on.
	return c.say(appendAck(nil, packets.Pubrel, c.version, id, packets.ErrPacketIdentifierNotFound.Code))
}

// pubcomp says that the client has forgotten an identifier.
func (c *conn) pubcomp(id uint16) error {
	if !c.begin() {
		return nil
	}
	switch c.window.inUse[id] {
	case untilPubcompAgain:
		c.window.held--
	case untilPubcomp:
	default: // nothing was released
		c.out.Unlock()
		return nil
	}
	c.freedLocked(id)
	if c.kept != nil {
		c.kept.session.Completed(id)
	}
	return nil
}

// puback frees a packet identifier and sends what waited for one.
func (c *conn) puback(f frame) error {
	id, err := c.identifier(f)
	if err != nil {
		return err
	}
	if !c.begin() {
		return nil
	}
	if c.window.inUse[id] != untilPuback {
		c.out.Unlock()
		return nil
	}
	c.freedLocked(id)
	return nil
}

// freedLocked is the end of an identifier: what waited for one is sent. It unlocks the
// outbound.
func (c *conn) freedLocked(id uint16) {
	seq := c.kept.ackedLocked(id)
	c.releaseLocked(id)
	for c.window.ready(c.out) {
		c.outMsgs.Add(1)
	}
	again := c.kept.againLocked()
	c.out.Unlock()
	switch {
	case seq > 0:
		c.kept.session.Acked(seq)
	case c.kept != nil:
		c.kept.session.Settled(id)
	}
	if again {
		c.kept.Wake()
	}
}

// debt is a PUBREL or PUBCOMP that waits for the row of the session.
type debt struct {
	kind, code byte
	id         uint16
}

// maxOwed is one of either kind for each packet identifier: who says things once needs
// no more, and who does not stop while the disk is busy fills no memory.
const maxOwed = 2 << 16

func (k *kept) owesTooMuch() bool {
	if k == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.mu.owed) >= maxOwed
}

// owe has a PUBREL or PUBCOMP sent when the row is on disk as it is now.
func (k *kept) owe(kind byte, id uint16, code byte) {
	m := &k.mu
	m.Lock()
	defer m.Unlock()
	if m.over {
		return // the client comes back
	}
	m.owed = append(m.owed, debt{kind, code, id})
	if !m.paying {
		m.paying = true
		k.work.Add(1)
		go k.pay()
	}
}

// releaseAgain sends the PUBRELs that a client may not have got, when it comes back
// [MQTT-4.4.0-1].
func (k *kept) releaseAgain() error {
	if len(k.open) == 0 {
		return nil
	}
	list := make([]debt, 0, len(k.open))
	for _, id := range k.open {
		list = append(list, debt{kind: packets.Pubrel, id: id})
	}
	k.open = nil
	return k.settle(list)
}

func (k *kept) pay() {
	defer k.work.Done()
	for {
		k.mu.Lock()
		list := k.mu.owed
		k.mu.owed = nil
		if len(list) == 0 || k.mu.over {
			k.mu.paying = false
			k.mu.Unlock()
			return
		}
		k.mu.Unlock()
		if err := k.settle(list); err != nil {
			if k.ctx.Err() == nil {
				k.conn.fail(err)
			}
			return // nothing more is paid on this connection
		}
		k.conn.out.Wake()
	}
}

// settle says what is owed, when the row has it.
func (k *kept) settle(list []debt) error {
	if err := k.storeFor(list); err != nil {
		return fail(packets.ErrUnspecifiedError, "storing the session: %w", err)
	}
	c := k.conn
	for _, d := range list {
		if err := c.say(appendAck(nil, d.kind, c.version, d.id, d.code)); err != nil {
			return err
		}
	}
	return nil
}

func (k *kept) storeFor(list []debt) error {
	for _, d := range list {
		if d.kind == packets.Pubcomp {
			// Before that is known a row can't say that an identifier was released.
			if _, err := k.session.HasReceived(k.ctx, d.id); err != nil {
				return err
			}
			break
		}
	}
	ctx, cancel := context.WithTimeout(k.ctx, attachPatience)
	defer cancel()
	return k.session.Save(ctx)
}
