package jetstream

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
)

// What was compared with the stock server 2.15.3, whose answers these are,
// except where a comment says otherwise.

func TestStream_pedanticDuplicateWindow(t *testing.T) {
	_, b := newTestEngine(t)
	create := func(extra string) string {
		return `{"name":"S","subjects":["s"],"storage":"memory","max_age":60000000000` + extra + `}`
	}
	err := b.fails(t, "STREAM.CREATE.S", create(`,"pedantic":true`))
	if err.ErrCode != 10157 || err.Description != "pedantic mode: duplicate window cannot be bigger than max age" {
		t.Error(err)
	}
	b.call(t, "STREAM.CREATE.S", create(`,"pedantic":true,"duplicate_window":60000000000`), nil)
	if err := b.fails(t, "STREAM.UPDATE.S", create(`,"pedantic":true`)); err.ErrCode != 10157 {
		t.Error(err)
	}
	b.call(t, "STREAM.UPDATE.S", create(""), nil)
}

// A sequence that no stream reaches purges everything, and the stream goes on:
// the stock server's is of no use afterwards.
func TestStream_goesOnBehindAnyPurge(t *testing.T) {
	_, b := newTestEngine(t)
	for i, x := range []struct {
		body        string
		first, next uint64
	}{
		{`{"seq":18446744073709551615}`, 4, 4},
		{`{"seq":9223372036854775808}`, 4, 4},
		{`{"seq":9223372036854775807}`, 4, 4},
		{`{"seq":18446744073709551615,"filter":"x.>"}`, 4, 4},
		{`{"seq":100}`, 100, 100},
	} {
		name := fmt.Sprintf("P%d", i)
		subj := strings.ReplaceAll("x.N", "N", name)
		mustStream(t, b, fmt.Sprintf(`{"name":%q,"subjects":[%q],"storage":"memory"}`, name, subj))
		for range 3 {
			b.publish(t, subj, "")
		}
		b.call(t, "STREAM.PURGE."+name, x.body, nil)
		var s streamAnswer
		b.call(t, "STREAM.INFO."+name, "", &s)
		if a := b.publish(t, subj, ""); s.State.Msgs != 0 || s.State.FirstSeq != x.first || a.Seq != x.next {
			t.Errorf("%s: %+v, next %+v", x.body, s.State, a)
		}
	}
}

