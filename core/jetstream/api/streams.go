package api

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
)

const (
	namesPage    = 1024
	listPage     = 256
	subjectsPage = 100000
	deletedMax   = 1 << 20
)

type streamCreateResponse struct {
	response
	*StreamInfo
	DidCreate bool `json:"did_create,omitempty"`
}

type streamInfoResponse struct {
	response
	paged
	*StreamInfo
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

func (s *Server) accountInfo(r *Request, base response, _ string) (any, *apierror.Error) {
	n, u := r.Account.Counts(), r.Account.Usage()
	return accountInfoResponse{
		response: base,
		Memory:   u.Memory, Storage: u.Storage, ReservedMemory: u.ReservedMemory, ReservedStorage: u.ReservedStorage,
		Streams: u.Streams, Consumers: u.Consumers,
		Limits: accountLimits{MaxMemory: u.MaxMemory, MaxStorage: u.MaxStorage, MaxStreams: u.MaxStreams,
			MaxConsumers: u.MaxConsumers, MaxAckPending: -1, MemoryMaxStreamBytes: -1, StoreMaxStreamBytes: -1},
		Domain: s.o.Domain,
		API: apiStats{Level: s.o.Level, Total: n.Total.Load(), Errors: n.Errors.Load(),
			Inflight: n.Inflight.Load() - 1}, // without this request
	}, nil
}

// describe is what an answer shows of a stream.
func (s *Server) describe(x Stream) *StreamInfo {
	info := x.Info()
	info.Domain = s.o.Domain
	return info
}

// withServer adds what only answers carry to stored metadata.
func (s *Server) withServer(m map[string]string) map[string]string {
	m = maps.Clone(m)
	if m == nil {
		m = make(map[string]string, 2)
	}
	m[consumer.MetaServerLevel] = strconv.Itoa(s.o.Level)
	m[consumer.MetaServerVersion] = s.o.Version
	return m
}

func (s *Server) streamCreate(r *Request, base response, name string) (any, *apierror.Error) {
	var req asset.StreamConfigRequest
	err := s.decode(r.Body, &req)
	if err == nil && strings.ContainsAny(name, `/\`) {
		err = apierror.ErrStreamNamePath
	}
	if err == nil && req.Name != name {
		err = errStreamMismatch
	}
	if err == nil && req.Sealed {
		err = apierror.ErrStreamConfig.With("stream configuration for create can not be sealed")
	}
	var x Stream
	if err == nil {
		x, err = r.Account.CreateStream(&req.StreamConfig, req.Pedantic)
	}
	if err != nil {
		base.Error = err
		return base, err
	}
	info := x.Info() // without a domain: the stock server's answer to a create has none either
	info.Config.Metadata = s.withServer(info.Config.Metadata)
	return streamCreateResponse{base, info, true}, nil
}

func (s *Server) streamUpdate(r *Request, base response, name string) (any, *apierror.Error) {
	var req asset.StreamConfigRequest
	err := s.decode(r.Body, &req)
	if err == nil {
		err = req.Check(s.o.MaxDuplicates, req.Pedantic)
	}
	if err == nil && req.Name != name {
		err = errStreamMismatch
	}
	var x Stream
	if err == nil {
		x, err = r.Account.UpdateStream(&req.StreamConfig)
	}
	if err != nil {
		base.Error = err
		return base, err
	}
	info := s.describe(x)
	info.Config.Metadata = s.withServer(info.Config.Metadata)
	return streamCreateResponse{response: base, StreamInfo: info}, nil
}

type listRequest struct {
	Offset  int    `json:"offset"`
	Subject string `json:"subject,omitempty"`
}

type streamNamesResponse struct {
	response
	paged
	Streams []string `json:"streams"`
}

func (s *Server) streamNames(r *Request, base response, _ string) (any, *apierror.Error) {
	out := streamNamesResponse{response: base}
	var req listRequest
	if out.Error = s.decodeOptional(r.Body, &req); out.Error != nil {
		return out, out.Error
	}
	var all []string
	for _, x := range r.Account.Streams(req.Subject) {
		all = append(all, x.Name())
	}
	all = append(all, slices.Collect(maps.Keys(r.Account.Offline(req.Subject)))...)
	slices.Sort(all)
	var from, to int
	from, to, out.paged = page(len(all), req.Offset, namesPage)
	out.Streams = append(out.Streams, all[from:to]...)
	return out, nil
}

type streamListResponse struct {
	response
	paged
	Streams []*StreamInfo `json:"streams"`
	// Missing and Offline name those that could not be opened, with the reason.
	Missing []string          `json:"missing,omitempty"`
	Offline map[string]string `json:"offline,omitempty"`
}

func (s *Server) streamList(r *Request, base response, _ string) (any, *apierror.Error) {
	out := streamListResponse{response: base, Streams: []*StreamInfo{}}
	var req listRequest
	if out.Error = s.decodeOptional(r.Body, &req); out.Error != nil {
		return out, out.Error
	}
	all := r.Account.Streams(req.Subject)
	var from, to int
	from, to, out.paged = page(len(all), req.Offset, listPage)
	for _, x := range all[from:to] {
		x.Unsettled() // what they have to say is in the log when the first one waits
	}
	for _, x := range all[from:to] {
		x.Settle()
		out.Streams = append(out.Streams, s.describe(x))
	}
	if req.Offset == 0 {
		out.Offline = r.Account.Offline(req.Subject)
		out.Missing = slices.Sorted(maps.Keys(out.Offline))
	}
	return out, nil
}

type streamInfoRequest struct {
	Offset         int    `json:"offset"`
	DeletedDetails bool   `json:"deleted_details,omitempty"`
	SubjectsFilter string `json:"subjects_filter,omitempty"`
}

func (s *Server) streamInfo(r *Request, base response, name string) (any, *apierror.Error) {
	out := streamInfoResponse{response: base}
	var req streamInfoRequest
	if out.Error = s.decodeOptional(r.Body, &req); out.Error != nil {
		return out, out.Error
	}
	x, err := r.Account.Stream(name)
	if err != nil {
		out.Error = err
		return out, err
	}
	x.Settle()
	out.StreamInfo = s.describe(x)
	out.Config.Metadata = s.withServer(out.Config.Metadata)
	out.Cluster = &ClusterInfo{Leader: s.o.ServerName}
	if req.DeletedDetails {
		out.State.Deleted = x.Deleted(deletedMax)
	}
	if req.SubjectsFilter != "" {
		out.paged = subjectCounts(x, &req, &out.State)
	}
	return out, nil
}

// subjectCounts fills in one page of the subjects that match.
func subjectCounts(x Stream, req *streamInfoRequest, st *StreamState) paged {
	offset := max(req.Offset, 0)
	subjects := make(map[string]uint64)
	n := x.Subjects(req.SubjectsFilter, offset, subjectsPage, func(subject string, msgs uint64) {
		subjects[subject] = msgs
	})
	if n == 0 {
		return paged{}
	}
	st.Subjects = subjects
	_, _, p := page(n, offset, subjectsPage)
	return p
}

func (s *Server) streamDelete(r *Request, base response, name string) (any, *apierror.Error) {
	out := successResponse{response: base}
	if !emptyBody(r.Body) {
		out.Error = errNotEmptyRequest
	} else {
		out.Error = r.Account.DeleteStream(name)
	}
	out.Success = out.Error == nil
	return out, out.Error
}

type purgeRequest struct {
	Seq    uint64 `json:"seq,omitempty"`
	Filter string `json:"filter,omitempty"`
	Keep   uint64 `json:"keep,omitempty"`
}

type purgeResponse struct {
	successResponse
	Purged uint64 `json:"purged"`
}

func (s *Server) streamPurge(r *Request, base response, name string) (any, *apierror.Error) {
	out := purgeResponse{successResponse: successResponse{response: base}}
	var req purgeRequest
	x, missing := r.Account.Stream(name)
	err := s.decodeOptional(r.Body, &req)
	switch {
	case err != nil:
	case req.Seq > 0 && req.Keep > 0:
		err = errBadRequest
	case missing != nil:
		err = missing
	case x.Config().Sealed:
		err = apierror.ErrStreamSealed
	case x.Config().DenyPurge:
		err = errPurgeFailed
	default:
		out.Purged, err = x.Purge(req.Filter, req.Seq, req.Keep)
	}
	out.Error, out.Success = err, err == nil
	return out, err
}

type msgDeleteRequest struct {
	Seq     uint64 `json:"seq"`
	NoErase bool   `json:"no_erase,omitempty"`
}

func (s *Server) msgDelete(r *Request, base response, name string) (any, *apierror.Error) {
	out := successResponse{response: base}
	var req msgDeleteRequest
	x, err := s.openFor(r, name, &req)
	switch {
	case err != nil:
	case x.Config().Sealed:
		err = apierror.ErrStreamSealed
	case x.Config().DenyDelete:
		err = apierror.ErrMsgDelete.With("message delete not permitted")
	default:
		// A message that is not there is told, but the account's statistics do
		// not count it as an error.
		out.Error = x.DeleteMsg(req.Seq)
		out.Success = out.Error == nil
		return out, nil
	}
	out.Error = err
	return out, err
}
