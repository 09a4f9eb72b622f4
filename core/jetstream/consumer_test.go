package jetstream

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

const consumerType = `{"type":"io.nats.jetstream.api.v1.`

// As a stock server answers, but for level and version.
func TestAPI_consumerAnswersAreByteExact(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s.>"],"storage":"memory"}`)
	b.publish(t, "s.a", "")
	b.publish(t, "s.a", "")
	b.call(t, "STREAM.MSG.DELETE.S", `{"seq":1}`, nil)
	config := `{"durable_name":"c1","name":"c1","deliver_policy":"all","ack_policy":"explicit","ack_wait":30000000000,"max_deliver":-1,"filter_subject":"s.\u003e","replay_policy":"instant","max_waiting":512,"max_ack_pending":1000,"num_replicas":0,"metadata":{"_nats.level":"2","_nats.req.level":"0","_nats.ver":"2.12.0"}}`
	listed := strings.Replace(config, `{"_nats.level":"2","_nats.req.level":"0","_nats.ver":"2.12.0"}`, `{"_nats.req.level":"0"}`, 1)
	state := func(config string) string {
		return `"stream_name":"S","name":"c1","created":"T","config":` + config + `,"delivered":{"consumer_seq":0,"stream_seq":1},"ack_floor":{"consumer_seq":0,"stream_seq":1},"num_ack_pending":0,"num_redelivered":0,"num_waiting":0,"num_pending":1,"ts":"T"}`
	}
	create := `{"stream_name":"S","config":{"durable_name":"c1","name":"c1","ack_policy":"explicit","filter_subject":"s.>"},"action":""}`
	for i, x := range []struct{ verb, body, want string }{
		{"CONSUMER.LIST.S", "", consumerType + `consumer_list_response","total":0,"offset":0,"limit":256,"consumers":[]}`},
		{"CONSUMER.NAMES.S", "", consumerType + `consumer_names_response","total":0,"offset":0,"limit":1024,"consumers":[]}`},
		{"CONSUMER.NAMES.ZZ", "", consumerType + `consumer_names_response","error":{"code":404,"err_code":10059,"description":"stream not found"},"total":0,"offset":0,"limit":0,"consumers":[]}`},
		{"CONSUMER.CREATE.S.c1", create, consumerType + `consumer_create_response",` + state(config)},
		{"CONSUMER.CREATE.S.c1", create, consumerType + `consumer_create_response",` + state(config)},
		{"CONSUMER.INFO.S.c1", "", consumerType + `consumer_info_response",` + state(config)},
		{"CONSUMER.LIST.S", "", consumerType + `consumer_list_response","total":1,"offset":0,"limit":256,"consumers":[{` + state(listed) + `]}`},
		{"CONSUMER.NAMES.S", "", consumerType + `consumer_names_response","total":1,"offset":0,"limit":1024,"consumers":["c1"]}`},
		{"CONSUMER.INFO.S.c1", "null", consumerType + `consumer_info_response","error":{"code":400,"err_code":10038,"description":"expected an empty request payload"}}`},
		{"CONSUMER.DELETE.S.c1", "null", consumerType + `consumer_delete_response","error":{"code":400,"err_code":10038,"description":"expected an empty request payload"}}`},
		{"CONSUMER.DELETE.S.c1", "x", consumerType + `consumer_delete_response","error":{"code":400,"err_code":10038,"description":"expected an empty request payload"}}`},
		{"CONSUMER.DELETE.S.c1", "", consumerType + `consumer_delete_response","success":true}`},
		{"CONSUMER.INFO.S.c1", "", consumerType + `consumer_info_response","error":{"code":404,"err_code":10014,"description":"consumer not found"}}`},
		{"CONSUMER.PAUSE.S.x", "", consumerType + `consumer_pause_response","error":{"code":404,"err_code":10014,"description":"consumer not found"},"paused":false,"pause_until":"0001-01-01T00:00:00Z"}`},
		{"CONSUMER.UNPIN.S.x", "{}", consumerType + `consumer_unpin_response","error":{"code":400,"err_code":10025,"description":"invalid JSON: consumer group not specified"}}`},
		{"CONSUMER.CREATE.S", "", consumerType + `consumer_create_response","error":{"code":400,"err_code":10056,"description":"stream name in subject does not match request"}}`},
	} {
		got := shape(b.request(t, asset.APIPrefix+x.verb, "", x.body).Body)
		if got != x.want {
			t.Errorf("%d %s %s\n got %s\nwant %s", i, x.verb, x.body, got, x.want)
		}
	}
}

