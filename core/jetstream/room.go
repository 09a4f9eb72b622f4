package jetstream

import (
	"sync/atomic"
	"time"
)

const (
	// A publisher that is refused loses messages: most clients do not try
	// again. Held up it stops reading from its socket, and its own sends stop.
	roomPatience = 2 * time.Second
	roomStep     = 2 * time.Millisecond
	// roomPause is how long nobody waits after somebody did in vain: the disk
	// is stuck, and connections have to stay alive.
	roomPause = 5 * roomPatience
)

// roomWaiter holds up publishers while more waits for the disk than there is
// memory for. It runs on the readers of connections, so it must end by itself.
type roomWaiter struct{ stuckAt atomic.Pointer[time.Time] }

// wait lets a moment pass and says whether to try again. since is the zero time
// on the first call for a message.
func (w *roomWaiter) wait(since *time.Time, e *Engine) bool {
	now := time.Now()
	if since.IsZero() {
		if at := w.stuckAt.Load(); at != nil && now.Sub(*at) < roomPause {
			return false
		}
		*since = now
	}
	if now.Sub(*since) >= roomPatience {
		w.stuckAt.Store(&now)
		return false
	}
	t := time.NewTimer(roomStep)
	defer t.Stop()
	select {
	case <-t.C:
		return !e.closing.Load()
	case <-e.quit:
		return false
	}
}
