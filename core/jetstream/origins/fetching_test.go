package origins

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/jetstream/sourcing"
	"github.com/frondmq/frond/core/wire"
)

// play is an engine with one stream, S, and the bus of its account, both in a
// few lines. The test is the origin.
type play struct {
	t   *testing.T
	w   *Fetchers
	set Set

	mu      sync.Mutex
	cfg     *asset.StreamConfig
	at      map[string]Position
	taken   []Message
	waiters []Waiter
	did     []string // beside taking messages
	subs    map[string]func(m *wire.Msg)
	watches map[string]func(present bool)
	sent    []wire.Msg
	full    error // what Take answers
}

func begin(t *testing.T, config string) *play {
	p := &play{t: t, at: map[string]Position{}, subs: map[string]func(m *wire.Msg){}, watches: map[string]func(bool){}}
	start, rnd := time.Now(), rand.New(rand.NewPCG(1, 2))
	p.w = New(Options{
		Domain: "edge", Now: func() int64 { return int64(time.Since(start)) }, Clock: time.Now,
		Random: rnd.IntN, Token: func(n int) string { return strings.Repeat("T", n) },
		Outlet: func() Outlet { return p }, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	p.w.Start()
	t.Cleanup(p.w.Close)
	p.follow(config)
	return p
}

// follow gives the stream its mirror or sources.
func (p *play) follow(config string) {
	p.t.Helper()
	cfg := new(asset.StreamConfig)
	if err := json.Unmarshal([]byte(config), cfg); err != nil {
		p.t.Fatal(err)
	}
	p.cfg = cfg
	if err := p.set.Follow(p.w, p, p); err != nil {
		p.t.Fatal(err)
	}
	synctest.Wait()
}

func (p *play) Name() string                { return "S" }
func (p *play) Account() string             { return "A" }
func (p *play) Config() *asset.StreamConfig { return p.cfg }

func (p *play) Position(source string) (Position, bool) {
	at, ok := p.at[source]
	return at, !ok
}

func (p *play) Take(m *Message, w Waiter) error {
	if p.full != nil {
		return p.full
	}
	c := *m
	c.Subject, c.Header, c.Body = slices.Clone(m.Subject), slices.Clone(m.Header), slices.Clone(m.Body)
	p.taken, p.waiters = append(p.taken, c), append(p.waiters, w)
	return nil
}

func (p *play) note(w Waiter, what string, args ...any) error {
	p.did, p.waiters = append(p.did, fmt.Sprintf(what, args...)), append(p.waiters, w)
	return nil
}

func (p *play) PassOver(source string, seq, after uint64, why string, w Waiter) error {
	return p.note(w, "pass over %s %d behind %d: %s", source, seq, after, why)
}

func (p *play) NoteOrigin(source string, o *sourcing.Origin, w Waiter) error {
	return p.note(w, "origin of %s is %q, restart %v", source, o.Identity, o.Restart)
}

func (p *play) Skip(last uint64) error { return p.note(nil, "skip to %d", last) }
func (p *play) StartOver()             { _ = p.note(nil, "start over") }
func (p *play) Looped(origin string)   { p.did = append(p.did, "looped from "+origin) }

func (p *play) SubscribeFrom(domain, subject string, h func(m *wire.Msg)) (func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subs[domain+" "+subject] = h
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.subs, domain+" "+subject)
	}, nil
}

func (p *play) WatchInterest(subject string, f func(present bool)) func() {
	p.mu.Lock()
	p.watches[subject] = f
	p.mu.Unlock()
	f(true)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.watches, subject)
	}
}

func (p *play) HalfReadAt() time.Time   { return time.Time{} }
func (p *play) Into(s Stream) Publisher { return p }
func (p *play) Flush()                  {}

func (p *play) Publish(m *wire.Msg) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, wire.Msg{Subject: slices.Clone(m.Subject), Reply: slices.Clone(m.Reply), Header: slices.Clone(m.Header), Body: slices.Clone(m.Body)})
	return 1
}

// next takes what was sent since the last call.
func (p *play) next() []wire.Msg {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := p.sent
	p.sent = nil
	return sent
}

// to finds a subscription by the end of its subject.
func (p *play) to(domain, subject string) func(m *wire.Msg) {
	p.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.subs[domain+" "+subject]
	if h == nil {
		p.t.Fatalf("nobody listens on %q from %q: %v", subject, domain, p.subs)
	}
	return h
}

