package jetstream

import (
	"encoding/json"
	"flag"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

// times, stamps and ids hide what differs from run to run.
var (
	times  = regexp.MustCompile(`"(created|ts|first_ts|last_ts|time|timestamp)":"20[^"]*"`)
	stamps = regexp.MustCompile(`Nats-Time-Stamp: [^\r]*`)
	ids    = regexp.MustCompile(`"id":"[^"]*"`)
)

func shape(s string) string { return times.ReplaceAllString(s, `"$1":"T"`) }

var rewrite = flag.Bool("rewrite", false, "write what comes out into testdata; commit only what you can explain")

// TestStory plays the files of testdata/stories against an engine without a disk,
// or with one where the first command says so.
// A line that begins with ">" is a command, the lines behind it are all that comes
// out; "#" and blank lines are for the reader. Times are shown as T. In a command
// {in 1h} is that time from now, {x*3} is xxx, {identity S} is the stream's, and "_"
// in a header a blank.
//
//	> stream {json}                           make one
//	> consumer STREAM NAME {json}             make one
//	> api VERB [BODY]                         a request, and its answer byte by byte
//	> try VERB [BODY]                         a request, and its error
//	> publish SUBJECT [NAME=VALUE].. [: BODY] with a reply, and its answer
//	> direct [.SUBJECT] [BODY]                a direct get of stream S, and all answers
//	> holds STREAM [SEQ...]                   the sequences there are, or waits until it has these
//	> pull INBOX STREAM.CONSUMER [BODY]       a pull request
//	> listen INBOX SUBJECT
//	> next INBOX [N]                          the next messages that come there
//	> rest INBOX                              those that come up to a status
//	> quiet INBOX                             nothing has come
//	> deaf INBOX                              nothing more is to come there
//	> ack INBOX N [BODY]                      answers the message N of it, and waits for the answer
//	> info STREAM.CONSUMER
//	> interest SUBJECT                        whether anybody listens
//	> until COMMAND => ANSWER                 the command again and again, up to that answer
//	> times N COMMAND                         N times, {n} is 0, 1, ...; the last answer
//
// and those in story_disk_test.go and story_told_test.go.
//
// A message is told as the consumer's name in it and what stands behind (or its
// reply), its subject, its headers and its body.
func TestStory(t *testing.T) {
	testkit.Stories(t, "testdata/stories/*.txt", func(t *testing.T, s testkit.Story) {
		r := &storyRig{t: t, inboxes: make(map[string]*storyInbox), seen: make(map[string]bool)}
		s.Play(t, *rewrite, r.answers)
		r.end()
	})
}

type storyRig struct {
	t       *testing.T
	e       *Engine
	b       *testBus
	d       *device // nil: no disk, or x
	x       *box
	inboxes map[string]*storyInbox
	seen    map[string]bool // random parts of names
	out     []string
}

// storyInbox keeps what came, so that it can be acknowledged.
type storyInbox struct {
	*inbox
	got []testMsg
}

// answers are what a command says.
func (r *storyRig) answers(command string) []string {
	r.out = nil
	r.command(command)
	return r.out
}

func (r *storyRig) sayf(format string, args ...any) {
	r.out = append(r.out, fmt.Sprintf(format, args...))
}

var inStories = regexp.MustCompile(`\{in ([^}]*)\}|\{(.)\*(\d+)\}|\{identity ([^}]*)\}`)

// expand makes what a command can't say in few words.
func (r *storyRig) expand(command string) string {
	return inStories.ReplaceAllStringFunc(command, func(s string) string {
		m := inStories.FindStringSubmatch(s)
		if m[4] != "" {
			return r.e.account("A").stream(m[4]).identity()
		}
		if m[1] == "" {
			n, _ := strconv.Atoi(m[3])
			return strings.Repeat(m[2], n)
		}
		d, err := time.ParseDuration(m[1])
		if err != nil {
			r.t.Fatal(err)
		}
		return time.Now().Add(d).UTC().Format(time.RFC3339Nano)
	})
}

func (r *storyRig) command(line string) {
	r.t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "until":
		r.until(rest)
		return
	case "times":
		r.times(rest)
		return
	}
	if r.begin(verb, rest) {
		return
	}
	rest = r.expand(rest)
	first, tail, _ := strings.Cut(rest, " ")
	switch verb {
	case "stream":
		var c asset.StreamConfig
		if err := json.Unmarshal([]byte(rest), &c); err != nil {
			r.t.Fatalf("%s: %v", line, err)
		}
		r.refused("STREAM.CREATE."+c.Name, rest)
	case "consumer":
		name, config, _ := strings.Cut(tail, " ")
		r.refused("CONSUMER.CREATE."+first+"."+name, consumerRequest(first, config))
	case "api":
		r.sayf("%s", shape(r.b.request(r.t, asset.APIPrefix+first, "", tail).Body))
	case "try":
		if r.refused(first, tail); len(r.out) == 0 {
			r.sayf("ok")
		}
	case "publish":
		r.publish(first, tail)
	case "direct":
		r.direct(rest)
	case "holds":
		r.holds(first, tail)
	case "interest":
		r.sayf("%v", r.b.HasInterest(first))
	case "info":
		stream, name, _ := strings.Cut(first, ".")
		i := r.b.consumer(r.t, stream, name)
		r.sayf("delivered %v, floor %v, ack pending %d, redelivered %d, waiting %d, pending %d, bound %v, paused %v",
			i.Delivered, i.AckFloor, i.NumAckPending, i.NumRedelivered, i.NumWaiting, i.NumPending, i.PushBound, i.Paused)
	default:
		if !r.lawCommand(verb, first, tail) && !r.diskCommand(verb, rest) && !r.tell(verb, first, tail) {
			r.inboxCommand(verb, first, tail)
		}
	}
}

