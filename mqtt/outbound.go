package mqtt

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// bufferBytes is the size of a fresh write buffer. Connections that have
	// nothing to write have none.
	bufferBytes = 4 << 10
	// pieceBytes is what one write deadline is for: a slow network has that
	// long for each piece, not for everything that waits.
	pieceBytes = 32 << 10
	// answerRoom is what answers to the client may take above the limit. A
	// client that asks and does not read fills it and is cut off.
	answerRoom = 64 << 10
	// farewell bounds the last write of a connection that ends.
	farewell = time.Second
)

// outbound is what waits to be written to one client, in order.
type outbound struct {
	conn     net.Conn
	limit    int
	deadline time.Duration // of one piece, 0 for none
	pool     *sync.Pool    // of *[bufferBytes]byte

	// closeBy is when the last packet must be out, in unix nanoseconds; 0
	// before the end.
	closeBy atomic.Int64

	mu struct {
		sync.Mutex
		buf    []byte
		closed bool
		gate   chan struct{} // not nil while the buffer is nearly full
	}
	wake chan struct{} // holds one
}

func newOutbound(c net.Conn, limit int, deadline time.Duration, pool *sync.Pool) *outbound {
	return &outbound{conn: c, limit: limit, deadline: deadline, pool: pool, wake: make(chan struct{}, 1)}
}

// begin locks the buffer for one more message. ok is false, and nothing
// locked, when the connection has ended or too much is waiting already. The
// caller appends to buf and gives it to commit. (No closure: this is the hot
// path.)
func (o *outbound) begin() (buf []byte, ok bool) { return o.beginWithin(o.limit) }

// beginAnswer is begin for what the client is owed.
func (o *outbound) beginAnswer() (buf []byte, ok bool) { return o.beginWithin(o.limit + answerRoom) }

func (o *outbound) beginWithin(limit int) (buf []byte, ok bool) {
	o.mu.Lock()
	if o.mu.closed || len(o.mu.buf) > limit {
		o.mu.Unlock()
		return nil, false
	}
	if o.mu.buf == nil {
		o.mu.buf = o.fresh()
	}
	return o.mu.buf, true
}

// commit takes the buffer back.
func (o *outbound) commit(buf []byte) {
	o.mu.buf = buf
	if o.mu.gate == nil && len(buf) > o.limit/4*3 {
		o.mu.gate = make(chan struct{})
	}
	o.mu.Unlock()
}

// closedGate is closed when there is room again; nil when there is room.
func (o *outbound) closedGate() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.gate
}

func (o *outbound) openGateLocked() {
	if o.mu.gate != nil {
		close(o.mu.gate)
		o.mu.gate = nil
	}
}

// add appends one answer and wakes the writer. It reports false when the
// client has asked for so much and read so little that there is no room.
func (o *outbound) add(packet []byte) bool {
	buf, ok := o.beginAnswer()
	if !ok {
		return o.isClosed()
	}
	o.commit(append(buf, packet...))
	o.flush()
	return true
}

func (o *outbound) isClosed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.closed
}

// last appends a final packet and lets nothing follow it.
func (o *outbound) last(packet []byte) {
	by := time.Now().Add(farewell)
	if o.closeBy.CompareAndSwap(0, by.UnixNano()) {
		// The writer that sets a longer one looks at closeBy afterwards.
		_ = o.conn.SetWriteDeadline(by)
	}
	o.mu.Lock()
	if !o.mu.closed {
		o.mu.buf = append(o.mu.buf, packet...)
		o.mu.closed = true
	}
	o.openGateLocked()
	o.mu.Unlock()
	o.flush()
}

// flush wakes the writer.
func (o *outbound) flush() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbound) pending() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.mu.buf)
}

// write is the writer goroutine. It ends after the last packet, or with an
// error of the connection.
func (o *outbound) write() error {
	defer o.drop()
	var spare []byte
	for {
		batch, closed := o.take(spare)
		if len(batch) == 0 {
			o.giveBack(batch)
			if closed {
				return nil
			}
			spare = nil
			<-o.wake
			continue
		}
		if err := o.writeAll(batch); err != nil {
			o.last(nil)
			return err
		}
		if spare = batch[:0]; cap(spare) > keepBytes {
			spare = nil
		}
	}
}

// take swaps the buffer with spare. When nothing waits it takes both away, so
// that idle connections hold no memory.
func (o *outbound) take(spare []byte) (batch []byte, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.openGateLocked()
	batch, closed = o.mu.buf, o.mu.closed
	o.mu.buf = nil
	if len(batch) > 0 {
		o.mu.buf = spare
	} else {
		o.giveBack(spare)
	}
	return batch, closed
}

func (o *outbound) writeAll(batch []byte) error {
	for len(batch) > 0 {
		if err := o.extend(); err != nil {
			return err
		}
		n, err := o.conn.Write(batch[:min(len(batch), pieceBytes)])
		if err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

func (o *outbound) extend() error {
	if o.deadline > 0 {
		if err := o.conn.SetWriteDeadline(time.Now().Add(o.deadline)); err != nil {
			return err
		}
	}
	if by := o.closeBy.Load(); by != 0 {
		return o.conn.SetWriteDeadline(time.Unix(0, by))
	}
	return nil
}

// drop gives up what will never be written. Publishers may still remember the
// connection, and with it this buffer.
func (o *outbound) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.buf, o.mu.closed = nil, true
	o.openGateLocked()
}

func (o *outbound) fresh() []byte {
	if b, ok := o.pool.Get().(*[bufferBytes]byte); ok {
		return b[:0]
	}
	return make([]byte, 0, bufferBytes)
}

// giveBack returns a buffer of the common size; others are left to the garbage
// collector.
func (o *outbound) giveBack(b []byte) {
	if cap(b) == bufferBytes {
		o.pool.Put((*[bufferBytes]byte)(b[:bufferBytes]))
	}
}
