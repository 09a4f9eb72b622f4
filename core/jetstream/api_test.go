package jetstream

import (
	"testing"

	"github.com/frondmq/frond/core/jetstream/asset"
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