func mustConsumer(t testing.TB, b *testBus, stream, name, config string) {
	t.Helper()
	b.call(t, "CONSUMER.CREATE."+stream+"."+name, `{"stream_name":"`+stream+`","config":`+config+`}`, nil)
}

func TestConsumer_createErrors(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s.>"],"storage":"memory","max_consumers":2}`)
	mustConsumer(t, b, "S", "c", `{"durable_name":"c","ack_policy":"explicit"}`)
	for _, x := range []struct {
		verb, body string
		code       uint16
	}{
		{"CONSUMER.CREATE.S", `{"stream_name":"X","config":{}}`, 10056},
		{"CONSUMER.CREATE.S", `{"stream_name":"S","config":{"durable_name":"x"}}`, 10020},
		{"CONSUMER.CREATE.S.y", `{"stream_name":"S","config":{"durable_name":"x"}}`, 10017},
		{"CONSUMER.CREATE.S.y.s.a", `{"stream_name":"S","config":{"filter_subject":"s.b"}}`, 10131},
		{"CONSUMER.CREATE.S.y.s.a", `{"stream_name":"S","config":{"filter_subjects":["s.a","s.b"]}}`, 10137},
		{"CONSUMER.DURABLE.CREATE.S.y", `{"stream_name":"S","config":{}}`, 10018},
		{"CONSUMER.DURABLE.CREATE.S.y", `{"stream_name":"S","config":{"durable_name":"x"}}`, 10017},
		{"CONSUMER.CREATE.Z.y", `{"stream_name":"Z","config":{}}`, 10059},
		{"CONSUMER.CREATE.S.y", `{"stream_name":"S","config":{"x":1}}`, 10025},
		{"CONSUMER.CREATE.S.y", `{"stream_name":"S","config":{},"action":"foo"}`, 10025},
		{"CONSUMER.CREATE.S.y", `{"stream_name":"S","config":{"filter_subjects":["s.a","s.>",""]}}`, 10139},
		{"CONSUMER.CREATE.S.y", `{"stream_name":"S","config":{"filter_subjects":["s.a","s.a","s..b"]}}`, 10052},
		{"CONSUMER.CREATE.S.y", `{"stream_name":"S","config":{"filter_subjects":["s.a","s.>"]}}`, 10138},
		{"CONSUMER.CREATE.S.y", `{"stream_name":"S","config":{},"action":"update"}`, 10149},
		{"CONSUMER.CREATE.S.c", `{"stream_name":"S","config":{"durable_name":"c","ack_policy":"all"},"action":"create"}`, 10148},
		{"CONSUMER.CREATE.S.c", `{"stream_name":"S","config":{"durable_name":"c","ack_policy":"all"}}`, 10012},
		{"CONSUMER.CREATE.S.y", `{"stream_name":"S","config":{"deliver_subject":"s.x"}}`, 10081},
	} {
		if err := b.fails(t, x.verb, x.body); err.ErrCode != x.code {
			t.Errorf("%s %s: %v, want %d", x.verb, x.body, err, x.code)
		}
	}
	mustConsumer(t, b, "S", "d", `{"ack_policy":"explicit","inactive_threshold":60000000000}`)
	update := `{"name":"S","subjects":["s.>"],"storage":"memory","max_consumers":2,"consumer_limits":{"max_ack_pending":5}}`
	if err := b.fails(t, "STREAM.UPDATE.S", update); err.ErrCode != 10069 || err.Description != "change to limits violates consumers: c, d" {
		t.Errorf("limits below the consumers: %v", err)
	}
	if err := b.fails(t, "CONSUMER.CREATE.S.e", `{"stream_name":"S","config":{}}`); err.ErrCode != 10026 {
		t.Errorf("a third consumer: %v", err)
	}
}

// The server's name of a consumer without one is not a part of its
// configuration.
func TestConsumer_ephemeralWithoutName(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s.>"],"storage":"memory"}`)
	var made, again struct {
		Name   string         `json:"name"`
		Config map[string]any `json:"config"`
	}
	b.call(t, "CONSUMER.CREATE.S", `{"stream_name":"S","config":{"ack_policy":"explicit"}}`, &made)
	b.call(t, "CONSUMER.INFO.S."+made.Name, "", &again)
	if made.Name == "" || made.Config["name"] != nil || again.Name != made.Name || again.Config["name"] != nil {
		t.Errorf("made %+v, then %+v", made, again)
	}
	b.publish(t, "s.a", "x")
	if m := b.pull(t, "S."+made.Name, "1").next(); m.Shown != "s.a" {
		t.Errorf("got %+v", m)
	}
	b.call(t, "CONSUMER.DELETE.S."+made.Name, "", nil)
}

