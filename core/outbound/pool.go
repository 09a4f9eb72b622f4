package outbound

import (
	"sort"
	"sync"
	"time"
)

// Pool lends the memory that buffers are made of, and knows the goroutines that
// write. Connections share one. The zero Pool works and has no budget. It is safe
// for concurrent use.
type Pool struct {
	// Budget counts what is lent.
	Budget Budget

	// Four sizes, so that a request costs little and a flood is one big write.
	small, middle, large, big sync.Pool
	attempts                  sync.Pool // of *attempt

	mu struct {
		sync.Mutex
		writers map[*writer]struct{}
		timer   *time.Timer // while there are writers
	}
}

const (
	smallChunk  = 512
	middleChunk = 4 << 10
	largeChunk  = 16 << 10
	bigChunk    = 64 << 10
)

// get returns an empty chunk with room for at least n bytes, of a size that
// suits a queue that already holds queued bytes, and no larger than most if that
// has room.
func (p *Pool) get(n, queued, most int) []byte {
	size := max(n, min(queued, most))
	if n > largeChunk && p.Budget.tight() {
		size = max(n, bigChunk+1) // just as much as is needed
	}
	b := p.lend(n, size)
	p.Budget.Take(cap(b))
	return b
}

func (p *Pool) lend(n, size int) []byte {
	switch {
	case size <= smallChunk:
		if b, ok := p.small.Get().(*[smallChunk]byte); ok {
			return b[:0]
		}
		return make([]byte, 0, smallChunk)
	case size <= middleChunk:
		if b, ok := p.middle.Get().(*[middleChunk]byte); ok {
			return b[:0]
		}
		return make([]byte, 0, middleChunk)
	case size <= largeChunk:
		if b, ok := p.large.Get().(*[largeChunk]byte); ok {
			return b[:0]
		}
		return make([]byte, 0, largeChunk)
	case size <= bigChunk:
		if b, ok := p.big.Get().(*[bigChunk]byte); ok {
			return b[:0]
		}
		return make([]byte, 0, bigChunk)
	default:
		return make([]byte, 0, n)
	}
}

// put takes a chunk back. Pieces of chunks are for the garbage collector.
func (p *Pool) put(b []byte) {
	p.Budget.Give(cap(b))
	switch cap(b) {
	case smallChunk:
		p.small.Put((*[smallChunk]byte)(b[:smallChunk]))
	case middleChunk:
		p.middle.Put((*[middleChunk]byte)(b[:middleChunk]))
	case largeChunk:
		p.large.Put((*[largeChunk]byte)(b[:largeChunk]))
	case bigChunk:
		p.big.Put((*[bigChunk]byte)(b[:bigChunk]))
	}
}

// restAfter is for how long a writer that has nothing to do stays, at least: to
// begin and end one for each message would cost more than the message.
const restAfter = time.Second

// add makes w one of those that are looked after.
func (p *Pool) add(w *writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.writers == nil {
		p.mu.writers = make(map[*writer]struct{})
	}
	p.mu.writers[w] = struct{}{}
	if p.mu.timer == nil {
		p.mu.timer = time.AfterFunc(restAfter, p.sweep)
	}
}

func (p *Pool) remove(w *writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.mu.writers, w)
	if len(p.mu.writers) == 0 {
		p.mu.writers = nil // maps never shrink
		p.mu.timer.Stop()
		p.mu.timer = nil
	}
}

// sweep ends the writers that have had nothing to do since the last one. The
// locks are taken one after the other: a buffer's comes before the pool's.
func (p *Pool) sweep() {
	p.mu.Lock()
	all := make([]*writer, 0, len(p.mu.writers))
	for w := range p.mu.writers {
		all = append(all, w)
	}
	if p.mu.timer != nil {
		p.mu.timer.Reset(restAfter)
	}
	p.mu.Unlock()
	for _, w := range all {
		w.rest()
	}
	p.relieve(all)
}

// stuckAfter is how many sweeps find a peer that has taken nothing before it is
// one that does not read.
const stuckAfter = 5

// relieve cuts off peers that do not read, those first for which most waits, while
// more waits for all than may. Who is sent more is stopped by FitsLocked; but the
// limit may fall, and then nobody would be sent anything.
func (p *Pool) relieve(all []*writer) {
	over := p.Budget.Over()
	if over <= 0 {
		return
	}
	type stuck struct {
		b *Buffer
		n int64
	}
	var most []stuck
	for _, w := range all {
		if n := w.stuckWith(); n > smallShare {
			most = append(most, stuck{w.b, n})
		}
	}
	sort.Slice(most, func(i, j int) bool { return most[i].n > most[j].n })
	for _, s := range most {
		if over <= 0 {
			return
		}
		over -= s.n
		s.b.owner.WriteFailed(ErrSlowPending)
	}
}
