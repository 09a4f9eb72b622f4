package subject

import (
	"sync"
	"sync/atomic"
)

// Index is who listens to what: a trie by token, with a bounded cache of match
// results in front. It is safe for concurrent use.
//
// Matching a cached subject takes no lock and allocates nothing. Whoever
// publishes much keeps a cache of its own keyed by subject: it reads Generation
// first, then Match, and reuses the result while Generation stays the same.
type Index[T comparable] struct {
	generation atomic.Uint64
	size       atomic.Int64
	cache      cache[T]
	none       *Result[T]

	mu struct {
		sync.RWMutex
		root node[T]
	}
}

// Result is the interest in one subject. It is shared and never changes.
type Result[T comparable] struct {
	// Plain are the subscriptions that each get the message.
	Plain []T
	// Queues are the groups of which one member each gets it. Subscriptions
	// with one queue name form one group even if their subjects differ.
	Queues []Group[T]
}

// Group is the members of a queue group for one subject.
type Group[T comparable] struct {
	Name    string
	Members []T
}

// Empty reports that nobody is interested.
func (r *Result[T]) Empty() bool { return len(r.Plain) == 0 && len(r.Queues) == 0 }

// NewIndex makes an empty index.
func NewIndex[T comparable]() *Index[T] {
	x := &Index[T]{none: new(Result[T])}
	x.cache.init()
	return x
}

// Insert adds v under pattern and queue ("" for a plain subscription). The
// pattern must be Valid. A value that is already there is not added again.
// first reports that pattern and queue had no value before.
func (x *Index[T]) Insert(pattern, queue string, v T) (first bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	added, first := x.mu.root.insert(pattern, queue, v)
	if added {
		x.size.Add(1)
		x.changed(pattern)
	}
	return first
}

// Remove takes v away from pattern and queue. ok reports whether it was there,
// last that pattern and queue have no value any more.
func (x *Index[T]) Remove(pattern, queue string, v T) (last, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	last, ok = x.mu.root.remove(pattern, queue, v)
	if ok {
		x.size.Add(-1)
		x.changed(pattern)
	}
	return last, ok
}

// changed outdates cached results. A literal pattern outdates only its own
// subject: the inboxes of requests come and go all the time and must not empty
// the cache of everybody else. Called with mu held for writing.
func (x *Index[T]) changed(pattern string) {
	if IsLiteral(pattern) {
		x.cache.drop(pattern)
	} else {
		x.cache.outdate()
	}
	x.generation.Add(1)
}

// Match is the interest in a published subject. The result is never nil.
func (x *Index[T]) Match(subject []byte) *Result[T] {
	hash, usable := x.cache.hash(subject)
	if usable {
		if r := x.cache.get(hash, subject); r != nil {
			return r
		}
	}
	if !wellFormed(subject) {
		return x.none
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	var c collector[T]
	x.mu.root.visit(subject, c.collect)
	r := x.none
	if !c.Empty() {
		r = &c.Result
	}
	if usable {
		// Under the read lock, so that no change can slip in between looking
		// and remembering.
		x.cache.put(hash, subject, r)
	}
	return r
}

// Once is Match for a subject that will hardly come again, as an inbox or the
// acknowledgement of one delivery: no cache is asked and none is filled. The
// result is borrowed: it stands in s until the next call with s.
func (x *Index[T]) Once(subject []byte, s *Search[T]) *Result[T] {
	if !wellFormed(subject) {
		return x.none
	}
	s.begin()
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.mu.root.visit(subject, s.collect)
	return &s.found.Result
}

// HasInterest reports whether a message published to subject would reach
// somebody.
func (x *Index[T]) HasInterest(subject string) bool {
	s := []byte(subject)
	if !wellFormed(s) {
		return false
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.mu.root.visit(s, func(n *node[T]) bool {
		return len(n.plain.items) > 0 || n.queues != nil
	})
}

// Generation changes with every change of the index.
func (x *Index[T]) Generation() uint64 { return x.generation.Load() }

// Len is the number of values.
func (x *Index[T]) Len() int { return int(x.size.Load()) }

// Each calls f once for each pattern and queue, in no particular order. The
// members are borrowed: valid until f returns. f must not use the index.
func (x *Index[T]) Each(f func(pattern, queue string, members []T)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.mu.root.each("", f)
}

// collector gathers a Result from the nodes that matched.
type collector[T comparable] struct {
	Result[T]
	byName map[string]int // once the groups are many
}

const groupScan = 16

// Search is the memory of one caller for the results of Once, so that they
// cost no allocation. Its zero value is ready; it must not be copied.
type Search[T comparable] struct {
	found   collector[T]
	collect func(*node[T]) (stop bool)
}

// searchKeeps is how many subscriptions' places stay for the next result.
const searchKeeps = 64

func (s *Search[T]) begin() {
	if s.collect == nil {
		s.collect = s.found.collect
	}
	plain := s.found.Plain
	if cap(plain) > searchKeeps {
		plain = nil
	}
	s.found = collector[T]{Result: Result[T]{Plain: plain[:0], Queues: s.found.Queues[:0]}}
}

func (c *collector[T]) collect(n *node[T]) (stop bool) {
	c.Plain = append(c.Plain, n.plain.items...)
	all := n.groups()
	for i := range all {
		q := &all[i]
		g := c.group(q.name)
		g.Members = append(g.Members, q.members.items...)
	}
	return false
}

func (c *collector[T]) group(name string) *Group[T] {
	if c.byName != nil {
		if i, ok := c.byName[name]; ok {
			return &c.Queues[i]
		}
	} else {
		for i := range c.Queues {
			if c.Queues[i].Name == name {
				return &c.Queues[i]
			}
		}
	}
	c.Queues = append(c.Queues, Group[T]{Name: name})
	switch {
	case c.byName != nil:
		c.byName[name] = len(c.Queues) - 1
	case len(c.Queues) > groupScan:
		c.byName = make(map[string]int, 4*groupScan)
		for i := range c.Queues {
			c.byName[c.Queues[i].Name] = i
		}
	}
	return &c.Queues[len(c.Queues)-1]
}
