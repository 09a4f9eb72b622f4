package core

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/wire"
)

// outbound is what is to be written to one connection. Anyone may append; one
// goroutine (run) writes. Appending wakes nobody: flush does, once for a burst,
// and then everything there is goes out in one writev.
type outbound struct {
	// Fixed at construction.
	conn     net.Conn // what the peer reads: TCP, or TLS on it
	pool     *chunks
	limit    int64 // of pending
	deadline time.Duration
	retry    bool    // a write that timed out half-way goes on
	prompt   *prompt // nil: only the writer writes

	// bytes counts what was written.
	bytes atomic.Int64
	// closing makes write deadlines short.
	closing atomic.Bool

	mu struct {
		sync.Mutex
		wake    sync.Cond
		bufs    [][]byte // in order; the last may have room
		pending int64    // not yet written, the write under way included
		flush   bool     // someone asked to write
		ending  bool     // write what there is, then stop
		busy    bool     // someone writes; nobody else may
		err     error    // the first that stopped it; nothing is taken any more
		gate    chan struct{}

		// Messages queued since the beginning, and their headers and bodies.
		msgs, msgBytes int64
	}

	// Owned by run.
	spare      [][]byte
	writing    net.Buffers
	deadlineAt time.Time
}

var (
	errSlowPending  = errors.New("too many pending bytes")
	errSlowDeadline = errors.New("write deadline")
	errCut          = errors.New("connection cut")
)

func newOutbound(conn net.Conn, pool *chunks, limit int64, deadline time.Duration, retry bool) *outbound {
	b := &outbound{conn: conn, prompt: newPrompt(conn), pool: pool, limit: limit, deadline: deadline, retry: retry}
	b.mu.wake.L = &b.mu
	return b
}

// reserveLocked returns the last chunk with room for n more bytes, or an error
// when nothing is taken any more. The caller appends and gives it to
// commitLocked, without unlocking. After errSlowPending the connection is to be
// cut, which also frees a writer that is stuck.
func (b *outbound) reserveLocked(n int) ([]byte, error) {
	if err := b.admitLocked(n); err != nil {
		return nil, err
	}
	return b.roomLocked(n), nil
}

// admitLocked reports whether n more bytes may wait.
func (b *outbound) admitLocked(n int) error {
	m := &b.mu
	if m.err != nil {
		return m.err
	}
	if m.ending {
		return errCut
	}
	if m.pending+int64(n) > b.limit || b.pool.budget.Full(m.pending) {
		m.err = errSlowPending
		m.wake.Signal()
		return m.err
	}
	return nil
}

// roomLocked is the last chunk, with room for n bytes in one piece.
func (b *outbound) roomLocked(n int) []byte {
	m := &b.mu
	if last := len(m.bufs) - 1; last >= 0 && cap(m.bufs[last])-len(m.bufs[last]) >= n {
		return m.bufs[last]
	}
	m.bufs = append(m.bufs, b.pool.get(n, m.pending))
	return m.bufs[len(m.bufs)-1]
}

// wholeBytes is the largest message that is written into one chunk. Larger ones
// fill chunks to the end, so that what waits takes hardly more memory than it
// counts.
const wholeBytes = 4 << 10

// messageLocked queues a message of at most n bytes, which were admitted.
func (b *outbound) messageLocked(m *wire.Msg, sid []byte, headers bool, n int) {
	if n <= wholeBytes {
		b.commitLocked(wire.AppendMsg(b.roomLocked(n), m, sid, headers))
		return
	}
	line := b.roomLocked(n - len(m.Header) - len(m.Body))
	b.commitLocked(wire.AppendMsgLine(line, m, sid, headers))
	if headers {
		b.spreadLocked(m.Header)
	}
	b.spreadLocked(m.Body)
	b.commitLocked(append(b.roomLocked(2), '\r', '\n'))
}

// spreadLocked queues p, over as many chunks as it takes.
func (b *outbound) spreadLocked(p []byte) {
	m := &b.mu
	for len(p) > 0 {
		last := len(m.bufs) - 1
		if len(m.bufs[last]) == cap(m.bufs[last]) { // there is one, with the line
			m.bufs = append(m.bufs, b.pool.get(min(len(p), bigChunk), m.pending))
			last++
		}
		chunk := m.bufs[last]
		n := min(len(p), cap(chunk)-len(chunk))
		b.commitLocked(append(chunk, p[:n]...))
		p = p[n:]
	}
}

func (b *outbound) commitLocked(chunk []byte) {
	m := &b.mu
	last := len(m.bufs) - 1
	m.pending += int64(len(chunk) - len(m.bufs[last]))
	m.bufs[last] = chunk
	if m.gate == nil && m.pending > b.limit/4*3 {
		m.gate = make(chan struct{})
	}
}

// append queues p as it is.
func (b *outbound) append(p string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	chunk, err := b.reserveLocked(len(p))
	if err != nil {
		return err
	}
	b.commitLocked(append(chunk, p...))
	return nil
}

// appendMsg queues a message with headers for the subscription sid.
func (b *outbound) appendMsg(m *wire.Msg, sid []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(m.Subject) + len(sid) + len(m.Header) + len(m.Body) + overhead
	if err := b.admitLocked(n); err != nil {
		return err
	}
	b.messageLocked(m, sid, true, n)
	return nil
}

// wakeWriter lets the writer write what was appended.
func (b *outbound) wakeWriter() {
	b.mu.Lock()
	if !b.mu.flush && b.mu.pending > 0 {
		b.mu.flush = true
		b.mu.wake.Signal()
	}
	b.mu.Unlock()
}

