package mqtt

import (
	"sync"
	"sync/atomic"
	"time"
)

// turned are the machines whose CONNECTs were not let in. Who comes again at
// once is answered late: a client in a tight loop is then one that tries once a
// second.
type turned struct {
	total atomic.Uint64

	mu struct {
		sync.Mutex
		by   map[string]tries // by address
		held int              // connections that wait for their answer
	}
}

type tries struct {
	n  int
	at time.Time // of the last
}

const (
	freeTries  = 5 // a person at a keyboard is not held up
	firstHold  = 20 * time.Millisecond
	longestTry = time.Second
	// forgetTries is after how much quiet a machine begins anew.
	forgetTries = 10 * time.Second
	// maxTurned bounds what is remembered, and maxHeld who waits: with more,
	// there is no answer and no waiting.
	maxTurned = 1024
	maxHeld   = 128
)

// hold counts one more, and waits. It reports false when there shall be no
// answer: the connection ended, or too many are waiting.
func (t *turned) hold(address string, ended <-chan struct{}) bool {
	t.total.Add(1)
	d, ok := t.begin(address, time.Now())
	if !ok {
		return false
	}
	defer t.leave()
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ended:
		return false
	}
}

func (t *turned) begin(address string, now time.Time) (time.Duration, bool) {
	m := &t.mu
	m.Lock()
	defer m.Unlock()
	if m.held >= maxHeld {
		return 0, false
	}
	m.held++
	if len(m.by) >= maxTurned {
		for a, e := range m.by {
			if now.Sub(e.at) > forgetTries {
				delete(m.by, a)
			}
		}
		if _, known := m.by[address]; !known && len(m.by) >= maxTurned {
			delete(m.by, leastTried(m.by))
		}
	}
	if m.by == nil {
		m.by = make(map[string]tries)
	}
	e := m.by[address]
	if now.Sub(e.at) > forgetTries {
		e.n = 0
	}
	e.n, e.at = e.n+1, now
	m.by[address] = e
	return holdFor(e.n), true
}

// leastTried is who is forgotten when there are too many: who has tried least,
// and of those the one whose last try is longest ago. So whoever has many
// addresses does not make the others new again.
func leastTried(by map[string]tries) (least string) {
	var best tries
	for a, e := range by {
		if best.n == 0 || e.n < best.n || e.n == best.n && e.at.Before(best.at) {
			least, best = a, e
		}
	}
	return least
}

// holdFor is how long the n-th try of a machine waits for its answer.
func holdFor(n int) time.Duration {
	if n <= freeTries {
		return 0
	}
	return min(firstHold<<min(n-freeTries-1, 20), longestTry)
}

func (t *turned) leave() {
	t.mu.Lock()
	t.mu.held--
	t.mu.Unlock()
}
