package consumer

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
)

func mustConfig(t *testing.T, text string) *Config {
	t.Helper()
	var c Config
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return &c
}

// The answers were compared with those of nats-server 2.15.
func TestConfig_check(t *testing.T) {
	facts := StreamFacts{Subjects: []string{"s.>"}, Replicas: 1, ServerMaxBatch: 5000}
	workqueue := facts
	workqueue.Retention = WorkQueueRetention
	limited := facts
	limited.Inactive, limited.MaxAckPending = time.Minute, 50
	for _, c := range []struct {
		config string
		code   uint16
		text   string
		facts  *StreamFacts
		strict bool
	}{
		{config: `"durable_name":"a","name":"b"`, code: 10132},
		{config: `"durable_name":"a.b"`, code: 10052, text: "consumer durable name can not contain '.', '*', '>'"},
		{config: `"name":"a/b"`, code: 10127},
		{config: `"name":"` + strings.Repeat("a", 256) + `"`, code: 10102, text: "consumer name is too long, maximum allowed is 255"},
		{config: `"description":"` + strings.Repeat("a", 4097) + `"`, code: 10107},
		{config: `"deliver_policy":"last","opt_start_seq":1`, code: 10094, text: "consumer delivery policy is deliver last, but optional start sequence is also set"},
		{config: `"deliver_policy":"new","opt_start_time":"2020-01-01T00:00:00Z"`, code: 10094, text: "consumer delivery policy is deliver new, but optional start time is also set"},
		{config: `"deliver_policy":"by_start_sequence"`, code: 10094, text: "consumer delivery policy is deliver by start sequence, but optional start sequence is not set"},
		{config: `"deliver_policy":"by_start_time","opt_start_seq":1,"opt_start_time":"2020-01-01T00:00:00Z"`, code: 10094, text: "consumer delivery policy is deliver by start time, but optional start start sequence is also set"},
		{config: `"deliver_policy":"last_per_subject"`, code: 10094, text: "consumer delivery policy is deliver last per subject, but optional filter subject is not set"},
		{config: `"sample_freq":"abc"`, code: 10095, text: `failed to parse consumer sampling configuration: strconv.Atoi: parsing "abc": invalid syntax`},
		{config: `"sample_freq":"150%"`},
		{config: `"filter_subject":"a..b"`, code: 10052, text: "invalid subject"},
		{config: `"filter_subjects":["s.a","s.>"]`, code: 10138},
		{config: `"filter_subjects":["s.a",""]`, code: 10139},
		{config: `"filter_subject":"s.a","filter_subjects":["s.b"]`, code: 10136},
		{config: `"ack_policy":"explicit","backoff":[1,2],"max_deliver":1`, code: 10116},
		{config: `"ack_policy":"explicit","backoff":[1,2],"max_deliver":2`},
		{config: `"ack_policy":"explicit","backoff":[1,2],"ack_wait":5`, strict: true, code: 10157, text: "pedantic mode: first backoff value has to equal batch AckWait"},
		{config: `"max_waiting":-1`, strict: true, code: 10157, text: "pedantic mode: max_waiting must not be negative"},
		{config: `"max_deliver":-5`, strict: true, code: 10157, text: "pedantic mode: max_deliver must be set to -1"},
		{config: `"inactive_threshold":-5`, strict: true, code: 10157, text: "pedantic mode: inactive_threshold must not be negative"},
		{config: `"max_expires":5`, code: 10115},
		{config: `"max_batch":5001`, code: 10125, text: "consumer max request batch exceeds server limit of 5000"},
		{config: `"deliver_subject":"zz","max_ack_pending":5`, code: 10082},
		{config: `"deliver_subject":"zz","max_waiting":5`, code: 10080},
		{config: `"deliver_subject":"s.x"`, code: 10081},
		{config: `"deliver_subject":"zz.>"`, code: 10079},
		{config: `"deliver_subject":"zz..y"`, code: 10112},
		{config: `"deliver_subject":"zz y"`, code: 10112},
		{config: `"deliver_subject":"zz","flow_control":true`, code: 10108},
		{config: `"deliver_subject":"zz","idle_heartbeat":5`, code: 10083},
		{config: `"flow_control":true`, code: 10089},
		{config: `"idle_heartbeat":1000000000`, code: 10088},
		{config: `"rate_limit_bps":100`, code: 10086},
		{config: `"ack_wait":-1`, code: 10183},
		{config: `"backoff":[-1]`, code: 10184},
		{config: `"direct":true`, code: 10090},
		{config: `"durable_name":"a","deliver_subject":"zz","direct":true`, code: 10091},
		{config: `"num_replicas":3`, code: 10074},
		{config: `"num_replicas":-1`, code: 10133},
		{config: `"priority_groups":["a"]`, code: 10196},
		{config: `"priority_policy":"overflow"`, code: 10159},
		{config: `"priority_policy":"overflow","priority_groups":[""]`, code: 10161},
		{config: `"priority_policy":"overflow","priority_groups":["a b"]`, code: 10162},
		{config: `"priority_timeout":5`, code: 10197},
		{config: `"priority_policy":"overflow","priority_groups":["a"],"deliver_subject":"zz"`, code: 10178},
		{config: `"ack_policy":"flow_control"`, code: 10218},
		{config: `"ack_policy":"flow_control","deliver_subject":"zz","ack_wait":5`, code: 10221},
		{config: `"ack_policy":"flow_control","deliver_subject":"zz","max_deliver":5`, code: 10222},
		{config: `"ack_policy":"flow_control","deliver_subject":"zz","max_ack_pending":-1`, code: 10220},
		{config: `"ack_policy":"flow_control","deliver_subject":"zz","idle_heartbeat":2000000000`, code: 10052, text: "flow control ack policy heartbeat needs to be 1s"},
		{config: `"ack_policy":"none"`, facts: &workqueue, code: 10084},
		{config: `"ack_policy":"all"`, facts: &workqueue, code: 10098},
		{config: `"ack_policy":"explicit","deliver_policy":"new"`, facts: &workqueue, code: 10101},
		{config: `"ack_policy":"explicit","max_ack_pending":51`, facts: &limited, code: 10121, text: "consumer max ack pending exceeds system limit of 50"},
		{config: `"inactive_threshold":120000000000`, facts: &limited, code: 10153, text: "consumer inactive threshold exceeds system limit of 1m0s"},
	} {
		f := c.facts
		if f == nil {
			f = &facts
		}
		err := mustConfig(t, "{"+c.config+"}").Check(f, c.strict)
		var e *apierror.Error
		errors.As(err, &e)
		switch {
		case c.code == 0:
			if err != nil {
				t.Errorf("%s: %v", c.config, err)
			}
		case e == nil || e.ErrCode != c.code || c.text != "" && e.Description != c.text:
			t.Errorf("%s: got %v, want %d %s", c.config, err, c.code, c.text)
		}
	}
}

