package jetstream

import (
	"maps"
	"slices"
	"strings"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/subject"
)

const (
	namesPage    = 1024
	listPage     = 256
	subjectsPage = 100000
	deletedMax   = 1 << 20
)

type streamCreateResponse struct {
	response
	*streamInfo
	DidCreate bool `json:"did_create,omitempty"`
}

type streamInfoResponse struct {
	response
	paged
	*streamInfo
}

type accountInfoResponse struct {
	response
	Memory          uint64        `json:"memory"`
	Storage         uint64        `json:"storage"`
	ReservedMemory  uint64        `json:"reserved_memory"`
	ReservedStorage uint64        `json:"reserved_storage"`
	Streams         int           `json:"streams"`
	Consumers       int           `json:"consumers"`
	Limits          accountLimits `json:"limits"`
	Domain          string        `json:"domain,omitempty"`
	API             apiStats      `json:"api"`
}

type accountLimits struct {
	MaxMemory            int64 `json:"max_memory"`
	MaxStorage           int64 `json:"max_storage"`
	MaxStreams           int   `json:"max_streams"`
	MaxConsumers         int   `json:"max_consumers"`
	MaxAckPending        int   `json:"max_ack_pending"`
	MemoryMaxStreamBytes int64 `json:"memory_max_stream_bytes"`
	StoreMaxStreamBytes  int64 `json:"storage_max_stream_bytes"`
	MaxBytesRequired     bool  `json:"max_bytes_required"`
}

type apiStats struct {
	Level    int    `json:"level"`
	Total    uint64 `json:"total"`
	Errors   uint64 `json:"errors"`
	Inflight uint64 `json:"inflight,omitempty"`
}

func (e *Engine) accountInfo(r *apiRequest, base response, _ string) (any, *apierror.Error) {
	a := r.acct
	own := a.limits.Load()
	out := accountInfoResponse{
		response: base,
		Limits: accountLimits{MaxMemory: orUnlimited(own.MaxMemory), MaxStorage: orUnlimited(own.MaxStore), MaxStreams: orUnlimited(a.maxStreams()),
			MaxConsumers: orUnlimited(a.maxConsumers()), MaxAckPending: -1, MemoryMaxStreamBytes: -1, StoreMaxStreamBytes: -1},
		Domain: e.cfg.Domain,
		API: apiStats{Level: e.cfg.APILevel, Total: a.apiTotal.Load(), Errors: a.apiErrors.Load(),
			Inflight: a.apiInflight.Load() - 1}, // without this request
	}
	for _, s := range a.sorted() {
		st := s.state()
		out.Streams++
		out.Consumers += st.Consumers
		reserved := uint64(max(s.config().MaxBytes, 0))
		if s.memory {
			out.Memory += st.Bytes
			out.ReservedMemory += reserved
		} else {
			out.Storage += st.Bytes
			out.ReservedStorage += reserved
		}
	}
	return out, nil
}

func orUnlimited[N int | int64](n N) N {
	if n <= 0 {
		return -1
	}
	return n
}

