package session

// countChunk is how many sequences share a piece of memory.
const countChunk = 512

// counts is how many sessions wait for each message, by sequence. Sessions are
// fewer than 65,535, and a publisher may wait beside them (exact.go).
type counts struct {
	chunks map[uint64]*chunk
}

type chunk struct {
	n    [countChunk]uint16
	used int // of n that are not 0
}

func (c *counts) get(seq uint64) int {
	k := c.chunks[seq/countChunk]
	if k == nil {
		return 0
	}
	return int(k.n[seq%countChunk])
}

// len is how many messages somebody waits for.
func (c *counts) len() (n uint64) {
	for _, k := range c.chunks {
		n += uint64(k.used)
	}
	return n
}

func (c *counts) set(seq uint64, n int) {
	k := c.chunks[seq/countChunk]
	if k == nil {
		if n == 0 {
			return
		}
		if c.chunks == nil {
			c.chunks = make(map[uint64]*chunk)
		}
		k = new(chunk)
		c.chunks[seq/countChunk] = k
	}
	p := &k.n[seq%countChunk]
	switch {
	case *p == 0 && n > 0:
		k.used++
	case *p > 0 && n == 0:
		if k.used--; k.used == 0 {
			delete(c.chunks, seq/countChunk)
		}
	}
	*p = uint16(n)
}

// next is the first sequence from seq on, up to last, that somebody waits for;
// last+1 when there is none.
func (c *counts) next(seq, last uint64) uint64 {
	for seq <= last {
		k := c.chunks[seq/countChunk]
		if k == nil {
			seq = (seq/countChunk + 1) * countChunk
			continue
		}
		if k.n[seq%countChunk] > 0 {
			return seq
		}
		seq++
	}
	return last + 1
}
