package jetstream

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/jetstream/sourcing"
	"github.com/frondmq/frond/core/wire"
)

// Commands of stories that tell what there is, in few words:
//
//	> state STREAM                     how many messages, sequences, consumers
//	> origins STREAM                   the mirror or the sources in its info
//	> messages STREAM FROM TO          subject, headers and body of each
//	> alike STREAM STREAM SEQ          what differs between two messages, beside the headers
//	> consumers STREAM                 their names, without what is random
//	> acknowledged STREAM              how far each of them acknowledged
//	> send SUBJECT REPLY [NAME=VALUE].. [: BODY]   as a client does; what comes is not told
//	> reply INBOX N REPLY [NAME=VALUE].. [: BODY]  the same to the reply of its message N
//	> asks STREAM [NAME=VALUE].. [: MORE]  another server's request for the consumer of a source, with more members

// tell reports whether there is such a command.
func (r *storyRig) tell(verb, first, tail string) bool {
	r.t.Helper()
	switch verb {
	case "state":
		s := r.b.origins(r.t, first).State
		r.sayf("%d messages, %d to %d, %d deleted, %d consumers", s.Msgs, s.FirstSeq, s.LastSeq, s.NumDeleted, s.Consumers)
	case "origins":
		a := r.b.origins(r.t, first)
		if a.Mirror != nil {
			r.sayf("mirror %s", toldOrigin(a.Mirror))
		}
		for _, s := range a.Sources {
			r.sayf("source %s", toldOrigin(s))
		}
		if a.Mirror == nil && a.Sources == nil {
			r.sayf("none")
		}
	case "messages":
		r.messages(first, tail)
	case "alike":
		r.alike(first, tail)
	case "consumers":
		var names struct{ Consumers []string }
		r.b.call(r.t, "CONSUMER.NAMES."+first, "", &names)
		for i, n := range names.Consumers {
			names.Consumers[i] = fetcherNames.ReplaceAllString(n, "JS_$1")
		}
		r.sayf("%s", strings.Trim(fmt.Sprint(names.Consumers), "[]")+".")
	case "acknowledged":
		var list struct{ Consumers []consumerAnswerNamed }
		r.b.call(r.t, "CONSUMER.LIST."+first, "", &list)
		var all []string
		for _, c := range list.Consumers {
			all = append(all, fmt.Sprintf("%d %s", c.AckFloor.Stream, fetcherNames.ReplaceAllString(c.Name, "JS_$1")))
		}
		r.sayf("%s", strings.Join(all, ", "))
	case "send":
		r.send(first, tail)
	case "reply":
		number, rest, _ := strings.Cut(tail, " ")
		r.send(r.message(first, number).Reply, rest)
	case "asks":
		r.asks(first, tail)
	default:
		return false
	}
	return true
}

type consumerAnswerNamed struct {
	Name string
	consumerAnswer
}

// fetcherNames are those of consumers of mirrors and sources.
var fetcherNames = regexp.MustCompile(`JS_(SRC|MIRROR)_[0-9A-Za-z]{8}(-[0-9A-Za-z]+)?`)

func toldOrigin(i *api.SourceInfo) string {
	s := fmt.Sprintf("%s: seq %d, lag %d", i.Name, i.Seq, i.Lag)
	if i.Active < 0 {
		s += ", never heard"
	}
	if i.FilterSubject != "" {
		s += ", filter " + i.FilterSubject
	}
	for _, t := range i.SubjectTransforms {
		s += fmt.Sprintf(", %s becomes %s", t.Source, t.Destination)
	}
	if i.Lost != nil {
		s += fmt.Sprintf(", %d lost", i.Lost.Msgs)
	}
	if i.Error != nil {
		s += fmt.Sprintf(", error %d", i.Error.ErrCode)
	}
	return s
}

// send publishes what "REPLY [NAME=VALUE].. [: BODY]" says.
func (r *storyRig) send(subject, rest string) {
	r.t.Helper()
	rest, body, _ := strings.Cut(rest, " : ")
	reply, headers, _ := strings.Cut(rest, " ")
	m := &wire.Msg{Subject: []byte(subject), Reply: []byte(reply), Body: []byte(body)}
	if h := r.header(headers); h != "" {
		m.Header = []byte(h)
	}
	r.b.route(m)
}

