package jetstream

import (
	"encoding/json"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/wire"
)

const (
	advisoryPrefix = "$JS.EVENT.ADVISORY."
	advisoryType   = "io.nats.jetstream.advisory.v1."
	auditSubject   = "$JS.EVENT.ADVISORY.API"
)

// advisory is the head of every advisory.
type advisory struct {
	Type string    `json:"type"`
	ID   string    `json:"id"`
	Time time.Time `json:"timestamp"`
}

func (e *Engine) newAdvisory(typ string) advisory {
	return advisory{Type: advisoryType + typ, ID: e.token(22), Time: e.cfg.Now().UTC()}
}

type streamAction struct {
	advisory
	Stream string `json:"stream"`
	Action string `json:"action"`
	Domain string `json:"domain,omitempty"`
}

type consumerAction struct {
	advisory
	Stream   string `json:"stream"`
	Consumer string `json:"consumer"`
	Action   string `json:"action"`
	Domain   string `json:"domain,omitempty"`
}

type apiAudit struct {
	advisory
	Server   string     `json:"server"`
	Client   clientInfo `json:"client"`
	Subject  string     `json:"subject"`
	Request  string     `json:"request,omitempty"`
	Response string     `json:"response"`
	Domain   string     `json:"domain,omitempty"`
}

type clientInfo struct {
	Account string `json:"acc,omitempty"`
}

// advise publishes an advisory if anybody listens.
func (e *Engine) advise(a *account, subject string, v func() any) {
	b := a.bus()
	if b == nil || !b.HasInterest(subject) {
		return
	}
	text, err := json.Marshal(v())
	if err != nil {
		e.logger.Error("advisory", "subject", subject, "err", err)
		return
	}
	e.out.event(a, subject, text)
}

func (e *Engine) streamAdvisory(s *stream, verb, action string) {
	e.advise(s.acct, advisoryPrefix+"STREAM."+verb+"."+s.name, func() any {
		return streamAction{e.newAdvisory("stream_action"), s.name, action, e.cfg.Domain}
	})
}

func (e *Engine) consumerAdvisory(s *stream, consumer, verb, action string) {
	e.advise(s.acct, advisoryPrefix+"CONSUMER."+verb+"."+s.name+"."+consumer, func() any {
		return consumerAction{e.newAdvisory("consumer_action"), s.name, consumer, action, e.cfg.Domain}
	})
}

// auditAdvisory tells listeners of an answered request.
func (e *Engine) auditAdvisory(r *apiRequest, answer []byte, pubs *publishers) {
	b := r.acct.bus()
	if b == nil || !b.HasInterest(auditSubject) {
		return
	}
	text, err := json.Marshal(apiAudit{
		advisory: e.newAdvisory("api_audit"),
		Server:   e.cfg.ServerName,
		Client:   clientInfo{Account: r.acct.name},
		Subject:  r.subject,
		Request:  string(r.body),
		Response: string(answer),
		Domain:   e.cfg.Domain,
	})
	if err != nil {
		e.logger.Error("advisory", "subject", auditSubject, "err", err)
		return
	}
	if p := pubs.of(r.acct); p != nil {
		p.Publish(&wire.Msg{Subject: []byte(auditSubject), Body: text, Chosen: true})
	}
}

// The advisories of a consumer.

type deliveryAdvisory struct {
	advisory
	Stream      string         `json:"stream"`
	Consumer    string         `json:"consumer"`
	ConsumerSeq uint64         `json:"consumer_seq,omitempty"`
	StreamSeq   uint64         `json:"stream_seq"`
	AckTime     *time.Duration `json:"ack_time,omitempty"`
	Deliveries  uint64         `json:"deliveries"`
	Reason      string         `json:"reason,omitempty"`
	Domain      string         `json:"domain,omitempty"`
}

type pauseAdvisory struct {
	advisory
	Stream   string    `json:"stream"`
	Consumer string    `json:"consumer"`
	Paused   bool      `json:"paused"`
	Until    time.Time `json:"pause_until,omitempty"`
	Domain   string    `json:"domain,omitempty"`
}

type pinAdvisory struct {
	advisory
	Account  string `json:"account,omitempty"`
	Stream   string `json:"stream"`
	Consumer string `json:"consumer"`
	Group    string `json:"group"`
	PinID    string `json:"pinned_id,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Domain   string `json:"domain,omitempty"`
}

// advisory publishes what a consumer's machine has to tell.
func (e *Engine) advisory(m *member, a *consumer.Advisory) {
	tail := "." + m.s.name + "." + m.name
	delivery := func(verb, typ string) {
		e.advise(m.s.acct, advisoryPrefix+"CONSUMER."+verb+tail, func() any {
			return deliveryAdvisory{advisory: e.newAdvisory(typ), Stream: m.s.name, Consumer: m.name,
				ConsumerSeq: a.DSeq, StreamSeq: a.Seq, Deliveries: a.Deliveries, Reason: string(a.Reason), Domain: e.cfg.Domain}
		})
	}
	pin := func(verb, typ string) {
		e.advise(m.s.acct, advisoryPrefix+"CONSUMER."+verb+tail, func() any {
			return pinAdvisory{e.newAdvisory(typ), m.s.acct.name, m.s.name, m.name, a.Group, string(a.PinID), string(a.Reason), e.cfg.Domain}
		})
	}
	switch a.Kind {
	case consumer.MaxDeliveries:
		delivery("MAX_DELIVERIES", "max_deliver")
	case consumer.Naked:
		delivery("MSG_NAKED", "nak")
	case consumer.Terminated:
		delivery("MSG_TERMINATED", "terminated")
	case consumer.Sampled:
		e.advise(m.s.acct, "$JS.EVENT.METRIC.CONSUMER.ACK"+tail, func() any {
			d := time.Duration(a.AckTime)
			v := deliveryAdvisory{advisory: e.newAdvisory(""), Stream: m.s.name, Consumer: m.name,
				ConsumerSeq: a.DSeq, StreamSeq: a.Seq, AckTime: &d, Deliveries: a.Deliveries, Domain: e.cfg.Domain}
			v.Type = "io.nats.jetstream.metric.v1.consumer_ack"
			return v
		})
	case consumer.Resumed:
		e.pauseAdvisory(m, false, time.Time{})
	case consumer.Pinned:
		pin("PINNED", "consumer_group_pinned")
	case consumer.Unpinned:
		pin("UNPINNED", "consumer_group_unpinned")
	}
}

func (e *Engine) pauseAdvisory(m *member, paused bool, until time.Time) {
	e.advise(m.s.acct, advisoryPrefix+"CONSUMER.PAUSE."+m.s.name+"."+m.name, func() any {
		return pauseAdvisory{e.newAdvisory("consumer_pause"), m.s.name, m.name, paused, until, e.cfg.Domain}
	})
}

// unpin lets another client of a pinned consumer have its turn.
func (m *member) unpin(group string) *apierror.Error {
	pubs := new(publishers)
	m.mu.Lock()
	err := m.m.Unpin(group, &m.fx)
	m.perform(pubs)
	m.mu.Unlock()
	pubs.flush()
	m.e.work.schedule(m)
	if err != nil {
		return consumerError(err)
	}
	return nil
}