// pull asks for messages and gives the inbox of the answers.
func (b *testBus) pull(t testing.TB, consumer, body string) *inbox {
	t.Helper()
	b.mu.Lock()
	b.next++
	reply := fmt.Sprintf("_PULL.%d", b.next)
	b.mu.Unlock()
	in := b.inbox(t, reply)
	if n := b.route(&wire.Msg{Subject: []byte(nextPrefix + consumer), Reply: []byte(reply), Body: []byte(body)}); n == 0 {
		t.Fatalf("nobody takes pulls for %s", consumer)
	}
	return in
}

// ackTail is an ack subject without the time.
func ackTail(m testMsg) string {
	p := strings.Split(m.Reply, ".")
	if len(p) != 9 {
		return m.Reply
	}
	return strings.Join(append(p[2:7:7], p[8]), ".")
}

type consumerAnswer struct {
	Delivered struct {
		Consumer uint64 `json:"consumer_seq"`
		Stream   uint64 `json:"stream_seq"`
	} `json:"delivered"`
	AckFloor struct {
		Consumer uint64 `json:"consumer_seq"`
		Stream   uint64 `json:"stream_seq"`
	} `json:"ack_floor"`
	NumAckPending  int    `json:"num_ack_pending"`
	NumRedelivered int    `json:"num_redelivered"`
	NumWaiting     int    `json:"num_waiting"`
	NumPending     uint64 `json:"num_pending"`
	PushBound      bool   `json:"push_bound"`
	Paused         bool   `json:"paused"`
}

func (b *testBus) consumer(t testing.TB, stream, name string) (a consumerAnswer) {
	t.Helper()
	b.call(t, "CONSUMER.INFO."+stream+"."+name, "", &a)
	return a
}

func TestConsumer_pullAckAndRedeliver(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s.>"],"storage":"memory"}`)
	for i := range 4 {
		b.publish(t, "s.a", fmt.Sprint(i+1))
	}
	mustConsumer(t, b, "S", "c", `{"durable_name":"c","ack_policy":"explicit"}`)
	in := b.pull(t, "S.c", "3")
	var got []testMsg
	for i := range 3 {
		m := in.next()
		got = append(got, m)
		if want := fmt.Sprintf("S.c.1.%d.%d.%d", i+1, i+1, 3-i); ackTail(m) != want || m.Shown != "s.a" || m.Body != fmt.Sprint(i+1) {
			t.Fatalf("delivery %d: %+v, want ack %s", i, m, want)
		}
	}
	if m := b.request(t, got[0].Reply, "", "+ACK"); m.Body != "" {
		t.Errorf("double ack answered %+v", m)
	}
	b.request(t, got[1].Reply, "", "-NAK")
	if a := b.consumer(t, "S", "c"); a.AckFloor.Stream != 1 || a.NumAckPending != 2 || a.NumPending != 1 || a.Delivered.Stream != 3 {
		t.Errorf("after an ack and a nak: %+v", a)
	}
	if m := b.pull(t, "S.c", `{"batch":1}`).next(); ackTail(m) != "S.c.2.2.4.1" {
		t.Errorf("redelivery: %+v", m)
	}
	if m := b.pull(t, "S.c", `{"batch":1}`).next(); ackTail(m) != "S.c.1.4.5.0" {
		t.Errorf("the last: %+v", m)
	}
	if m := b.pull(t, "S.c", `{"batch":1,"no_wait":true}`).next(); m.Header != "NATS/1.0 404 No Messages\r\n\r\n" {
		t.Errorf("nothing left: %+v", m)
	}
	if m := b.pull(t, "S.c", `{"batch":1,"expires":1000000}`).next(); !strings.HasPrefix(m.Header, "NATS/1.0 408 Request Timeout\r\n") {
		t.Errorf("expiry: %+v", m)
	}
	waiting := b.pull(t, "S.c", `{"batch":1}`)
	b.call(t, "CONSUMER.DELETE.S.c", "", nil)
	if m := waiting.next(); m.Header != "NATS/1.0 409 Consumer Deleted\r\n\r\n" {
		t.Errorf("after the delete: %+v", m)
	}
	if b.HasInterest(nextPrefix + "S.c") {
		t.Error("a deleted consumer still takes pulls")
	}
}

