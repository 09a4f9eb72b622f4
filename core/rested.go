package core

import (
	"sync"
	"sync/atomic"
	"time"
)

// rested notices when many connections have gone silent: what they needed while
// they began, or had something to say, is free then.
type rested struct {
	silent atomic.Int64 // since the last call of f

	mu struct {
		sync.Mutex // while f is called, too
		f          func()
		timer      *time.Timer // nil while nothing is due
		latest     time.Time   // of the call that is due
		seen       int64       // silent at the last look
		last       time.Time   // of f
		ended      bool
	}
}

const (
	// restedMany connections are worth a call: about 2 MB of buffers and stacks.
	restedMany = 256
	// restedSettle is how long no more than that must have followed them, but for
	// restedEvery at most: some always fall silent where many say little. There is
	// a call so often at most.
	restedSettle = 3 * time.Second
	restedEvery  = time.Minute
)

func (r *rested) add() {
	if r.silent.Add(1) != restedMany {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.f == nil || r.mu.ended || r.mu.timer != nil {
		return
	}
	wait := restedSettle
	if !r.mu.last.IsZero() {
		wait = max(wait, restedEvery-time.Since(r.mu.last))
	}
	r.mu.seen, r.mu.latest = restedMany, time.Now().Add(wait+restedEvery)
	r.mu.timer = time.AfterFunc(wait, r.call)
}

func (r *rested) call() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.ended {
		return
	}
	if n := r.silent.Load(); n-r.mu.seen >= restedMany && time.Now().Before(r.mu.latest) { // they go on
		r.mu.seen = n
		r.mu.timer.Reset(restedSettle)
		return
	}
	r.mu.timer, r.mu.last = nil, time.Now()
	r.silent.Store(0)
	r.mu.f()
}

// end waits for a call that is under way; there is none behind it.
func (r *rested) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.ended = true
	if r.mu.timer != nil {
		r.mu.timer.Stop()
	}
}

// Rested is called by a connection that has gone silent and has given back what
// it can.
func (s *Connections) Rested() { s.rested.add() }

// OnRest has f called, on a goroutine of its own, when many connections have gone
// silent: a few seconds later, and once a minute at most. Memory can be given back
// to the system then. Call it before Start. Shutdown waits for an f that runs.
func (s *Server) OnRest(f func()) {
	r := &s.connections.rested
	r.mu.Lock()
	r.mu.f = f
	r.mu.Unlock()
}
