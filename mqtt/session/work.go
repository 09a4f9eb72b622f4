package session

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/frondmq/frond/core/jetstream/jsclient"
)

const (
	// tickEvery is how often what is done now and then is done while there is some:
	// rows of sessions that acknowledge, messages that nobody waits for.
	tickEvery = time.Second
	// retryAfter is how long the worker rests when a stream does not do its part.
	retryAfter = 5 * time.Second
	sweepMsgs  = 256
	sweepBytes = 64 << 10
)

// run is the worker.
func (s *Store) run() {
	defer s.work.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for s.ctx.Err() == nil {
		err := s.sweep(s.ctx)
		next := s.tick(err == nil)
		if err != nil && s.ctx.Err() == nil {
			s.o.Log.Error("what MQTT sessions wait for could not be read", "stream", msgsStream, "err", err)
			next = min(next, retryAfter)
		}
		timer.Reset(next)
		select {
		case <-s.ctx.Done():
			return
		case <-timer.C:
		case <-s.wake:
			// What woke it is done together with what else comes meanwhile.
			timer.Reset(tickEvery)
			select {
			case <-s.ctx.Done():
				return
			case <-timer.C:
			}
		}
	}
}

// tick does what is due, and says when to look again.
func (s *Store) tick(swept bool) (next time.Duration) {
	next = s.expire(time.Now())
	if s.restRecent() {
		next = min(next, tickEvery)
	}
	for _, x := range s.takeDirty() {
		s.rows.write(s.ctx, x, nil)
	}
	err := s.forget(s.ctx)
	if swept && err == nil {
		if err = s.countDown(s.ctx); err == nil {
			err = s.clear(s.ctx)
		}
		if err == nil {
			err = s.verify(s.ctx)
		}
	}
	if err != nil && s.ctx.Err() == nil {
		s.o.Log.Error("what MQTT sessions have done with could not be deleted", "err", err)
		return min(next, retryAfter)
	}
	return next
}

func (s *Store) takeDirty() []*Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Session
	for x := range s.mu.dirty {
		all = append(all, x)
	}
	return all
}

// expire ends sessions whose time has come.
func (s *Store) expire(now time.Time) (next time.Duration) {
	next = time.Hour
	var gone []*Filter
	s.mu.Lock()
	for _, x := range s.mu.sessions {
		if x.expires == 0 || x.peer() != nil {
			continue
		}
		if left := x.expires - now.Sub(s.began); left > 0 {
			next = min(next, max(left, tickEvery))
			continue
		}
		msgs, _ := x.Pending()
		s.o.Log.Info("MQTT session has expired", "client", cut(x.ID), "messages", msgs)
		gone = append(gone, s.endLocked(x)...)
		s.mu.gone = append(s.mu.gone, x)
	}
	s.mu.Unlock()
	for _, f := range gone {
		f.leave()
	}
	return next
}

