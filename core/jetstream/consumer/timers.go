package consumer

import "slices"

// due is one entry of the deadline heap.
type due struct {
	at  int64
	seq uint64
}

// deadlines is a binary heap of when pending messages are due. It is lazy: an
// acknowledged message leaves its entry behind, and a deadline that moved away
// is noticed when its entry comes up. Deadlines mostly grow, so a push costs
// nothing; when more than half of the heap is stale it is rebuilt, so it stays
// in proportion to what is pending.
type deadlines struct{ heap []due }

func (d *deadlines) push(at int64, seq uint64) {
	d.heap = append(d.heap, due{at, seq})
	for i := len(d.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if d.heap[up].at <= d.heap[i].at {
			return
		}
		d.heap[up], d.heap[i] = d.heap[i], d.heap[up]
		i = up
	}
}

func (d *deadlines) pop() due {
	top := d.heap[0]
	n := len(d.heap) - 1
	d.heap[0] = d.heap[n]
	d.heap = d.heap[:n]
	d.down(0)
	return top
}

func (d *deadlines) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(d.heap) {
			return
		}
		if c+1 < len(d.heap) && d.heap[c+1].at < d.heap[c].at {
			c++
		}
		if d.heap[i].at <= d.heap[c].at {
			return
		}
		d.heap[i], d.heap[c] = d.heap[c], d.heap[i]
		i = c
	}
}

// set gives e another deadline.
func (d *deadlines) set(e *entry, at int64, p *pending) {
	e.deadline = at
	if e.heapAt != 0 && e.heapAt <= at {
		return // its entry comes up earlier and is put back then
	}
	e.heapAt = at
	d.push(at, e.seq)
	if len(d.heap) > 2*p.len()+256 {
		d.compact(p)
	}
}

func (d *deadlines) compact(p *pending) {
	d.heap = slices.DeleteFunc(d.heap, func(x due) bool {
		e := p.get(x.seq)
		return e == nil || e.heapAt != x.at
	})
	for i := len(d.heap)/2 - 1; i >= 0; i-- {
		d.down(i)
	}
}

// next is a lower bound of the earliest deadline; 0 when there is none.
func (d *deadlines) next() int64 {
	if len(d.heap) == 0 {
		return 0
	}
	return d.heap[0].at
}

// expired appends the sequences that are due at now, ascending.
func (d *deadlines) expired(dst []uint64, now int64, p *pending) []uint64 {
	for len(d.heap) > 0 && d.heap[0].at <= now {
		x := d.pop()
		e := p.get(x.seq)
		if e == nil || e.heapAt != x.at {
			continue
		}
		e.heapAt = 0
		switch {
		case e.deadline > now:
			d.set(e, e.deadline, p)
		case !e.queued:
			dst = append(dst, e.seq)
		}
	}
	slices.Sort(dst)
	return dst
}

// queue holds what is to be delivered again, in order. What was acknowledged,
// or is to be delivered later, leaves its place behind; it is skipped.
type queue struct {
	seqs []uint64
	head int
	base int64 // the place of seqs[0]
	n    int   // places that are not left behind
}

func (q *queue) push(e *entry, p *pending) {
	if e.queued {
		return
	}
	if len(q.seqs) > 2*q.n+256 {
		q.compact(p)
	}
	e.queued, e.place = true, q.base+int64(len(q.seqs))
	q.n++
	q.seqs = append(q.seqs, e.seq)
}

func (q *queue) holds(i int, p *pending) *entry {
	if e := p.get(q.seqs[i]); e != nil && e.queued && e.place == q.base+int64(i) {
		return e
	}
	return nil
}

func (q *queue) compact(p *pending) {
	kept := 0
	for i := q.head; i < len(q.seqs); i++ {
		if e := q.holds(i, p); e != nil {
			q.seqs[kept] = e.seq
			e.place = q.base + int64(kept)
			kept++
		}
	}
	q.seqs, q.head = q.seqs[:kept], 0
}

// unpop puts e back to the front.
func (q *queue) unpop(e *entry) {
	if q.head > 0 {
		q.head--
		q.seqs[q.head] = e.seq
	} else {
		q.seqs = slices.Insert(q.seqs, 0, e.seq)
		q.base--
	}
	e.queued, e.place = true, q.base+int64(q.head)
	q.n++
}

// peek is the first in the queue, or nil.
func (q *queue) peek(p *pending) *entry {
	if q.n == 0 {
		q.seqs, q.head = q.seqs[:0], 0
		return nil
	}
	for ; q.head < len(q.seqs); q.head++ {
		if e := q.holds(q.head, p); e != nil {
			return e
		}
	}
	panic("consumer: the redelivery queue counts more than it holds")
}

// taken is called when e was delivered or settled.
func (q *queue) taken(e *entry) {
	if e.queued {
		e.queued = false
		q.n--
	}
}

func (q *queue) clear() { *q = queue{seqs: q.seqs[:0]} }