func TestConsumer_waitingPullGetsNewMessages(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s.>"],"storage":"memory"}`)
	mustConsumer(t, b, "S", "c", `{"durable_name":"c","ack_policy":"explicit","filter_subject":"s.b"}`)
	in := b.pull(t, "S.c", "100")
	for i := range 100 {
		b.publish(t, "s.a", "")
		b.publish(t, "s.b", fmt.Sprint(i))
	}
	for i := range 100 {
		if m := in.next(); m.Body != fmt.Sprint(i) {
			t.Fatalf("message %d: %+v", i, m)
		}
	}
	if a := b.consumer(t, "S", "c"); a.NumPending != 0 || a.NumAckPending != 100 {
		t.Errorf("%+v", a)
	}
}

func TestConsumer_pushWithFlowControlAndHeartbeats(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s.>"],"storage":"memory"}`)
	for i := range 3 {
		b.publish(t, "s.a", fmt.Sprint(i))
	}
	mustConsumer(t, b, "S", "c", `{"deliver_subject":"dlv","ack_policy":"none","flow_control":true,"idle_heartbeat":100000000}`)
	if a := b.consumer(t, "S", "c"); a.PushBound || a.Delivered.Stream != 0 {
		t.Errorf("before anybody listens: %+v", a)
	}
	in := b.inbox(t, "dlv")
	for i := range 3 {
		if m := in.next(); m.Shown != "s.a" || m.Body != fmt.Sprint(i) {
			t.Errorf("message %d: %+v", i, m)
		}
	}
	if m := in.next(); !strings.HasPrefix(m.Header, "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 3\r\nNats-Last-Stream: 3\r\n") {
		t.Errorf("heartbeat: %+v", m)
	}
	in.stop()
}

func TestConsumer_ephemeralGoesWhenUnused(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s.>"],"storage":"memory"}`)
	gone := b.inbox(t, "$JS.EVENT.ADVISORY.CONSUMER.DELETED.S.c")
	mustConsumer(t, b, "S", "c", `{"ack_policy":"explicit","inactive_threshold":1000000}`)
	var adv struct{ Consumer, Action string }
	if err := json.Unmarshal([]byte(gone.next().Body), &adv); err != nil || adv.Action != "delete" || adv.Consumer != "c" {
		t.Errorf("advisory %+v, %v", adv, err)
	}
	if err := b.fails(t, "CONSUMER.INFO.S.c", ""); err.ErrCode != 10014 {
		t.Error(err)
	}
}

func TestConsumer_lastPerSubjectAndStartPositions(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s.>"],"storage":"memory"}`)
	for i := range 6 {
		b.publish(t, fmt.Sprintf("s.%d", i%3), fmt.Sprint(i+1))
	}
	for name, x := range map[string]struct{ config, want string }{
		"all":  {`"deliver_policy":"all"`, "1 2 3 4 5 6 7"},
		"last": {`"deliver_policy":"last"`, "6 7"},
		"new":  {`"deliver_policy":"new"`, "7"},
		"seq":  {`"deliver_policy":"by_start_sequence","opt_start_seq":5`, "5 6 7"},
		"time": {`"deliver_policy":"by_start_time","opt_start_time":"2000-01-01T00:00:00Z"`, "1 2 3 4 5 6 7"},
		"per":  {`"deliver_policy":"last_per_subject","filter_subject":"s.>"`, "4 5 6 7"},
	} {
		mustConsumer(t, b, "S", name, `{"ack_policy":"explicit","inactive_threshold":60000000000,`+x.config+`}`)
	}
	b.publish(t, "s.0", "7")
	for name, want := range map[string]string{"all": "1 2 3 4 5 6 7", "last": "6 7", "new": "7", "seq": "5 6 7", "time": "1 2 3 4 5 6 7", "per": "4 5 6 7"} {
		var got []string
		in := b.pull(t, "S."+name, `{"batch":20,"no_wait":true}`)
		for m := in.next(); m.Header == ""; m = in.next() {
			got = append(got, m.Body)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", name, s, want)
		}
	}
}

