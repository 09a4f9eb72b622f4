package jetstream

import (
	"testing"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
)

// Requests that are JSON and still nonsense get an answer, whatever it is.
func TestAPI_answersStrangeRequests(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s"],"storage":"memory"}`)
	mustConsumer(t, b, "S", "c", `{"durable_name":"c","ack_policy":"explicit"}`)
	for _, r := range [][2]string{
		{"STREAM.CREATE.X", `{"name":"X","sources":[null]}`},
		{"STREAM.CREATE.X", `{"name":"X","sources":[{"name":"Y","external":null,"subject_transforms":[null]}]}`},
		{"STREAM.CREATE.X", `null`},
		{"STREAM.CREATE.X", `{"name":"X","subjects":[null],"placement":null,"republish":{},"mirror":{},"metadata":null}`},
		{"STREAM.UPDATE.S", `{"name":"S","sources":[null]}`},
		{"STREAM.INFO.S", `{"offset":-9223372036854775808}`},
		{"STREAM.NAMES", `{"offset":9223372036854775807}`},
		{"STREAM.MSG.GET.S", `{"seq":18446744073709551615}`},
		{"STREAM.MSG.GET.S", `{"start_time":"9999-12-31T23:59:59-23:00"}`},
		{"STREAM.MSG.DELETE.S", `{"seq":18446744073709551615}`},
		{"CONSUMER.CREATE.S", `{"stream_name":"S","config":null}`},
		{"CONSUMER.CREATE.S", `{"stream_name":"S","config":{"backoff":[null],"filter_subjects":[null],"priority_groups":[null]}}`},
		{"CONSUMER.CREATE.S.x", `{"stream_name":"S","config":{"name":"x","deliver_policy":"by_start_time","opt_start_time":"9999-12-31T23:59:59-23:00","pause_until":"0000-01-01T00:00:00+23:00"}}`},
		{"CONSUMER.PAUSE.S.c", `{"pause_until":"9999-12-31T23:59:59-23:00"}`},
		{"CONSUMER.PAUSE.S.c", `{"pause_until":"0000-01-01T00:00:00+23:00"}`},
		{"CONSUMER.INFO.S.c", ``},
	} {
		if m := b.request(t, asset.APIPrefix+r[0], "", r[1]); m.Body == "" {
			t.Errorf("%s %s: %+v", r[0], r[1], m)
		}
	}
}

// Nobody reads these requests: what waits is bounded by its size.
func TestAPI_requestsThatWaitAreBounded(t *testing.T) {
	e, b := newTestEngine(t)
	a := e.account(b.name)
	p := newAPIPool(e)
	m := &wire.Msg{Subject: []byte("$JS.API.STREAM.CREATE.S"), Body: make([]byte, 1<<20)}
	for range 100 {
		p.request(a, m)
	}
	if n := len(p.queue); n < 8 || n > 32 {
		t.Errorf("%d requests of a megabyte wait", n)
	}
}
