package outbound

import (
	"errors"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	// ErrSlowPending: more waits than may.
	ErrSlowPending = errors.New("too many pending bytes")
	// ErrSlowDeadline: a write was not done in time.
	ErrSlowDeadline = errors.New("write deadline")
	// ErrEnded: nothing is taken any more.
	ErrEnded = errors.New("connection ended")
)

// Kind is what the connections of one protocol have in common. It must not be
// changed while there are any.
type Kind struct {
	Pool  *Pool
	Limit int64 // bytes that may wait for one connection
	// Deadline is how long one write may take, or a quarter more; 0: any time.
	// Retry lets one go on that was not done then, if the peer took some of it.
	Deadline time.Duration
	Retry    bool
	// Piece is how much one write has, about; 0: all that there is.
	Piece int
	// Chunk is the size of the largest chunks; 0: 64 kB. One that has Cut bytes
	// gets no further lines, so that urgent ones find a gap; 0: all are filled.
	Chunk, Cut int
}

func (k *Kind) chunk() int {
	if k.Chunk > 0 {
		return k.Chunk
	}
	return bigChunk
}

// Owner is the connection that a Buffer belongs to.
type Owner interface {
	// WriteFailed is called by the writer, once, when it can't go on: what waited
	// is given up, and the connection is to be closed. It must not wait for the
	// writer. Before that the pool may have called it with ErrSlowPending, of a
	// peer that takes nothing while memory is short: the first call counts, and
	// closes the connection under the writer.
	WriteFailed(error)
}

// Line is an Owner that writes itself, between urgent lines and at its own pace:
// a slow link.
type Line interface {
	Owner
	// Taking is called with the lock held when bytes are about to be written: all
	// urgent lines, and then what was queued up to the byte of that number, from 1.
	Taking(upTo int64)
	// Write writes a batch: urgent lines, if there are any, and chunks.
	Write(batch [][]byte) error
	// Piece is how much the next write is to have.
	Piece() int
	// Wrote is called behind each write, without the lock.
	Wrote()
}

// Buffer is what is to be written to one connection, and who writes it.
//
// Anybody appends, under the lock (Lock, ...Locked, Unlock), which is held for
// copying only: nothing that is done under it waits for the network. To append
// wakes nobody. Wake does, once for a burst: then all that there is goes out in
// one write, or in pieces. WriteNow writes what is little on the caller's
// goroutine, as far as the socket takes it without waiting.
//
// The writer is a goroutine that Wake starts when there is none, and that ends
// when there was nothing to write for a second or two: an idle connection has
// none. Only it waits for the network, without the lock. There is never more than
// one, and while somebody writes in WriteNow it waits, so bytes keep their order.
//
// Who appends decides by FitsLocked what may wait: to cut the connection off
// (AdmitLocked), to leave the message out, or to let an answer in that is owed.
// Whoever publishes much waits at Gate.
//
// The connection's owner calls End and then Wait: nothing is taken any more, what
// waits is written in the time that is given, the writer is gone, and all memory
// is given back. After Wait nobody touches the connection any more, in WriteNow
// neither.
type Buffer struct {
	// Fixed at construction.
	kind  *Kind
	conn  net.Conn        // what the peer reads: TCP, or TLS on it
	raw   syscall.RawConn // nil: only the writer writes
	owner Owner
	line  Line // the owner, nil if that is none

	closing atomic.Bool
	closeBy time.Time // of the last write; fixed once closing is set

	mu struct {
		sync.Mutex
		queue  Queue
		urgent []byte
		total  int64 // bytes that were queued since the beginning
		taken  int   // bytes that are being written
		aside  int   // bytes that wait elsewhere
		flush  bool  // someone asked to write
		busy   bool  // someone writes; nobody else may
		ended  bool  // nothing is taken any more
		err    error // what stopped it at once
		writer *writer
		gate   chan struct{} // not nil while nearly full
		low    chan struct{} // closed when no more than lowAt is kept; nil: nobody waits
		lowAt  int
		over   chan struct{} // closed when nobody writes any more; made by who waits for it
	}
}

// New makes the buffer of a connection.
func New(k *Kind, conn net.Conn, owner Owner) *Buffer {
	b := &Buffer{kind: k, conn: conn, raw: rawOf(conn), owner: owner}
	if b.line, _ = owner.(Line); b.line != nil {
		b.raw = nil
	}
	b.mu.queue = NewQueue(k)
	return b
}

// NewQueue makes a queue of the same kind, for what waits elsewhere.
func (b *Buffer) NewQueue() Queue { return NewQueue(b.kind) }

// Lock is for the methods that end in Locked.
func (b *Buffer) Lock() { b.mu.Lock() }

