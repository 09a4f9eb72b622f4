package jetstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

// testBus is an account in a few lines: subscriptions in a list, routed by
// trying each.
type testBus struct {
	name string
	mu   sync.Mutex
	subs []*testSub
	seen map[string][]*testWatch
	next int
	spy  func(m *wire.Msg) // called under mu
	// unfit stands for a link that does not carry a message; called under mu.
	unfit func(m *wire.Msg) string
}

type testSub struct {
	subject, queue string
	h              func(m *wire.Msg)
}

type testWatch struct {
	subject string
	present bool
	f       func(bool)
}

func newTestBus(name string) *testBus { return &testBus{name: name} }

func (b *testBus) Account() string      { return b.name }
func (b *testBus) Publisher() Publisher { return &testPublisher{b} }

func (b *testBus) SubscribeFrom(_, subj string, h func(m *wire.Msg)) (func(), error) {
	return b.Subscribe(subj, "", h)
}

func (b *testBus) Subscribe(subj, queue string, h func(m *wire.Msg)) (func(), error) {
	if !subject.Valid(subj) {
		return nil, fmt.Errorf("invalid subject %q", subj)
	}
	s := &testSub{subj, queue, h}
	b.mu.Lock()
	b.subs = append(b.subs, s)
	b.mu.Unlock()
	b.notify()
	return func() {
		b.mu.Lock()
		for i := range b.subs {
			if b.subs[i] == s {
				b.subs = append(b.subs[:i:i], b.subs[i+1:]...)
				break
			}
		}
		b.mu.Unlock()
		b.notify()
	}, nil
}

func (b *testBus) HasInterest(subj string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.interestLocked(subj)
}

func (b *testBus) interestLocked(subj string) bool {
	for _, s := range b.subs {
		if subject.Match(s.subject, subj) {
			return true
		}
	}
	return false
}

func (b *testBus) HalfReadAt() time.Time { return time.Time{} }

func (b *testBus) WatchInterest(subj string, f func(bool)) func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := &testWatch{subject: subj, present: b.interestLocked(subj), f: f}
	if b.seen == nil {
		b.seen = make(map[string][]*testWatch)
	}
	b.seen[subj] = append(b.seen[subj], w)
	f(w.present)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for i, x := range b.seen[subj] {
			if x == w {
				b.seen[subj] = append(b.seen[subj][:i:i], b.seen[subj][i+1:]...)
				return
			}
		}
	}
}

func (b *testBus) notify() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for subj, ws := range b.seen {
		now := b.interestLocked(subj)
		for _, w := range ws {
			if w.present != now {
				w.present = now
				w.f(now)
			}
		}
	}
}

func (b *testBus) route(m *wire.Msg) int {
	b.mu.Lock()
	if b.spy != nil {
		b.spy(m)
	}
	if b.unfit != nil {
		if m.Unfit = b.unfit(m); m.Unfit != "" {
			b.mu.Unlock()
			return 0
		}
	}
	var to []*testSub
	groups := map[string]bool{}
	for _, s := range b.subs {
		if !subject.Match(s.subject, string(m.Subject)) {
			continue
		}
		if s.queue != "" {
			if groups[s.queue] {
				continue
			}
			groups[s.queue] = true
		}
		to = append(to, s)
	}
	b.mu.Unlock()
	for _, s := range to {
		s.h(m)
	}
	return len(to)
}

type testPublisher struct{ b *testBus }

func (p *testPublisher) Publish(m *wire.Msg) int {
	m.Own = true
	return p.b.route(m)
}
func (p *testPublisher) Flush() {}

// testMsg is a message that a test received.
type testMsg struct {
	Subject, Shown, Reply string
	Header                string
	Body                  string
}

// inbox collects messages on a subject.
type inbox struct {
	t       testing.TB
	subject string
	ch      chan testMsg
	stop    func()
}

const testTimeout = 10 * time.Second

func (b *testBus) inbox(t testing.TB, subj string) *inbox {
	t.Helper()
	in := &inbox{t: t, subject: subj, ch: make(chan testMsg, 2048)}
	stop, err := b.Subscribe(subj, "", func(m *wire.Msg) {
		in.ch <- testMsg{string(m.Subject), string(m.VisibleSubject()), string(m.Reply), string(m.Header), string(m.Body)}
	})
	if err != nil {
		t.Fatal(err)
	}
	in.stop = stop
	return in
}

func (in *inbox) next() testMsg {
	in.t.Helper()
	select {
	case m := <-in.ch:
		return m
	case <-time.After(testTimeout):
		in.t.Fatalf("no message came on %s", in.subject)
		panic("unreachable")
	}
}

func (in *inbox) none() {
	in.t.Helper()
	select {
	case m := <-in.ch:
		in.t.Fatalf("unexpected message: %+v", m)
	default:
	}
}

