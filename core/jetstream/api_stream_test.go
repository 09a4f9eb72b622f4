package jetstream

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/jetstream/asset"
)

// times hides what differs from run to run.
var times = regexp.MustCompile(`"(created|ts|first_ts|last_ts|time|timestamp)":"20[^"]*"`)

func shape(s string) string { return times.ReplaceAllString(s, `"$1":"T"`) }

// The answers of a stock server to the same requests, but for level, version
// and the leader's name.
func TestAPI_streamAnswersAreByteExact(t *testing.T) {
	_, b := newTestEngine(t)
	const config = `{"name":"S","subjects":["s.\u003e"],"retention":"limits","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"max_msgs_per_subject":-1,"max_msg_size":-1,"discard":"new","storage":"memory","num_replicas":1,"duplicate_window":120000000000,"compression":"none","allow_direct":false,"mirror_direct":false,"sealed":false,"deny_delete":false,"deny_purge":false,"allow_rollup_hdrs":false,"consumer_limits":{},"allow_msg_ttl":false,"metadata":{"_nats.level":"2","_nats.req.level":"0","_nats.ver":"2.12.0"}}`
	listed := strings.Replace(config, `{"_nats.level":"2","_nats.req.level":"0","_nats.ver":"2.12.0"}`, `{"_nats.req.level":"0"}`, 1)
	const empty = `"state":{"messages":0,"bytes":0,"first_seq":0,"first_ts":"0001-01-01T00:00:00Z","last_seq":0,"last_ts":"0001-01-01T00:00:00Z","consumer_count":0}`
	const typ = `{"type":"io.nats.jetstream.api.v1.`
	create := `{"name":"S","subjects":["s.>"],"discard":"new","storage":"memory"}`
	for i, x := range []struct{ verb, header, body, want string }{
		{"STREAM.NAMES", "", "", typ + `stream_names_response","total":0,"offset":0,"limit":1024,"streams":null}`},
		{"STREAM.LIST", "", "", typ + `stream_list_response","total":0,"offset":0,"limit":256,"streams":[]}`},
		{"STREAM.INFO.S", "", "", typ + `stream_info_response","error":{"code":404,"err_code":10059,"description":"stream not found"},"total":0,"offset":0,"limit":0}`},
		{"STREAM.CREATE.S", "", create, typ + `stream_create_response","config":` + config + `,"created":"T",` + empty + `,"ts":"T","did_create":true}`},
		{"STREAM.CREATE.S", "", create, typ + `stream_create_response","config":` + config + `,"created":"T",` + empty + `,"ts":"T","did_create":true}`},
		{"STREAM.INFO.S", "", "", typ + `stream_info_response","total":0,"offset":0,"limit":0,"config":` + config + `,"created":"T",` + empty + `,"cluster":{"leader":"srv"},"ts":"T"}`},
		{"", "", "hello", `{"stream":"S","seq":1}`},
		{"", header("Nats-Msg-Id", "1"), "hello", `{"stream":"S","seq":2}`},
		{"", header("Nats-Msg-Id", "1"), "hello", `{"stream":"S","seq":2,"duplicate": true}`},
		{"", header("Nats-Expected-Last-Sequence", "10"), "hello", `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 2"},"stream":"S","seq":0}`},
		{"STREAM.NAMES", "", "", typ + `stream_names_response","total":1,"offset":0,"limit":1024,"streams":["S"]}`},
		{"STREAM.NAMES", "", `{"subject":"x"}`, typ + `stream_names_response","total":0,"offset":0,"limit":1024,"streams":null}`},
		{"STREAM.MSG.GET.S", "", `{"seq":2}`, typ + `stream_msg_get_response","message":{"subject":"s.a","seq":2,"hdrs":"TkFUUy8xLjANCk5hdHMtTXNnLUlkOiAxDQoNCg==","data":"aGVsbG8=","time":"T"}}`},
		{"STREAM.MSG.GET.S", "", `{"seq":9}`, typ + `stream_msg_get_response","error":{"code":404,"err_code":10037,"description":"no message found"}}`},
		{"STREAM.MSG.GET.S", "", ``, typ + `stream_msg_get_response","error":{"code":400,"err_code":10003,"description":"bad request"}}`},
		{"STREAM.PURGE.S", "", `{"filter":"s.a","keep":1}`, typ + `stream_purge_response","success":true,"purged":1}`},
		{"STREAM.PURGE.S", "", `{"seq":4,"keep":3}`, typ + `stream_purge_response","error":{"code":400,"err_code":10003,"description":"bad request"},"purged":0}`},
		{"STREAM.PURGE.S", "", `{"x":4}`, typ + `stream_purge_response","error":{"code":400,"err_code":10025,"description":"invalid JSON: json: unknown field \"x\""},"purged":0}`},
		{"STREAM.MSG.DELETE.S", "", "null", typ + `stream_msg_delete_response","error":{"code":400,"err_code":10043,"description":"sequence 0 not found"}}`},
		{"STREAM.MSG.DELETE.S", "", `{"seq":2}`, typ + `stream_msg_delete_response","success":true}`},
		{"STREAM.LIST", "", "", typ + `stream_list_response","total":1,"offset":0,"limit":256,"streams":[{"config":` + listed + `,"created":"T","state":{"messages":0,"bytes":0,"first_seq":3,"first_ts":"0001-01-01T00:00:00Z","last_seq":2,"last_ts":"T","consumer_count":0},"ts":"T"}]}`},
		{"STREAM.DELETE.S", "", "x", typ + `stream_delete_response","error":{"code":400,"err_code":10038,"description":"expected an empty request payload"}}`},
		{"STREAM.DELETE.S", "", "", typ + `stream_delete_response","success":true}`},
		{"STREAM.DELETE.S", "", "", typ + `stream_delete_response","error":{"code":404,"err_code":10059,"description":"stream not found"}}`},
		{"STREAM.LEADER.STEPDOWN.S", "", "", typ + `stream_leader_stepdown_response","error":{"code":503,"err_code":10010,"description":"JetStream clustering support required"}}`},
	} {
		subj := asset.APIPrefix + x.verb
		if x.verb == "" {
			subj = "s.a"
		}
		got := shape(b.request(t, subj, x.header, x.body).Body)
		if got != x.want {
			t.Errorf("%d %s %s\n got %s\nwant %s", i, x.verb, x.body, got, x.want)
		}
	}
}