// storyPatience is how long that may take on a machine that is busy with others.
const storyPatience = 30 * time.Second

// until gives a command until its answers, one behind the other, are what the line
// says.
func (r *storyRig) until(line string) {
	r.t.Helper()
	command, want, ok := strings.Cut(line, " => ")
	if !ok {
		r.t.Fatalf("until %s: there is no answer in it", line)
	}
	var got string
	same := testkit.Within(storyPatience, func() bool {
		got = strings.Join(r.answers(command), " // ")
		return got == want
	})
	if !same {
		r.t.Fatalf("%s: it stays %q, want %q", command, got, want)
	}
	r.out = nil
}

// times gives a command several times and keeps what it said last.
func (r *storyRig) times(line string) {
	r.t.Helper()
	number, command, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		r.t.Fatalf("times %s: %v", line, err)
	}
	for i := range n {
		r.answers(strings.ReplaceAll(command, "{n}", strconv.Itoa(i)))
	}
}

func (r *storyRig) inboxCommand(verb, name, tail string) {
	r.t.Helper()
	switch verb {
	case "pull":
		consumer, body, _ := strings.Cut(tail, " ")
		r.inboxes[name] = &storyInbox{inbox: r.b.pull(r.t, consumer, body)}
		return
	case "listen":
		r.inboxes[name] = &storyInbox{inbox: r.b.inbox(r.t, tail)}
		return
	}
	in := r.inboxes[name]
	if in == nil {
		r.t.Fatalf("%s %s: there is no such inbox", verb, name)
	}
	switch verb {
	case "next":
		n := 1
		if tail != "" {
			n, _ = strconv.Atoi(tail)
		}
		for range n {
			r.came(in)
		}
	case "rest":
		for r.came(in).Shown != in.subject {
		}
	case "quiet":
		in.none()
	case "deaf":
		in.stop()
	case "ack":
		number, body, _ := strings.Cut(tail, " ")
		if m := r.b.request(r.t, r.message(name, number).Reply, "", body); m.Header+m.Body != "" {
			r.sayf("%s", told(m))
		}
	default:
		r.t.Fatalf("unknown command %q", verb)
	}
}

// message is one that came to an inbox, counted from 1.
func (r *storyRig) message(name, number string) testMsg {
	r.t.Helper()
	in := r.inboxes[name]
	n, _ := strconv.Atoi(number)
	if in == nil || n < 1 || n > len(in.got) {
		r.t.Fatalf("there is no message %s of inbox %s", number, name)
	}
	return in.got[n-1]
}

// came tells the next message of an inbox.
func (r *storyRig) came(in *storyInbox) testMsg {
	r.t.Helper()
	m := in.next()
	in.got = append(in.got, m)
	if m.Shown != in.subject {
		r.sayf("%s", strings.TrimRight(ackTail(m)+" "+m.Shown+" "+told(m), " "))
	} else {
		r.sayf("%s", told(m))
	}
	return m
}

// told is a message's header and body in one line.
func told(m testMsg) string {
	h := strings.TrimSuffix(stamps.ReplaceAllString(m.Header, "Nats-Time-Stamp: T"), "\r\n\r\n")
	h = strings.ReplaceAll(h, "\r\n", " | ")
	if h != "" && m.Body != "" {
		h += " || "
	}
	return h + ids.ReplaceAllString(shape(m.Body), `"id":"I"`)
}

// refused tells the error of a request, if it has one.
func (r *storyRig) refused(verb, body string) {
	r.t.Helper()
	var a response
	m := r.b.request(r.t, asset.APIPrefix+verb, "", body)
	if err := json.Unmarshal([]byte(m.Body), &a); err != nil {
		r.t.Fatalf("%s: %v in %q %q", verb, err, m.Header, m.Body)
	}
	if a.Error != nil {
		r.sayf("%d %d %s", a.Error.Code, a.Error.ErrCode, a.Error.Description)
	}
}

func (r *storyRig) publish(subject, rest string) {
	r.t.Helper()
	headers, body, _ := strings.Cut(" "+rest, " : ")
	r.sayf("%s", told(r.b.request(r.t, subject, r.header(headers), body)))
}

// direct tells all answers to a direct get: those to a batch end with a status.
func (r *storyRig) direct(rest string) {
	r.t.Helper()
	key := ""
	if strings.HasPrefix(rest, ".") {
		key, rest, _ = strings.Cut(rest, " ")
	}
	in := r.b.inbox(r.t, "direct")
	defer in.stop()
	r.b.route(&wire.Msg{Subject: []byte("$JS.API.DIRECT.GET.S" + key), Reply: []byte("direct"), Body: []byte(rest)})
	for {
		m := in.next()
		r.sayf("%s", told(m))
		if strings.HasPrefix(m.Header, "NATS/1.0 ") || !strings.Contains(m.Header, "Nats-Num-Pending") {
			break
		}
	}
	in.none()
}

func (r *storyRig) holds(stream, want string) {
	r.t.Helper()
	now := func() string {
		if held := sequences(r.e, stream); len(held) > 0 {
			return strings.Trim(fmt.Sprint(held), "[]")
		}
		return "nothing"
	}
	if want == "" {
		r.sayf("%s", now())
		return
	}
	testkit.Eventually(r.t, stream+" holds "+want, func() bool { return now() == want })
}