// grant answers the newest request as an origin that has everything, and gives
// what takes the deliveries.
func (p *play) grant(domain string) (deliver func(m *wire.Msg)) {
	p.t.Helper()
	sent := p.next()
	if len(sent) == 0 {
		p.t.Fatal("the origin was asked for nothing")
	}
	req := sent[len(sent)-1]
	var r struct{ Config consumer.Config }
	if err := json.Unmarshal(req.Body, &r); err != nil {
		p.t.Fatal(err)
	}
	answer, err := json.Marshal(map[string]any{"name": "C", "config": &r.Config})
	if err != nil {
		p.t.Fatal(err)
	}
	inbox, _, _ := strings.Cut(string(req.Reply), ".R.TTTTTTTT.")
	p.to(domain, inbox+".R.TTTTTTTT.*")(&wire.Msg{Subject: req.Reply, Body: answer, Header: []byte("NATS/1.0\r\nNats-Stream-Identity: one\r\n\r\n")})
	return p.to(domain, r.Config.DeliverSubject)
}

// message is a delivery of the origin's consumer.
func message(seq, dseq int, subject, header string) *wire.Msg {
	m := &wire.Msg{Subject: []byte(subject), Reply: fmt.Appendf(nil, "$JS.ACK.O.C.1.%d.%d.%d.0", seq, dseq, 1000+seq), Body: []byte("x")}
	if header != "" {
		m.Header = []byte("NATS/1.0\r\n" + header + "\r\n\r\n")
	}
	return m
}

func TestFetching_source(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := begin(t, `{"name":"S","sources":[{"name":"O","external":{"api":"$JS.hub.API","deliver":""},"subject_transforms":[{"src":"o.>","dest":"here.>"}]}]}`)
		defer p.set.End(p.w)
		deliver := p.grant("hub")
		key := p.cfg.Sources[0].Key()
		deliver(message(5, 1, "o.a", ""))
		deliver(message(7, 2, "o.b", "Nats-Stream-Source: elsewhere"))
		deliver(message(8, 3, "o.c", sourcing.HdrHops+": 16"))
		if len(p.taken) != 3 {
			t.Fatalf("%d messages", len(p.taken))
		}
		for i, want := range []Message{
			{Source: key, Seq: 5, At: 1005, After: 0, Subject: []byte("here.a"), Header: []byte("")},
			{Source: key, Seq: 7, At: 1007, After: 5, Subject: []byte("here.b"), Header: []byte(sourcing.HdrHops + ": 2\r\n")},
			{Source: key, Seq: 8, At: 1008, After: 7, Subject: []byte("here.c"), Loop: true},
		} {
			m := &p.taken[i]
			if m.Source != want.Source || m.Seq != want.Seq || m.At != want.At || m.After != want.After || m.Loop != want.Loop || string(m.Subject) != string(want.Subject) {
				t.Errorf("%d: %+v, want %+v", i, m, want)
			}
			label := p.cfg.Sources[0].Label()
			if h := string(m.Header); m.Loop && h != "" || !m.Loop && !strings.Contains(h, "Nats-Stream-Source: "+label+" "+strconv.Itoa(int(m.Seq))+" o.> here.> o.") || !strings.Contains(h, string(want.Header)) {
				t.Errorf("%d: header %q", i, h)
			}
		}
		if got := strings.Join(p.did, "; "); got != fmt.Sprintf("origin of %s is \"one\", restart false; looped from O", key) {
			t.Errorf("it did: %s", got)
		}
		_, infos := p.set.Infos()
		if len(infos) != 1 || infos[0].Error == nil || !strings.Contains(infos[0].Error.Description, "O and S feed each other") {
			t.Errorf("info %+v", infos)
		}
	})
}