func TestConfig_defaults(t *testing.T) {
	for in, want := range map[string]string{
		`{"durable_name":"C3","ack_policy":"all"}`: `{"durable_name":"C3","name":"C3","deliver_policy":"all","ack_policy":"all","ack_wait":30000000000,"max_deliver":-1,"replay_policy":"instant","max_waiting":512,"max_ack_pending":1000,"num_replicas":0,"metadata":{"_nats.req.level":"0"}}`,
		`{"deliver_subject":"d2"}`:                 `{"deliver_policy":"all","ack_policy":"none","max_deliver":-1,"replay_policy":"instant","deliver_subject":"d2","inactive_threshold":5000000000,"num_replicas":0,"metadata":{"_nats.req.level":"0"}}`,
		`{"name":"C9","ack_policy":"explicit","max_ack_pending":-5,"metadata":{"a":"b","_nats.ver":"x"}}`:         `{"name":"C9","deliver_policy":"all","ack_policy":"explicit","ack_wait":30000000000,"max_deliver":-1,"replay_policy":"instant","max_waiting":512,"max_ack_pending":-1,"inactive_threshold":5000000000,"num_replicas":0,"metadata":{"_nats.req.level":"0","a":"b"}}`,
		`{"durable_name":"C20","ack_policy":"flow_control","deliver_subject":"zz"}`:                               `{"durable_name":"C20","name":"C20","deliver_policy":"all","ack_policy":"flow_control","max_deliver":-1,"replay_policy":"instant","max_ack_pending":1000,"flow_control":true,"deliver_subject":"zz","idle_heartbeat":1000000000,"num_replicas":0,"metadata":{"_nats.req.level":"4"}}`,
		`{"durable_name":"C2","ack_policy":"explicit","priority_groups":["a"],"priority_policy":"pinned_client"}`: `{"durable_name":"C2","name":"C2","deliver_policy":"all","ack_policy":"explicit","ack_wait":30000000000,"max_deliver":-1,"replay_policy":"instant","max_waiting":512,"max_ack_pending":1000,"num_replicas":0,"metadata":{"_nats.req.level":"1"},"priority_groups":["a"],"priority_policy":"pinned_client","priority_timeout":120000000000}`,
	} {
		c := mustConfig(t, in)
		if err := c.Check(&StreamFacts{}, false); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(c)
		if err != nil || string(got) != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
		// Checking again changes nothing: an update with what an answer said.
		d := c.Clone()
		if c.AckPolicy != AckFlowControl {
			if err := d.Check(&StreamFacts{}, true); err != nil {
				t.Error(err)
			}
		}
		if !Equal(c, d) {
			t.Errorf("%s: not equal to itself", in)
		}
	}
}

