package jetstream

import (
	"sync"

	"github.com/frondmq/frond/core/cond"
	"github.com/frondmq/frond/edgestore"
)

// memoryLog is the Log of streams that live in memory only: what is appended
// is applied by its one goroutine, in order, without waiting for anything. It
// has that goroutine, rather than applying in Append, so that a publisher is
// never inside the routing of its own acknowledgement.
type memoryLog struct {
	apply func([]edgestore.Entry)
	limit int

	mu struct {
		sync.Mutex
		more   cond.Var    // in open, or closed
		open   memoryGroup // being filled
		spare  memoryGroup // applied, to be filled next
		last   edgestore.LSN
		closed bool
	}
	stopped chan struct{}
}

// memoryGroup is what is applied at once. Entries point into buf by offsets
// until the group is closed, for buf moves as it grows.
type memoryGroup struct {
	entries []edgestore.Entry
	spans   []memorySpan
	buf     []byte
}

type memorySpan struct{ data, side, end int }

// entryBytes is about what an entry takes beside its data: more than a small
// message.
const entryBytes = 200

func (g *memoryGroup) resolve() {
	for i := range g.entries {
		s := g.spans[i]
		g.entries[i].Data = g.buf[s.data:s.side:s.side]
		if s.end > s.side {
			g.entries[i].Side = g.buf[s.side:s.end:s.end]
		}
	}
}

func (g *memoryGroup) reset() {
	if cap(g.buf) > 1<<20 || cap(g.entries) > 1<<14 {
		*g = memoryGroup{} // a large message or a burst must not stay for ever
	}
	clear(g.entries)
	g.entries, g.spans = g.entries[:0], g.spans[:0]
	g.buf = g.buf[:0]
}

func newMemoryLog(limit int, apply func([]edgestore.Entry)) *memoryLog {
	l := &memoryLog{apply: apply, limit: limit, stopped: make(chan struct{})}
	l.mu.more = cond.New(&l.mu.Mutex, 1)
	return l
}

// start begins to apply.
func (l *memoryLog) start() { go l.run() }

func (l *memoryLog) Append(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.closed {
		return 0, edgestore.ErrClosed
	}
	g := &l.mu.open
	size := len(side)
	for _, d := range data {
		size += len(d)
	}
	if n := len(g.entries); n > 0 && len(g.buf)+n*entryBytes+size > l.limit {
		return 0, edgestore.ErrBusy
	}
	l.mu.last++
	e := edgestore.Entry{Record: *r, Token: token}
	e.LSN = l.mu.last
	s := memorySpan{data: len(g.buf)}
	for _, d := range data {
		g.buf = append(g.buf, d...)
	}
	s.side = len(g.buf)
	g.buf = append(g.buf, side...)
	s.end = len(g.buf)
	g.entries = append(g.entries, e)
	g.spans = append(g.spans, s)
	if len(g.entries) == 1 {
		l.mu.more.Signal()
	}
	return e.LSN, nil
}

// Kick has nothing to do: the goroutine takes a group as soon as it is idle.
func (l *memoryLog) Kick() {}

func (l *memoryLog) run() {
	defer close(l.stopped)
	for {
		l.mu.Lock()
		for len(l.mu.open.entries) == 0 && !l.mu.closed {
			l.mu.more.Wait()
		}
		if len(l.mu.open.entries) == 0 {
			l.mu.Unlock()
			return
		}
		g := l.mu.open
		l.mu.open, l.mu.spare = l.mu.spare, memoryGroup{}
		l.mu.Unlock()
		g.resolve()
		l.apply(g.entries)
		g.reset()
		l.mu.Lock()
		l.mu.spare = g
		l.mu.Unlock()
	}
}

// close applies what was appended and ends the goroutine.
func (l *memoryLog) close() {
	l.mu.Lock()
	l.mu.closed = true
	l.mu.more.Signal()
	l.mu.Unlock()
	<-l.stopped
}