func TestConsumer_pauseAndUpdate(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s.>"],"storage":"memory"}`)
	mustConsumer(t, b, "S", "c", `{"durable_name":"c","ack_policy":"explicit","filter_subject":"s.a"}`)
	b.publish(t, "s.a", "1")
	b.publish(t, "s.b", "2")
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
	b.call(t, "CONSUMER.PAUSE.S.c", `{"pause_until":"`+until+`"}`, nil)
	if a := b.consumer(t, "S", "c"); !a.Paused {
		t.Errorf("not paused: %+v", a)
	}
	in := b.pull(t, "S.c", "5")
	mustConsumer(t, b, "S", "c", `{"durable_name":"c","ack_policy":"explicit","filter_subject":"s.b"}`)
	if a := b.consumer(t, "S", "c"); !a.Paused || a.NumPending != 1 || a.NumWaiting != 1 {
		t.Errorf("after an update: %+v", a)
	}
	in.none()
	b.call(t, "CONSUMER.PAUSE.S.c", "", nil)
	if m := in.next(); m.Body != "2" {
		t.Errorf("resumed with %+v", m)
	}
}

func TestConsumer_purgeAndDeletesMoveIt(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s.>"],"storage":"memory","max_msgs":6}`)
	mustConsumer(t, b, "S", "c", `{"durable_name":"c","ack_policy":"explicit"}`)
	for i := range 6 {
		b.publish(t, fmt.Sprintf("s.%d", i%2), "")
	}
	if m := b.pull(t, "S.c", "1").next(); ackTail(m) != "S.c.1.1.1.5" {
		t.Fatalf("%+v", m)
	}
	b.call(t, "STREAM.MSG.DELETE.S", `{"seq":3}`, nil)
	if a := b.consumer(t, "S", "c"); a.NumPending != 4 {
		t.Errorf("after a delete ahead: %+v", a)
	}
	b.call(t, "STREAM.PURGE.S", `{"filter":"s.0"}`, nil)
	if a := b.consumer(t, "S", "c"); a.NumPending != 3 || a.NumAckPending != 0 {
		t.Errorf("after a purge of a subject: %+v", a)
	}
	for range 5 {
		b.publish(t, "s.1", "")
	}
	if a := b.consumer(t, "S", "c"); a.NumPending != 6 {
		t.Errorf("after the limit dropped some: %+v", a)
	}
	b.call(t, "STREAM.PURGE.S", ``, nil)
	if a := b.consumer(t, "S", "c"); a.NumPending != 0 || a.AckFloor.Stream != 11 || a.Delivered.Stream != 11 {
		t.Errorf("after a purge: %+v", a)
	}
}

func TestConsumer_workQueueAndInterest(t *testing.T) {
	e, b := newTestEngine(t)
	mustStream(t, b, `{"name":"W","subjects":["w.>"],"storage":"memory","retention":"workqueue"}`)
	mustStream(t, b, `{"name":"I","subjects":["i.>"],"storage":"memory","retention":"interest"}`)
	mustConsumer(t, b, "W", "c", `{"durable_name":"c","ack_policy":"explicit"}`)
	if err := b.fails(t, "CONSUMER.CREATE.W.d", `{"stream_name":"W","config":{"ack_policy":"explicit"}}`); err.ErrCode != 10099 {
		t.Errorf("a second consumer: %v", err)
	}
	mustConsumer(t, b, "I", "x", `{"durable_name":"x","ack_policy":"explicit","filter_subject":"i.a"}`)
	mustConsumer(t, b, "I", "y", `{"durable_name":"y","ack_policy":"explicit","filter_subject":"i.*"}`)
	for range 3 {
		b.publish(t, "w.1", "")
		b.publish(t, "i.a", "")
	}
	if a := b.publish(t, "i.b.c", "", "Nats-Msg-Id", "z"); a.Seq != 4 || a.Error != nil {
		t.Errorf("a message for nobody: %+v", a)
	}
	if a := b.publish(t, "i.b.c", "", "Nats-Msg-Id", "z"); a.Seq != 4 || !a.Duplicate {
		t.Errorf("again: %+v", a)
	}
	b.publish(t, "i.b", "")
	ack := func(consumer string, n int) {
		t.Helper()
		in := b.pull(t, consumer, fmt.Sprint(n))
		for range n {
			b.request(t, in.next().Reply, "", "")
		}
	}
	ack("W.c", 2)
	eventually(t, func() bool { return fmt.Sprint(sequences(e, "W")) == "[3]" })
	ack("I.y", 4)
	eventually(t, func() bool { return fmt.Sprint(sequences(e, "I")) == "[1 2 3]" })
	ack("I.x", 1)
	eventually(t, func() bool { return fmt.Sprint(sequences(e, "I")) == "[2 3]" })
	b.call(t, "CONSUMER.DELETE.I.x", "", nil)
	eventually(t, func() bool { return fmt.Sprint(sequences(e, "I")) == "[]" })
}

// eventually waits for a condition that its line tells.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	testkit.Eventually(t, "the condition of this line", ok)
}
