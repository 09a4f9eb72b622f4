package jetstream

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// clock is the engine's one goroutine for what is due at some time: the
// timers of consumers, expiry of messages, and commits that nobody waits for.
type clock struct {
	e      *Engine
	cancel context.CancelFunc
	wake   chan struct{}
	lazy   chan struct{} // something was appended that nobody waits for

	mu struct {
		sync.Mutex
		heap timerHeap
	}
	stopped chan struct{}
}

// timer is a member's place in the heap. It is guarded by the clock's mutex.
type timer struct {
	at    int64
	index int // in the heap, from 1; 0 is not in it
}

type timerHeap []*member

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].timer.at < h[j].timer.at }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].timer.index, h[j].timer.index = i+1, j+1
}
func (h *timerHeap) Push(x any) {
	m := x.(*member)
	*h = append(*h, m)
	m.timer.index = len(*h)
}
func (h *timerHeap) Pop() any {
	old := *h
	n := len(old) - 1
	m := old[n]
	old[n], *h = nil, old[:n]
	m.timer.index = 0
	return m
}

// lazyCommit is how long an operation that nobody waits for may wait for the
// disk: after a crash that much of a consumer's progress is forgotten.
const lazyCommit = 100 * time.Millisecond

func newClock(e *Engine) *clock {
	return &clock{e: e, wake: make(chan struct{}, 1), lazy: make(chan struct{}, 1), stopped: make(chan struct{})}
}

func (c *clock) start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go c.run(ctx)
}

// set makes m step at the time given, in the time of Engine.now; 0 is never.
func (c *clock) set(m *member, at int64) {
	c.mu.Lock()
	sooner := false
	t := &m.timer
	switch {
	case at == 0 && t.index > 0:
		heap.Remove(&c.mu.heap, t.index-1)
	case at == 0:
	case t.index > 0:
		t.at = at
		heap.Fix(&c.mu.heap, t.index-1)
		sooner = t.index == 1
	default:
		t.at = at
		heap.Push(&c.mu.heap, m)
		sooner = t.index == 1
	}
	c.mu.Unlock()
	if sooner {
		poke(c.wake)
	}
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// due schedules every consumer whose time has come, and tells how long to the
// next.
func (c *clock) due(now int64) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.mu.heap) > 0 {
		m := c.mu.heap[0]
		if m.timer.at > now {
			return time.Duration(m.timer.at - now)
		}
		heap.Pop(&c.mu.heap)
		c.e.work.schedule(m)
	}
	return time.Hour
}

func (c *clock) run(ctx context.Context) {
	defer close(c.stopped)
	expiry := time.NewTimer(expirePeriod)
	defer expiry.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	var commit <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-expiry.C:
			expiry.Reset(c.e.ticks())
			// And what is due may be so sooner: the machine may have slept.
		case <-c.lazy:
			if commit == nil {
				commit = time.After(lazyCommit)
			}
			continue
		case <-commit:
			commit = nil
			c.e.journal.Kick()
			continue
		case <-c.wake:
		case <-next.C:
		}
		next.Reset(c.due(c.e.now()))
	}
}

func (c *clock) close() {
	c.cancel()
	<-c.stopped
}