// sweep counts what was in the stream at the start.
func (s *Store) sweep(ctx context.Context) error {
	for {
		s.mu.Lock()
		from, end := s.mu.swept+1, s.mu.begin
		if from > end {
			s.startedLocked()
		}
		s.mu.Unlock()
		if from > end {
			return nil
		}
		list, more, err := s.o.Client.NextBatch(ctx, msgsStream, from, ">", sweepMsgs, sweepBytes)
		if errors.Is(err, jsclient.ErrStreamNotFound) {
			list, more, err = nil, false, nil
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		unacked := s.unackedLocked()
		for _, m := range list {
			if m.Seq > s.mu.begin {
				break
			}
			s.countLocked(m, unacked)
		}
		switch {
		case s.mu.begin < end: // made anew
		case !more || len(list) == 0 || list[len(list)-1].Seq >= end:
			s.mu.swept = end
		default:
			s.mu.swept = list[len(list)-1].Seq
		}
		s.mu.Unlock()
	}
}

// unackedLocked are the sessions of what was sent before the start.
func (s *Store) unackedLocked() map[uint64][]*Session {
	all := make(map[uint64][]*Session)
	for _, x := range s.mu.sessions {
		for _, u := range x.unacked {
			if u.Seq > s.mu.swept && u.Seq <= s.mu.begin {
				all[u.Seq] = append(all[u.Seq], x)
			}
		}
	}
	return all
}

func (s *Store) countLocked(m *jsclient.Message, unacked map[uint64][]*Session) {
	size, n := len(m.Header)+len(m.Data), 0
	count := func(x *Session) {
		x.told = m.Seq
		x.msgs.Add(1)
		x.bytes.Add(int64(size))
		n++
	}
	for _, x := range unacked[m.Seq] {
		count(x)
		for i := range x.unacked {
			if x.unacked[i].Seq == m.Seq {
				x.unacked[i].size = size
			}
		}
	}
	subj := strings.TrimPrefix(m.Subject, msgsPrefix)
	s.eachLocked(m.Seq, []byte(subj), publisherOf(m.Header), func(f *Filter) {
		if x := f.sess; x.told != m.Seq && m.Seq > x.position {
			count(x)
			x.hint(m.Seq)
		}
	})
	if s.heldLocked(m) {
		n++
	}
	if n == 0 {
		s.freeLocked(m.Seq)
		return
	}
	s.mu.counts.set(m.Seq, n)
}

// countDown takes what sessions that have ended waited for off the counts.
func (s *Store) countDown(ctx context.Context) error {
	for {
		s.mu.Lock()
		if len(s.mu.ended) == 0 {
			s.mu.ended = nil
			s.mu.Unlock()
			return nil
		}
		x := s.mu.ended[0]
		s.mu.Unlock()
		for {
			list, err := x.Next(ctx, sweepMsgs, sweepBytes)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				break
			}
			for _, m := range list {
				x.Pass(m)
			}
		}
		s.mu.Lock()
		for f := range x.filters.all {
			delete(s.mu.closed, f)
		}
		delete(s.mu.without, x)
		s.mu.ended = s.mu.ended[1:]
		s.mu.Unlock()
	}
}

// forget deletes the rows of sessions that have ended.
func (s *Store) forget(ctx context.Context) error {
	for {
		s.mu.Lock()
		if len(s.mu.gone) == 0 {
			s.mu.gone = nil
			s.mu.Unlock()
			return nil
		}
		x := s.mu.gone[0]
		s.mu.Unlock()
		if err := s.deleteRow(ctx, x); err != nil {
			return err
		}
		s.mu.Lock()
		s.mu.gone = s.mu.gone[1:]
		s.mu.Unlock()
	}
}

// clear deletes what nobody waits for: all below the first message that somebody
// waits for at once, what is above that one by one. While a row can't be read nothing
// is deleted: nobody knows what it waits for.
func (s *Store) clear(ctx context.Context) error {
	s.mu.Lock()
	if len(s.mu.unread) > 0 || !s.mu.freed {
		s.mu.free = nil
		s.mu.Unlock()
		return nil
	}
	low := s.mu.counts.next(s.mu.low, s.mu.head)
	moved := low > s.mu.low
	s.mu.low = low
	above := make([]uint64, 0, len(s.mu.free))
	for _, seq := range s.mu.free {
		if seq > low {
			above = append(above, seq)
		}
	}
	s.mu.free, s.mu.freed = nil, false
	s.mu.Unlock()
	var err error
	if moved {
		_, err = s.o.Client.Purge(ctx, msgsStream, jsclient.PurgeOptions{Seq: low})
	}
	if err == nil {
		err = s.o.Client.DeleteMessages(ctx, msgsStream, above)
	}
	if errors.Is(err, jsclient.ErrStreamNotFound) {
		err = nil
	}
	if err != nil {
		s.mu.Lock()
		s.mu.free, s.mu.freed = append(s.mu.free, above...), true
		s.mu.Unlock()
	}
	return err
}
