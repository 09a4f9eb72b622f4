package mqtt

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core"
)

const (
	// answerRoom is what answers to the client may take above the limit. A
	// client that asks and does not read fills it and is cut off.
	answerRoom = 64 << 10
	// farewell bounds the last write of a connection that ends.
	farewell = time.Second
)

// outbound is what waits to be written to one client, in order.
type outbound struct {
	conn     net.Conn
	limit    int // of what waits
	deadline time.Duration
	pool     *pieces

	// closeBy is when the last packet must be out, in core.Ticks; 0
	// before the end.
	closeBy atomic.Int64

	mu struct {
		sync.Mutex
		pile   pile
		taken  int // bytes that the writer is writing
		later  int // bytes that wait for the client's permission, see window
		closed bool
		gate   chan struct{} // not nil while the limit is near
	}
	wake chan struct{} // holds one

	writing net.Buffers // the writer's
}

func newOutbound(c net.Conn, limit int, deadline time.Duration, pool *pieces) *outbound {
	return &outbound{conn: c, limit: limit, deadline: deadline, pool: pool, wake: make(chan struct{}, 1)}
}

// begin locks for one more packet. It reports false, and nothing is locked, when
// the connection has ended. The caller asks for room, writes, and calls commit.
// (No closure: this is the hot path.)
func (o *outbound) begin() bool {
	o.mu.Lock()
	if o.mu.closed {
		o.mu.Unlock()
		return false
	}
	return true
}

// roomLocked reports whether n more bytes may wait. One message may always.
func (o *outbound) roomLocked(n int) bool {
	waiting := o.waitingLocked()
	return waiting == 0 || waiting+n <= o.limit && !o.pool.budget.Full(int64(waiting))
}

// answerLocked is roomLocked for what the client is owed.
func (o *outbound) answerLocked(n int) bool { return o.waitingLocked()+n <= o.limit+answerRoom }

// waitingLocked is all that is kept for the client.
func (o *outbound) waitingLocked() int { return o.mu.pile.size + o.mu.taken + o.mu.later }

func (o *outbound) writeLocked(b []byte) { o.mu.pile.write(b, o.pool) }

// commit unlocks.
func (o *outbound) commit() {
	if o.mu.gate == nil && o.waitingLocked() > o.limit/4*3 && !o.mu.closed {
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
	if !o.begin() {
		return true
	}
	ok := o.answerLocked(len(packet))
	if ok {
		o.writeLocked(packet)
	}
	o.commit()
	o.flush()
	return ok
}

// last appends a final packet and lets nothing follow it.
func (o *outbound) last(packet []byte) {
	by := time.Now().Add(farewell)
	if o.closeBy.CompareAndSwap(0, core.Ticks(by)) {
		// The writer that sets a longer one looks at closeBy afterwards.
		_ = o.conn.SetWriteDeadline(by)
	}
	o.mu.Lock()
	if !o.mu.closed {
		o.writeLocked(packet)
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
	return o.waitingLocked()
}

// write is the writer goroutine. It ends after the last packet, or with an
// error of the connection.
func (o *outbound) write() error {
	defer o.drop()
	for {
		batch, closed := o.take()
		if batch.size == 0 {
			if closed {
				return nil
			}
			<-o.wake
			continue
		}
		if err := o.writeAll(&batch); err != nil {
			batch.drop(o.pool)
			o.last(nil)
			return err
		}
	}
}

// take takes everything away. Others begin a new pile meanwhile.
func (o *outbound) take() (batch pile, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	batch = o.mu.pile
	o.mu.pile = pile{}
	o.mu.taken = batch.size
	return batch, o.mu.closed
}

// writeAll writes the batch, as many parts at once as make one piece.
func (o *outbound) writeAll(batch *pile) error {
	parts := batch.parts
	for len(batch.parts) > 0 {
		if err := o.extend(); err != nil {
			return err
		}
		n, k := len(batch.parts[0]), 1
		for k < len(batch.parts) && n+len(batch.parts[k]) <= pieceBytes {
			n += len(batch.parts[k])
			k++
		}
		if err := o.writeParts(batch.parts[:k]); err != nil {
			return err
		}
		for i := range k {
			o.pool.put(batch.parts[i])
			batch.parts[i] = nil
		}
		batch.parts = batch.parts[k:]
		o.wrote(n)
	}
	o.keep(parts[:0])
	return nil
}

func (o *outbound) writeParts(parts [][]byte) error {
	if len(parts) == 1 {
		_, err := o.conn.Write(parts[0])
		return err
	}
	list := append(o.writing[:0], parts...)
	o.writing = list
	_, err := o.writing.WriteTo(o.conn)
	clear(list)
	o.writing = list[:0]
	return err
}

// wrote counts n bytes as gone, and lets publishers on when there is room.
func (o *outbound) wrote(n int) {
	o.mu.Lock()
	o.mu.taken -= n
	if o.waitingLocked() <= o.limit/4*3 {
		o.openGateLocked()
	}
	o.mu.Unlock()
}

// keep leaves an empty list of parts for the next pile.
func (o *outbound) keep(list [][]byte) {
	if cap(list) > 8 {
		return
	}
	o.mu.Lock()
	if o.mu.pile.parts == nil && !o.mu.closed {
		o.mu.pile.parts = list
	}
	o.mu.Unlock()
}

func (o *outbound) extend() error {
	if o.deadline > 0 {
		if err := o.conn.SetWriteDeadline(time.Now().Add(o.deadline)); err != nil {
			return err
		}
	}
	if by := o.closeBy.Load(); by != 0 {
		return o.conn.SetWriteDeadline(core.Moment(by))
	}
	return nil
}

// drop gives up what will never be written.
func (o *outbound) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.pile.drop(o.pool)
	o.mu.taken, o.mu.closed = 0, true
	o.openGateLocked()
}
