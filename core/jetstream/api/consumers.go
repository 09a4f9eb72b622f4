package api

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/jetstream/sourcing"
	"github.com/frondmq/frond/core/wire"
)

// sourcingLevel is the level of the API up to which a request for a consumer
// that mirrors or sources is understood, whatever the rest of the API is at:
// the header is the peer's question whether it is.
const sourcingLevel = 5

type consumerCreateRequest struct {
	Stream   string           `json:"stream_name"`
	Config   *consumer.Config `json:"config"`
	Action   Action           `json:"action"`
	Pedantic bool             `json:"pedantic,omitempty"`
}

// Action is what a create request may do.
type Action uint8

const (
	CreateOrUpdate Action = iota
	CreateOnly
	UpdateOnly
)

func (a *Action) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `""`:
		*a = CreateOrUpdate
	case `"create"`:
		*a = CreateOnly
	case `"update"`:
		*a = UpdateOnly
	default:
		return errors.New("unknown consumer action: " + string(b))
	}
	return nil
}

type consumerInfoResponse struct {
	response
	*ConsumerInfo
}

// consumerCreate answers CONSUMER.CREATE.<stream>[.<consumer>[.<filter…>]].
func (s *Server) consumerCreate(r *Request, base response, arg string) (any, *apierror.Error) {
	stream, rest, named := strings.Cut(arg, ".")
	name, filter, _ := strings.Cut(rest, ".")
	return s.consumerUpsert(r, base, stream, func(req *consumerCreateRequest) *apierror.Error {
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
func (s *Server) durableCreate(r *Request, base response, arg string) (any, *apierror.Error) {
	stream, name, _ := strings.Cut(arg, ".")
	return s.consumerUpsert(r, base, stream, func(req *consumerCreateRequest) *apierror.Error {
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

func (s *Server) consumerUpsert(r *Request, base response, stream string, check func(*consumerCreateRequest) *apierror.Error) (any, *apierror.Error) {
	var req consumerCreateRequest
	out := consumerInfoResponse{response: base}
	err := s.decode(r.Body, &req)
	if err == nil && req.Stream != stream {
		err = errStreamMismatch
	}
	if req.Config == nil {
		req.Config = new(consumer.Config)
	}
	if err == nil {
		err = check(&req)
	}
	var x Stream
	if err == nil {
		x, err = r.Account.Stream(stream)
	}
	var m Consumer
	if err == nil {
		m, err = upsertFor(r, x, &req)
	}
	if err != nil {
		out.Error = err
		return out, err
	}
	out.ConsumerInfo = s.describeConsumer(m)
	return out, nil
}

func (s *Server) describeConsumer(m Consumer) *ConsumerInfo {
	info := m.Info()
	info.Config.Metadata = s.withServer(info.Config.Metadata)
	return info
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
func (s *Server) listed(r *Request, stream string, limit int) ([]Consumer, paged, *apierror.Error) {
	var req offsetRequest
	if err := s.decodeOptional(r.Body, &req); err != nil {
		return nil, paged{}, err
	}
	x, err := r.Account.Stream(stream)
	if err != nil {
		return nil, paged{}, err
	}
	all := x.Consumers()
	from, to, p := page(len(all), req.Offset, limit)
	return all[from:to], p, nil
}

func (s *Server) consumerNames(r *Request, base response, stream string) (any, *apierror.Error) {
	out := consumerNamesResponse{response: base, Consumers: []string{}}
	all, p, err := s.listed(r, stream, namesPage)
	out.Error, out.paged = err, p
	for _, m := range all {
		out.Consumers = append(out.Consumers, m.Name())
	}
	return out, err
}

type consumerListResponse struct {
	response
	paged
	Consumers []*ConsumerInfo `json:"consumers"`
}

func (s *Server) consumerList(r *Request, base response, stream string) (any, *apierror.Error) {
	out := consumerListResponse{response: base, Consumers: []*ConsumerInfo{}}
	all, p, err := s.listed(r, stream, listPage)
	out.Error, out.paged = err, p
	for _, m := range all {
		out.Consumers = append(out.Consumers, m.Info())
	}
	return out, err
}

// findConsumer resolves <stream>.<consumer>.
func findConsumer(a Account, arg string) (Consumer, *apierror.Error) {
	stream, name, _ := strings.Cut(arg, ".")
	x, err := a.Stream(stream)
	if err != nil {
		return nil, err
	}
	return x.Consumer(name)
}

func (s *Server) consumerInfo(r *Request, base response, arg string) (any, *apierror.Error) {
	out := consumerInfoResponse{response: base}
	if !emptyBody(r.Body) {
		out.Error = errNotEmptyRequest
		return out, out.Error
	}
	m, err := findConsumer(r.Account, arg)
	if err != nil {
		out.Error = err
		return out, err
	}
	out.ConsumerInfo = s.describeConsumer(m)
	return out, nil
}

func (s *Server) consumerDelete(r *Request, base response, arg string) (any, *apierror.Error) {
	out := successResponse{response: base}
	if !emptyBody(r.Body) {
		out.Error = errNotEmptyRequest
		return out, out.Error
	}
	m, err := findConsumer(r.Account, arg)
	if err == nil {
		err = m.Delete()
	}
	out.Error, out.Success = err, err == nil
	return out, err
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

func (s *Server) consumerPause(r *Request, base response, arg string) (any, *apierror.Error) {
	out := pauseResponse{response: base}
	var req pauseRequest
	err := s.decodeOptional(r.Body, &req)
	if y := req.Until.UTC().Year(); err == nil && (y < 0 || y > 9999) {
		err = errBadRequest // JSON can't say it again
	}
	var m Consumer
	if err == nil {
		m, err = findConsumer(r.Account, arg)
	}
	var left time.Duration
	if err == nil {
		left, err = m.Pause(req.Until)
	}
	if err != nil {
		out.Error = err
		return out, err
	}
	out.Until = req.Until
	if !req.Until.IsZero() && left > 0 {
		out.Paused, out.Remaining = true, left
	}
	stream, name, _ := strings.Cut(arg, ".")
	s.ConsumerPaused(r.Account, stream, name, out.Paused, out.Until)
	return out, nil
}

type unpinRequest struct {
	Group string `json:"group"`
}

func (s *Server) consumerUnpin(r *Request, base response, arg string) (any, *apierror.Error) {
	var req unpinRequest
	if len(r.Body) > 0 {
		base.Error = jsonError(json.Unmarshal(r.Body, &req))
	}
	if base.Error == nil && req.Group == "" {
		base.Error = errInvalidJSON.With("invalid JSON: consumer group not specified")
	}
	if base.Error == nil {
		var m Consumer
		if m, base.Error = findConsumer(r.Account, arg); base.Error == nil {
			base.Error = m.Unpin(req.Group)
		}
	}
	return base, base.Error
}

// asksToSource reports whether a request that wants a higher level than this
// server has is one for a consumer that mirrors or sources.
func asksToSource(r *Request) bool {
	level, err := strconv.Atoi(string(wire.HeaderGet(r.Header, HdrRequiredLevel)))
	if err != nil || level > sourcingLevel || !strings.HasPrefix(r.Rest, "CONSUMER.CREATE.") {
		return false
	}
	var req struct {
		Config struct {
			Sourcing bool `json:"sourcing"`
		} `json:"config"`
	}
	return json.Unmarshal(r.Body, &req) == nil && req.Config.Sourcing
}

// upsertFor asks for a consumer for a request, which may know the stream's
// identity.
func upsertFor(r *Request, x Stream, req *consumerCreateRequest) (Consumer, *apierror.Error) {
	mine := x.Identity()
	if want := wire.HeaderGet(r.Header, sourcing.HdrIdentity); len(want) > 0 && string(want) != mine {
		return nil, errIdentity.With("consumer's stream identity does not match: %s", mine)
	}
	if req.Config.Direct || req.Config.Sourcing {
		r.answerHeader = append(wire.AppendHeader([]byte("NATS/1.0\r\n"), sourcing.HdrIdentity, mine), "\r\n"...)
	}
	return x.UpsertConsumer(&ConsumerCreate{req.Config, req.Action, req.Pedantic})
}
