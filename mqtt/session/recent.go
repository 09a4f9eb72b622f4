package session

import (
	"slices"
	"time"

	"github.com/frondmq/frond/core/jetstream/jsclient"
)

// A connected session that keeps up gets what was just published from memory: it is on
// disk by then, but nobody has to read it there. Who is behind reads the stream, but for
// what others wait for too and one of them has just read: many come back at once when a
// link or the power does. All give the same messages in the same order. (What somebody
// deletes from the stream while it is in memory is delivered all the same.)

const (
	// maxRecentBytes bounds each of both, with recentOverhead a message.
	maxRecentBytes = 512 << 10
	recentOverhead = 160
	// maxRecentMsg is how large a message is at most that is kept: copying a larger one
	// for sessions that may be behind costs more than reading it.
	maxRecentMsg = 16 << 10
)

// recent are messages that were told last, or read last, in their order. The lock of the
// store guards it.
type recent struct {
	msgs  []*jsclient.Message
	bytes int
	used  bool // since the last look of the worker
}

func recentSize(m *jsclient.Message) int {
	return len(m.Subject) + len(m.Header) + len(m.Data) + recentOverhead
}

func (r *recent) add(m *jsclient.Message) {
	r.used = true
	r.msgs = append(r.msgs, m)
	r.bytes += recentSize(m)
	drop := 0
	for ; r.bytes > maxRecentBytes; drop++ {
		r.bytes -= recentSize(r.msgs[drop])
		r.msgs[drop] = nil
	}
	r.msgs = r.msgs[drop:]
}

// get is the message of a sequence, nil when it is not there.
func (r *recent) get(seq uint64) *jsclient.Message {
	i, ok := slices.BinarySearchFunc(r.msgs, seq, func(m *jsclient.Message, seq uint64) int {
		switch {
		case m.Seq < seq:
			return -1
		case m.Seq > seq:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return r.msgs[i]
}

// rest forgets all when nothing was added since the last call. It reports whether there
// is something to forget later.
func (r *recent) rest() bool {
	if !r.used {
		*r = recent{}
	}
	r.used = false
	return len(r.msgs) > 0
}

// restRecent is rest for the worker.
func (s *Store) restRecent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	told, read := s.mu.recent.rest(), s.mu.read.rest()
	return told || read
}

// share keeps of what was read what others wait for too.
func (s *Store) share(found []*jsclient.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.mu.read
	for _, m := range found {
		if s.mu.counts.get(m.Seq) < 2 || len(m.Header)+len(m.Data) > maxRecentMsg {
			continue
		}
		if n := len(r.msgs); n > 0 && r.msgs[n-1].Seq >= m.Seq {
			if r.get(m.Seq) != nil {
				continue
			}
			*r = recent{}
		}
		if r.add(m); len(r.msgs) == 1 {
			s.poke()
		}
	}
}

// recentLocked is a message that is in memory, nil when it is not.
func (s *Store) recentLocked(seq uint64) *jsclient.Message {
	m := s.mu.recent.get(seq)
	if m == nil {
		if m = s.mu.read.get(seq); m != nil {
			s.mu.read.used = true
		}
	}
	return m
}

// recent gives what comes next as far as it is in memory: up to so many messages, about
// so many bytes, and up to where that is all; 0 says that the stream is to be read.
func (x *Session) recent(horizon uint64, most, maxBytes int) (found []*jsclient.Message, upTo uint64) {
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.recent.msgs)+len(s.mu.read.msgs) == 0 || s.mu.swept < s.mu.begin {
		return nil, 0
	}
	list, all := x.hints.first(x.position, most)
	if len(list) == 0 {
		return nil, 0
	}
	for i, seq := range list {
		m := s.recentLocked(seq)
		switch {
		case m == nil && i == 0:
			return nil, 0
		case m == nil:
			return found, list[i-1]
		}
		found = append(found, m)
		if maxBytes -= len(m.Header) + len(m.Data); maxBytes <= 0 && i < len(list)-1 {
			return found, seq
		}
	}
	if upTo = list[len(list)-1]; all {
		upTo = max(upTo, horizon)
	}
	return found, upTo
}

// copied is a message as it will be read, for sessions that are connected; nil when none
// is, or it is large. Its subject and its sequence are told later.
func (s *Store) copied(p *Publication) *jsclient.Message {
	h, size := len(p.Header), len(p.Header)+len(p.Body)
	if s.attached.Load() == 0 || size > maxRecentMsg {
		return nil
	}
	b := append(append(make([]byte, 0, size), p.Header...), p.Body...)
	return &jsclient.Message{Time: time.Now(), Header: b[:h:h], Data: b[h:]}
}
