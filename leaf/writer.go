package leaf

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/transport"
	"github.com/frondmq/frond/core/wire"
)

const (
	// maxBatch is how many chunks one write takes on a fast path, and
	// quickWrite is what still counts as fast.
	maxBatch   = 32
	quickWrite = 5 * time.Millisecond
	slowWrite  = 50 * time.Millisecond
	// firstPing comes a second after the start, so that both sides know the
	// round trip soon.
	firstPing = time.Second
)

// Taking is part of outbound.Line.
func (l *link) Taking(upTo int64) { l.out.takingLocked(upTo) }

// Piece is part of outbound.Line. How much is taken at once follows how fast the
// network is: on a slow path one chunk, so that a ping waits for one chunk only.
func (l *link) Piece() int { return l.pace.take * chunkBytes }

// Write is part of outbound.Line.
func (l *link) Write(batch [][]byte) error {
	w := l.pace
	begin := time.Now()
	err := w.send(batch)
	w.take = nextTake(w.take, time.Since(begin))
	if err == nil {
		l.lastActivity.Store(core.Ticks(begin))
	}
	return err
}

// Wrote is part of outbound.Line.
func (l *link) Wrote() { l.pingDue() }

// WriteFailed is part of outbound.Line.
func (l *link) WriteFailed(err error) {
	reason := wire.ReasonWriteError
	if errors.Is(err, outbound.ErrSlowPending) {
		reason = wire.ReasonSlowPending
	}
	l.fail(reason, err)
	// TLS would wait for room for its farewell.
	_ = transport.Socket(l.conn).Close()
}

func nextTake(take int, d time.Duration) int {
	switch {
	case d > slowWrite:
		return 1
	case d < quickWrite:
		return min(2*take, maxBatch)
	}
	return take
}

// pacer writes for one link. A write that makes no progress for as long as a
// path counts as dead, or as the write deadline of the configuration says, ends
// the link; slower ones are simply slow. It is owned by the writer of the moment.
type pacer struct {
	link  *link
	wait  time.Duration // how long a piece may take
	plain *net.TCPConn  // without TLS: many chunks are one call
	comp  *compressor   // nil for none
	take  int           // how many chunks at once
	vec   net.Buffers   // what is still to be written
}

func newPacer(l *link) *pacer {
	w := &pacer{link: l, wait: deadPath, take: 1}
	if d := l.m.services.Options().Leaf.WriteDeadline; d > 0 {
		w.wait = d
	}
	w.plain, _ = l.conn.(*net.TCPConn)
	if compresses(l.mode) {
		level := levelFor(l.compress, l.mode, l.nonceRTT)
		l.level.Store(&level)
		w.comp = newCompressor(w, level)
	}
	return w
}

// pieceBytes is what must be written before the path counts as dead.
const pieceBytes = 16 << 10

// send writes urgent lines and chunks.
func (w *pacer) send(batch [][]byte) error {
	switch {
	case w.comp != nil:
		w.comp.setLevel(*w.link.level.Load())
		return w.comp.write(batch...)
	case w.plain != nil:
		return w.vector(batch)
	}
	for _, b := range batch {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// vector writes all with as few calls as the kernel lets it.
func (w *pacer) vector(batch [][]byte) error {
	w.vec = append(w.vec[:0], batch...)
	all := w.vec // vec is consumed
	defer func() {
		clear(all)
		w.vec = all[:0]
	}()
	for {
		if err := w.extend(); err != nil {
			return err
		}
		n, err := w.vec.WriteTo(w.plain)
		if _, closing := w.link.out.buf.Closing(); err == nil || n == 0 || closing || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// Write writes b in pieces with a deadline each.
func (w *pacer) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		if err := w.extend(); err != nil {
			return done, err
		}
		n, err := w.link.conn.Write(b[done:min(len(b), done+pieceBytes)])
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// extend gives the next write its time: until the path counts as dead, or
// until the link must have ended.
func (w *pacer) extend() error {
	l := w.link
	if err := l.conn.SetWriteDeadline(time.Now().Add(w.wait)); err != nil {
		return err
	}
	if by, closing := l.out.buf.Closing(); closing { // looked at after, so that fail's short limit wins
		return l.conn.SetWriteDeadline(by)
	}
	return nil
}

// pingTick is when it is time for a ping. On a slow path it waits for the write
// under way: unwritten, it asks nobody.
func (l *link) pingTick() {
	l.pingWaits.Store(true)
	l.out.buf.Lock()
	writing := l.out.buf.WritingLocked()
	l.out.buf.Unlock()
	if !writing {
		l.pingDue()
	}
}

// pingDue sends the ping whose time has come, if there is one.
func (l *link) pingDue() {
	if l.pingWaits.Load() && l.pingWaits.CompareAndSwap(true, false) {
		l.ping()
		l.pingTimer.Reset(l.pingInterval())
		if l.end.Load() != nil { // looked at after, for run may have stopped it before
			l.pingTimer.Stop()
		}
	}
}

// ping asks for a sign of life, or ends the link when several were not
// answered. Bytes that came meanwhile are one: an answer may stand behind a
// long message on a slow path.
func (l *link) ping() {
	if l.end.Load() != nil {
		return
	}
	quiet := time.Since(core.Moment(l.heard.at.Load()))
	if quiet < l.pingInterval() {
		l.pingsOut.Store(0)
	}
	if int(l.pingsOut.Load())+1 > l.pingMax() {
		l.fail(wire.ReasonStale, &wire.Error{Text: "Stale Connection", Reason: wire.ReasonStale})
		return
	}
	l.pingsOut.Add(1)
	if l.pingAt.Load() == 0 {
		l.pingAt.Store(core.Ticks(time.Now()))
	}
	l.out.overtake(pingLine)
}

// pingInterval is the configured one, but so short that as many pings as may
// stay unanswered fit into the time after which a dead path is given up.
func (l *link) pingInterval() time.Duration {
	o := l.m.services.Options()
	if o.Leaf.PingInterval > 0 {
		return o.Leaf.PingInterval // the operator knows the network
	}
	return min(o.PingInterval, deadPath/time.Duration(max(l.pingMax(), 0)+1))
}

func (l *link) pingMax() int {
	o := l.m.services.Options()
	if o.Leaf.PingMax > 0 {
		return o.Leaf.PingMax
	}
	return o.PingMax
}

// compressionName is what monitoring shows.
func (l *link) compressionName() string {
	if p := l.level.Load(); p != nil {
		return *p
	}
	if l.mode == "" {
		return config.CompressNotSupported
	}
	return l.mode
}
