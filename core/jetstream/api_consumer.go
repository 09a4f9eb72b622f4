package jetstream

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/consumer"
)

type consumerCreateRequest struct {
	Stream   string           `json:"stream_name"`
	Config   *consumer.Config `json:"config"`
	Action   consumerAct      `json:"action"`
	Pedantic bool             `json:"pedantic,omitempty"`
}

// consumerAct is what a create request may do.
type consumerAct uint8

const (
	createOrUpdate consumerAct = iota
	createOnly
	updateOnly
)

func (a *consumerAct) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `""`:
		*a = createOrUpdate
	case `"create"`:
		*a = createOnly
	case `"update"`:
		*a = updateOnly
	default:
		return errors.New("unknown consumer action: " + string(b))
	}
	return nil
}

// consumerInfo is a consumer as answers show it.
type consumerInfo struct {
	Stream         string             `json:"stream_name"`
	Name           string             `json:"name"`
	Created        time.Time          `json:"created"`
	Config         *consumer.Config   `json:"config,omitempty"`
	Delivered      sequenceInfo       `json:"delivered"`
	AckFloor       sequenceInfo       `json:"ack_floor"`
	NumAckPending  int                `json:"num_ack_pending"`
	NumRedelivered int                `json:"num_redelivered"`
	NumWaiting     int                `json:"num_waiting"`
	NumPending     uint64             `json:"num_pending"`
	PushBound      bool               `json:"push_bound,omitempty"`
	Paused         bool               `json:"paused,omitempty"`
	PauseRemaining time.Duration      `json:"pause_remaining,omitempty"`
	At             time.Time          `json:"ts"`
	Groups         []consumerPriority `json:"priority_groups,omitempty"`
}

type sequenceInfo struct {
	consumer.SeqPair
	Last *time.Time `json:"last_active,omitempty"`
}

type consumerPriority struct {
	Group    string    `json:"group"`
	Pinned   string    `json:"pinned_client_id,omitempty"`
	PinnedAt time.Time `json:"pinned_ts,omitempty"`
}

type consumerInfoResponse struct {
	response
	*consumerInfo
}

