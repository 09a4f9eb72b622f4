package edgestore

import (
	"sync"
	"sync/atomic"
)

// CachePool bounds what the caches of all stores that share it hold together:
// each has a bound of its own, but there may be any number of stores. When they
// hold more, whole caches are emptied, one that was not read from since it was
// looked at last before one that was. It is safe for concurrent use.
type CachePool struct {
	limit int64
	held  atomic.Int64

	mu   sync.Mutex
	ring []*chunkCache // that hold something, or did a moment ago
	hand int           // who is looked at next
}

// NewCachePool makes one of so many bytes.
func NewCachePool(limit int64) *CachePool { return &CachePool{limit: limit} }

// Held is how many bytes the caches hold.
func (p *CachePool) Held() int64 { return p.held.Load() }

// Empty gives all of it back: there is better use for the memory.
func (p *CachePool) Empty() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.ring) > 0 {
		p.dropLocked(p.ring[0])
	}
}

// admit looks at the pool behind a put into c, whose newest chunk stays.
func (p *CachePool) admit(c *chunkCache) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.mu.Lock()
	if !c.listed && c.used > 0 {
		c.listed, c.at = true, len(p.ring)
		p.ring = append(p.ring, c)
	}
	c.mu.Unlock()
	// Twice around: the first time those stay that were read from. The ring may be
	// used up: what others put a moment ago is held, and listed by their own admit.
	for n := 2 * len(p.ring); n > 0 && len(p.ring) > 0 && p.held.Load() > p.limit; n-- {
		if p.hand >= len(p.ring) {
			p.hand = 0
		}
		if other := p.ring[p.hand]; other == c || other.touched.Swap(false) {
			p.hand++
		} else {
			p.dropLocked(other)
		}
	}
	if p.held.Load() > p.limit {
		c.mu.Lock()
		c.emptyLocked(1)
		c.mu.Unlock()
	}
}

// dropLocked empties a cache of the ring and takes it off; the last one takes its
// place.
func (p *CachePool) dropLocked(c *chunkCache) {
	c.mu.Lock()
	c.emptyLocked(0)
	c.listed = false
	c.mu.Unlock()
	last := len(p.ring) - 1
	moved := p.ring[last]
	moved.at = c.at
	p.ring[c.at], p.ring[last] = moved, nil
	p.ring = p.ring[:last]
}

// remove empties the cache of a store that is closed, for good.
func (p *CachePool) remove(c *chunkCache) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.mu.Lock()
	c.closed = true
	c.emptyLocked(0)
	listed := c.listed
	c.mu.Unlock()
	if listed {
		p.dropLocked(c)
	}
}
