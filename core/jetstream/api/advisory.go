package api

import (
	"encoding/json"
	"time"

	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
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

func (s *Server) newAdvisory(typ string) advisory {
	return advisory{Type: advisoryType + typ, ID: s.o.Token(22), Time: s.o.Clock().UTC()}
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
func (s *Server) advise(a Account, subject string, v func() any) {
	if !a.HasInterest(subject) {
		return
	}
	text, err := json.Marshal(v())
	if err != nil {
		s.o.Logger.Error("advisory", "subject", subject, "err", err)
		return
	}
	a.Event(subject, text)
}

// StreamChanged tells listeners what was done to a stream.
func (s *Server) StreamChanged(a Account, stream, verb, action string) {
	s.advise(a, advisoryPrefix+"STREAM."+verb+"."+stream, func() any {
		return streamAction{s.newAdvisory("stream_action"), stream, action, s.o.Domain}
	})
}

type streamDamage struct {
	advisory
	Stream string               `json:"stream"`
	Kind   string               `json:"kind"`
	Lost   []edgestore.SeqRange `json:"lost,omitempty"`
	Domain string               `json:"domain,omitempty"`
}

// StreamDamaged tells listeners that something of a stream went wrong on the disk.
// There is none in nats-server.
func (s *Server) StreamDamaged(a Account, stream, kind string, lost []edgestore.SeqRange) {
	s.advise(a, advisoryPrefix+"STREAM.DAMAGE."+stream, func() any {
		return streamDamage{s.newAdvisory("stream_damage"), stream, kind, lost, s.o.Domain}
	})
}

// ConsumerChanged tells listeners what was done to a consumer.
func (s *Server) ConsumerChanged(a Account, stream, consumer, verb, action string) {
	s.advise(a, advisoryPrefix+"CONSUMER."+verb+"."+stream+"."+consumer, func() any {
		return consumerAction{s.newAdvisory("consumer_action"), stream, consumer, action, s.o.Domain}
	})
}

// audit tells listeners of an answered request.
func (s *Server) audit(r *Request, answer []byte, out Outlet) {
	if !r.Account.HasInterest(auditSubject) {
		return
	}
	text, err := json.Marshal(apiAudit{
		advisory: s.newAdvisory("api_audit"),
		Server:   s.o.ServerName,
		Client:   clientInfo{Account: r.Account.Name()},
		Subject:  r.Subject,
		Request:  string(r.Body),
		Response: string(answer),
		Domain:   s.o.Domain,
	})
	if err != nil {
		s.o.Logger.Error("advisory", "subject", auditSubject, "err", err)
		return
	}
	out.Send(r.Account, &wire.Msg{Subject: []byte(auditSubject), Body: text, Chosen: true})
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

// ConsumerEvent tells listeners what a consumer's machine has to tell.
func (s *Server) ConsumerEvent(acct Account, stream, name string, a *consumer.Advisory) {
	tail := "." + stream + "." + name
	delivery := func(verb, typ string) {
		s.advise(acct, advisoryPrefix+"CONSUMER."+verb+tail, func() any {
			return deliveryAdvisory{advisory: s.newAdvisory(typ), Stream: stream, Consumer: name,
				ConsumerSeq: a.DSeq, StreamSeq: a.Seq, Deliveries: a.Deliveries, Reason: string(a.Reason), Domain: s.o.Domain}
		})
	}
	pin := func(verb, typ string) {
		s.advise(acct, advisoryPrefix+"CONSUMER."+verb+tail, func() any {
			return pinAdvisory{s.newAdvisory(typ), acct.Name(), stream, name, a.Group, string(a.PinID), string(a.Reason), s.o.Domain}
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
		s.advise(acct, "$JS.EVENT.METRIC.CONSUMER.ACK"+tail, func() any {
			d := time.Duration(a.AckTime)
			v := deliveryAdvisory{advisory: s.newAdvisory(""), Stream: stream, Consumer: name,
				ConsumerSeq: a.DSeq, StreamSeq: a.Seq, AckTime: &d, Deliveries: a.Deliveries, Domain: s.o.Domain}
			v.Type = "io.nats.jetstream.metric.v1.consumer_ack"
			return v
		})
	case consumer.Resumed:
		s.ConsumerPaused(acct, stream, name, false, time.Time{})
	case consumer.Pinned:
		pin("PINNED", "consumer_group_pinned")
	case consumer.Unpinned:
		pin("UNPINNED", "consumer_group_unpinned")
	}
}

// ConsumerPaused tells listeners that a consumer stops until then, or goes on.
func (s *Server) ConsumerPaused(a Account, stream, name string, paused bool, until time.Time) {
	s.advise(a, advisoryPrefix+"CONSUMER.PAUSE."+stream+"."+name, func() any {
		return pauseAdvisory{s.newAdvisory("consumer_pause"), stream, name, paused, until, s.o.Domain}
	})
}
