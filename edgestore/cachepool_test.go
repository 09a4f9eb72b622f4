package edgestore

import (
	"math"
	"sync"
	"testing"
)

const pooledBody = 1000

// pooledChunk is one that costs the same as others.
func pooledChunk(n uint64) *chunk {
	return &chunk{key: chunkKey{first: n}, body: make([]byte, pooledBody)}
}

// Many stores keep no more than the pool may; those that are read from stay
// before those that are not, and so does what was just put.
func TestCachePool_boundsAll(t *testing.T) {
	each := pooledChunk(0).cost()
	pool := NewCachePool(10 * each)
	hot := newChunkCache(math.MaxInt64, pool)
	hot.put(pooledChunk(1))
	for n := range uint64(200) {
		if hot.get(chunkKey{first: 1}) == nil {
			t.Fatalf("the one that is read from is gone after %d others", n)
		}
		c := newChunkCache(math.MaxInt64, pool)
		c.put(pooledChunk(n))
		if len(c.all) == 0 {
			t.Fatalf("%d: what was just put is gone", n)
		}
		if held := pool.Held(); held > 10*each {
			t.Fatalf("%d: %d bytes are held of %d", n, held, 10*each)
		}
		if len(pool.ring) > 10 {
			t.Fatalf("%d: the pool knows %d caches", n, len(pool.ring))
		}
	}
	one := newChunkCache(math.MaxInt64, pool)
	for n := range uint64(30) { // none of the others is left then
		one.put(pooledChunk(n))
		if held := pool.Held(); held > 10*each {
			t.Fatalf("%d: one alone: %d bytes are held of %d", n, held, 10*each)
		}
	}
}

// Nothing is left of a store that was closed, not even by a read that was under
// way, and nothing that is counted of a pool that was emptied.
func TestCachePool_leavesNothing(t *testing.T) {
	pool := NewCachePool(math.MaxInt64)
	var all []*chunkCache
	for range 5 {
		c := newChunkCache(math.MaxInt64, pool)
		c.put(pooledChunk(1))
		c.put(pooledChunk(2))
		all = append(all, c)
	}
	pool.remove(all[0])
	pool.remove(all[3])
	all[3].put(pooledChunk(9))
	if held, want := pool.Held(), 6*pooledChunk(0).cost(); held != want || len(pool.ring) != 3 {
		t.Errorf("%d bytes of %d caches are held, want %d of 3", held, len(pool.ring), want)
	}
	pool.Empty()
	if pool.Held() != 0 || len(pool.ring) != 0 {
		t.Errorf("%d bytes of %d caches are held by an empty pool", pool.Held(), len(pool.ring))
	}
	all[1].put(pooledChunk(3)) // one that goes on
	if pool.Held() == 0 || len(pool.ring) != 1 {
		t.Error("it takes no more")
	}
}

func TestCachePool_concurrently(t *testing.T) {
	each := pooledChunk(0).cost()
	const stores = 8
	pool := NewCachePool(20 * each)
	var work sync.WaitGroup
	for range stores {
		work.Go(func() {
			for round := range 50 {
				c := newChunkCache(6*each, pool)
				for n := range uint64(20) {
					c.put(pooledChunk(n))
					c.get(chunkKey{first: n / 2})
				}
				if round%10 == 0 {
					pool.Empty()
				}
				pool.remove(c)
			}
		})
	}
	work.Wait()
	if pool.Held() != 0 || len(pool.ring) != 0 {
		t.Errorf("%d bytes of %d caches are left", pool.Held(), len(pool.ring))
	}
}

// What others have put and not listed yet counts already: where that alone is too
// much, an admit empties all that it finds, and ends.
func TestCachePool_othersNotListed(t *testing.T) {
	each := pooledChunk(0).cost()
	pool := NewCachePool(2 * each)
	listed := newChunkCache(math.MaxInt64, pool)
	listed.put(pooledChunk(1))
	between := newChunkCache(math.MaxInt64, pool) // has put, and is to call admit
	for n := range uint64(5) {
		between.add(pooledChunk(n))
	}
	late := newChunkCache(math.MaxInt64, pool)
	late.add(pooledChunk(1))
	pool.remove(late) // between its add and its admit
	pool.admit(late)
	if len(listed.all) != 0 || len(pool.ring) != 0 {
		t.Errorf("%d chunks are left of one that may go, %d caches in the ring", len(listed.all), len(pool.ring))
	}
	pool.admit(between)
	if held := pool.Held(); held != each {
		t.Errorf("%d bytes are held, want the newest, %d", held, each)
	}
}

// That all are read from keeps none: who was is asked once.
func TestCachePool_allAreReadFrom(t *testing.T) {
	each := pooledChunk(0).cost()
	pool := NewCachePool(3 * each)
	for n := range uint64(20) {
		c := newChunkCache(math.MaxInt64, pool)
		c.put(pooledChunk(n))
		c.get(chunkKey{first: n})
		if len(c.all) != 1 || pool.Held() > 3*each {
			t.Fatalf("%d: %d chunks of the newest, %d bytes are held of %d", n, len(c.all), pool.Held(), 3*each)
		}
	}
	if len(pool.ring) != 3 {
		t.Errorf("%d caches hold something, there is room for 3", len(pool.ring))
	}
}
