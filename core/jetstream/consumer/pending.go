package consumer

// entry is one message that was delivered and not acknowledged.
type entry struct {
	seq   uint64 // in the stream
	dseq  uint64 // the consumer sequence of its first delivery
	at    int64  // when it was last delivered, or touched
	count uint32 // deliveries so far, from 1

	// Not kept: timers begin anew after a restart.
	delayed  bool  // due when a refusal asked for
	queued   bool  // waits in the redelivery queue
	place    int64 // where
	deadline int64 // when it is due again
	heapAt   int64 // the one entry of the deadline heap that is not stale; 0 none

	prev, next int32
}

const none = -1

// pending holds the entries in ascending order of their sequence.
//
// Laws: a new entry has a sequence above all others; index[e.seq] is the slot
// of e; the list from head to tail is ascending and holds every slot that is
// not free.
//
// Slots are reused, so that deliver and ack do not allocate once the set has
// had its largest size.
type pending struct {
	slots      []entry
	index      map[uint64]int32
	free       []int32
	head, tail int32
	again      int // entries with count > 1
}

func newPending() pending {
	return pending{index: make(map[uint64]int32), head: none, tail: none}
}

func (p *pending) len() int { return len(p.index) }

// get returns nil when seq is not pending. The pointer is valid until the next
// add.
func (p *pending) get(seq uint64) *entry {
	if i, ok := p.index[seq]; ok {
		return &p.slots[i]
	}
	return nil
}

func (p *pending) first() *entry { return p.at(p.head) }
func (p *pending) last() *entry  { return p.at(p.tail) }

func (p *pending) at(i int32) *entry {
	if i == none {
		return nil
	}
	return &p.slots[i]
}

func (p *pending) after(e *entry) *entry { return p.at(e.next) }

// add appends an entry; seq must be above every other.
func (p *pending) add(seq, dseq uint64, at int64, count uint32) *entry {
	var i int32
	if n := len(p.free); n > 0 {
		i, p.free = p.free[n-1], p.free[:n-1]
	} else {
		i = int32(len(p.slots))
		p.slots = append(p.slots, entry{})
	}
	p.slots[i] = entry{seq: seq, dseq: dseq, at: at, count: count, prev: p.tail, next: none}
	if p.tail == none {
		p.head = i
	} else {
		p.slots[p.tail].next = i
	}
	p.tail = i
	p.index[seq] = i
	if count > 1 {
		p.again++
	}
	return &p.slots[i]
}

func (p *pending) remove(seq uint64) {
	i, ok := p.index[seq]
	if !ok {
		return
	}
	e := &p.slots[i]
	if e.prev == none {
		p.head = e.next
	} else {
		p.slots[e.prev].next = e.next
	}
	if e.next == none {
		p.tail = e.prev
	} else {
		p.slots[e.next].prev = e.prev
	}
	if e.count > 1 {
		p.again--
	}
	delete(p.index, seq)
	p.free = append(p.free, i)
}

// redelivered counts one more delivery of e.
func (p *pending) redelivered(e *entry) {
	e.count++
	if e.count == 2 {
		p.again++
	}
}

func (p *pending) clear() {
	clear(p.index)
	p.slots, p.free = p.slots[:0], p.free[:0]
	p.head, p.tail, p.again = none, none, 0
}
