package edgestore

import "sync"

// chunkCache keeps decoded chunks, the least recently used go first when they
// cost more than limit. A nil cache has none.
type chunkCache struct {
	limit int64

	mu   sync.Mutex
	used int64
	all  map[chunkKey]*cached
	head cached // a ring: head.next is the newest
}

type cached struct {
	chunk      *chunk
	cost       int64
	prev, next *cached
}

func newChunkCache(limit int64) *chunkCache {
	c := &chunkCache{limit: limit}
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
	return e.chunk
}

func (c *chunkCache) put(ch *chunk) {
	cost := ch.cost()
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.all[ch.key]; old != nil {
		return
	}
	e := &cached{chunk: ch, cost: cost}
	if c.all == nil {
		c.all = make(map[chunkKey]*cached)
	}
	c.all[ch.key] = e
	c.front(e)
	c.used += cost
	// The newest stays however large: its reader comes back for it.
	for c.used > c.limit && c.head.prev != e {
		c.dropLocked(c.head.prev)
	}
}

func (c *chunkCache) dropLocked(e *cached) {
	e.unlink()
	delete(c.all, e.chunk.key)
	c.used -= e.cost
}

func (c *chunkCache) clear() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.head.next != &c.head {
		c.dropLocked(c.head.next)
	}
}

func (c *chunkCache) front(e *cached) {
	e.prev, e.next = &c.head, c.head.next
	e.prev.next, e.next.prev = e, e
}

func (e *cached) unlink() { e.prev.next, e.next.prev = e.next, e.prev }
