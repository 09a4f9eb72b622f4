package jetstream

import (
	"slices"
	"strings"
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// This engine as the API sees it: accounts, streams and consumers do what is
// asked for.

var (
	_ api.Account  = (*account)(nil)
	_ api.Stream   = (*stream)(nil)
	_ api.Consumer = (*member)(nil)
	_ api.Outlet   = (*publishers)(nil)
)

func (e *Engine) newAPI() *api.Server {
	return api.New(api.Options{
		Level: e.cfg.APILevel, MaxDuplicates: e.cfg.Limits.MaxDuplicateWindow, Strict: e.cfg.Strict,
		ServerName: e.cfg.ServerName, Domain: e.cfg.Domain, Version: e.cfg.Version, Logger: e.logger,
		Now: e.now, Clock: e.cfg.Now, Token: e.token,
		Outlet:    func() api.Outlet { return new(publishers) },
		DirectGet: e.directGet,
	})
}

// Send is part of api.Outlet: a is one of the engine's.
func (p *publishers) Send(a api.Account, m *wire.Msg) {
	if to := p.of(a.(*account)); to != nil {
		to.Publish(m)
	}
}

func (p *publishers) Flush() { p.flush() }

func (a *account) Name() string        { return a.name }
func (a *account) Counts() *api.Counts { return &a.counts }

func (a *account) HasInterest(subject string) bool {
	b := a.bus()
	return b != nil && b.HasInterest(subject)
}

func (a *account) Event(subject string, body []byte) { a.e.out.event(a, subject, body) }

// Answers is part of api.Account.
func (a *account) Answers(name string) bool {
	if s := a.stream(name); s != nil {
		return s.leads()
	}
	return a.e.journal == nil || a.e.leadsLog(a.e.journal)
}

// toldLimit is a limit as requests are told of it, to whom 0 bytes are none.
func toldLimit(n int64) int64 {
	switch n {
	case 0:
		return -1
	case NoBytes:
		return 0
	}
	return n
}

// toldCount is the same of a count: what holds, or what was configured to be no limit.
func toldCount(own, holds int) int {
	switch {
	case holds > 0:
		return holds
	case own == ToldZero:
		return 0
	}
	return -1
}

func (a *account) Usage() api.Usage {
	own := a.limits.Load()
	u := api.Usage{MaxMemory: toldLimit(own.MaxMemory), MaxStorage: toldLimit(own.MaxStore),
		MaxStreams: toldCount(own.MaxStreams, a.maxStreams()), MaxConsumers: toldCount(own.MaxConsumers, a.maxConsumers())}
	for _, s := range a.sorted() {
		st := s.state()
		u.Streams++
		u.Consumers += st.Consumers
		reserved := uint64(max(s.config().MaxBytes, 0))
		if s.memory {
			u.Memory += st.Bytes
			u.ReservedMemory += reserved
		} else {
			u.Storage += st.Bytes
			u.ReservedStorage += reserved
		}
	}
	return u
}

func (a *account) Streams(subject string) []api.Stream {
	list := a.matching(subject)
	all := make([]api.Stream, len(list))
	for i, s := range list {
		all[i] = s
	}
	return all
}

func (a *account) Offline(subject string) map[string]string { return a.offlineReasons(subject) }

func (a *account) Stream(name string) (api.Stream, *apierror.Error) {
	s := a.stream(name)
	if s == nil {
		return nil, a.missing(name)
	}
	return s, nil
}

func (a *account) CreateStream(cfg *asset.StreamConfig, pedantic bool) (api.Stream, *apierror.Error) {
	s, err := a.e.createStream(a, cfg, pedantic)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (a *account) UpdateStream(cfg *asset.StreamConfig) (api.Stream, *apierror.Error) {
	s, err := a.e.updateStream(a, cfg)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (a *account) DeleteStream(name string) *apierror.Error { return a.e.deleteStream(a, name) }

func (s *stream) Name() string                { return s.name }
func (s *stream) Config() *asset.StreamConfig { return s.config() }
func (s *stream) Settle()                     { s.settle() }
func (s *stream) Unsettled() bool             { return s.unsettled() }
func (s *stream) Deleted(limit int) []uint64  { return s.store.Deleted(limit) }
func (s *stream) Identity() string            { return s.identity() }

func (s *stream) Subjects(filter string, offset, limit int, f func(subject string, msgs uint64)) int {
	return s.store.SubjectPage(filter, offset, limit, f)
}

// maxPurgeSeq is how far a purge may move a stream's sequences.
const maxPurgeSeq = asset.MaxSeq / 2

func (s *stream) Purge(filter string, seq, keep uint64) (purged uint64, err *apierror.Error) {
	op := purge{filter, seq, keep}
	if op.seq > maxPurgeSeq {
		op.seq = 0 // all there is: the stream must have sequences left
	}
	s.settle()
	p, err := s.submit(opPurge, true, op.append(nil))
	if err != nil {
		return 0, err
	}
	return p.outcome.n, nil
}

func (s *stream) DeleteMsg(seq uint64) *apierror.Error {
	s.settle()
	_, err := s.submit(opMsgDelete, true, appendUint(nil, seq))
	return err
}

func (s *stream) Get(g *api.GetRequest) (edgestore.Msg, *apierror.Error) {
	m, err := s.find(g)
	switch {
	case unread(err):
		return m, errMsgUnread
	case err != nil:
		return m, errNoMessage
	}
	return m, nil
}

func (s *stream) Consumers() []api.Consumer {
	s.mu.RLock()
	list := s.consumers.sorted()
	s.mu.RUnlock()
	all := make([]api.Consumer, len(list))
	for i, m := range list {
		all[i] = m
	}
	return all
}

func (s *stream) Consumer(name string) (api.Consumer, *apierror.Error) {
	m := s.member(name)
	if m == nil {
		return nil, errConsumerNotFound
	}
	return m, nil
}

func (s *stream) UpsertConsumer(req *api.ConsumerCreate) (api.Consumer, *apierror.Error) {
	m, err := s.e.upsertConsumer(s, req)
	if err == nil {
		return m, nil
	}
	if req.Config.Direct && !req.Config.Sourcing && s.config().Retention != asset.LimitsRetention {
		s.e.logger.Warn("refused to serve a mirror or source without acknowledgements: a message would be gone when it was sent; the server that fetches has to be newer",
			"account", s.acct.name, "stream", s.name, "err", err)
	}
	return nil, err
}

func (m *member) Name() string            { return m.name }
func (m *member) Delete() *apierror.Error { return m.e.deleteConsumer(m) }

func (m *member) Pause(until time.Time) (left time.Duration, err *apierror.Error) {
	if err := m.e.pauseConsumer(m, until); err != nil {
		return 0, err
	}
	return until.Sub(m.s.line.wallNow()), nil
}

func (m *member) Unpin(group string) *apierror.Error {
	pubs := new(publishers)
	m.mu.Lock()
	if m.role != leader {
		m.mu.Unlock()
		return errNotAvailable
	}
	err := m.m.Unpin(group, &m.fx)
	m.perform(pubs)
	m.mu.Unlock()
	pubs.flush()
	m.e.work.schedule(m)
	if err != nil {
		return apierror.Of(err, errConsumerCreate)
	}
	return nil
}

// Enabled are the accounts that have JetStream, by name.
func (e *Engine) Enabled() (list []api.Account) {
	all := e.accounts()
	slices.SortFunc(all, func(x, y *account) int { return strings.Compare(x.Name(), y.Name()) })
	for _, a := range all {
		if a.bus() != nil {
			list = append(list, a)
		}
	}
	return list
}
