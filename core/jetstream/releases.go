package jetstream

import (
	"slices"
	"sync"
)

// releases knows who is about to log which messages go, having taken what was
// acknowledged. That may need a read of the disk, so it is no lock: who settles
// waits for those that began before, and nobody waits for who settles.
type releases struct {
	mu    sync.Mutex
	begun uint64
	open  []uint64 // those under way, oldest first
	waits []settler
}

// settler is somebody who waits until all that began up to last has ended, when done
// is closed.
type settler struct {
	last uint64
	done chan struct{}
}

// ongoing is made when the first consumer is done with something: most streams keep
// what was acknowledged.
func (s *stream) ongoing() *releases {
	if r := s.releases.Load(); r != nil {
		return r
	}
	s.releases.CompareAndSwap(nil, new(releases))
	return s.releases.Load()
}

// begin returns what end is to be called with, when it is logged.
func (r *releases) begin() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
	r.open = append(r.open, r.begun)
	return r.begun
}

func (r *releases) end(turn uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.open, turn)
	r.open = slices.Delete(r.open, i, i+1)
	r.waits = slices.DeleteFunc(r.waits, func(w settler) bool {
		over := !r.underWay(w.last)
		if over {
			close(w.done)
		}
		return over
	})
}

// underWay reports whether something is under way that began up to last.
func (r *releases) underWay(last uint64) bool { return len(r.open) > 0 && r.open[0] <= last }

// wait returns when all that began before it has ended.
func (r *releases) wait() {
	r.mu.Lock()
	w := settler{last: r.begun}
	under := r.underWay(w.last)
	if under {
		w.done = make(chan struct{})
		r.waits = append(r.waits, w)
	}
	r.mu.Unlock()
	if under {
		<-w.done
	}
}

// waiting reports whether somebody settles.
func (r *releases) waiting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waits) > 0
}