// The origin is told to go on when what came before its question is durable, and
// what was refused is asked for again.
func TestFetching_waitsForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := begin(t, `{"name":"S","mirror":{"name":"O"}}`)
		defer p.set.End(p.w)
		deliver := p.grant("")
		deliver(message(1, 1, "o", ""))
		deliver(&wire.Msg{Reply: []byte("$JS.FC.O"), Header: []byte("NATS/1.0 100 FlowControl Request\r\n\r\n")})
		if sent := p.next(); len(sent) != 0 {
			t.Fatalf("sent %q before the message is durable", sent[0].Subject)
		}
		if p.taken[0].Header != nil {
			t.Errorf("a mirror adds %q", p.taken[0].Header)
		}
		p.waiters[len(p.waiters)-1].Told(1, Outcome{Seq: 1})
		sent := p.next()
		if len(sent) != 1 || string(sent[0].Subject) != "$JS.FC.O" || !strings.Contains(string(sent[0].Header), "Nats-Last-Stream: 1\r\n") {
			t.Fatalf("flow control was answered with %v", sent)
		}
		deliver(message(2, 2, "o", ""))
		p.waiters[len(p.waiters)-1].Told(2, Outcome{Err: &apierror.Error{ErrCode: 10077}})
		time.Sleep(time.Second)
		again := p.next()
		if len(again) != 1 || !strings.Contains(string(again[0].Body), `"opt_start_seq":2`) {
			t.Errorf("behind a refusal it asked %v", again)
		}
	})
}

// What is not on the bus any more takes nothing, and an origin is told when
// nobody needs its consumer.
func TestSet_follows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := begin(t, `{"name":"S","sources":[{"name":"O"},{"name":"P"}]}`)
		first := p.set.all[1]
		p.next()
		p.follow(`{"name":"S","sources":[{"name":"P"}]}`)
		if len(p.set.all) != 1 || p.set.all[0] != first {
			t.Error("a source that stayed was begun anew")
		}
		sent := p.next()
		if len(sent) != 1 || !strings.HasPrefix(string(sent[0].Subject), "$JS.API.CONSUMER.DELETE.O.JS_SRC_") {
			t.Errorf("the origin that went was told %v", sent)
		}
		if n := len(p.watches); n != 1 {
			t.Errorf("%d watches", n)
		}
		if got := p.set.ForgetSubjects(); len(got) != 1 || !strings.HasPrefix(got[0], "$JS.API.CONSUMER.DELETE.P.JS_SRC_") {
			t.Errorf("to be forgotten: %q", got)
		}
		p.set.End(p.w)
		synctest.Wait()
		if len(p.subs)+len(p.watches) != 0 {
			t.Errorf("left on the bus: %v %v", p.subs, p.watches)
		}
		if _, infos := p.set.Infos(); infos != nil {
			t.Errorf("info %+v", infos)
		}
		time.Sleep(time.Minute)
		if sent := p.next(); len(sent) != 0 {
			t.Errorf("it goes on asking: %q", sent[0].Subject)
		}
	})
}

// A message that is on its way when its source is removed is not taken.
func TestSet_removedTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := begin(t, `{"name":"S","sources":[{"name":"O"}]}`)
		deliver := p.grant("")
		deliver(message(1, 1, "o", ""))
		p.follow(`{"name":"S"}`)
		deliver(message(2, 2, "o", ""))
		if len(p.taken) != 1 {
			t.Errorf("%d messages were taken", len(p.taken))
		}
	})
}

// A mirror whose origin was made anew takes nothing of it; a source begins at its
// start when that is written down. What can't come is booked.
func TestFetching_madeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := begin(t, `{"name":"S"}`)
		p.at["O > >"] = Position{Seq: 9, Identity: "zero"}
		p.follow(`{"name":"S","sources":[{"name":"O"}]}`)
		defer p.set.End(p.w)
		sent := p.next()
		if len(sent) != 1 || !strings.Contains(string(sent[0].Header), sourcing.HdrIdentity+": zero\r\n") || !strings.Contains(string(sent[0].Body), `"opt_start_seq":10`) {
			t.Fatalf("asked %v", sent)
		}
		answer := p.to("", "$JSC.R.TTTTTTTT.*")
		answer(&wire.Msg{Subject: sent[0].Reply, Body: []byte(`{"error":{"code":400,"err_code":10225,"description":"it is one"}}`)})
		if got := strings.Join(p.did, "; "); got != `origin of O > > is "", restart true` {
			t.Fatalf("it did: %s", got)
		}
		p.waiters[0].Told(0, Outcome{})
		deliver := p.grant("")
		deliver(&wire.Msg{Header: []byte("NATS/1.0 100 Idle Heartbeat\r\n" + consumer.HdrSkipped + ": 3\r\n" + consumer.HdrSkippedReason + ": too long\r\n\r\n")})
		if got := p.did[len(p.did)-1]; got != "pass over O > > 3 behind 0: too long" {
			t.Errorf("it did: %s", got)
		}
	})
}
