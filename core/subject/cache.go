package subject

import (
	"hash/maphash"
	"sync/atomic"
)

// cache remembers match results. It is a table of atomic pointers in small
// sets: a subject may stand in any of the cacheWays places of its set, which
// bounds it without bookkeeping and lets readers go without a lock.
//
// Laws: put is called under the read lock of the index, drop and outdate under
// its write lock. So an entry with the present epoch is never older than the
// last change that concerns it.
type cache[T comparable] struct {
	seed  maphash.Seed
	epoch atomic.Uint64
	turn  atomic.Uint32
	slots atomic.Int64 // values held by all entries
	table [cacheSize]atomic.Pointer[cached[T]]
}

type cached[T comparable] struct {
	subject string
	epoch   uint64
	result  *Result[T]
}

const (
	cacheSize = 1024 // a power of two
	cacheWays = 4
	// cacheSubject bounds the memory that long subjects can take.
	cacheSubject = 256
	// cacheSlots bounds what results with many subscribers can take: at eight
	// bytes a value, half a megabyte.
	cacheSlots = 64 << 10
)

func (c *cache[T]) init() { c.seed = maphash.MakeSeed() }

// hash returns where the set of a subject begins. usable is false for subjects
// that are not worth remembering.
func (c *cache[T]) hash(subject []byte) (at int, usable bool) {
	if len(subject) > cacheSubject {
		return 0, false
	}
	return int(maphash.Bytes(c.seed, subject)) & (cacheSize - 1) &^ (cacheWays - 1), true
}

func (c *cache[T]) get(at int, subject []byte) *Result[T] {
	epoch := c.epoch.Load()
	for i := at; i < at+cacheWays; i++ {
		if e := c.table[i].Load(); e != nil && e.epoch == epoch && e.subject == string(subject) {
			return e.result
		}
	}
	return nil
}

func (c *cache[T]) put(at int, subject []byte, r *Result[T]) {
	if r.cost() > cacheSlots/8 {
		return
	}
	if c.slots.Load() > cacheSlots {
		c.clear()
	}
	victim, epoch := -1, c.epoch.Load()
	for i := at; i < at+cacheWays; i++ {
		old := c.table[i].Load()
		if old == nil || old.epoch != epoch || old.subject == string(subject) {
			victim = i
			break
		}
	}
	if victim < 0 {
		// Only every eighth displaces another: many subjects are seen once, and
		// those that come back get in before long.
		turn := int(c.turn.Add(1))
		if turn%8 != 0 {
			return
		}
		victim = at + turn/8&(cacheWays-1)
	}
	c.replace(victim, &cached[T]{subject: string(subject), epoch: epoch, result: r})
}

func (c *cache[T]) replace(i int, e *cached[T]) {
	var delta int64
	if e != nil {
		delta = int64(e.result.cost())
	}
	if old := c.table[i].Swap(e); old != nil {
		delta -= int64(old.result.cost())
	}
	c.slots.Add(delta)
}

func (c *cache[T]) clear() {
	for i := range c.table {
		c.replace(i, nil)
	}
}

// drop forgets one subject.
func (c *cache[T]) drop(subject string) {
	at, usable := c.hash([]byte(subject))
	if !usable {
		return
	}
	for i := at; i < at+cacheWays; i++ {
		if e := c.table[i].Load(); e != nil && e.subject == subject {
			c.replace(i, nil)
		}
	}
}

// outdate forgets everything. Outdated entries keep what they point to alive
// until they are replaced, so they are swept when they hold much.
func (c *cache[T]) outdate() {
	c.epoch.Add(1)
	if c.slots.Load() > cacheSlots/16 {
		c.clear()
	}
}

func (r *Result[T]) cost() int {
	n := len(r.Plain)
	for i := range r.Queues {
		n += len(r.Queues[i].Members)
	}
	return n
}