// info lets the consumer take over what came in, and tells where it stands.
func (m *member) info(dynamic bool) *consumerInfo {
	pubs := new(publishers)
	m.enter(pubs)
	if m.live {
		m.log()
	}
	i := m.m.Info(m.e.now())
	cfg := m.cfg.Clone()
	m.mu.Unlock()
	pubs.flush()
	m.e.work.schedule(m)
	if dynamic {
		cfg.Metadata = m.e.withServer(cfg.Metadata)
	}
	out := &consumerInfo{
		Stream:         m.s.name,
		Name:           m.name,
		Created:        atTime(m.created),
		Config:         cfg,
		Delivered:      sequenceInfo{i.Delivered, optionalTime(m.e.line.timerWall(i.DeliveredAt))},
		AckFloor:       sequenceInfo{i.AckFloor, optionalTime(m.e.line.timerWall(i.AckedAt))},
		NumAckPending:  i.NumAckPending,
		NumRedelivered: i.NumRedelivered,
		NumWaiting:     i.NumWaiting,
		NumPending:     i.NumPending,
		PushBound:      i.PushBound,
		Paused:         i.Paused,
		PauseRemaining: i.PauseRemaining,
		At:             m.e.line.wallNow(),
	}
	if i.Pin != nil {
		out.Groups = []consumerPriority{{i.Pin.Group, i.Pin.ID, m.e.line.timerWall(i.Pin.At)}}
	}
	return out
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// consumerError turns the consumer package's errors into answers.
func consumerError(err error) *apierror.Error {
	var e *consumer.Error
	if errors.As(err, &e) {
		return &apierror.Error{Code: e.Code, ErrCode: e.ErrCode, Description: e.Description}
	}
	return errConsumerCreate.With("%v", err)
}

// consumerCreate answers CONSUMER.CREATE.<stream>[.<consumer>[.<filter…>]].
func (e *Engine) consumerCreate(r *apiRequest, base response, arg string) (any, *apierror.Error) {
	stream, rest, named := strings.Cut(arg, ".")
	name, filter, _ := strings.Cut(rest, ".")
	return e.consumerUpsert(r, base, stream, func(req *consumerCreateRequest) *apierror.Error {
		cfg := req.Config
		switch {
		case !named && cfg.Durable != "":
			return errEphemeralWithDurable
		case !named:
			return nil
		case strings.ContainsAny(name, `/\`):
			return errConsumerNamePath
		case cfg.Durable != "" && cfg.Durable != name:
			return errDurableMismatch
		case filter != "" && len(cfg.FilterSubjects) > 0:
			return errConsumerMultiFilter
		case filter != "" && cfg.FilterSubject != filter:
			return errConsumerFilterTail
		}
		cfg.Name = name
		return nil
	})
}

// durableCreate answers the older CONSUMER.DURABLE.CREATE.<stream>.<consumer>.
func (e *Engine) durableCreate(r *apiRequest, base response, arg string) (any, *apierror.Error) {
	stream, name, _ := strings.Cut(arg, ".")
	return e.consumerUpsert(r, base, stream, func(req *consumerCreateRequest) *apierror.Error {
		switch {
		case strings.ContainsAny(name, `/\`):
			return errConsumerNamePath
		case req.Config.Durable == "":
			return errDurableNotSet
		case req.Config.Durable != name:
			return errDurableMismatch
		}
		return nil
	})
}

func (e *Engine) consumerUpsert(r *apiRequest, base response, stream string, check func(*consumerCreateRequest) *apierror.Error) (any, *apierror.Error) {
	var req consumerCreateRequest
	out := consumerInfoResponse{response: base}
	err := e.decode(r.body, &req)
	if err == nil && req.Stream != stream {
		err = errStreamMismatch
	}
	if req.Config == nil {
		req.Config = new(consumer.Config)
	}
	if err == nil {
		err = check(&req)
	}
	var m *member
	if err == nil {
		s := r.acct.stream(stream)
		if s == nil {
			err = r.acct.missing(stream)
		} else {
			m, err = e.upsertFor(r, s, &req)
		}
	}
	if err != nil {
		out.Error = err
		return out, err
	}
	out.consumerInfo = m.info(true)
	return out, nil
}

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
func (e *Engine) upsertConsumer(s *stream, req *consumerCreateRequest) (*member, *apierror.Error) {
	cfg := req.Config.Clone()
	if cfg.PauseUntil != nil && cfg.PauseUntil.IsZero() {
		cfg.PauseUntil = nil // some clients send the zero time for none
	}
	facts := s.facts()
	cfg.ForOrigin(facts.Retention, e.token(8))
	if err := cfg.Check(facts, req.Pedantic); err != nil {
		return nil, consumerError(err)
	}
	if !cfg.Pull() && !cfg.Direct {
		if loops, err := s.acct.loopsAt(s.name, nil, cfg); err != nil {
			return nil, errConsumerCreate.With("%v", err)
		} else if loops {
			return nil, consumerError(consumer.ErrDeliverCycle)
		}
	}
	name := cfg.Name
	if name == "" {
		name = e.token(8) // which its configuration does not tell
	}
	s.changes.Lock()
	defer s.changes.Unlock()
	old := s.member(name)
	if old == nil && req.Action == updateOnly {
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
			return nil, consumerError(err)
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
	if req.Action == createOnly {
		return nil, errConsumerExists
	}
	if err := cfg.CheckUpdate(was, old.bound()); err != nil {
		return nil, consumerError(err)
	}
	if err := cfg.CheckUnique(facts, others); err != nil {
		return nil, consumerError(err)
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

func marshalConsumer(cfg *consumer.Config) []byte {
	b, err := json.Marshal(cfg)
	if err != nil {
		panic("jetstream: a consumer config does not marshal: " + err.Error())
	}
	return b
}

// createConsumer makes a consumer of a checked configuration. The caller holds
// s.changes.
func (e *Engine) createConsumer(s *stream, name string, cfg *consumer.Config) (*member, *apierror.Error) {
	op := consumerCreate{name, e.line.wallNow().UnixNano(), marshalConsumer(cfg), 0}
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
	e.consumerAdvisory(s, m.name, "CREATED", "create")
	return m, nil
}

// configureConsumer changes a consumer. The caller holds s.changes.
func (e *Engine) configureConsumer(m *member, cfg *consumer.Config) *apierror.Error {
	moved := cfg.DeliverSubject != m.config().DeliverSubject
	data := msgp.AppendBytes(msgp.AppendString(nil, m.name), marshalConsumer(cfg))
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
func (m *member) config() *consumer.Config {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cfg
}

// bound reports whether somebody listens on the deliver subject.
func (m *member) bound() bool {
	cfg := m.config()
	b := m.s.acct.bus()
	return cfg.DeliverSubject != "" && b != nil && b.HasInterest(cfg.DeliverSubject)
}

type consumerNamesResponse struct {
	response
	paged
	Consumers []string `json:"consumers"`
}

type offsetRequest struct {
	Offset int `json:"offset"`
}

// listed finds the consumers of one page.
func (e *Engine) listed(r *apiRequest, stream string, limit int) ([]*member, paged, *apierror.Error) {
	var req offsetRequest
	if err := e.decodeOptional(r.body, &req); err != nil {
		return nil, paged{}, err
	}
	s := r.acct.stream(stream)
	if s == nil {
		return nil, paged{}, r.acct.missing(stream)
	}
	s.mu.RLock()
	all := s.consumers.sorted()
	s.mu.RUnlock()
	from, to, p := page(len(all), req.Offset, limit)
	return all[from:to], p, nil
}

func (e *Engine) consumerNames(r *apiRequest, base response, stream string) (any, *apierror.Error) {
	out := consumerNamesResponse{response: base, Consumers: []string{}}
	all, p, err := e.listed(r, stream, namesPage)
	out.Error, out.paged = err, p
	for _, m := range all {
		out.Consumers = append(out.Consumers, m.name)
	}
	return out, err
}

type consumerListResponse struct {
	response
	paged
	Consumers []*consumerInfo `json:"consumers"`
}

func (e *Engine) consumerList(r *apiRequest, base response, stream string) (any, *apierror.Error) {
	out := consumerListResponse{response: base, Consumers: []*consumerInfo{}}
	all, p, err := e.listed(r, stream, listPage)
	out.Error, out.paged = err, p
	for _, m := range all {
		out.Consumers = append(out.Consumers, m.info(false))
	}
	return out, err
}

// findConsumer resolves <stream>.<consumer>.
func (a *account) findConsumer(arg string) (*member, *apierror.Error) {
	stream, name, _ := strings.Cut(arg, ".")
	s := a.stream(stream)
	if s == nil {
		return nil, a.missing(stream)
	}
	m := s.member(name)
	if m == nil {
		return nil, errConsumerNotFound
	}
	return m, nil
}

func (e *Engine) consumerInfo(r *apiRequest, base response, arg string) (any, *apierror.Error) {
	out := consumerInfoResponse{response: base}
	if !emptyBody(r.body) {
		out.Error = errNotEmptyRequest
		return out, out.Error
	}
	m, err := r.acct.findConsumer(arg)
	if err != nil {
		out.Error = err
		return out, err
	}
	out.consumerInfo = m.info(true)
	return out, nil
}

func (e *Engine) consumerDelete(r *apiRequest, base response, arg string) (any, *apierror.Error) {
	out := successResponse{response: base}
	if !emptyBody(r.body) {
		out.Error = errNotEmptyRequest
		return out, out.Error
	}
	m, err := r.acct.findConsumer(arg)
	if err == nil {
		err = e.deleteConsumer(m)
	}
	out.Error, out.Success = err, err == nil
	return out, err
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
		e.consumerAdvisory(s, m.name, "DELETED", "delete")
	}
	s.sweep()
	return nil
}

type pauseRequest struct {
	Until time.Time `json:"pause_until,omitempty"`
}

type pauseResponse struct {
	response
	Paused    bool          `json:"paused"`
	Until     time.Time     `json:"pause_until"`
	Remaining time.Duration `json:"pause_remaining,omitempty"`
}

func (e *Engine) consumerPause(r *apiRequest, base response, arg string) (any, *apierror.Error) {
	out := pauseResponse{response: base}
	var req pauseRequest
	err := e.decodeOptional(r.body, &req)
	if y := req.Until.UTC().Year(); err == nil && (y < 0 || y > 9999) {
		err = errBadRequest // JSON can't say it again
	}
	var m *member
	if err == nil {
		m, err = r.acct.findConsumer(arg)
	}
	if err == nil {
		err = e.pauseConsumer(m, req.Until)
	}
	if err != nil {
		out.Error = err
		return out, err
	}
	out.Until = req.Until
	if left := req.Until.Sub(e.line.wallNow()); !req.Until.IsZero() && left > 0 {
		out.Paused, out.Remaining = true, left
	}
	e.pauseAdvisory(m, out.Paused, out.Until)
	return out, nil
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

type unpinRequest struct {
	Group string `json:"group"`
}

func (e *Engine) consumerUnpin(r *apiRequest, base response, arg string) (any, *apierror.Error) {
	var req unpinRequest
	if len(r.body) > 0 {
		base.Error = jsonError(json.Unmarshal(r.body, &req))
	}
	if base.Error == nil && req.Group == "" {
		base.Error = errInvalidJSON.With("invalid JSON: consumer group not specified")
	}
	if base.Error == nil {
		var m *member
		if m, base.Error = r.acct.findConsumer(arg); base.Error == nil {
			base.Error = m.unpin(req.Group)
		}
	}
	return base, base.Error
}
