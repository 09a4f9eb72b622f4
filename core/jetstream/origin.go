package jetstream

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/jetstream/sourcing"
	"github.com/frondmq/frond/core/wire"
)

// This stream as the origin of others: another server, or another stream of
// this one, asks for a consumer to mirror or source it. See ADR-60, and
// sourcing for the other side.

// hdrIdentity tells which stream of a name it is: one that was deleted and
// made anew has another identity.
const hdrIdentity = "Nats-Stream-Identity"

// sourcingLevel is the level of the API up to which a request for a consumer
// that mirrors or sources is understood, whatever the rest of the API is at:
// the header is the peer's question whether it is.
const sourcingLevel = 5

// identity is what tells this stream from another one of its name.
func (s *stream) identity() string { return sourcing.Identity(atTime(s.created)) }

// upsertFor is upsertConsumer for a request, which may know the stream's
// identity.
func (e *Engine) upsertFor(r *apiRequest, s *stream, req *consumerCreateRequest) (*member, *apierror.Error) {
	mine := s.identity()
	if want := wire.HeaderGet(r.header, hdrIdentity); len(want) > 0 && string(want) != mine {
		return nil, errIdentity.With("consumer's stream identity does not match: %s", mine)
	}
	if req.Config.Direct || req.Config.Sourcing {
		r.answerHeader = append(wire.AppendHeader([]byte(hdrPlain), hdrIdentity, mine), crlf...)
	}
	m, err := e.upsertConsumer(s, req)
	if err != nil && req.Config.Direct && !req.Config.Sourcing && s.config().Retention != asset.LimitsRetention {
		e.logger.Warn("refused to serve a mirror or source without acknowledgements: a message would be gone when it was sent; the server that fetches has to be newer",
			"account", s.acct.name, "stream", s.name, "err", err)
	}
	return m, err
}

// asksToSource reports whether a request that wants a higher level than this
// server has is one for a consumer that mirrors or sources.
func asksToSource(r *apiRequest) bool {
	level, err := strconv.Atoi(string(wire.HeaderGet(r.header, hdrRequiredLevel)))
	if err != nil || level > sourcingLevel || !strings.HasPrefix(r.rest, "CONSUMER.CREATE.") {
		return false
	}
	var req struct {
		Config struct {
			Sourcing bool `json:"sourcing"`
		} `json:"config"`
	}
	return json.Unmarshal(r.body, &req) == nil && req.Config.Sourcing
}

// rejoinConsumer gives the durable consumer of a mirror or source to its next
// attempt: to its delivery subject, from behind what it acknowledged. The
// caller holds s.changes.
func (e *Engine) rejoinConsumer(m *member, cfg *consumer.Config) *apierror.Error {
	if err := e.configureConsumer(m, cfg); err != nil {
		return err
	}
	pubs := new(publishers)
	m.enter(pubs) // with the configuration, and acknowledgements on their way
	defer pubs.flush()
	defer m.mu.Unlock()
	if _, err := m.m.Reset(e.now(), 0, 0, &m.fx); err != nil {
		return consumerError(err)
	}
	m.perform(pubs)
	m.log()
	e.work.schedule(m)
	return nil
}
