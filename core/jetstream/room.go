package jetstream

import (
	"sync/atomic"
	"time"
)


// roomWaiter holds up publishers that are faster than the disk, each on its own
// goroutine, until the log has room; when the disk is stuck nobody waits again
// for a while.
type roomWaiter struct {
	stuckUntil atomic.Int64 // unix nanoseconds
}

const (
	// roomPatience is how long a publisher waits for room, roomPause how long
	// nobody waits after that was in vain, roomStep between two tries.
	roomPatience = 2 * time.Second
	roomPause    = 10 * time.Second
	roomStep     = 2 * time.Millisecond
)

// wait waits a moment and reports whether it is worth another try; since is when
// the caller began to wait, zero at first.
func (r *roomWaiter) wait(since *time.Time, e *Engine) bool {
	now := time.Now()
	if since.IsZero() {
		if now.UnixNano() < r.stuckUntil.Load() {
			return false
		}
		*since = now
	}
	if now.Sub(*since) >= roomPatience {
		r.stuckUntil.Store(now.Add(roomPause).UnixNano())
		return false
	}
	t := time.NewTimer(roomStep)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-e.quit:
		return false
	}
}
