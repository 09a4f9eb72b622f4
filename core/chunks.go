package core

import "sync"

// chunks are the memory that outbound buffers are made of: three sizes, so
// that a request costs little and a flood is one big write.
type chunks struct {
	small, middle, big sync.Pool
	budget             Budget // of what is lent
}

const (
	smallChunk  = 512
	middleChunk = 4 << 10
	bigChunk    = 64 << 10
)

// get returns an empty chunk with room for at least n bytes, of a size that
// suits a buffer that already holds queued bytes.
func (p *chunks) get(n int, queued int64) []byte {
	b := p.lend(n, max(int64(n), min(queued, bigChunk)))
	p.budget.Take(cap(b))
	return b
}

func (p *chunks) lend(n int, size int64) []byte {
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
func (p *chunks) put(b []byte) {
	p.budget.Give(cap(b))
	switch cap(b) {
	case smallChunk:
		p.small.Put((*[smallChunk]byte)(b[:smallChunk]))
	case middleChunk:
		p.middle.Put((*[middleChunk]byte)(b[:middleChunk]))
	case bigChunk:
		p.big.Put((*[bigChunk]byte)(b[:bigChunk]))
	}
}