func TestDirectGet_batchWithoutAStart(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"D","subjects":["d"],"storage":"memory","allow_direct":true}`)
	b.publish(t, "d", "")
	for body, want := range map[string]string{
		`{"batch":3}`:                 "NATS/1.0 408 Empty Request",
		`{"batch":3,"seq":0}`:         "NATS/1.0 408 Empty Request",
		`{}`:                          "NATS/1.0 408 Empty Request",
		`{"batch":-1,"seq":1}`:        "NATS/1.0 204 EOB",
		`{"batch":3,"seq":1}`:         "NATS/1.0",
		`{"multi_last":[],"batch":1}`: "NATS/1.0 408 Empty Request",
	} {
		m := b.request(t, directPrefix+"D", "", body)
		if line, _, _ := strings.Cut(m.Header, "\r\n"); line != want {
			t.Errorf("%s: %q", body, line)
		}
	}
}

func TestConsumer_limitsOfTheStream(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s"],"storage":"memory","consumer_limits":{"max_ack_pending":10,"inactive_threshold":60000000000}}`)
	const map_, inactive = "pedantic mode: max_ack_pending must be set if it's configured in stream limits", "pedantic mode: inactive_threshold must be set if it's configured in stream limits"
	mustConsumer(t, b, "S", "dur", `{"durable_name":"dur","ack_policy":"explicit"}`)
	for i, x := range []struct {
		config string
		action string
		strict bool
		code   uint16
		text   string
		limit  int
	}{
		{config: `"ack_policy":"explicit"`, limit: 10},
		{config: `"ack_policy":"none"`, limit: 10},
		{config: `"ack_policy":"none","max_ack_pending":-1`, limit: -1},
		{config: `"ack_policy":"explicit","max_ack_pending":-1`, limit: -1},
		{config: `"ack_policy":"explicit","max_ack_pending":11`, code: 10121},
		{config: `"ack_policy":"none","max_ack_pending":11`, code: 10121},
		{config: `"ack_policy":"none","deliver_subject":"x"`, code: 10082},
		{config: `"ack_policy":"none","inactive_threshold":90000000000`, code: 10153},
		{config: `"ack_policy":"explicit"`, strict: true, code: 10157, text: map_},
		{config: `"ack_policy":"none","inactive_threshold":1000000000`, strict: true, code: 10157, text: map_},
		{config: `"ack_policy":"explicit","max_ack_pending":5`, strict: true, code: 10157, text: inactive},
		{config: `"ack_policy":"explicit","max_ack_pending":5,"inactive_threshold":1000000000`, strict: true, limit: 5},
		{config: `"durable_name":"dur","ack_policy":"none","max_ack_pending":11`, action: "create", code: 10121},
		{config: `"durable_name":"dur","ack_policy":"none"`, action: "create", code: 10148},
		{config: `"deliver_subject":"x","ack_policy":"explicit","idle_heartbeat":-1`, limit: 10},
		{config: `"deliver_subject":"x","ack_policy":"explicit","idle_heartbeat":-1,"max_ack_pending":5,"inactive_threshold":1000000000`, strict: true, code: 10157, text: "pedantic mode: idle_heartbeat must not be negative"},
		{config: `"deliver_subject":"x","ack_policy":"explicit","idle_heartbeat":-1,"flow_control":true`, code: 10108},
	} {
		name := fmt.Sprintf("c%d", i)
		if strings.Contains(x.config, "durable_name") {
			name = "dur"
		}
		body := fmt.Sprintf(`{"stream_name":"S","config":{%s},"action":%q,"pedantic":%v}`, x.config, x.action, x.strict)
		m := b.request(t, asset.APIPrefix+"CONSUMER.CREATE.S."+name, "", body)
		var got struct {
			Error  *apierror.Error  `json:"error"`
			Config *consumer.Config `json:"config"`
		}
		if err := json.Unmarshal([]byte(m.Body), &got); err != nil {
			t.Fatal(err)
		}
		switch {
		case x.code == 0 && (got.Error != nil || got.Config.MaxAckPending != x.limit || got.Config.Heartbeat != 0):
			t.Errorf("%s: %s", x.config, m.Body)
		case x.code != 0 && (got.Error == nil || got.Error.ErrCode != x.code || x.text != "" && got.Error.Description != x.text):
			t.Errorf("%s: %s", x.config, m.Body)
		}
	}
}

// Whoever acknowledged a message and asks what the stream holds does not see it.
func TestStream_infoFollowsPlainAcks(t *testing.T) {
	for _, retention := range []string{"workqueue", "interest"} {
		_, b := newTestEngine(t, func(c *Config) { c.Dir = t.TempDir() })
		mustStream(t, b, `{"name":"W","subjects":["w"],"retention":"`+retention+`"}`)
		mustConsumer(t, b, "W", "c", `{"durable_name":"c","ack_policy":"explicit"}`)
		in := b.inbox(t, "in")
		for range 20 {
			b.publish(t, "w", "")
			b.send(nextPrefix+"W.c", "in", "1")
			b.send(in.next().Reply, "", "")
			var s streamAnswer
			b.call(t, "STREAM.INFO.W", "", &s)
			if s.State.Msgs != 0 {
				t.Fatalf("%s: %d messages behind the acknowledgement", retention, s.State.Msgs)
			}
		}
	}
}

func TestEngine_endsPullRequestsBeforeItGoes(t *testing.T) {
	e, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s"],"storage":"memory"}`)
	mustConsumer(t, b, "S", "c", `{"durable_name":"c","ack_policy":"explicit"}`)
	in := b.inbox(t, "in")
	const want = "NATS/1.0 409 Server Shutdown\r\nNats-Pending-Messages: 5\r\nNats-Pending-Bytes: 0\r\n\r\n"
	b.send(nextPrefix+"S.c", "in", "5")
	e.EndRequests()
	if m := in.next(); m.Header != want {
		t.Errorf("%q", m.Header)
	}
	b.send(nextPrefix+"S.c", "in", "5")
	if m := in.next(); m.Header != want {
		t.Errorf("one that came later: %q", m.Header)
	}
	if a := b.publish(t, "s", ""); a.Seq != 1 {
		t.Errorf("a publication meanwhile: %+v", a)
	}
}

