package core_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
)

// api asks the JetStream API and returns the answer.
func (c *conn) api(subject, body string) string {
	c.t.Helper()
	c.send("SUB api 99\r\nUNSUB 99 1\r\nPUB $JS.API." + subject + " api " + strconv.Itoa(len(body)) + "\r\n" + body + "\r\n")
	c.line()
	return c.line()
}

// An acknowledgement can't come before the commit that it waits for.
func TestServer_commitInterval(t *testing.T) {
	const interval = 150 * time.Millisecond
	s := servertest.Start(t, servertest.JetStream(t), servertest.With(func(o *config.Options) { o.JetStream.CommitInterval = interval }))
	c := connect(t, s, "")
	c.api("STREAM.CREATE.S", `{"name":"S","subjects":["s"]}`)
	c.send("SUB in 1\r\n")
	c.barrier()
	began := time.Now()
	c.send("PUB s in 0\r\n\r\n")
	c.line()
	if got := c.line(); got != `{"stream":"S","seq":1}` || time.Since(began) < interval {
		t.Errorf("answer %s after %v", got, time.Since(began))
	}
}

func TestServer_limitsOfStreamsAndConsumers(t *testing.T) {
	s := servertest.Start(t, servertest.JetStream(t), servertest.With(func(o *config.Options) {
		o.JetStream.Limits = config.JetStreamLimits{
			MaxAckPending: 10, MaxRequestBatch: 20, DuplicateWindow: time.Minute, DefaultMaxConsumers: 2,
		}
		o.JetStream.MaxMemory = 1 << 20
	}))
	c := connect(t, s, "")
	consumer := func(stream, name, more string) string {
		return c.api("CONSUMER.CREATE."+stream+"."+name,
			`{"stream_name":"`+stream+`","config":{"durable_name":"`+name+`","ack_policy":"explicit"`+more+`}}`)
	}
	for _, test := range []struct{ what, answer, want string }{
		{"a stream", c.api("STREAM.CREATE.S", `{"name":"S","subjects":["s"]}`), `"duplicate_window":60000000000`},
		{"one that says how many consumers", c.api("STREAM.CREATE.T", `{"name":"T","subjects":["t"],"max_consumers":3}`), `"max_consumers":3`},
		{"too long a window", c.api("STREAM.CREATE.U", `{"name":"U","subjects":["u"],"duplicate_window":120000000000}`), "10052"},
		{"too much memory", c.api("STREAM.CREATE.V", `{"name":"V","subjects":["v"],"storage":"memory","max_bytes":2097152}`), "10028"},
		{"too many pending", consumer("S", "p", `,"max_ack_pending":11`), "10121"},
		{"too large a batch", consumer("S", "b", `,"max_batch":21`), "10125"},
		{"the first consumer", consumer("S", "a", ""), `"max_ack_pending":10`},
		{"the second", consumer("S", "b", ""), `"name":"b"`},
		{"one more than the default", consumer("S", "c", ""), "10026"},
		{"as many where the stream allows it", consumer("T", "a", "") + consumer("T", "b", "") + consumer("T", "c", ""), `"name":"c"`},
		{"an unknown field", c.api("STREAM.CREATE.W", `{"name":"W","subjects":["w"],"x":1}`), "10025"},
	} {
		if !strings.Contains(test.answer, test.want) {
			t.Errorf("%s: want %s in %s", test.what, test.want, test.answer)
		}
	}
	t.Run("without strict unknown fields pass", func(t *testing.T) {
		s := servertest.Start(t, servertest.JetStream(t), servertest.With(func(o *config.Options) { o.JetStream.Strict = false }))
		if got := connect(t, s, "").api("STREAM.CREATE.W", `{"name":"W","subjects":["w"],"x":1}`); strings.Contains(got, "error") {
			t.Errorf("answer %s", got)
		}
	})
}
