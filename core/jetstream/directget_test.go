package jetstream

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/frondmq/frond/core/wire"
)

var stamps = regexp.MustCompile(`Nats-Time-Stamp: [^\r]*`)

func TestDirectGet_answers(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s.>"],"storage":"memory","allow_direct":true}`)
	for i := range 6 {
		b.publish(t, fmt.Sprintf("s.%d", i%2), fmt.Sprint(i+1), "A", "b")
	}
	b.call(t, "STREAM.MSG.DELETE.S", `{"seq":3}`, nil)
	msg := func(seq int, extra ...string) string {
		h := append([]string{"A", "b", "Nats-Stream", "S", "Nats-Subject", fmt.Sprintf("s.%d", (seq+1)%2), "Nats-Sequence", fmt.Sprint(seq)}, "Nats-Time-Stamp", "T")
		return header(append(h, extra...)...) + fmt.Sprint(seq)
	}
	status := func(text string, kv ...string) string {
		h := header(append([]string{"X", "x"}, kv...)...)
		return "NATS/1.0 " + text + "\r\n" + h[len("NATS/1.0\r\nX: x\r\n"):]
	}
	pending := func(left, last int) []string {
		return []string{"Nats-Num-Pending", fmt.Sprint(left), "Nats-Last-Sequence", fmt.Sprint(last)}
	}
	for _, x := range []struct {
		key, body string
		want      []string
	}{
		{"", `{"seq":2}`, []string{msg(2)}},
		{"", `{"seq":2,"no_hdr":true}`, []string{"2"}},
		{"", `{"last_by_subj":"s.0"}`, []string{msg(5)}},
		{"", `{"last_by_subj":"s.*"}`, []string{msg(6)}},
		{"", `{"next_by_subj":"s.0","seq":2}`, []string{msg(5)}},
		{"", `{"start_time":"2000-01-01T00:00:00Z"}`, []string{msg(1)}},
		{".s.1", ``, []string{msg(6)}},
		{".s.1", `{"no_hdr":true}`, []string{"6"}},
		{".s.7", ``, []string{status("404 Message Not Found")}},
		{".s.*", ``, []string{msg(6)}},
		{".>", ``, []string{msg(6)}},
		{".t.>", ``, []string{status("404 Message Not Found")}},
		{".s.>.1", ``, []string{status("404 Message Not Found")}},
		{".s.1", `{"seq":4}`, []string{status("408 Bad Request")}},
		{"", `{"seq":3}`, []string{status("404 Message Not Found")}},
		{"", ``, []string{status("408 Empty Request")}},
		{"", `{`, []string{status("408 Malformed Request")}},
		{"", `{"seq":1,"last_by_subj":"s.1"}`, []string{status("408 Bad Request")}},
		{"", `{"last_by_subj":"s.1","batch":2}`, []string{status("408 Bad Request")}},
		{"", `{"seq":2,"batch":3}`, []string{msg(2, pending(3, 0)...), msg(4, pending(2, 2)...), msg(5, pending(1, 4)...), status("204 EOB", pending(1, 5)...)}},
		{"", `{"seq":1,"next_by_subj":"s.0","batch":9}`, []string{msg(1, pending(1, 0)...), msg(5, pending(0, 1)...), status("204 EOB", pending(0, 5)...)}},
		{"", `{"seq":1,"batch":9,"max_bytes":1}`, []string{msg(1, pending(4, 0)...), status("204 EOB", pending(4, 1)...)}},
		{"", `{"seq":7,"batch":9}`, []string{status("404 Message Not Found")}},
		{"", `{"multi_last":["s.0","s.1"]}`, []string{msg(5, pending(1, 0)...), msg(6, pending(0, 5)...), status("204 EOB", append(pending(0, 6), "Nats-UpTo-Sequence", "6")...)}},
		{"", `{"multi_last":["s.>"],"up_to_seq":4}`, []string{msg(1, pending(1, 0)...), msg(4, pending(0, 1)...), status("204 EOB", append(pending(0, 4), "Nats-UpTo-Sequence", "4")...)}},
		{"", `{"multi_last":["s.>"],"up_to_time":"2000-01-01T00:00:00Z"}`, []string{status("404 No Results")}},
		{"", `{"multi_last":["t.>"]}`, []string{status("404 No Results")}},
	} {
		in := b.inbox(t, "r")
		b.route(&wire.Msg{Subject: []byte("$JS.API.DIRECT.GET.S" + x.key), Reply: []byte("r"), Body: []byte(x.body)})
		for i, want := range x.want {
			m := in.next()
			if got := stamps.ReplaceAllString(m.Header, "Nats-Time-Stamp: T") + m.Body; got != want {
				t.Errorf("%s %s: answer %d\n got %q\nwant %q", x.key, x.body, i, got, want)
			}
		}
		in.stop()
	}
	b.call(t, "STREAM.UPDATE.S", `{"name":"S","subjects":["s.>"],"storage":"memory"}`, nil)
	if b.HasInterest("$JS.API.DIRECT.GET.S") {
		t.Error("a stream without allow_direct still answers direct gets")
	}
}
