package wire

import "sync"

// Buffers are the memory in which connections collect large operations that are
// split between reads. They share it: a connection has it only while an
// operation is incomplete. Safe for concurrent use; the zero value works, and a
// nil pointer leaves all to the garbage collector.
type Buffers struct{ pool sync.Pool } // of *[]byte

// smallestShared is what most operations fit into, so that most buffers fit.
const smallestShared = 64 << 10

// get returns an empty buffer with room for n bytes.
func (p *Buffers) get(n int) []byte {
	if p == nil {
		return make([]byte, 0, n)
	}
	n = max(n, smallestShared)
	b, _ := p.pool.Get().(*[]byte)
	if b == nil || cap(*b) < n {
		return make([]byte, 0, n)
	}
	return (*b)[:0]
}

func (p *Buffers) put(b []byte) {
	if p != nil {
		p.pool.Put(&b)
	}
}
