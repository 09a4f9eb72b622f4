package edgestore

import (
	"sync"
	"sync/atomic"
)

// chunkCache keeps decoded chunks, the least recently used go first when they
// cost more than limit. A nil cache has none. pool counts what it holds, too; its
// lock is taken before that of a cache.
type chunkCache struct {
	limit   int64
	pool    *CachePool
	touched atomic.Bool // read from, since the pool looked

	mu   sync.Mutex
	used int64
	all  map[chunkKey]*cached
	head cached // a ring: head.next is the newest

	closed bool

	listed bool // in the ring of the pool; changed with both locks held
	at     int  // there; guarded by the lock of the pool
}

type cached struct {
	chunk      *chunk
	cost       int64
	prev, next *cached
}

func newChunkCache(limit int64, pool *CachePool) *chunkCache {
	c := &chunkCache{limit: limit, pool: pool}
	c.head.prev, c.head.next = &c.head, &c.head
	return c
}

func (c *chunkCache) get(k chunkKey) *chunk {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.all[k]
	if e == nil {
		return nil
	}
	if c.head.next != e {
		e.unlink()
		c.front(e)
	}
	if !c.touched.Load() {
		c.touched.Store(true)
	}
	return e.chunk
}

func (c *chunkCache) put(ch *chunk) {
	if c.add(ch) {
		c.pool.admit(c)
	}
}

// add reports whether the pool is to look at it.
func (c *chunkCache) add(ch *chunk) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all[ch.key] != nil || c.closed {
		return false
	}
	e := &cached{chunk: ch, cost: ch.cost()}
	if c.all == nil {
		c.all = make(map[chunkKey]*cached)
	}
	c.all[ch.key] = e
	c.front(e)
	c.used += e.cost
	over := c.pool.held.Add(e.cost) > c.pool.limit
	// The newest stays however large: its reader comes back for it.
	for c.used > c.limit && c.head.prev != e {
		c.dropLocked(c.head.prev)
	}
	return over || !c.listed
}

func (c *chunkCache) dropLocked(e *cached) {
	e.unlink()
	delete(c.all, e.chunk.key)
	c.used -= e.cost
	c.pool.held.Add(-e.cost)
}

// emptyLocked drops all but the newest so many.
func (c *chunkCache) emptyLocked(but int) {
	for len(c.all) > but {
		c.dropLocked(c.head.prev)
	}
	if but == 0 {
		c.all = nil // maps never shrink
	}
}

func (c *chunkCache) front(e *cached) {
	e.prev, e.next = &c.head, c.head.next
	e.prev.next, e.next.prev = e, e
}

func (e *cached) unlink() { e.prev.next, e.next.prev = e.next, e.prev }
