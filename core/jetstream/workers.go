package jetstream

import (
	"sync"

	"github.com/frondmq/frond/core/cond"
)

// workers runs consumers that have something to do, on a few goroutines. A
// consumer is in the queue once, and on one worker at a time.
type workers struct {
	mu struct {
		sync.Mutex
		more   cond.Var // in the queue, or closed
		queue  []*member
		head   int
		closed bool
	}
	wg sync.WaitGroup
}

// States of member.queued.
const (
	memberIdle    = iota
	memberQueued  // in the queue
	memberRunning // in step
	memberAgain   // in step, and something came in since it began
)

func newWorkers() *workers {
	return new(workers)
}

func (w *workers) start(n int) {
	w.mu.Lock()
	w.mu.more = cond.New(&w.mu.Mutex, n)
	w.mu.Unlock()
	w.wg.Add(n)
	for range n {
		go w.run()
	}
}

// schedule makes sure that m steps after this call. It does not block.
func (w *workers) schedule(m *member) {
	for {
		switch s := m.queued.Load(); s {
		case memberQueued, memberAgain:
			return
		case memberIdle:
			if m.queued.CompareAndSwap(s, memberQueued) {
				w.push(m)
				return
			}
		case memberRunning:
			if m.queued.CompareAndSwap(s, memberAgain) {
				return
			}
		}
	}
}

func (w *workers) push(m *member) {
	w.mu.Lock()
	if !w.mu.closed {
		if q := w.mu.queue; len(q) == cap(q) && w.mu.head > len(q)/2 {
			// Under load it is never empty: what was taken must not stay for ever.
			n := copy(q, q[w.mu.head:])
			clear(q[n:])
			w.mu.queue, w.mu.head = q[:n], 0
		}
		w.mu.queue = append(w.mu.queue, m)
		w.mu.more.Signal()
	}
	w.mu.Unlock()
}

func (w *workers) pop() *member {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.mu.head == len(w.mu.queue) && !w.mu.closed {
		w.mu.more.Wait()
	}
	if w.mu.closed {
		return nil
	}
	m := w.mu.queue[w.mu.head]
	w.mu.queue[w.mu.head] = nil
	if w.mu.head++; w.mu.head == len(w.mu.queue) {
		w.mu.queue, w.mu.head = w.mu.queue[:0], 0
	}
	return m
}

func (w *workers) run() {
	defer w.wg.Done()
	pubs := new(publishers)
	for m := w.pop(); m != nil; m = w.pop() {
		w.step(m, pubs)
	}
}

// step has a consumer that was taken from the queue step, and puts it back if there
// is more.
func (w *workers) step(m *member, pubs *publishers) {
	m.queued.Store(memberRunning)
	more := m.step(pubs)
	pubs.flush()
	if more || !m.queued.CompareAndSwap(memberRunning, memberIdle) {
		m.queued.Store(memberQueued)
		w.push(m)
	}
}

// close ends the goroutines; what is still queued stays undone.
func (w *workers) close() {
	w.mu.Lock()
	w.mu.closed = true
	w.mu.more.Broadcast()
	w.mu.Unlock()
	w.wg.Wait()
}
