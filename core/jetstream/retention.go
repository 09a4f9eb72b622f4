package jetstream

import (
	"cmp"
	"errors"
	"slices"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/edgestore"
)

// Streams with interest or workqueue retention keep what a consumer still
// needs. Which messages that are is found here, off the applier, and logged as
// opRelease: applying it is only deleting.

// interested reports whether a consumer would get a message on subj. The
// caller holds the stream's mu.
func (c *consumers) interested(subj string) bool {
	for _, m := range c.list {
		if m.direct {
			continue
		}
		if len(m.filters) == 0 || slices.ContainsFunc(m.filters, func(f string) bool { return subject.Match(f, subj) }) {
			return true
		}
	}
	return false
}

// release drops messages that this consumer was the last to need.
func (m *member) release() {
	if m.s.config().Retention == asset.LimitsRetention {
		m.mu.Lock()
		m.acked = nil
		m.mu.Unlock()
		return
	}
	turns := m.s.ongoing()
	defer turns.end(turns.begin())
	m.mu.Lock()
	acked := m.acked
	m.acked = nil
	n := int64(len(acked))
	m.s.releasing.Add(n)
	m.mu.Unlock()
	if n == 0 {
		return
	}
	drop, err := m.s.unneeded(acked)
	if err != nil {
		m.s.putOff("release of what was acknowledged", err)
		m.s.sweepAgain.Store(true)
	}
	m.s.releasing.Add(int64(len(drop)) - n)
	m.s.logRelease(drop)
}

// unneeded is what goes of that which a consumer has done with, in place of it. It
// also tells why some of it could not be looked at, which stays until a sweep can. It
// is a function like a tick.
func (s *stream) unneeded(acked []uint64) (drop []uint64, unread error) {
	retention := s.config().Retention
	if retention == asset.LimitsRetention {
		return nil, nil
	}
	// In a work queue each message belongs to one consumer, and to those that
	// mirror or source it.
	if all := s.members(); retention == asset.InterestRetention || slices.ContainsFunc(all, (*member).sources) {
		acked = slices.DeleteFunc(acked, func(seq uint64) bool {
			needed, err := s.needed(all, seq)
			unread = cmp.Or(unread, err)
			return needed
		})
	}
	return acked, unread
}

// settle waits until what was acknowledged before is gone from the stream, as
// far as nobody else needs it. Deletions are logged without haste, and whoever
// asks what the stream holds must not see what he acknowledged.
func (s *stream) settle() {
	if !s.unsettled() {
		return
	}
	// What a worker had taken is logged: this comes behind it.
	_, _ = s.submit(opRelease, true, appendUint(nil, 0))
}

// unsettled reports whether settle has to wait for the log.
func (s *stream) unsettled() bool {
	if s.config().Retention == asset.LimitsRetention {
		return false
	}
	pubs := new(publishers)
	for _, m := range s.members() {
		if m.resting() {
			continue
		}
		m.enter(pubs)
		m.mu.Unlock()
		m.release()
		m.e.work.schedule(m) // for what else came in
	}
	pubs.flush()
	s.ongoing().wait() // a worker may be about to log what it has taken
	return s.releasing.Load() > 0
}

// resting reports whether all that came in for the consumer is dealt with.
func (m *member) resting() bool {
	if m.queued.Load() != memberIdle {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.acked) == 0
}

// needed reports whether a consumer still needs a message. It is read only where its
// subject decides. One that could not be read may be needed.
func (s *stream) needed(members []*member, seq uint64) (bool, error) {
	if !slices.ContainsFunc(members, func(m *member) bool { return m.mayNeed(seq) }) {
		return false, nil
	}
	msg, _, err := s.store.Load(seq, nil)
	if err != nil && !goneForGood(err) {
		return true, err
	}
	return err == nil && neededBy(members, seq, []byte(msg.Subject)), nil
}

func (m *member) mayNeed(seq uint64) bool {
	if m.direct || m.deleted.Load() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.m.MayNeed(seq)
}

