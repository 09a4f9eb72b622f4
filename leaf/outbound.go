package leaf

import (
	"net"
	"sync"

	"github.com/frondmq/frond/core/wire"
)

const (
	// chunkBytes is where a new chunk begins. A chunk ends between protocol
	// lines, so urgent lines can go between two chunks.
	chunkBytes = 8 << 10
	// spareChunks are kept for reuse while there is traffic.
	spareChunks = 16
	// minLineRoom is what interest may take however low the limit is.
	minLineRoom = 1 << 20
)

// outbound is what waits to be written to one peer: urgent lines (PING, PONG,
// -ERR), which overtake everything, and the rest in order.
type outbound struct {
	limit int64 // bytes waiting, above which messages are refused

	mu struct {
		sync.Mutex
		urgent  []byte
		chunks  [][]byte
		spare   [][]byte
		waiting int64
		dropped uint64
		closed  bool
		pings
	}
	wake chan struct{} // holds one
}

// pings tells which PONG answers the mark, a PING that stands in line: they are
// answered in the order in which they were written.
type pings struct {
	urgentPings uint64 // waiting
	written     uint64
	answered    uint64
	markIn      int    // chunk that the mark waits in, from 1; 0 for none
	mark        uint64 // its number once written, 0 for none
}

func newOutbound(limit int64) *outbound {
	return &outbound{limit: limit, wake: make(chan struct{}, 1)}
}

// flush wakes the writer.
func (o *outbound) flush() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// message queues one message and reports false when too much is waiting.
// Links have no slow-consumer cut: what the network can't carry is dropped,
// and streams notice the gap and fetch it again.
func (o *outbound) message(m *wire.Msg, headers bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.closed {
		return false
	}
	if o.mu.waiting > o.limit {
		o.mu.dropped++
		return false
	}
	o.appendLocked(func(b []byte) []byte { return wire.AppendLeafMsg(b, m, headers) })
	return true
}

// line queues what must not be lost, such as interest, and wakes the writer.
// It reports false when there is no room even for that: lines have as much
// room above the limit as lies below it.
func (o *outbound) line(add func([]byte) []byte) bool {
	o.mu.Lock()
	full := o.mu.waiting > max(2*o.limit, minLineRoom)
	if !o.mu.closed && !full {
		o.appendLocked(add)
	}
	full = full && !o.mu.closed
	o.mu.Unlock()
	o.flush()
	return !full
}

func (o *outbound) appendLocked(add func([]byte) []byte) {
	n := len(o.mu.chunks)
	if n == 0 || len(o.mu.chunks[n-1]) >= chunkBytes {
		o.mu.chunks = append(o.mu.chunks, o.chunkLocked())
		n++
	}
	last := &o.mu.chunks[n-1]
	before := len(*last)
	*last = add(*last)
	o.mu.waiting += int64(len(*last) - before)
}

func (o *outbound) chunkLocked() []byte {
	if n := len(o.mu.spare); n > 0 {
		c := o.mu.spare[n-1]
		o.mu.spare = o.mu.spare[:n-1]
		return c
	}
	return make([]byte, 0, chunkBytes+chunkBytes/2)
}

const pingLine = "PING\r\n"

// mark queues a PING behind what waits. There is one at a time.
func (o *outbound) mark() {
	o.mu.Lock()
	if !o.mu.closed {
		o.appendLocked(func(b []byte) []byte { return append(b, pingLine...) })
		o.mu.markIn = len(o.mu.chunks)
	}
	o.mu.Unlock()
	o.flush()
}

// pong counts an answer and reports whether it is the one to the mark.
func (o *outbound) pong() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.answered++
	if o.mu.mark == 0 || o.mu.answered < o.mu.mark {
		return false
	}
	o.mu.mark = 0
	return true
}

// writingLocked counts the pings of what is about to be written, urgent ones
// and n chunks.
func (o *outbound) writingLocked(n int) {
	p := &o.mu.pings
	p.written += p.urgentPings
	p.urgentPings = 0
	switch {
	case p.markIn == 0:
	case p.markIn > n:
		p.markIn -= n
	default:
		p.written++
		p.mark, p.markIn = p.written, 0
	}
}

// overtake queues a line that goes before everything else.
func (o *outbound) overtake(line string) {
	o.mu.Lock()
	if !o.mu.closed {
		if line == pingLine {
			o.mu.urgentPings++
		}
		o.mu.urgent = append(o.mu.urgent, line...)
	}
	o.mu.Unlock()
	o.flush()
}

// fail queues a last error text and lets nothing follow it. What waited is
// given up, unless keep is set.
func (o *outbound) fail(text string, keep bool) {
	o.mu.Lock()
	if text != "" && !o.mu.closed {
		o.mu.urgent = wire.AppendErr(o.mu.urgent, text)
	}
	if !keep {
		o.mu.chunks, o.mu.waiting = nil, 0
	}
	o.mu.closed = true
	o.mu.Unlock()
	o.flush()
}

// done reports whether the last words were taken, and nothing follows them. That
// a link ends is known before it has said why.
func (o *outbound) done() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.closed && len(o.mu.urgent) == 0 && len(o.mu.chunks) == 0
}

// take moves the urgent lines and up to n chunks to dst. Both are empty when
// nothing waits.
func (o *outbound) take(urgent []byte, dst net.Buffers, n int) ([]byte, net.Buffers) {
	o.mu.Lock()
	defer o.mu.Unlock()
	urgent = append(urgent[:0], o.mu.urgent...)
	o.mu.urgent = o.mu.urgent[:0]
	dst = dst[:0]
	n = min(n, len(o.mu.chunks))
	o.writingLocked(n)
	for _, c := range o.mu.chunks[:n] {
		dst = append(dst, c)
		o.mu.waiting -= int64(len(c))
	}
	rest := copy(o.mu.chunks, o.mu.chunks[n:])
	clear(o.mu.chunks[rest:])
	o.mu.chunks = o.mu.chunks[:rest]
	return urgent, dst
}

// giveBack returns written chunks for reuse.
func (o *outbound) giveBack(chunks net.Buffers) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range chunks {
		if len(o.mu.spare) < spareChunks && cap(c) <= 2*chunkBytes {
			o.mu.spare = append(o.mu.spare, c[:0])
		}
	}
}

// idle gives up spare memory when nothing waits, but for one chunk.
func (o *outbound) idle() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.mu.chunks) == 0 && len(o.mu.spare) > 1 {
		o.mu.chunks, o.mu.spare = nil, [][]byte{o.mu.spare[0]}
	}
}

// release gives up all memory. Publishers may still remember the link, and
// with it this buffer.
func (o *outbound) release() {
	o.mu.Lock()
	o.mu.urgent, o.mu.chunks, o.mu.spare, o.mu.waiting = nil, nil, nil, 0
	o.mu.Unlock()
}

// waiting is the number of bytes not yet handed to the network.
func (o *outbound) waiting() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.waiting
}

// droppedMsgs is the number of messages refused so far.
func (o *outbound) droppedMsgs() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.dropped
}