// Unlock ends Lock.
func (b *Buffer) Unlock() { b.mu.Unlock() }

// OpenLocked reports whether anything is taken still.
func (b *Buffer) OpenLocked() bool { return !b.mu.ended && b.mu.err == nil }

// PendingLocked is how many bytes are kept for the peer: those that wait, those
// that are being written, and those that wait elsewhere.
func (b *Buffer) PendingLocked() int { return b.mu.queue.size + b.mu.taken + b.mu.aside }

// QueuedLocked is how many bytes wait that nobody has begun to write.
func (b *Buffer) QueuedLocked() int { return b.mu.queue.size }

// WaitsLocked reports whether anything waits that nobody has begun to write.
func (b *Buffer) WaitsLocked() bool { return b.mu.queue.size > 0 || len(b.mu.urgent) > 0 }

// WritingLocked reports whether a write is under way.
func (b *Buffer) WritingLocked() bool { return b.mu.busy }

// FitsLocked reports whether n more bytes may wait, by the limit and by the
// budget of all.
func (b *Buffer) FitsLocked(n int) bool {
	pending := b.PendingLocked()
	return int64(pending)+int64(n) <= b.kind.Limit && !b.kind.Pool.Budget.Full(int64(pending))
}

// AdmitLocked is FitsLocked for a peer that is cut off when it is too slow: then
// nothing is taken any more, and the caller closes the connection.
func (b *Buffer) AdmitLocked(n int) error {
	m := &b.mu
	switch {
	case m.err != nil:
		return m.err
	case m.ended:
		return ErrEnded
	case !b.FitsLocked(n):
		b.failLocked(ErrSlowPending)
		return ErrSlowPending
	}
	return nil
}

// RoomLocked is a chunk with room for n bytes in one piece. The caller appends
// and gives it to CommitLocked, without unlocking.
func (b *Buffer) RoomLocked(n int) []byte { return b.mu.queue.room(n) }

// CommitLocked takes back what RoomLocked gave.
func (b *Buffer) CommitLocked(chunk []byte) {
	before := b.mu.queue.size
	b.mu.queue.commit(chunk)
	b.mu.total += int64(b.mu.queue.size - before)
	b.gateLocked()
}

// WriteLocked queues p, over as many chunks as it takes: what waits takes hardly
// more memory than it counts.
func (b *Buffer) WriteLocked(p []byte) {
	b.mu.queue.Write(p)
	b.mu.total += int64(len(p))
	b.gateLocked()
}

// MoveLocked queues n bytes of another queue.
func (b *Buffer) MoveLocked(from *Queue, n int) {
	from.Move(&b.mu.queue, n)
	b.mu.total += int64(n)
	b.gateLocked()
}

// AsideLocked counts n more bytes that wait elsewhere for this peer, or fewer.
func (b *Buffer) AsideLocked(n int) {
	b.mu.aside += n
	b.gateLocked()
}

// OvertakeLocked queues a line that goes before all others. It is for a Line.
func (b *Buffer) OvertakeLocked(p []byte) { b.mu.urgent = append(b.mu.urgent, p...) }

// TotalLocked is how many bytes were queued since the beginning: the number of
// the last one.
func (b *Buffer) TotalLocked() int64 { return b.mu.total }

// ForgetLocked gives up what waits, but for urgent lines.
func (b *Buffer) ForgetLocked() {
	b.mu.queue.Drop()
	b.openGateLocked()
}

// Append queues p as it is, by AdmitLocked.
func (b *Buffer) Append(p []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.AdmitLocked(len(p))
	if err == nil {
		b.WriteLocked(p)
	}
	return err
}

// Pending is PendingLocked.
func (b *Buffer) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.PendingLocked()
}

// Gate is closed when there is room again; nil while there is room.
func (b *Buffer) Gate() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.gate
}

func (b *Buffer) full() bool { return int64(b.PendingLocked()) > b.kind.Limit/4*3 }

// LowLocked is closed when no more than n bytes are kept for the peer; nil while it
// is so. It is for one who fills at the peer's pace: who asks with another n has all
// wait for that. It is not closed when the connection ends.
func (b *Buffer) LowLocked(n int) <-chan struct{} {
	if b.PendingLocked() <= n {
		return nil
	}
	if b.mu.lowAt = n; b.mu.low == nil {
		b.mu.low = make(chan struct{})
	}
	return b.mu.low
}

// gateLocked closes the gate when there is little room left, and opens it when
// there is more.
func (b *Buffer) gateLocked() {
	m := &b.mu
	if m.low != nil && b.PendingLocked() <= m.lowAt {
		close(m.low)
		m.low = nil
	}
	switch full := b.full(); {
	case full && m.gate == nil && b.OpenLocked():
		m.gate = make(chan struct{})
	case !full:
		b.openGateLocked()
	}
}

