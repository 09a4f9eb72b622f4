package journal

import (
	"sync"

	"github.com/frondmq/frond/edgestore"
)

// cache keeps the bytes of the newest groups in a ring of fixed size, so that
// what was just written is read back without the disk.
type cache struct {
	mu struct {
		sync.Mutex
		ring []byte
		pos  int
		// spans are what the ring holds, oldest first. A group that follows
		// another in the file and in the ring makes its span longer, so there
		// are few.
		spans []span
	}
	size int
}

type span struct {
	segment uint64
	off     int64 // in the segment
	pos     int   // in the ring
	n       int
}

func newCache(size int64) *cache { return &cache{size: int(size)} }

// add copies a group into the ring.
func (c *cache) add(segment uint64, off int64, b []byte) {
	if len(b) > c.size {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.ring == nil {
		c.mu.ring = make([]byte, c.size)
	}
	if c.mu.pos+len(b) > len(c.mu.ring) {
		c.evictLocked(c.mu.pos, len(c.mu.ring))
		c.mu.pos = 0
	}
	pos := c.mu.pos
	c.evictLocked(pos, pos+len(b))
	copy(c.mu.ring[pos:], b)
	c.mu.pos += len(b)
	if n := len(c.mu.spans); n > 0 {
		s := &c.mu.spans[n-1]
		if s.segment == segment && s.off+int64(s.n) == off && s.pos+s.n == pos {
			s.n += len(b)
			return
		}
	}
	c.mu.spans = append(c.mu.spans, span{segment, off, pos, len(b)})
}

// evictLocked forgets what lies in the ring from lo to hi. That is always the
// oldest: the ring is filled in order.
func (c *cache) evictLocked(lo, hi int) {
	for len(c.mu.spans) > 0 {
		s := &c.mu.spans[0]
		if s.pos >= hi || s.pos+s.n <= lo {
			return
		}
		if s.pos+s.n > hi {
			cut := hi - s.pos
			s.pos, s.off, s.n = s.pos+cut, s.off+int64(cut), s.n-cut
			return
		}
		n := copy(c.mu.spans, c.mu.spans[1:])
		c.mu.spans = c.mu.spans[:n]
	}
}

// read copies what lies at loc, into buf when that is large enough.
func (c *cache) read(loc edgestore.Location, buf []byte) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.mu.spans) - 1; i >= 0; i-- {
		s := &c.mu.spans[i]
		if s.segment == loc.Segment && loc.Offset >= s.off &&
			loc.Offset+int64(loc.Length) <= s.off+int64(s.n) {
			at := s.pos + int(loc.Offset-s.off)
			return append(buf[:0], c.mu.ring[at:at+int(loc.Length)]...), true
		}
	}
	return buf, false
}
