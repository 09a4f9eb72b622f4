package account

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core/wire"
)

func TestMeasure_tracesThatAreSampled(t *testing.T) {
	for head, want := range map[string]string{
		"X: 1":                                  "map[] false",
		"X-B3-Sampled: 1":                       "map[X-B3-Sampled:[1]] true",
		"X-B3-Sampled: 0\r\nX-B3-TraceId: a":    "map[] false",
		"x-b3-traceid: a\r\nX: 1":               "map[X-B3-Traceid:[a]] true",
		"b3: 0":                                 "map[] false",
		"b3: a-b-0":                             "map[] false",
		"b3: a-b-1":                             "map[B3:[a-b-1]] true",
		"traceparent: 00-a-b-01":                "map[Traceparent:[00-a-b-01]] true",
		"traceparent: 00-a-b-00":                "map[] false",
		"traceparent: 00-a-b":                   "map[] false",
		"traceparent: 00-a-b-zz":                "map[] false",
		"tracestate: a":                         "map[] false",
		"uber-trace-id: a:b:c:3":                "map[Uber-Trace-Id:[a:b:c:3]] true",
		"uber-trace-id: a:b:c:2\r\nX-B3-Foo: 1": "map[] false",
	} {
		fields, sampled := traced([]byte("NATS/1.0\r\n" + head + "\r\n\r\n"))
		if got := fmt.Sprint(fields, sampled); got != want {
			t.Errorf("%q: got %s, want %s", head, got, want)
		}
	}
}

// TestMeasure_eachQuestionOnce: a question is told of once, with an answer, when nobody
// hears it, and when nobody answers in time.
func TestMeasure_eachQuestionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := New("A"), New("B")
		s, err := NewService(from, to, "q", nil, false, false, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var told []string
		s.Measure(&Measure{Percent: 100, Report: func(m *Measured) { told = append(told, fmt.Sprint(m.Status, m.Asker, m.Responder, m.Took)) }})
		o := NewOrigin(nil, RoleClient, "")
		o.Describe(func(share bool) string { return fmt.Sprint(share) })
		ask := func() { routeOne(o, from, "q", "in") }
		ask()
		sink := &answering{}
		sub := &Sub{Subject: "q", Sink: sink}
		if err := to.Subscribe(sub); err != nil {
			t.Fatal(err)
		}
		ask()
		time.Sleep(10 * time.Millisecond)
		for range 2 { // the second is none
			routeOne(o, to, sink.reply, "")
		}
		ask()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got, want := fmt.Sprint(told), "[503false0s 200falsetrue10ms 504false0s]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// routeOne routes a message in an account.
func routeOne(o *Origin, a *Account, subj, reply string) {
	m := &wire.Msg{Subject: []byte(subj)}
	if reply != "" {
		m.Reply = []byte(reply)
	}
	a.Route(o, m)
	o.Flush()
}

type answering struct{ reply string }

func (*answering) Role() Role      { return RoleClient }
func (*answering) Cluster() string { return "" }
func (*answering) Flush()          {}
func (s *answering) Deliver(_ *Sub, m *wire.Msg) bool {
	s.reply = string(m.Reply)
	return true
}