func (b *Buffer) openGateLocked() {
	if b.mu.gate != nil {
		close(b.mu.gate)
		b.mu.gate = nil
	}
}

// Wake lets the writer write what was appended.
func (b *Buffer) Wake() {
	b.mu.Lock()
	b.wakeLocked()
	b.mu.Unlock()
}

func (b *Buffer) wakeLocked() {
	m := &b.mu
	if !b.WaitsLocked() || m.flush || m.err != nil {
		return
	}
	m.flush = true
	b.callLocked()
}

// callLocked has a writer look, if there is none other who will.
func (b *Buffer) callLocked() {
	m := &b.mu
	switch {
	case m.writer != nil:
		m.writer.wake.Signal()
	case !m.busy: // who is busy looks when he is done
		b.startLocked()
	}
}

// WriteNow writes what was appended at once if that is little, nobody else is
// writing, and the socket takes it. Otherwise it is Wake.
func (b *Buffer) WriteNow() {
	m := &b.mu
	m.Lock()
	if b.raw == nil || m.busy || m.flush || m.ended || m.err != nil || len(m.queue.chunks) != 1 || m.queue.size > promptBytes {
		b.wakeLocked()
		m.Unlock()
		return
	}
	chunk := m.queue.chunks[0]
	m.queue.chunks[0] = nil
	m.queue.chunks, m.queue.size = m.queue.chunks[:0], 0
	m.taken, m.busy = len(chunk), true
	m.Unlock()

	n := b.kind.Pool.try(b.raw, chunk)

	m.Lock()
	m.taken, m.busy = 0, false
	if n == len(chunk) {
		b.kind.Pool.put(chunk)
	} else {
		// The rest goes first. The chunk is cut in front, so it is not of the
		// pool any more.
		b.kind.Pool.Budget.Give(cap(chunk) - (len(chunk) - n))
		m.queue.putBack(chunk[n:len(chunk):len(chunk)])
		m.flush = true
	}
	b.gateLocked()
	// The writer may have been told something meanwhile, and waits for this.
	switch w := m.writer; {
	case m.err != nil && w == nil:
		b.dropLocked()
	case m.queue.size > 0 && (m.flush || m.ended), w != nil && (m.err != nil || m.ended || w.tired):
		b.callLocked()
	}
	b.overLocked()
	m.Unlock()
}

// failLocked stops it at once, with nothing written any more.
func (b *Buffer) failLocked(err error) {
	m := &b.mu
	if m.err != nil {
		return
	}
	m.err = err
	b.openGateLocked()
	switch {
	case m.writer != nil:
		m.writer.wake.Signal()
	case !m.busy:
		b.dropLocked()
	}
}

// End lets nothing follow what waits and last, for which the peer has so long.
// Only the first End sets the time, and only the first has a last.
func (b *Buffer) End(within time.Duration, last []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.OpenLocked() {
		b.mu.queue.Write(last)
	}
	b.EndLocked(within)
}

// EndLocked is End without a last.
func (b *Buffer) EndLocked(within time.Duration) {
	m := &b.mu
	if !b.closing.Load() {
		b.closeBy = time.Now().Add(within)
		// In this order: a writer that sets its long deadline after this one sees
		// closing and shortens it again.
		b.closing.Store(true)
		_ = b.conn.SetWriteDeadline(b.closeBy)
	}
	m.ended = true
	b.openGateLocked()
	b.wakeLocked()
	if m.writer != nil {
		m.writer.wake.Signal()
	}
}

// Wait returns when the writer is gone, which was told so by End.
func (b *Buffer) Wait() {
	m := &b.mu
	m.Lock()
	if m.writer == nil && !m.busy {
		m.Unlock()
		return
	}
	if m.over == nil {
		m.over = make(chan struct{})
	}
	over := m.over
	m.Unlock()
	<-over
}

// overLocked tells who waits for the end.
func (b *Buffer) overLocked() {
	m := &b.mu
	if m.over != nil && m.writer == nil && !m.busy {
		close(m.over)
		m.over = nil
	}
}

// dropLocked gives everything back that will never be written.
func (b *Buffer) dropLocked() {
	b.mu.queue.Drop()
	b.mu.urgent, b.mu.taken, b.mu.flush = nil, 0, false
	b.openGateLocked()
}

// piece is how much the next write may have.
func (b *Buffer) piece() int {
	switch {
	case b.line != nil:
		return b.line.Piece()
	case b.kind.Piece > 0:
		return b.kind.Piece
	}
	return math.MaxInt
}