func TestConfig_refusesUnknownNames(t *testing.T) {
	for in, want := range map[string]string{
		`{"ack_policy":"bogus"}`:      `can not unmarshal "\"bogus\""`,
		`{"deliver_policy":"bogus"}`:  `can not unmarshal "\"bogus\""`,
		`{"replay_policy":"bogus"}`:   `can not unmarshal "\"bogus\""`,
		`{"priority_policy":"bogus"}`: `unknown priority policy: "bogus"`,
	} {
		if err := json.Unmarshal([]byte(in), new(Config)); err == nil || err.Error() != want {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestConfig_update(t *testing.T) {
	base := `"durable_name":"C","ack_policy":"explicit"`
	push := base + `,"deliver_subject":"d"`
	for _, c := range []struct {
		old, new string
		bound    bool
		want     string
	}{
		{base, base + `,"filter_subject":"x","ack_wait":5,"max_deliver":9,"description":"d"`, false, ""},
		{base, `"durable_name":"C","ack_policy":"all"`, false, "ack policy can not be updated (10012)"},
		{base, base + `,"deliver_policy":"new"`, false, "deliver policy can not be updated (10012)"},
		{base, base + `,"mem_storage":true`, false, "storage type can not be updated (10012)"},
		{base, base + `,"max_waiting":3`, false, "max waiting can not be updated (10012)"},
		{base, base + `,"replay_policy":"original"`, false, "replay policy can not be updated (10012)"},
		{base, push, false, "can not update pull consumer to push based (10012)"},
		{push, base, false, "can not update push consumer to pull based (10012)"},
		{push, base + `,"deliver_subject":"e"`, false, ""},
		{push, base + `,"deliver_subject":"e"`, true, "consumer name already in use (10013)"},
		{push, push + `,"idle_heartbeat":1000000000`, true, "heart beats can not be updated (10012)"},
	} {
		old, next := mustConfig(t, "{"+c.old+"}"), mustConfig(t, "{"+c.new+"}")
		for _, x := range []*Config{old, next} {
			if err := x.Check(&StreamFacts{}, false); err != nil {
				t.Fatal(err)
			}
		}
		got := ""
		if err := next.CheckUpdate(old, c.bound); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s -> %s: %q, want %q", c.old, c.new, got, c.want)
		}
	}
}

func TestConfig_unique(t *testing.T) {
	wq := &StreamFacts{Retention: WorkQueueRetention}
	a, ab, all := &Config{FilterSubject: "a"}, &Config{FilterSubjects: []string{"a", "b"}}, &Config{}
	direct := &Config{Direct: true}
	for _, c := range []struct {
		c      *Config
		others []*Config
		code   uint16
	}{
		{all, nil, 0}, {all, []*Config{a}, 10099}, {a, []*Config{all}, 10099}, {a, []*Config{ab}, 10100},
		{a, []*Config{{FilterSubject: "b"}, direct}, 0}, {a, []*Config{{FilterSubject: "*"}}, 10100},
	} {
		err := c.c.CheckUnique(wq, c.others)
		var e *apierror.Error
		if errors.As(err, &e); c.code == 0 && err != nil || c.code != 0 && (e == nil || e.ErrCode != c.code) {
			t.Errorf("%+v: %v, want %d", c.c.Filters(), err, c.code)
		}
	}
}

// unreadable is a stream whose disk fails.
type unreadable struct{ *stream }

var errUnread = errors.New("input/output error")

func (unreadable) LastPerSubject([]string, uint64, uint64) ([]uint64, error) { return nil, errUnread }
func (unreadable) LastFor(string) (uint64, error)                            { return 0, errUnread }
func (unreadable) SeqAt(time.Time) (uint64, error)                           { return 0, errUnread }

// A consumer does not begin behind messages because they could not be read.
func TestStartOf_unreadable(t *testing.T) {
	s := newStream()
	s.add("a", 1, second)
	at := time.Unix(1, 0)
	for _, cfg := range []Config{
		{DeliverPolicy: DeliverLastPerSubject, FilterSubject: ">"},
		{DeliverPolicy: DeliverLast, FilterSubject: "a"},
		{DeliverPolicy: DeliverByStartTime, OptStartTime: &at},
	} {
		if st, err := StartOf(&cfg, s.first, s.last, 0, unreadable{s}); !errors.Is(err, errUnread) {
			t.Errorf("%v: begins at %+v, %v", cfg.DeliverPolicy, st, err)
		}
	}
}

func TestStartOf(t *testing.T) {
	s := newStream()
	for i, subj := range []string{"a", "b", "a", "c", "b"} {
		s.add(subj, 1, int64(i+1)*second)
	}
	s.remove(1)
	at := time.Unix(4, 0)
	for _, c := range []struct {
		cfg  Config
		seq  uint64
		list int
	}{
		{Config{}, 2, 0},
		{Config{DeliverPolicy: DeliverLast}, 5, 0},
		{Config{DeliverPolicy: DeliverLast, FilterSubjects: []string{"a", "c"}}, 4, 0},
		{Config{DeliverPolicy: DeliverNew}, 6, 0},
		{Config{DeliverPolicy: DeliverByStartSequence, OptStartSeq: 1}, 2, 0},
		{Config{DeliverPolicy: DeliverByStartSequence, OptStartSeq: 4}, 4, 0},
		{Config{DeliverPolicy: DeliverByStartSequence, OptStartSeq: 99}, 99, 0},
		{Config{DeliverPolicy: DeliverByStartTime, OptStartTime: &at}, 4, 0},
		{Config{DeliverPolicy: DeliverLastPerSubject, FilterSubject: ">"}, 3, 3},
		{Config{DeliverPolicy: DeliverLastPerSubject, FilterSubject: "none"}, 6, 0},
	} {
		if st, err := StartOf(&c.cfg, s.first, s.last, 0, s); err != nil || st.Seq != c.seq || len(st.List) != c.list {
			t.Errorf("%+v: %+v, %v", c.cfg.DeliverPolicy, st, err)
		}
	}
	if st, err := StartOf(&Config{}, 1, 0, 0, newStream()); err != nil || st.Seq != 1 {
		t.Errorf("empty: %+v", st)
	}
	if st, err := StartOf(&Config{DeliverPolicy: DeliverLastPerSubject, FilterSubject: ">"}, s.first, s.last, 1, s); err != nil || st.Seq != 2 || st.List != nil {
		t.Errorf("one message a subject: %+v", st)
	}
}
