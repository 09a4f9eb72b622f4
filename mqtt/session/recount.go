package session

import (
	"context"
	"errors"

	"github.com/frondmq/frond/core/jetstream/jsclient"
)

// Messages that sessions wait for can go without them: somebody purges the stream or
// deletes from it, has given it limits, or a part of its file is damaged. Then the counts
// are too high, and a session may be full of what is not there. So what was counted is
// compared with the stream when a session is full, and a session that has read all, and
// waits for more than it was sent, has missed something. Then all is counted anew, as
// at a start.

// suspect has the worker look. It may be called with and without the lock.
func (s *Store) suspect() {
	if !s.suspected.Swap(true) {
		s.poke()
	}
}

// readAllLocked is called when a session has read all that there is.
func (x *Session) readAllLocked() {
	s := x.store
	x.reading.idle, x.hints = true, nil
	if s.mu.swept < s.mu.begin {
		return // not all is counted yet
	}
	sent := int64(0)
	for i := range x.unacked {
		if x.unacked[i].size > 0 {
			sent++
		}
	}
	if x.msgs.Load() != sent {
		s.mu.missed = true
		s.suspect()
	}
}

// verify looks whether the stream has all that is waited for. All that was there at the
// start is counted.
func (s *Store) verify(ctx context.Context) error {
	if !s.suspected.Swap(false) {
		return nil
	}
	s.mu.Lock()
	waited, first, missed := s.mu.counts.len(), s.mu.counts.next(s.mu.low, s.mu.head), s.mu.missed
	s.mu.Unlock()
	// Only the worker deletes, so what was counted is there, and more may have come.
	i, err := s.o.Client.Info(ctx, msgsStream)
	switch {
	case err == nil:
		s.adopt(i)
	case errors.Is(err, jsclient.ErrStreamNotFound):
		i = new(jsclient.StreamInfo)
	default:
		s.suspected.Store(true)
		return err
	}
	if missed || i.State.Msgs < waited || waited > 0 && i.State.FirstSeq > first {
		s.o.Log.Warn("messages that MQTT sessions wait for are gone from the stream: it was purged, has limits or is damaged",
			"stream", msgsStream)
		s.recount()
		return s.sweep(ctx) // at once: meanwhile no session is full
	}
	return nil
}

// recount forgets the counts, and has all be counted that is in the stream.
func (s *Store) recount() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.counts, s.mu.missed = counts{}, false
	s.mu.begin, s.mu.swept = s.mu.head, s.mu.low-1
	for _, x := range s.mu.sessions {
		x.uncount()
	}
	for _, x := range s.mu.ended {
		x.uncount()
	}
}

// uncount has the session count nothing. The lock is held.
func (x *Session) uncount() {
	x.told, x.hints = 0, nil
	x.msgs.Store(0)
	x.bytes.Store(0)
	for i := range x.unacked {
		x.unacked[i].size = 0
	}
}