// header builds a header block from names and values.
func header(kv ...string) string {
	if len(kv) == 0 {
		return ""
	}
	b := []byte("NATS/1.0\r\n")
	for i := 0; i < len(kv); i += 2 {
		b = wire.AppendHeader(b, kv[i], kv[i+1])
	}
	return string(append(b, "\r\n"...))
}

// request publishes with a reply and waits for one answer.
func (b *testBus) request(t testing.TB, subj, hdr, body string) testMsg {
	t.Helper()
	b.mu.Lock()
	b.next++
	reply := fmt.Sprintf("_INBOX.%d", b.next)
	b.mu.Unlock()
	in := b.inbox(t, reply)
	defer in.stop()
	m := &wire.Msg{Subject: []byte(subj), Reply: []byte(reply), Body: []byte(body)}
	if hdr != "" {
		m.Header = []byte(hdr)
	}
	if n := b.route(m); n == 0 {
		return testMsg{Header: "NATS/1.0 503\r\n\r\n"}
	}
	got := in.next()
	return got
}

// jsonOf is the JSON of a configuration or of a request, which tests write as
// testkit.JSON reads it. Stories have JSON; no body and a mere number stay what they are.
func jsonOf(t testing.TB, text string) string {
	t.Helper()
	if text == "" || text[0] == '{' || text[0] >= '0' && text[0] <= '9' {
		return text
	}
	return testkit.JSON(t, text)
}

// bodyTo is jsonOf for what goes to the JSON API, and body itself for other subjects.
func bodyTo(t testing.TB, subj, body string) string {
	t.Helper()
	if !strings.HasPrefix(subj, asset.APIPrefix) {
		return body
	}
	return jsonOf(t, body)
}

// api is request for the JSON API.
func (b *testBus) api(t testing.TB, verb, body string) testMsg {
	t.Helper()
	return b.request(t, asset.APIPrefix+verb, "", jsonOf(t, body))
}

// response is what each answer of the API may say.
type response struct {
	Error *apierror.Error `json:"error"`
}

// call is api that fails the test on an error answer.
func (b *testBus) call(t testing.TB, verb string, body string, out any) {
	t.Helper()
	m := b.api(t, verb, body)
	var r response
	if err := json.Unmarshal([]byte(m.Body), &r); err != nil {
		t.Fatalf("%s: %v in %q %q", verb, err, m.Header, m.Body)
	}
	if r.Error != nil {
		t.Fatalf("%s: %v", verb, r.Error)
	}
	if out != nil {
		if err := json.Unmarshal([]byte(m.Body), out); err != nil {
			t.Fatalf("%s: %v in %q", verb, err, m.Body)
		}
	}
}

// fails is call for requests that must be refused; it gives the error.
func (b *testBus) fails(t testing.TB, verb string, body string) *apierror.Error {
	t.Helper()
	m := b.api(t, verb, body)
	var r response
	if err := json.Unmarshal([]byte(m.Body), &r); err != nil {
		t.Fatalf("%s: %v in %q", verb, err, m.Body)
	}
	if r.Error == nil {
		t.Fatalf("%s: no error in %s", verb, m.Body)
	}
	return r.Error
}

// pubAck is a publish's answer.
type pubAck struct {
	Error     *apierror.Error `json:"error"`
	Stream    string          `json:"stream"`
	Domain    string          `json:"domain"`
	Seq       uint64          `json:"seq"`
	Duplicate bool            `json:"duplicate"`
}

func (b *testBus) publish(t testing.TB, subj, body string, hdr ...string) pubAck {
	t.Helper()
	m := b.request(t, subj, header(hdr...), body)
	var a pubAck
	if err := json.Unmarshal([]byte(m.Body), &a); err != nil {
		t.Fatalf("publish: %v in %q %q", err, m.Header, m.Body)
	}
	return a
}

// newTestEngine starts an engine without a disk and an account on it.
func newTestEngine(t testing.TB, change ...func(*Config)) (*Engine, *testBus) {
	t.Helper()
	c := testConfig(t)
	for _, f := range change {
		f(&c)
	}
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	b := newTestBus("A")
	if err := e.EnableAccount(b); err != nil {
		t.Fatal(err)
	}
	return e, b
}

func testConfig(t testing.TB) Config {
	return Config{ServerName: "srv", ServerID: "NID", Version: "2.12.0", APILevel: 2, Strict: true, Logger: testLogger(t)}
}

// streamAnswer is what tests read of a stream's info.
type streamAnswer struct {
	Config asset.StreamConfig `json:"config"`
	State  api.StreamState    `json:"state"`
}

func mustStream(t testing.TB, b *testBus, config string) streamAnswer {
	t.Helper()
	var c asset.StreamConfig
	config = jsonOf(t, config)
	if err := json.NewDecoder(bytes.NewReader([]byte(config))).Decode(&c); err != nil {
		t.Fatal(err)
	}
	var out streamAnswer
	b.call(t, "STREAM.CREATE."+c.Name, config, &out)
	return out
}
