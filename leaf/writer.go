package leaf

import (
	"net"
	"time"

	"github.com/frondmq/frond/core/config"
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
	// maxPingInterval makes three pings fit into the time after which a dead
	// path is given up.
	maxPingInterval = deadPath / 3
)

// write is the writer goroutine. How much it takes at once follows how fast
// the network is: on a slow path one chunk, so that a ping waits for one
// chunk only.
func (l *link) write() {
	defer l.conn.Close()
	var (
		urgent []byte
		batch  net.Buffers
		take   = 1
		comp   *compressor
	)
	if compresses(l.mode) {
		level := levelFor(l.compress, l.mode, l.nonceRTT)
		l.level.Store(&level)
		comp = newCompressor(l.conn, level)
	}
	ping := time.NewTimer(firstPing)
	defer ping.Stop()
	for {
		urgent, batch = l.out.take(urgent, batch, take)
		ended := l.end.Load() != nil
		if len(urgent) == 0 && len(batch) == 0 {
			if ended {
				return
			}
			select {
			case <-l.out.wake:
			case <-ping.C:
				l.ping()
				ping.Reset(l.pingInterval())
			}
			continue
		}
		begin := time.Now()
		if err := l.writeBatch(comp, urgent, batch, begin); err != nil {
			l.fail(wire.ReasonWriteError, err)
			return
		}
		take = nextTake(take, time.Since(begin))
		l.lastActivity.Store(begin.UnixNano())
		select {
		case <-ping.C:
			l.ping()
			ping.Reset(l.pingInterval())
		default:
		}
	}
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

// writeBatch writes the urgent lines, then the chunks. A write that makes no
// progress for as long as a path counts as dead ends the link; slower ones are
// simply slow.
func (l *link) writeBatch(comp *compressor, urgent []byte, batch net.Buffers, now time.Time) error {
	if err := l.conn.SetWriteDeadline(now.Add(deadPath)); err != nil {
		return err
	}
	if l.end.Load() != nil { // looked at after, so that fail's short limit wins
		_ = l.conn.SetWriteDeadline(now.Add(closeTimeout))
	}
	if comp != nil {
		comp.setLevel(*l.level.Load())
		if err := comp.write(append([][]byte{urgent}, batch...)...); err != nil {
			return err
		}
		l.out.giveBack(batch)
		return nil
	}
	if len(urgent) > 0 {
		if _, err := l.conn.Write(urgent); err != nil {
			return err
		}
	}
	if len(batch) > 0 {
		all := append(net.Buffers(nil), batch...) // WriteTo eats it
		if _, err := all.WriteTo(l.conn); err != nil {
			return err
		}
		l.out.giveBack(batch)
	}
	return nil
}

// ping asks for a sign of life, or ends the link when several were not
// answered. Bytes that came meanwhile are one: an answer may stand behind a
// long message on a slow path.
func (l *link) ping() {
	if l.end.Load() != nil {
		return
	}
	o := l.m.services.Options()
	quiet := time.Since(time.Unix(0, l.lastIn.Load()))
	if quiet < l.pingInterval() {
		l.pingsOut.Store(0)
	}
	if int(l.pingsOut.Load())+1 > o.PingMax {
		l.fail(wire.ReasonStale, &wire.Error{Text: "Stale Connection", Reason: wire.ReasonStale})
		return
	}
	l.pingsOut.Add(1)
	if l.pingAt.Load() == 0 {
		l.pingAt.Store(time.Now().UnixNano())
	}
	l.out.overtake("PING\r\n")
}

// pingInterval is the configured one, but short enough to notice a dead path.
func (l *link) pingInterval() time.Duration {
	return min(l.m.services.Options().PingInterval, maxPingInterval)
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
