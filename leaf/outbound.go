package leaf

import (
	"net"

	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/wire"
)

const (
	// chunkBytes is where a new chunk begins. A chunk ends between protocol
	// lines, so urgent lines can go between two chunks.
	chunkBytes = 8 << 10
	// minLineRoom is what interest may take however low the limit is.
	minLineRoom = 1 << 20
	// lineOverhead bounds what AppendLeafMsg adds to a message: the verb, blanks,
	// signs, two sizes and two line ends.
	lineOverhead = 64
	// keepScratch is how much memory for one line is kept.
	keepScratch = 512
)

// pending is what waits to be written to one peer: urgent lines (PING, PONG,
// -ERR), which overtake everything, and the rest in order. Links have no
// slow-consumer cut: what the network can't carry is dropped, and streams notice
// the gap and fetch it again.
type pending struct {
	buf    *outbound.Buffer
	limit  int64 // bytes waiting, above which messages are refused
	budget *outbound.Budget

	// Guarded by the lock of buf.
	dropped uint64
	scratch []byte
	pings
}

// pings tells which PONG answers the mark, a PING that stands in line: they are
// answered in the order in which they were written.
type pings struct {
	urgentPings uint64 // waiting
	written     uint64
	answered    uint64
	markAt      int64  // number of the byte that the waiting mark ends with, 0 for none
	mark        uint64 // its number once written, 0 for none
}

// newPending makes the buffer of a connection. Chunks of links are not counted
// with those of clients, so pool is their own.
func newPending(pool *outbound.Pool, limit int64, conn net.Conn, owner outbound.Line) *pending {
	kind := &outbound.Kind{Pool: pool, Limit: limit, Chunk: 2 * chunkBytes, Cut: chunkBytes}
	return &pending{limit: limit, budget: &pool.Budget, buf: outbound.New(kind, conn, owner)}
}

// flush wakes the writer.
func (o *pending) flush() { o.buf.Wake() }

// message queues one message and reports false when too much is waiting.
func (o *pending) message(m *wire.Msg, headers bool) bool {
	b := o.buf
	b.Lock()
	defer b.Unlock()
	if !b.OpenLocked() {
		return false
	}
	if n := int64(b.QueuedLocked()); n > o.limit || o.budget.Full(n) {
		o.dropped++
		return false
	}
	n := lineOverhead + len(m.Subject) + len(m.Shown) + len(m.Reply) + len(m.Header) + len(m.Body)
	for _, q := range m.Queues {
		n += len(q) + 1
	}
	b.CommitLocked(wire.AppendLeafMsg(b.RoomLocked(n), m, headers))
	return true
}

// line queues what must not be lost, such as interest, and wakes the writer.
// It reports false when there is no room even for that: lines have as much
// room above the limit as lies below it.
func (o *pending) line(add func([]byte) []byte) bool {
	b := o.buf
	b.Lock()
	open := b.OpenLocked()
	full := open && int64(b.QueuedLocked()) > max(2*o.limit, minLineRoom)
	if open && !full {
		o.addLocked(add)
	}
	b.Unlock()
	o.flush()
	return !full
}

func (o *pending) addLocked(add func([]byte) []byte) {
	p := add(o.scratch[:0])
	o.buf.CommitLocked(append(o.buf.RoomLocked(len(p)), p...))
	if o.scratch = p; cap(p) > keepScratch {
		o.scratch = nil
	}
}

const pingLine = "PING\r\n"

// mark queues a PING behind what waits. There is one at a time.
func (o *pending) mark() {
	o.buf.Lock()
	if o.buf.OpenLocked() {
		o.addLocked(func(b []byte) []byte { return append(b, pingLine...) })
		o.markAt = o.buf.TotalLocked()
	}
	o.buf.Unlock()
	o.flush()
}

// pong counts an answer and reports whether it is the one to the mark.
func (o *pending) pong() bool {
	o.buf.Lock()
	defer o.buf.Unlock()
	o.answered++
	if o.pings.mark == 0 || o.answered < o.pings.mark {
		return false
	}
	o.pings.mark = 0
	return true
}

// takingLocked counts the pings of what is about to be written: urgent ones, and
// up to a byte of the rest.
func (o *pending) takingLocked(upTo int64) {
	p := &o.pings
	p.written += p.urgentPings
	p.urgentPings = 0
	if p.markAt > 0 && p.markAt <= upTo {
		p.written++
		p.mark, p.markAt = p.written, 0
	}
}

// overtake queues a line that goes before everything else.
func (o *pending) overtake(line string) {
	o.buf.Lock()
	if o.buf.OpenLocked() {
		if line == pingLine {
			o.urgentPings++
		}
		o.buf.OvertakeLocked([]byte(line))
	}
	o.buf.Unlock()
	o.flush()
}

// fail queues a last error text and lets nothing follow it. What waited is
// given up, unless keep is set.
func (o *pending) fail(text string, keep bool) {
	o.buf.Lock()
	defer o.buf.Unlock()
	if text != "" && o.buf.OpenLocked() {
		o.buf.OvertakeLocked(wire.AppendErr(nil, text))
	}
	if !keep {
		o.buf.ForgetLocked()
	}
	o.buf.EndLocked(closeTimeout)
}

// waiting is the number of bytes not yet handed to the network.
func (o *pending) waiting() int64 {
	o.buf.Lock()
	defer o.buf.Unlock()
	return int64(o.buf.QueuedLocked())
}

// droppedMsgs is the number of messages refused so far.
func (o *pending) droppedMsgs() uint64 {
	o.buf.Lock()
	defer o.buf.Unlock()
	return o.dropped
}
