//go:build !lite

package core

import (
	"encoding/json"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/wire"
)

// latencyTexts are the descriptions of an account.Measured's Status.
var latencyTexts = map[int]string{400: "Bad Request", 503: "Service Unavailable", 504: "Service Timeout"}

// measure has the latency of a service told in the account that has it. Not told of
// is who has gone before the answer: nobody waits for that.
func (y *system) measure(there *account.Account, x *imported) *account.Measure {
	subj := x.latency.Subject
	return &account.Measure{Percent: x.latency.Percent, Report: func(m *account.Measured) {
		if !there.HasInterest(subj) {
			return
		}
		y.do(func(o *account.Origin) {
			body, err := json.Marshal(latencyOf(m))
			if err != nil {
				y.s.log.Error("latency of a service", "subject", subj, "err", err)
				return
			}
			there.Route(o, &wire.Msg{Subject: []byte(subj), Body: body, Own: true})
		})
	}}
}

// latencyOf is what is told. The question was on its way for half a round trip of who
// asks before it was here, and so is the answer; what the service took is without the
// round trip of who answered.
func latencyOf(m *account.Measured) *monitor.Latency {
	asker, responder := roundTrip(m.Asker), roundTrip(m.Responder)
	l := &monitor.Latency{
		Event: newEvent(monitor.TypeLatency), Status: m.Status, Description: latencyTexts[m.Status],
		Requestor: json.RawMessage(m.Asker), Responder: json.RawMessage(m.Responder), Header: m.Header, Start: m.At.Add(-asker).UTC(),
	}
	if m.Status == 200 {
		l.Service = max(0, m.Took-responder)
		l.Total = asker + m.Took
	}
	return l
}

func roundTrip(who string) time.Duration {
	var is struct {
		RTT time.Duration `json:"rtt"`
	}
	_ = json.Unmarshal([]byte(who), &is) // 0 for who has none
	return is.RTT
}
