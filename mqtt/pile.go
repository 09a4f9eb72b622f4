package mqtt

import (
	"sync"

	"github.com/frondmq/frond/core"
)

const (
	// bufferBytes is the size of the first pieces of a pile. Connections that
	// have nothing to write have none.
	bufferBytes = 4 << 10
	// pieceBytes is the size of the others, and what one write deadline is
	// for: a slow network has that long for each piece, not for everything
	// that waits.
	pieceBytes = 32 << 10
	// smallPieces is how many small ones a pile begins with.
	smallPieces = 4
)

// pieces are the memory of all piles.
type pieces struct {
	small, large sync.Pool // of *[bufferBytes]byte and *[pieceBytes]byte
	budget       *core.Budget
}

func (p *pieces) get(large bool) []byte {
	if large {
		p.budget.Take(pieceBytes)
		if b, ok := p.large.Get().(*[pieceBytes]byte); ok {
			return b[:0]
		}
		return make([]byte, 0, pieceBytes)
	}
	p.budget.Take(bufferBytes)
	if b, ok := p.small.Get().(*[bufferBytes]byte); ok {
		return b[:0]
	}
	return make([]byte, 0, bufferBytes)
}

func (p *pieces) put(b []byte) {
	p.budget.Give(cap(b))
	if cap(b) == pieceBytes {
		p.large.Put((*[pieceBytes]byte)(b[:pieceBytes]))
		return
	}
	p.small.Put((*[bufferBytes]byte)(b[:bufferBytes]))
}

// pile is bytes that wait, in order. It takes hardly more memory than there are
// bytes, and to grow it copies nothing.
type pile struct {
	parts [][]byte
	at    int // so much of the first was read
	size  int // bytes to be read
}

// write appends b.
func (p *pile) write(b []byte, from *pieces) {
	p.size += len(b)
	for len(b) > 0 {
		last := len(p.parts) - 1
		if last < 0 || len(p.parts[last]) == cap(p.parts[last]) {
			p.parts = append(p.parts, from.get(len(p.parts) >= smallPieces))
			last++
		}
		part := p.parts[last]
		n := min(len(b), cap(part)-len(part))
		p.parts[last] = append(part, b[:n]...)
		b = b[n:]
	}
}

// head is the next bytes, at most n of them: what lies in one part. Valid until
// skip.
func (p *pile) head(n int) []byte {
	first := p.parts[0][p.at:]
	return first[:min(n, len(first))]
}

// skip takes n bytes away that head has shown.
func (p *pile) skip(n int, to *pieces) {
	p.at += n
	p.size -= n
	if p.at == len(p.parts[0]) {
		to.put(p.parts[0])
		p.parts[0] = nil
		p.parts, p.at = p.parts[1:], 0
	}
	if p.size == 0 {
		p.drop(to)
	}
}

// read takes len(b) bytes away, into b.
func (p *pile) read(b []byte, to *pieces) {
	for len(b) > 0 {
		n := copy(b, p.head(len(b)))
		b = b[n:]
		p.skip(n, to)
	}
}

// move takes n bytes away, into q.
func (p *pile) move(q *pile, n int, pool *pieces) {
	for n > 0 {
		b := p.head(n)
		n -= len(b)
		q.write(b, pool)
		p.skip(len(b), pool)
	}
}

// drop gives up everything.
func (p *pile) drop(to *pieces) {
	for i, b := range p.parts {
		to.put(b)
		p.parts[i] = nil
	}
	*p = pile{}
}