// writeNow writes what was appended at once if that is little, nobody else is
// writing, and the socket takes it. Otherwise it wakes the writer.
func (b *outbound) writeNow() {
	m := &b.mu
	m.Lock()
	if b.prompt == nil || m.busy || m.flush || m.ending || m.err != nil || len(m.bufs) != 1 || len(m.bufs[0]) > promptBytes {
		if !m.flush && m.pending > 0 {
			m.flush = true
			m.wake.Signal()
		}
		m.Unlock()
		return
	}
	chunk := m.bufs[0]
	m.bufs[0] = nil
	m.bufs = m.bufs[:0]
	m.busy = true
	m.Unlock()

	n := b.prompt.write(chunk)
	b.bytes.Add(int64(n))

	m.Lock()
	b.wroteLocked(int64(n))
	if n == len(chunk) {
		b.pool.put(chunk)
	} else {
		// The rest goes first. The chunk is cut in front, so it is not of the
		// pool any more.
		b.pool.budget.Give(cap(chunk) - (len(chunk) - n))
		m.bufs = slices.Insert(m.bufs, 0, chunk[n:len(chunk):len(chunk)])
		m.flush = true
	}
	// The writer may have been told to go, or to end, meanwhile.
	if m.flush || m.ending || m.err != nil {
		m.wake.Signal()
	}
	m.Unlock()
}

// closedGate is closed when there is room again; nil when there is room.
func (b *outbound) closedGate() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.gate
}

// end makes run write what there is and return, soon. Nothing more is taken.
func (b *outbound) end() {
	// In this order: a writer that sets its long deadline after this one sees
	// closing and shortens it again.
	b.closing.Store(true)
	b.conn.SetWriteDeadline(time.Now().Add(farewell))
	b.mu.Lock()
	b.mu.ending = true
	b.mu.wake.Signal()
	b.mu.Unlock()
}

// fail stops the writer at once.
func (b *outbound) fail(err error) {
	b.mu.Lock()
	if b.mu.err == nil {
		b.mu.err = err
	}
	b.mu.wake.Signal()
	b.mu.Unlock()
}

// run writes until end or an error, which it returns.
func (b *outbound) run() error {
	defer b.drop()
	for {
		ok, err := b.take()
		if !ok {
			return err
		}
		n, err := b.write()
		b.wrote(n)
		if err != nil {
			b.fail(err)
			return err
		}
	}
}

// take waits until there is something to write. ok is false at the end.
func (b *outbound) take() (ok bool, err error) {
	m := &b.mu
	m.Lock()
	defer m.Unlock()
	for {
		for m.busy || !m.flush && !m.ending && m.err == nil {
			m.wake.Wait()
		}
		if m.err != nil {
			return false, m.err
		}
		m.flush = false
		if len(m.bufs) > 0 {
			break
		}
		if m.ending {
			return false, nil
		}
	}
	// The list of chunks is swapped with an empty one, so that others append
	// while this one is written. writing is a copy that net.Buffers consumes.
	m.busy = true
	m.bufs, b.spare = b.spare[:0], m.bufs
	b.writing = append(b.writing[:0], b.spare...)
	return true, nil
}

func (b *outbound) write() (int64, error) {
	keep := b.writing
	total, err := b.writeAll()
	for i, c := range b.spare {
		b.pool.put(c)
		b.spare[i], keep[i] = nil, nil
	}
	b.spare, b.writing = b.spare[:0], keep[:0]
	if cap(b.spare) > 64 {
		b.spare, b.writing = nil, nil
	}
	return total, err
}

func (b *outbound) writeAll() (int64, error) {
	var total int64
	for {
		b.extendDeadline(total > 0)
		n, err := b.writing.WriteTo(b.conn)
		total += n
		b.bytes.Add(n)
		switch {
		case err == nil:
			return total, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return total, err
		case !b.retry || n == 0 || b.closing.Load():
			return total, errSlowDeadline
		}
	}
}

// extendDeadline gives the next write its time. Setting a deadline is not free,
// so it is set a quarter later than needed and used for the writes meanwhile.
func (b *outbound) extendDeadline(again bool) {
	if b.deadline <= 0 && !b.closing.Load() {
		return
	}
	now := time.Now()
	if again || b.deadlineAt.Sub(now) < b.deadline {
		b.deadlineAt = now.Add(b.deadline + b.deadline/4)
		b.conn.SetWriteDeadline(b.deadlineAt)
	}
	if b.closing.Load() {
		b.conn.SetWriteDeadline(now.Add(farewell))
	}
}

func (b *outbound) wrote(n int64) {
	b.mu.Lock()
	b.wroteLocked(n)
	b.mu.Unlock()
}

// wroteLocked ends a write of n bytes and lets publishers on when there is
// room again.
func (b *outbound) wroteLocked(n int64) {
	m := &b.mu
	m.busy = false
	m.pending -= n
	if m.gate != nil && m.pending <= b.limit/4*3 {
		close(m.gate)
		m.gate = nil
	}
}

// drop gives everything back that will never be written.
func (b *outbound) drop() {
	m := &b.mu
	m.Lock()
	defer m.Unlock()
	if m.err == nil {
		m.err = io.ErrClosedPipe
	}
	for _, c := range m.bufs {
		b.pool.put(c)
	}
	m.bufs = nil
	m.pending = 0
	if m.gate != nil {
		close(m.gate)
		m.gate = nil
	}
}
