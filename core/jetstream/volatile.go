package jetstream

import (
	"slices"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/edgestore"
)

// Consumers that ask for memory storage on a stream in files live as long as
// the server runs. Nothing of them is logged, so that they cost no sync: ordered
// consumers and KV watches of clients are such.
//
// What a stream with interest or work-queue retention keeps depends on its
// consumers, and a recovery must come to the same: there the existence of all is
// logged, and those in memory are deleted at the next start.

// firstVolatile is the id of the first volatile consumer; the others are LSNs,
// which do not come near.
const firstVolatile = 1 << 63

// submitConsumer has an operation of a consumer applied, by the log or without.
func (s *stream) submitConsumer(kind uint8, volatile, reserved bool, data []byte) (*member, *apierror.Error) {
	if volatile {
		return s.applyVolatile(kind, data)
	}
	if !s.logForgotten() {
		return nil, appendError(edgestore.ErrBusy)
	}
	p, err := s.submit(kind, reserved, data)
	if err != nil {
		return nil, err
	}
	return p.outcome.consumer, nil
}

func (s *stream) applyVolatile(kind uint8, data []byte) (*member, *apierror.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.deleted:
		return nil, apierror.ErrStreamNotFound
	case s.failed != nil:
		return nil, errConsumerCreate.With("%v", s.failed)
	case s.role != leader:
		return nil, errNotAvailable // it would not go with the next leader
	}
	s.volatiles++
	en := edgestore.Entry{Record: edgestore.Record{Kind: kind, Incarnation: s.incarnation}}
	en.LSN, en.Data = edgestore.LSN(firstVolatile+s.volatiles), data
	var o outcome
	// Applying may wait for a read, and lets go of the lock meanwhile.
	fx, was := new(effects), s.fx
	s.fx = fx
	defer func() {
		s.fx = was
		fx.schedule(s.e)
	}()
	if err := s.consumers.apply(&en, &o); err != nil {
		return nil, apierror.Of(err, errConsumerCreate)
	}
	return o.consumer, nil
}

// isVolatile reports whether a consumer that is made now would not be logged.
func (s *stream) isVolatile(memoryStorage bool) bool {
	return memoryStorage && !s.memory && s.config().Retention == asset.LimitsRetention
}

// settleVolatiles has the existence of volatile consumers logged, before the
// stream's retention makes that matter.
func (s *stream) settleVolatiles() *apierror.Error {
	s.changes.Lock()
	defer s.changes.Unlock()
	for _, m := range s.members() {
		if !m.volatile.Load() {
			continue
		}
		op := consumerCreate{m.name, m.created, m.config().Encode(), 0}
		if _, err := s.submit(opConsumerCreate, true, op.append(nil)); err != nil {
			return err
		}
	}
	return nil
}

// forgotten is a consumer that lived in memory until the recovery.
type forgotten struct {
	m      *member
	logged bool // the log has taken its deletion
}

// forget drops the consumers in memory that a recovery found. The caller holds
// mu, and logs their deletion with logForgotten.
func (c *consumers) forget() {
	if c.s.memory {
		return
	}
	for _, m := range slices.Clone(c.list) {
		if !m.cfg.MemoryStorage {
			continue
		}
		name := m.name
		c.remove(m)
		m.deleted.Store(true)
		c.gone = append(c.gone, name)
		c.change(name)
		c.forgotten = append(c.forgotten, forgotten{m: m})
	}
}

// logForgotten makes the next recovery, and whoever shares the log, know it too,
// before anything that depends on it: until it reports that the log has taken all
// of it the stream is on no bus, and gets no consumer.
func (s *stream) logForgotten() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.role != leader {
		return len(s.consumers.forgotten) == 0
	}
	for i := range s.consumers.forgotten {
		f := &s.consumers.forgotten[i]
		if f.logged {
			continue
		}
		rec := s.record(opConsumerDelete, false)
		if !s.e.appendLazy(s.log(), &rec, nil, msgp.AppendString(nil, f.m.name)) {
			return false
		}
		f.logged = true
	}
	return true
}

// goneInLog is called when the deletion of a consumer that is not there any more
// was applied.
func (c *consumers) goneInLog(name string) {
	c.forgotten = slices.DeleteFunc(c.forgotten, func(f forgotten) bool { return f.m.name == name })
}

// rejoin takes back what was forgotten and is in no operation that was applied:
// the lead is lost, and for everybody else they are still there.
func (c *consumers) rejoin() {
	for _, f := range c.forgotten {
		f.m.deleted.Store(false)
		f.m.deltas.dirty = true
		c.add(f.m)
		c.change(f.m.name)
	}
	c.forgotten = nil
}