func TestAPI_streamConfigErrors(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"F","subjects":["f.>"],"storage":"memory"}`)
	for _, x := range []struct {
		config string
		code   uint16
		text   string
	}{
		{`{"name":"P","foo":1}`, 10025, `invalid JSON: json: unknown field "foo"`},
		{`{"name":"P",`, 10025, `invalid JSON: unexpected EOF`},
		{`{"name":"P","max_msgs":"x"}`, 10025, `invalid JSON: json: cannot unmarshal string into field max_msgs of type integer`},
		{`{"name":"P","max_msgs":1.5}`, 10025, `invalid JSON: json: cannot unmarshal number 1.5 into field max_msgs of type integer`},
		{`{"name":"P","subjects":5}`, 10025, `invalid JSON: json: cannot unmarshal number into field subjects of type array`},
		{`{"name":"P","mirror":{"name":3}}`, 10025, `invalid JSON: json: cannot unmarshal number into field mirror.name of type string`},
		{`{"name":"P","sources":[3]}`, 10025, `invalid JSON: json: cannot unmarshal number into field sources of type object`},
		{`[]`, 10025, `invalid JSON: json: cannot unmarshal array into object`},
		{`{"name":"P"} x`, 10025, `invalid JSON: invalid character 'x' looking for beginning of value at offset 14`},
		{`{"name":"P"} {"foo":1}`, 10025, `invalid JSON: json: unknown field "foo"`},
		{`{"name":"P","retention":"foo"}`, 10025, `invalid JSON: can not unmarshal "\"foo\""`},
		{`{"name":"P","compression":"foo"}`, 10025, `invalid JSON: unknown compression algorithm`},
		{``, 10056, `stream name in subject does not match request`},
		{`{"name":"Q"}`, 10056, `stream name in subject does not match request`},
		{`{"name":"P","num_replicas":3}`, 10074, `replicas > 1 not supported in non-clustered mode`},
		{`{"name":"P","num_replicas":6}`, 10052, `maximum replicas is 5`},
		{`{"name":"P","num_replicas":-1}`, 10133, `replicas count cannot be negative`},
		{`{"name":"P","pedantic":true,"max_msgs":-5}`, 10157, `pedantic mode: max_msgs must be set to -1`},
		{`{"name":"P","subjects":["f.x"]}`, 10065, `subjects overlap with an existing stream`},
		{`{"name":"P","subjects":["p.*","p.a"]}`, 10052, `subject "p.*" overlaps with "p.a"`},
		{`{"name":"P","subjects":["p..a"]}`, 10052, `invalid subject`},
		{`{"name":"P","max_age":5}`, 10052, `max age needs to be >= 100ms`},
		{`{"name":"P","max_age":-5}`, 10052, `max age can not be negative`},
		{`{"name":"P","duplicate_window":5}`, 10052, `duplicates window needs to be >= 100ms`},
		{`{"name":"P","duplicate_window":-5}`, 10052, `duplicates window can not be negative`},
		{`{"name":"P","duplicate_window":5000000000,"max_age":1000000000}`, 10052, `duplicates window can not be larger then max age`},
		{`{"name":"P","discard_new_per_subject":true}`, 10052, `discard new per subject requires discard new policy to be set`},
		{`{"name":"P","discard_new_per_subject":true,"discard":"new"}`, 10052, `discard new per subject requires max msgs per subject > 0`},
		{`{"name":"P","deny_purge":true,"allow_rollup_hdrs":true}`, 10052, `roll-ups require the purge permission`},
		{`{"name":"P","sealed":true}`, 10052, `stream configuration for create can not be sealed`},
		{`{"name":"P","mirror_direct":true}`, 10052, `stream has no mirror but does have mirror direct`},
		{`{"name":"P","subjects":["p"],"republish":{"src":"p","dest":"p"}}`, 10052, `stream configuration for republish destination forms a cycle`},
		{`{"name":"P","subject_transform":{"src":"p..","dest":"x"}}`, 10155, `stream transform source: invalid subject p..`},
		{`{"name":"P","subject_transform":{"src":"p","dest":"x.{{wildcard(1)}}"}}`, 10156, ``},
		{`{"name":"P","subjects":[">"]}`, 10052, `capturing all subjects requires no-ack to be true`},
		{`{"name":"P","subjects":["$JS.>"]}`, 10052, `subjects that overlap with jetstream api require no-ack to be true`},
		{`{"name":"P","subjects":["$SYS.>"]}`, 10052, `subjects that overlap with system api require no-ack to be true`},
		{`{"name":"P","placement":{"preferred":"x"}}`, 10052, `preferred server not permitted in placement`},
		{`{"name":"P","mirror":{"name":"P"}}`, 10052, `detected cycle`},
		{`{"name":"P","sources":[{"name":"P"}]}`, 10052, `detected cycle`},
		{`{"name":"P","first_seq":5,"mirror":{"name":"x"}}`, 10143, `stream mirrors can not have first sequence configured`},
		{`{"name":"P","subjects":["p"],"mirror":{"name":"x"}}`, 10034, `stream mirrors can not contain subjects`},
		{`{"name":"P","subject_delete_marker_ttl":5}`, 10052, `subject delete marker TTL must be at least 1 second`},
		{`{"name":"P","allow_msg_counter":true}`, 10052, `message counters are not supported by this server`},
		{`{"name":"P","allow_atomic":true}`, 10052, `atomic batch publishing is not supported by this server`},
		{`{"name":"P","allow_batched":true}`, 10052, `batch publishing is not supported by this server`},
		{`{"name":"P","persist_mode":"async"}`, 10052, `asynchronous persistence is not supported by this server`},
		{`{"name":"P"}`, 10049, `error creating store for stream`}, // no disk in this test
	} {
		got := b.fails(t, "STREAM.CREATE.P", x.config)
		if got.ErrCode != x.code || x.text != "" && got.Description != x.text {
			t.Errorf("%s\n got %d %s\nwant %d %s", x.config, got.ErrCode, got.Description, x.code, x.text)
		}
	}
	if got := b.fails(t, "STREAM.CREATE.P/q", `{"name":"P/q"}`); got.ErrCode != 10128 {
		t.Errorf("path separator: %v", got)
	}
}

func TestAPI_streamUpdate(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, `{"name":"F","subjects":["f.>"],"storage":"memory"}`)
	for i := range 10 {
		b.publish(t, fmt.Sprintf("f.%d", i%2), "x")
	}
	for _, x := range []struct {
		config string
		code   uint16
		text   string
	}{
		{`{"subjects":["f.>"]}`, 10052, `stream name is required and can not contain '.', '*', '>', '\', '/'`},
		{`{"name":"F","subjects":["f.>"]}`, 10052, `stream configuration update can not change storage type`},
		{`{"name":"G","subjects":["g"],"storage":"memory"}`, 10056, `stream name in subject does not match request`},
	} {
		if got := b.fails(t, "STREAM.UPDATE.F", x.config); got.ErrCode != x.code || got.Description != x.text {
			t.Errorf("%s: %v", x.config, got)
		}
	}
	if got := b.fails(t, "STREAM.UPDATE.ZZ", `{"name":"ZZ"}`); got.ErrCode != 10059 {
		t.Errorf("missing stream: %v", got)
	}
	var out streamAnswer
	b.call(t, "STREAM.UPDATE.F", `{"name":"F","subjects":["g.>"],"storage":"memory","max_msgs_per_subject":3,"max_msgs":5}`, &out)
	if out.State.Msgs != 5 || out.State.FirstSeq != 6 {
		t.Errorf("limits not enforced: %+v", out.State)
	}
	if m := b.request(t, "f.1", "", ""); !strings.Contains(m.Header, "503") {
		t.Errorf("a removed subject is still captured: %+v", m)
	}
	if a := b.publish(t, "g.1", ""); a.Seq != 11 {
		t.Errorf("a new subject is not captured: %+v", a)
	}
}
