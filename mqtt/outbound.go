package mqtt

import (
	"errors"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/transport"
)

const (
	// answerRoom is what answers to the client may take above the limit. A
	// client that asks and does not read fills it and is cut off.
	answerRoom = 64 << 10
	// farewell bounds the last write of a connection that ends.
	farewell = time.Second
	// pieceBytes is what one write deadline is for: a slow network has that long
	// for each piece, not for everything that waits. chunkBytes is the size of the
	// largest chunks.
	pieceBytes = 32 << 10
	chunkBytes = 16 << 10
)

// kind is what waits for clients that began with some options.
type kind struct {
	o *config.Options
	outbound.Kind
}

func (m *Module) kind(o *config.Options) *outbound.Kind {
	k := m.outbound.Load()
	if k == nil || k.o != o {
		k = &kind{o, outbound.Kind{
			Pool: m.services.Outbound(), Limit: o.MaxPending, Deadline: o.WriteDeadline, Piece: pieceBytes, Chunk: chunkBytes,
		}}
		m.outbound.Store(k)
	}
	return &k.Kind
}

// begin locks out for one more packet. It reports false, and nothing is locked,
// when the connection has ended. The caller asks for room, writes, and unlocks.
// (No closure: this is the hot path.)
func (c *conn) begin() bool {
	c.out.Lock()
	if !c.out.OpenLocked() {
		c.out.Unlock()
		return false
	}
	return true
}

// roomLocked reports whether a message of n bytes may wait. One may always.
func (c *conn) roomLocked(n int) bool { return c.out.PendingLocked() == 0 || c.out.FitsLocked(n) }

// answerLocked is roomLocked for what the client is owed.
func (c *conn) answerLocked(n int) bool {
	return int64(c.out.PendingLocked()+n) <= c.o.MaxPending+answerRoom
}

// say queues an answer to the client. Its writer is woken when the reader needs
// more to read, or waits for something else.
func (c *conn) say(packet []byte) error {
	if !c.begin() {
		return nil
	}
	ok := c.answerLocked(len(packet))
	if ok {
		c.out.WriteLocked(packet)
		c.answers.Add(1)
	}
	c.out.Unlock()
	if !ok {
		c.slow.Store(true)
		return errSlow
	}
	return nil
}

// WriteFailed is part of outbound.Owner.
func (c *conn) WriteFailed(err error) {
	if errors.Is(err, outbound.ErrSlowPending) {
		err = errSlow
	}
	c.fail(err)
	_ = transport.Socket(c.nc).Close() // TLS would wait for room for its farewell
}