func (e *Engine) streamCreate(r *apiRequest, base response, name string) (any, *apierror.Error) {
	var req asset.StreamConfigRequest
	err := e.decode(r.body, &req)
	if err == nil && strings.ContainsAny(name, `/\`) {
		err = apierror.ErrStreamNamePath
	}
	if err == nil && req.Name != name {
		err = errStreamMismatch
	}
	if err == nil && req.Sealed {
		err = apierror.ErrStreamConfig.With("stream configuration for create can not be sealed")
	}
	var s *stream
	if err == nil {
		s, err = e.createStream(r.acct, &req.StreamConfig, req.Pedantic)
	}
	if err != nil {
		base.Error = err
		return base, err
	}
	info := s.info(true)
	info.Domain = "" // the stock server's answer to a create has none either
	return streamCreateResponse{base, info, true}, nil
}

// createStream makes a stream, or finds the one that is exactly that.
func (e *Engine) createStream(a *account, cfg *asset.StreamConfig, pedantic bool) (*stream, *apierror.Error) {
	cfg = cfg.Clone()
	if err := cfg.Check(e.cfg.Limits.MaxDuplicateWindow, pedantic); err != nil {
		return nil, err
	}
	a.changes.Lock()
	defer a.changes.Unlock()
	if s := a.stream(cfg.Name); s != nil {
		if asset.Equal(s.config(), cfg) {
			return s, nil
		}
		return nil, errStreamNameExists
	}
	if err := a.missing(cfg.Name); err != apierror.ErrStreamNotFound {
		return nil, err
	}
	if err := e.checkReserve(a, cfg, nil); err != nil {
		return nil, err
	}
	if a.overlaps(cfg.Subjects, cfg.Name) {
		return nil, errSubjectOverlap
	}
	if loops, err := a.loopsAt(cfg.Name, cfg, nil); err != nil {
		return nil, apierror.ErrStreamConfig.With("%v", err)
	} else if loops {
		return nil, apierror.ErrStreamConfig.With("detected cycle")
	}
	if cfg.Storage == asset.FileStorage && e.journal == nil {
		return nil, errStreamCreate
	}
	p, err := e.submitStream(a, cfg)
	if err != nil {
		return nil, err
	}
	s := p.stream
	if b := a.bus(); b != nil {
		if err := s.attach(b); err != nil {
			s.detach()
			e.submit(s.log(), e.catalogueRecord(s.log(), opStreamDelete), true, appendUint(nil, s.incarnation))
			return nil, errStreamCreate.With("%v", err)
		}
	}
	e.streamAdvisory(s, "CREATED", "create")
	return s, nil
}

// submitStream makes a stream of a checked configuration. The caller holds
// a.changes.
func (e *Engine) submitStream(a *account, cfg *asset.StreamConfig) (*pending, *apierror.Error) {
	c := streamCreate{
		incarnation: e.nextIncarnation.Add(1) - 1,
		account:     a.name,
		created:     e.line.wallNow().UnixNano(),
		config:      asset.Encode(cfg),
	}
	log := e.logFor(cfg.Storage)
	return e.submit(log, e.catalogueRecord(log, opStreamCreate), false, c.append(nil))
}

// checkReserve checks the limits that count streams and the bytes they may
// grow to; old is the stream that is updated.
func (e *Engine) checkReserve(a *account, cfg *asset.StreamConfig, old *stream) *apierror.Error {
	maxStreams := a.maxStreams()
	a.mu.RLock()
	count := len(a.mu.streams)
	a.mu.RUnlock()
	if old == nil && maxStreams > 0 && count >= maxStreams {
		return errMaxStreams
	}
	if cfg.MaxBytes <= 0 {
		return nil
	}
	more := cfg.MaxBytes
	if old != nil && old.config().Storage == cfg.Storage {
		more -= max(old.config().MaxBytes, 0)
	}
	switch i := int(cfg.Storage); {
	case e.quota.fits(i, more) && a.quota.fits(i, more):
		return nil
	case cfg.Storage == asset.MemoryStorage:
		return errMemoryExceeded
	}
	return errStorageExceeded
}

func (e *Engine) streamUpdate(r *apiRequest, base response, name string) (any, *apierror.Error) {
	var req asset.StreamConfigRequest
	err := e.decode(r.body, &req)
	if err == nil {
		err = req.Check(e.cfg.Limits.MaxDuplicateWindow, req.Pedantic)
	}
	if err == nil && req.Name != name {
		err = errStreamMismatch
	}
	var s *stream
	if err == nil {
		s, err = e.updateStream(r.acct, &req.StreamConfig)
	}
	if err != nil {
		base.Error = err
		return base, err
	}
	return streamCreateResponse{response: base, streamInfo: s.info(true)}, nil
}

// updateStream gives a stream another configuration; cfg is normalised.
func (e *Engine) updateStream(a *account, cfg *asset.StreamConfig) (*stream, *apierror.Error) {
	a.changes.Lock()
	defer a.changes.Unlock()
	s := a.stream(cfg.Name)
	if s == nil {
		return nil, a.missing(cfg.Name)
	}
	cfg = cfg.Clone()
	if err := cfg.CheckUpdate(s.config()); err != nil {
		return nil, err
	}
	if err := s.checkConsumerLimits(&cfg.ConsumerLimits); err != nil {
		return nil, err
	}
	if err := e.checkReserve(a, cfg, s); err != nil {
		return nil, err
	}
	if a.overlaps(cfg.Subjects, cfg.Name) {
		return nil, errSubjectOverlap
	}
	if err := a.closesLoop(s, cfg); err != nil {
		return nil, err
	}
	if s.config().Retention == asset.LimitsRetention && cfg.Retention != asset.LimitsRetention {
		if err := s.settleVolatiles(); err != nil {
			return nil, err
		}
	}
	data := msgp.AppendBytes(nil, asset.Encode(cfg))
	if _, err := e.submit(s.log(), s.record(opConfig, false), true, data); err != nil {
		return nil, err
	}
	if b := a.bus(); b != nil {
		if err := s.attach(b); err != nil {
			return nil, errStreamUpdate.With("%v", err)
		}
	}
	s.sweep()
	e.streamAdvisory(s, "UPDATED", "modify")
	return s, nil
}

// checkConsumerLimits refuses limits that a consumer is above already.
func (s *stream) checkConsumerLimits(l *asset.ConsumerLimits) *apierror.Error {
	var over []string
	for _, m := range s.members() {
		cfg := m.config()
		if m.direct {
			continue
		}
		if l.MaxAckPending > 0 && (cfg.MaxAckPending > l.MaxAckPending || cfg.MaxAckPending < 0) ||
			l.InactiveThreshold > 0 && cfg.Inactive > l.InactiveThreshold {
			over = append(over, m.name)
		}
	}
	if len(over) == 0 {
		return nil
	}
	slices.Sort(over)
	return errStreamUpdate.With("change to limits violates consumers: %s", strings.Join(over, ", "))
}

type listRequest struct {
	Offset  int    `json:"offset"`
	Subject string `json:"subject,omitempty"`
}

// matching lists the streams that capture something of a subject; "" is all.
func (a *account) matching(subj string) []*stream {
	all := a.sorted()
	if subj == "" {
		return all
	}
	return slices.DeleteFunc(all, func(s *stream) bool {
		return !slices.ContainsFunc(s.config().Subjects, func(x string) bool { return subject.Collide(x, subj) })
	})
}

type streamNamesResponse struct {
	response
	paged
	Streams []string `json:"streams"`
}

func (e *Engine) streamNames(r *apiRequest, base response, _ string) (any, *apierror.Error) {
	out := streamNamesResponse{response: base}
	var req listRequest
	if out.Error = e.decodeOptional(r.body, &req); out.Error != nil {
		return out, out.Error
	}
	var all []string
	for _, s := range r.acct.matching(req.Subject) {
		all = append(all, s.name)
	}
	all = append(all, slices.Collect(maps.Keys(r.acct.offlineReasons(req.Subject)))...)
	slices.Sort(all)
	var from, to int
	from, to, out.paged = page(len(all), req.Offset, namesPage)
	out.Streams = append(out.Streams, all[from:to]...)
	return out, nil
}

type streamListResponse struct {
	response
	paged
	Streams []*streamInfo `json:"streams"`
	// Missing and Offline name those that could not be opened, with the reason.
	Missing []string          `json:"missing,omitempty"`
	Offline map[string]string `json:"offline,omitempty"`
}

func (e *Engine) streamList(r *apiRequest, base response, _ string) (any, *apierror.Error) {
	out := streamListResponse{response: base, Streams: []*streamInfo{}}
	var req listRequest
	if out.Error = e.decodeOptional(r.body, &req); out.Error != nil {
		return out, out.Error
	}
	all := r.acct.matching(req.Subject)
	var from, to int
	from, to, out.paged = page(len(all), req.Offset, listPage)
	for _, s := range all[from:to] {
		out.Streams = append(out.Streams, s.info(false))
	}
	if req.Offset == 0 {
		out.Offline = r.acct.offlineReasons(req.Subject)
		out.Missing = slices.Sorted(maps.Keys(out.Offline))
	}
	return out, nil
}

type streamInfoRequest struct {
	Offset         int    `json:"offset"`
	DeletedDetails bool   `json:"deleted_details,omitempty"`
	SubjectsFilter string `json:"subjects_filter,omitempty"`
}

func (e *Engine) streamInfo(r *apiRequest, base response, name string) (any, *apierror.Error) {
	out := streamInfoResponse{response: base}
	var req streamInfoRequest
	if out.Error = e.decodeOptional(r.body, &req); out.Error != nil {
		return out, out.Error
	}
	s := r.acct.stream(name)
	if s == nil {
		out.Error = r.acct.missing(name)
		return out, out.Error
	}
	s.settle()
	out.streamInfo = s.info(true)
	out.Cluster = &clusterInfo{Leader: e.cfg.ServerName}
	if req.DeletedDetails {
		out.State.Deleted = s.store.Deleted(deletedMax)
	}
	if req.SubjectsFilter != "" {
		out.paged = s.subjectCounts(&req, &out.State)
	}
	return out, nil
}

// subjectCounts fills in one page of the subjects that match.
func (s *stream) subjectCounts(req *streamInfoRequest, st *streamState) paged {
	offset := max(req.Offset, 0)
	subjects := make(map[string]uint64)
	n := s.store.SubjectPage(req.SubjectsFilter, offset, subjectsPage, func(subject string, msgs uint64) {
		subjects[subject] = msgs
	})
	if n == 0 {
		return paged{}
	}
	st.Subjects = subjects
	_, _, p := page(n, offset, subjectsPage)
	return p
}

func (e *Engine) streamDelete(r *apiRequest, base response, name string) (any, *apierror.Error) {
	out := successResponse{response: base}
	if !emptyBody(r.body) {
		out.Error = errNotEmptyRequest
	} else {
		out.Error = e.deleteStream(r.acct, name)
	}
	out.Success = out.Error == nil
	return out, out.Error
}

func (e *Engine) deleteStream(a *account, name string) *apierror.Error {
	a.changes.Lock()
	defer a.changes.Unlock()
	s := a.stream(name)
	if s == nil {
		return e.deleteOffline(a, name)
	}
	fetching := s.fetching
	s.detach()
	if _, err := e.submit(s.log(), e.catalogueRecord(s.log(), opStreamDelete), true, appendUint(nil, s.incarnation)); err != nil {
		if b := a.bus(); b != nil && a.stream(name) == s {
			if err := s.attach(b); err != nil {
				e.logger.Error("stream could not be attached again", "account", a.name, "stream", name, "err", err)
			}
		}
		return err
	}
	s.closeMembers()
	for _, f := range fetching {
		e.fetch.forget(f)
	}
	e.streamAdvisory(s, "DELETED", "delete")
	e.drain.later()
	return nil
}

// deleteOffline deletes a stream that could not be opened, files and all: who
// asks for it has read why.
func (e *Engine) deleteOffline(a *account, name string) *apierror.Error {
	a.mu.RLock()
	o := a.mu.offline[name]
	a.mu.RUnlock()
	if o == nil {
		return apierror.ErrStreamNotFound
	}
	_, err := e.submit(e.journal, e.catalogueRecord(e.journal, opStreamDelete), true, appendUint(nil, o.incarnation))
	if err == nil {
		o.detach()
	}
	e.drain.later()
	return err
}

type purgeRequest struct {
	Seq    uint64 `json:"seq,omitempty"`
	Filter string `json:"filter,omitempty"`
	Keep   uint64 `json:"keep,omitempty"`
}

// maxPurgeSeq is how far a purge may move a stream's sequences.
const maxPurgeSeq = asset.MaxSeq / 2

type purgeResponse struct {
	successResponse
	Purged uint64 `json:"purged"`
}

func (e *Engine) streamPurge(r *apiRequest, base response, name string) (any, *apierror.Error) {
	out := purgeResponse{successResponse: successResponse{response: base}}
	var req purgeRequest
	s := r.acct.stream(name)
	err := e.decodeOptional(r.body, &req)
	switch {
	case err != nil:
	case req.Seq > 0 && req.Keep > 0:
		err = errBadRequest
	case s == nil:
		err = r.acct.missing(name)
	case s.config().Sealed:
		err = errStreamSealed
	case s.config().DenyPurge:
		err = errPurgeFailed
	default:
		op := purge{req.Filter, req.Seq, req.Keep}
		if op.seq > maxPurgeSeq {
			op.seq = 0 // all there is: the stream must have sequences left
		}
		var p *pending
		if p, err = e.submit(s.log(), s.record(opPurge, false), true, op.append(nil)); err == nil {
			out.Purged = p.outcome.n
		}
	}
	out.Error, out.Success = err, err == nil
	return out, err
}

type msgDeleteRequest struct {
	Seq     uint64 `json:"seq"`
	NoErase bool   `json:"no_erase,omitempty"`
}

func (e *Engine) msgDelete(r *apiRequest, base response, name string) (any, *apierror.Error) {
	out := successResponse{response: base}
	var req msgDeleteRequest
	s := r.acct.stream(name)
	err := e.decode(r.body, &req)
	switch {
	case err != nil:
	case emptyBody(r.body):
		err = errBadRequest
	case s == nil:
		err = r.acct.missing(name)
	case s.config().Sealed:
		err = errStreamSealed
	case s.config().DenyDelete:
		err = errMsgDelete.With("message delete not permitted")
	default:
		// A message that is not there is told, but the account's statistics do
		// not count it as an error.
		_, out.Error = e.submit(s.log(), s.record(opMsgDelete, false), true, appendUint(nil, req.Seq))
		out.Success = out.Error == nil
		return out, nil
	}
	out.Error = err
	return out, err
}