// header makes a block of NAME=VALUE, with "_" for a blank.
func (r *storyRig) header(text string) string {
	r.t.Helper()
	var kv []string
	for _, h := range strings.Fields(text) {
		key, value, ok := strings.Cut(h, "=")
		if !ok {
			r.t.Fatalf("%q is no header", h)
		}
		kv = append(kv, key, strings.ReplaceAll(value, "_", " "))
	}
	return header(kv...)
}

func (r *storyRig) messages(stream, rest string) {
	r.t.Helper()
	var from, to uint64
	if _, err := fmt.Sscan(rest, &from, &to); err != nil {
		r.t.Fatalf("messages %s %s: %v", stream, rest, err)
	}
	for seq := from; seq <= to; seq++ {
		m := r.b.msg(r.t, stream, seq).Message
		r.sayf("%d %s %s", seq, m.Subject, told(testMsg{Header: sourceIdentity(string(m.Header)), Body: string(m.Data)}))
	}
}

// sourceIdentity hides which stream of its name an origin was.
func sourceIdentity(header string) string {
	v := headerValue(header, sourcing.HdrSource)
	if f := strings.Fields(v); len(f) == 6 && len(f[5]) == 8 {
		f[5] = "I"
		return strings.Replace(header, v, strings.Join(f, " "), 1)
	}
	return header
}

func (r *storyRig) alike(one, rest string) {
	r.t.Helper()
	two, number, _ := strings.Cut(rest, " ")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		r.t.Fatalf("alike %s %s: %v", one, rest, err)
	}
	a, b := r.b.msg(r.t, one, seq).Message, r.b.msg(r.t, two, seq).Message
	a.Header, b.Header = nil, nil
	if x, y := fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b); x != y {
		r.sayf("%s", x)
		r.sayf("%s", y)
	}
}

// asks sends what another server does for a source, and tells what it got.
func (r *storyRig) asks(stream, rest string) {
	r.t.Helper()
	headers, more, _ := strings.Cut(" "+rest, " : ")
	m := r.b.request(r.t, "$JS.API.CONSUMER.CREATE."+stream, r.header(headers), jsonOf(r.t, "stream_name="+stream+" config={"+
		"name=JS_SRC_aaaaaaaa ack_policy=none ack_wait=22h max_deliver=1 replay_policy=instant flow_control "+
		"deliver_subject=$JS.S.one idle_heartbeat=1s inactive_threshold=10s num_replicas=0 direct metadata={_nats.src.stream=T} "+
		more+`} action=""`))
	identity := r.e.account("A").stream(stream).identity()
	var a struct {
		response
		Name      string           `json:"name"`
		Config    *consumer.Config `json:"config"`
		Delivered consumer.SeqPair `json:"delivered"`
	}
	if err := json.Unmarshal([]byte(m.Body), &a); err != nil {
		r.t.Fatalf("asks %s: %v in %q", stream, err, m.Body)
	}
	if a.Error != nil {
		r.sayf("%d %d %s", a.Error.Code, a.Error.ErrCode, strings.ReplaceAll(a.Error.Description, identity, "{identity "+stream+"}"))
		return
	}
	config, err := json.Marshal(a.Config)
	if err != nil {
		r.t.Fatal(err)
	}
	name := a.Name
	if random, ok := strings.CutPrefix(name, "JS_SRC_aaaaaaaa-"); ok {
		if r.seen[random] {
			r.t.Errorf("the name %s was given twice", name)
		}
		r.seen[random] = true
		name = "JS_SRC_aaaaaaaa-?"
		config = []byte(strings.ReplaceAll(string(config), random, "?"))
	}
	r.sayf("%s delivered %d %s", name, a.Delivered.Stream, config)
	if got := string(wire.HeaderGet([]byte(m.Header), sourcing.HdrIdentity)); got != identity {
		r.sayf("identity %q, want %q", got, identity)
	}
}
