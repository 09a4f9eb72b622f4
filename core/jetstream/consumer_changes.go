package jetstream

import (
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/consumer"
)

func (s *stream) facts() *consumer.StreamFacts {
	cfg := s.config()
	return &consumer.StreamFacts{
		Subjects:            cfg.Subjects,
		Retention:           consumer.Retention(cfg.Retention),
		Replicas:            cfg.Replicas,
		Inactive:            cfg.ConsumerLimits.InactiveThreshold,
		MaxAckPending:       cfg.ConsumerLimits.MaxAckPending,
		ServerMaxAckPending: s.e.cfg.Limits.MaxAckPending,
		ServerMaxBatch:      s.e.cfg.Limits.MaxRequestBatch,
	}
}

// upsertConsumer creates or updates a consumer, or finds that it is there just
// so.
func (e *Engine) upsertConsumer(s *stream, req *api.ConsumerCreate) (*member, *apierror.Error) {
	cfg := req.Config.Clone()
	if cfg.PauseUntil != nil && cfg.PauseUntil.IsZero() {
		cfg.PauseUntil = nil // some clients send the zero time for none
	}
	facts := s.facts()
	cfg.ForOrigin(facts.Retention, e.token(8))
	if err := cfg.Check(facts, req.Pedantic); err != nil {
		return nil, apierror.Of(err, errConsumerCreate)
	}
	if !cfg.Pull() && !cfg.Direct {
		if loops, err := s.acct.loopsAt(s.name, nil, cfg); err != nil {
			return nil, errConsumerCreate.With("%v", err)
		} else if loops {
			return nil, consumer.ErrDeliverCycle
		}
	}
	name := cfg.Name
	if name == "" {
		name = e.token(8) // which its configuration does not tell
	}
	if s.isVolatile(cfg.MemoryStorage) && s.member(name) == nil {
		s.lookUpStart(cfg)
	}
	s.changes.Lock()
	defer s.changes.Unlock()
	old := s.member(name)
	if old == nil && req.Action == api.UpdateOnly {
		return nil, errConsumerMissing
	}
	var others []*consumer.Config
	for _, m := range s.members() {
		if m != old {
			others = append(others, m.config())
		}
	}
	if old == nil {
		if err := e.checkConsumerCount(s, cfg); err != nil {
			return nil, err
		}
		if err := cfg.CheckUnique(facts, others); err != nil {
			return nil, apierror.Of(err, errConsumerCreate)
		}
		return e.createConsumer(s, name, cfg)
	}
	was := old.config()
	cfg.PauseUntil = was.PauseUntil
	if cfg.Upgraded() && was.Upgraded() {
		cfg.Rejoin(was)
		return old, e.rejoinConsumer(old, cfg)
	}
	if consumer.Equal(was, cfg) {
		return old, nil
	}
	if req.Action == api.CreateOnly {
		return nil, errConsumerExists
	}
	if err := cfg.CheckUpdate(was, old.bound()); err != nil {
		return nil, apierror.Of(err, errConsumerCreate)
	}
	if err := cfg.CheckUnique(facts, others); err != nil {
		return nil, apierror.Of(err, errConsumerCreate)
	}
	return old, e.configureConsumer(old, cfg)
}

func (e *Engine) checkConsumerCount(s *stream, cfg *consumer.Config) *apierror.Error {
	if cfg.Direct || cfg.Upgraded() {
		return nil
	}
	limit := s.config().MaxConsumers
	if limit <= 0 {
		limit = e.cfg.Limits.DefaultMaxConsumers
	}
	limit = lowest(limit, s.acct.maxConsumers())
	s.mu.RLock()
	n := s.consumers.count()
	s.mu.RUnlock()
	if limit > 0 && n >= limit {
		return errMaxConsumers
	}
	return nil
}

// createConsumer makes a consumer of a checked configuration. The caller holds
// s.changes.
func (e *Engine) createConsumer(s *stream, name string, cfg *consumer.Config) (*member, *apierror.Error) {
	op := consumerCreate{name, s.line.wallNow().UnixNano(), cfg.Encode(), 0}
	if cfg.OptStartTime != nil {
		op.from = s.lineOf(*cfg.OptStartTime).UnixNano()
	}
	m, err := s.submitConsumer(opConsumerCreate, s.isVolatile(cfg.MemoryStorage), true, op.append(nil))
	if err != nil {
		return nil, err
	}
	m.activate()
	if b := s.acct.bus(); b != nil {
		if err := m.attach(b); err != nil {
			m.detach()
			return nil, errConsumerCreate.With("%v", err)
		}
	}
	e.api.ConsumerChanged(s.acct, s.name, m.name, "CREATED", "create")
	return m, nil
}

// configureConsumer changes a consumer. The caller holds s.changes.
func (e *Engine) configureConsumer(m *member, cfg *consumer.Config) *apierror.Error {
	moved := cfg.DeliverSubject != m.config().DeliverSubject
	data := msgp.AppendBytes(msgp.AppendString(nil, m.name), cfg.Encode())
	if _, err := m.s.submitConsumer(opConsumerConfig, m.volatile.Load(), true, data); err != nil {
		return err
	}
	if b := m.s.acct.bus(); b != nil && moved {
		if err := m.reattach(b); err != nil {
			return errConsumerCreate.With("%v", err)
		}
	}
	return nil
}

// config is what the consumer was last told to be. It must not be changed.
func (m *member) config() *consumer.Config { return m.current.Load() }

// bound reports whether somebody listens on the deliver subject.
func (m *member) bound() bool {
	cfg := m.config()
	b := m.s.acct.bus()
	return cfg.DeliverSubject != "" && b != nil && b.HasInterest(cfg.DeliverSubject)
}

func (e *Engine) deleteConsumer(m *member) *apierror.Error {
	s := m.s
	s.changes.Lock()
	defer s.changes.Unlock()
	if s.member(m.name) != m {
		return errConsumerNotFound
	}
	if _, err := s.submitConsumer(opConsumerDelete, m.volatile.Load(), true, msgp.AppendString(nil, m.name)); err != nil {
		return err
	}
	m.detach()
	m.end(consumer.ConsumerDeleted)
	if !m.direct {
		e.api.ConsumerChanged(s.acct, s.name, m.name, "DELETED", "delete")
	}
	s.sweep()
	return nil
}

func (e *Engine) pauseConsumer(m *member, until time.Time) *apierror.Error {
	m.s.changes.Lock()
	defer m.s.changes.Unlock()
	cfg := m.config().Clone()
	cfg.PauseUntil = nil
	if !until.IsZero() {
		until = until.UTC()
		cfg.PauseUntil = &until
	}
	cfg.StampLevel()
	return e.configureConsumer(m, cfg)
}

func pauseOf(cfg *consumer.Config) time.Time {
	if cfg.PauseUntil == nil {
		return time.Time{}
	}
	return *cfg.PauseUntil
}

// inactive deletes a consumer that nobody uses any more.
func (e *Engine) inactive(m *member) {
	job := func() {
		defer m.ending.Store(false)
		if err := e.deleteConsumer(m); err != nil && err != errConsumerNotFound {
			e.logger.Warn("inactive consumer stays for now", "stream", m.s.name, "consumer", m.name, "err", err)
		}
	}
	if !e.api.Do(job) {
		m.ending.Store(false) // it will say so again
	}
}
