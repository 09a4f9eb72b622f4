package jetstream

import (
	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/jetstream/sourcing"
)

// This stream as the origin of others: another server, or another stream of
// this one, asks for a consumer to mirror or source it. See ADR-60, and
// sourcing for the other side.

// identity is what tells this stream from another one of its name.
func (s *stream) identity() string { return sourcing.Identity(atTime(s.created)) }

// rejoinConsumer gives the durable consumer of a mirror or source to its next
// attempt: to its delivery subject, from behind what it acknowledged. The
// caller holds s.changes.
func (e *Engine) rejoinConsumer(m *member, cfg *consumer.Config) *apierror.Error {
	if err := e.configureConsumer(m, cfg); err != nil {
		return err
	}
	pubs := new(publishers)
	now := m.enter(pubs) // with the configuration, and acknowledgements on their way
	defer pubs.flush()
	defer m.mu.Unlock()
	if m.role != leader {
		return errNotAvailable
	}
	if _, err := m.m.Reset(now.timer(), 0, 0, &m.fx); err != nil {
		return apierror.Of(err, errConsumerCreate)
	}
	m.perform(pubs)
	m.log(now)
	e.work.schedule(m)
	return nil
}
