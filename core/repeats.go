package core

import (
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// maxPeerText is how much of a peer's text is worth a line of the log.
const maxPeerText = 256

// Cut makes text that a peer has chosen short enough for the log: a name of
// 60 kB must not decide how much is written to flash. The log quotes what is
// not plain, which makes it longer, so such text is cut earlier; whoever puts
// the text into an error quotes it with %q.
func Cut[T ~string | ~[]byte](text T) string {
	const quoted = len(`\u0000`) // the longest form of a byte
	if len(text) <= maxPeerText/quoted {
		return string(text)
	}
	s := string(text[:min(len(text), maxPeerText+utf8.UTFMax)])
	n := 0
	for i, cost := 0, 0; i < len(s); i += n {
		var r rune
		r, n = utf8.DecodeRuneInString(s[i:])
		if strconv.IsPrint(r) && (r != utf8.RuneError || n > 1) {
			cost += n
		} else {
			cost += quoted * n
		}
		if cost > maxPeerText {
			return s[:i] + "... (" + strconv.Itoa(len(text)) + " bytes)"
		}
	}
	return string(text)
}

const (
	repeatPeriod = time.Minute
	// maxRepeats bounds what is remembered. Keys hold what strangers choose;
	// those beyond share one line.
	maxRepeats = 1024
)

// Repeats keeps what happens again and again from filling the log: of one key
// there is a line at once, and at the end of the minute one more that says how
// many there would have been. The zero value works; Stop ends it.
type Repeats struct {
	// Burst is how many lines of one key are written in a minute; 0 is one.
	Burst int

	mu struct {
		sync.Mutex
		seen    map[string]*repeat
		timer   *time.Timer
		stopped bool
	}
	running sync.WaitGroup // the timer, from armed to done
}

type repeat struct {
	until time.Time
	burst int // lines that are written
	first int // lines that were
	more  int // lines that were not
	say   func(more int)
}

// Say calls say(0), or counts if the key has had its lines in the last minute.
// say is called again, from another goroutine, with what was counted. It must
// not call back.
func (r *Repeats) Say(key string, say func(more int)) { r.say(key, max(1, r.Burst), say) }

// say is Say with another burst.
func (r *Repeats) say(key string, burst int, say func(more int)) {
	if r.first(key, burst, say, time.Now()) {
		say(0)
	}
}

// again counts one more of a key that has had its lines in the last minute, and
// reports false when it has not. It does not allocate.
func (r *Repeats) again(key []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.mu.seen[string(key)]
	if e == nil || r.mu.stopped || e.first < e.burst {
		return false
	}
	e.more++
	return true
}

// knows reports whether key has had a line in the last minute.
func (r *Repeats) knows(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.seen[key] != nil
}

func (r *Repeats) first(key string, burst int, say func(int), now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.stopped {
		return true
	}
	if _, known := r.mu.seen[key]; !known && len(r.mu.seen) >= maxRepeats {
		key = ""
	}
	if e := r.mu.seen[key]; e != nil {
		if e.first < e.burst {
			e.first++
			return true
		}
		e.more++
		return false
	}
	if r.mu.seen == nil {
		r.mu.seen = make(map[string]*repeat)
	}
	r.mu.seen[key] = &repeat{until: now.Add(repeatPeriod), burst: burst, first: 1, say: say}
	if len(r.mu.seen) == 1 {
		r.armLocked(repeatPeriod)
	}
	return true
}

func (r *Repeats) armLocked(after time.Duration) {
	r.running.Add(1)
	r.mu.timer = time.AfterFunc(after, func() {
		defer r.running.Done()
		r.end(time.Now())
	})
}

// end tells of the keys whose minute is over.
func (r *Repeats) end(now time.Time) {
	r.mu.Lock()
	var over []*repeat
	next := now.Add(repeatPeriod)
	for key, e := range r.mu.seen {
		if e.until.After(now) {
			if e.until.Before(next) {
				next = e.until
			}
			continue
		}
		delete(r.mu.seen, key)
		if e.more > 0 {
			over = append(over, e)
		}
	}
	if len(r.mu.seen) == 0 {
		r.mu.seen = nil // maps never shrink
	} else if !r.mu.stopped {
		r.armLocked(next.Sub(now))
	}
	r.mu.Unlock()
	for _, e := range over {
		e.say(e.more)
	}
}

// Stop tells at once what was counted. After it every line is written.
func (r *Repeats) Stop() {
	r.mu.Lock()
	r.mu.stopped = true
	if r.mu.timer != nil && r.mu.timer.Stop() {
		r.running.Done()
	}
	r.mu.Unlock()
	r.running.Wait()
	r.end(time.Now().Add(2 * repeatPeriod))
}