// Consumers in memory cost no sync, and are gone after a restart, as those of
// the stock server.
func TestConsumer_memoryStorage(t *testing.T) {
	for _, retention := range []string{"limits", "interest", "workqueue"} {
		for _, mode := range []string{"restart", "crash", "drained crash"} {
			d := newDevice(t, 31)
			e, b := d.open()
			mustStream(t, b, `{"name":"S","subjects":["s.>"],"retention":"`+retention+`"}`)
			mustConsumer(t, b, "S", "file", `{"durable_name":"file","ack_policy":"explicit","filter_subject":"s.f"}`)
			for _, name := range []string{"m1", "m2"} {
				mustConsumer(t, b, "S", name, `{"durable_name":"`+name+`","ack_policy":"explicit","mem_storage":true,"filter_subject":"s.`+name+`"}`)
			}
			for range 3 {
				b.publish(t, "s.m1", "")
				b.publish(t, "s.f", "")
			}
			mustConsumer(t, b, "S", "m1", `{"durable_name":"m1","ack_policy":"explicit","mem_storage":true,"filter_subject":"s.m1","description":"changed"}`)
			b.call(t, "CONSUMER.DELETE.S.m2", "", nil)
			in := b.inbox(t, "in")
			b.send(nextPrefix+"S.m1", "in", "1")
			in.next()
			for range 2 {
				switch mode {
				case "restart":
					if err := e.Close(); err != nil {
						t.Fatal(err)
					}
				case "drained crash":
					if err := e.drain.drain(); err != nil {
						t.Fatal(err)
					}
					fallthrough
				default:
					d.crash(e, 0)
				}
				e, b = d.open()
				var names struct{ Consumers []string }
				b.call(t, "CONSUMER.NAMES.S", "", &names)
				if fmt.Sprint(names.Consumers) != "[file]" {
					t.Errorf("%s, %s: %v", retention, mode, names.Consumers)
				}
				var c api.ConsumerInfo
				b.call(t, "CONSUMER.INFO.S.file", "", &c)
				if c.NumPending != 3 {
					t.Errorf("%s, %s: %d pending", retention, mode, c.NumPending)
				}
				if a := b.publish(t, "s.f", ""); a.Seq != 7 && a.Seq != 8 {
					t.Errorf("%+v", a)
				}
				b.call(t, "STREAM.PURGE.S", `{"filter":"s.f","keep":3}`, nil)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// It stays where it is when the retention begins to depend on it.
func TestConsumer_memoryStorageUnderAnotherRetention(t *testing.T) {
	d := newDevice(t, 32)
	e, b := d.open()
	mustStream(t, b, `{"name":"S","subjects":["s"]}`)
	mustConsumer(t, b, "S", "m", `{"durable_name":"m","ack_policy":"explicit","mem_storage":true}`)
	before := e.drain.newest.Load()
	mustConsumer(t, b, "S", "n", `{"name":"n","ack_policy":"none","mem_storage":true}`)
	b.call(t, "CONSUMER.DELETE.S.n", "", nil)
	if after := e.drain.newest.Load(); after != before {
		t.Errorf("a consumer in memory wrote %d operations", after-before)
	}
	b.call(t, "STREAM.UPDATE.S", `{"name":"S","subjects":["s"],"retention":"interest"}`, nil)
	b.publish(t, "s", "")
	var s streamAnswer
	if b.call(t, "STREAM.INFO.S", "", &s); s.State.Msgs != 1 || s.State.Consumers != 1 {
		t.Errorf("%+v", s.State)
	}
	d.crash(e, 0)
	e, b = d.open()
	if b.call(t, "STREAM.INFO.S", "", &s); s.State.LastSeq != 1 || s.State.Consumers != 0 {
		t.Errorf("%+v", s.State)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
