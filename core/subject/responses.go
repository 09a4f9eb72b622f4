package subject

import (
	"sync"
	"time"
)

// ResponseTracker remembers, for one connection, the reply subjects that it was
// sent and may answer. Deliveries arm them from any goroutine.
type ResponseTracker struct {
	rule Responses

	mu struct {
		sync.Mutex
		open    map[string]response
		sweepAt int // size at which expired ones are looked for
	}
}

type response struct {
	left  int // negative: no limit
	until time.Time
}

const (
	responseSweep = 256
	// maxResponses bounds what replies without expiry can take; beyond it an
	// arbitrary one is forgotten for each new one.
	maxResponses = 64 << 10
)

// NewResponseTracker makes the tracker for a connection whose permissions have
// Responses.
func NewResponseTracker(rule *Responses) *ResponseTracker {
	t := &ResponseTracker{rule: *rule}
	t.mu.open = make(map[string]response)
	t.mu.sweepAt = responseSweep
	return t
}

// Arm lets reply be published to, because a message with it was delivered.
// Delivering the same reply again starts it anew.
func (t *ResponseTracker) Arm(reply []byte, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.mu.open) >= t.mu.sweepAt {
		t.sweepLocked(now)
	}
	if len(t.mu.open) >= maxResponses {
		for s := range t.mu.open {
			delete(t.mu.open, s)
			break
		}
	}
	r := response{left: t.rule.Max}
	if t.rule.Expires > 0 {
		r.until = now.Add(t.rule.Expires)
	}
	t.mu.open[string(reply)] = r
}

// Use reports whether subject may be published to, and counts it.
func (t *ResponseTracker) Use(subject []byte, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.mu.open[string(subject)]
	if !ok {
		return false
	}
	if r.expired(now) {
		delete(t.mu.open, string(subject))
		return false
	}
	if r.left < 0 {
		return true
	}
	if r.left--; r.left == 0 {
		delete(t.mu.open, string(subject))
	} else {
		t.mu.open[string(subject)] = r
	}
	return true
}

// Len is the number of reply subjects that are remembered.
func (t *ResponseTracker) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.mu.open)
}

// sweepLocked forgets what has expired. The next sweep is due when the table
// has doubled, so that sweeping costs each message a constant.
func (t *ResponseTracker) sweepLocked(now time.Time) {
	for s, r := range t.mu.open {
		if r.expired(now) {
			delete(t.mu.open, s)
		}
	}
	t.mu.sweepAt = max(responseSweep, 2*len(t.mu.open))
}

func (r response) expired(now time.Time) bool {
	return !r.until.IsZero() && now.After(r.until)
}