func neededBy(members []*member, seq uint64, subj []byte) bool {
	return slices.ContainsFunc(members, func(m *member) bool {
		if m.direct || m.deleted.Load() {
			return false
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.m.Needs(seq, subj)
	})
}

// maxRelease is how many messages one operation drops.
const maxRelease = 4096

// logRelease has what nobody needs go, which is counted in releasing already.
func (s *stream) logRelease(seqs []uint64) {
	if len(seqs) == 0 {
		return
	}
	now := s.line.read()
	for chunk := range slices.Chunk(seqs, maxRelease) {
		b := msgp.AppendUint64(nil, uint64(len(chunk)))
		for _, seq := range chunk {
			b = msgp.AppendUint64(b, seq)
		}
		rec := s.recordAt(now, opRelease, false)
		// What is not dropped now is found by the sweep of the next start.
		if s.config().Discard == asset.DiscardNew {
			// A publisher may be refused until this is done.
			if s.e.append(s.log(), true, &rec, nil, counted{}, b) == nil {
				continue
			}
		} else if s.e.appendLazy(s.log(), &rec, counted{}, b) {
			continue
		}
		s.releasing.Add(-int64(len(chunk)))
	}
}

func (s *stream) applyRelease(en *edgestore.Entry) error {
	r := opReader{b: en.Data}
	n := r.uint()
	if en.Token == any(counted{}) {
		s.releasing.Add(-int64(n))
	}
	var seqs []uint64
	for ; n > 0 && r.err == nil; n-- {
		if seq := r.uint(); r.err == nil {
			seqs = append(seqs, seq)
		}
	}
	going, err := s.describe(seqs)
	if err != nil {
		return err
	}
	s.store.Drop(going)
	return r.done("release")
}

// sweep has all messages go that nobody needs: after a restart, which may have lost an
// opRelease, after a consumer is gone, and after the retention changed. A read that
// fails puts the rest off.
func (s *stream) sweep() {
	s.sweepAgain.Store(false)
	drop, looked, err := s.sweepable()
	s.releasing.Add(int64(len(drop)))
	s.logRelease(drop)
	if err != nil { // what a replay left is needed when it is tried again
		s.putOff("sweep", err)
		s.sweepAgain.Store(true)
		return
	}
	for _, m := range looked {
		m.mu.Lock()
		m.replayed = false
		m.mu.Unlock()
	}
}

// sweepLater has a sweep that was put off tried again, on a worker: it reads the
// whole stream, and timers and other streams must not wait for that.
func (s *stream) sweepLater() {
	if !s.sweeping.CompareAndSwap(false, true) {
		return
	}
	queued := s.e.api.Do(func() {
		defer s.sweeping.Store(false)
		s.sweep()
	})
	if !queued {
		s.sweeping.Store(false) // there is another time
	}
}

// putOff tells, once a minute, that a store can't be read and what is tried
// again therefore.
func (s *stream) putOff(what string, err error) {
	if s.putOffSaid.due(s.e.now()) {
		s.e.logger.Warn(what+" put off: messages can't be read", "account", s.acct.name, "stream", s.name, "err", err)
	}
}

// refused is putOff for a log that does not take an operation.
func (s *stream) refused(what string, err error) {
	if s.refusedSaid.due(s.e.now()) {
		s.e.logger.Warn(what+" put off", "account", s.acct.name, "stream", s.name, "err", err)
	}
}

// sweepable looks through the whole stream for messages that nobody needs. It gives the
// consumers by which that was decided too, and tells why it could not look to the end.
// It is a function like a tick.
func (s *stream) sweepable() (drop []uint64, members []*member, unread error) {
	cfg := s.config()
	if cfg.Retention == asset.LimitsRetention {
		return nil, nil, nil
	}
	members = s.members()
	if cfg.Retention == asset.WorkQueueRetention {
		members = slices.DeleteFunc(members, func(m *member) bool { return m.direct })
	}
	var buf []byte
	for seq := uint64(1); !s.e.closing.Load(); seq++ {
		var msg edgestore.Msg
		var err error
		if msg, buf, err = s.store.LoadNext(nil, seq, buf); errors.Is(err, edgestore.ErrNotFound) {
			break
		} else if err != nil {
			return drop, members, err
		}
		seq = msg.Seq
		subj := []byte(msg.Subject)
		if neededBy(members, seq, subj) {
			continue
		}
		// A work queue keeps what has no consumer yet.
		if cfg.Retention == asset.WorkQueueRetention && !slices.ContainsFunc(members, func(m *member) bool { return m.had(seq, subj) }) {
			continue
		}
		drop = append(drop, seq)
	}
	return drop, members, nil
}

// had reports whether a consumer of a work queue had the message: what no worker is
// there for is kept, and that a source has it is no reason to drop it but where the
// release of what it acknowledged may be lost.
func (m *member) had(seq uint64, subj []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cfg.Upgraded() && (!m.replayed || seq <= m.floorBefore || seq > m.m.AckFloor().Stream) {
		return false
	}
	return m.m.Matches(subj)
}

// sources reports whether another stream mirrors or sources by this consumer.
func (m *member) sources() bool { return m.config().Upgraded() }
