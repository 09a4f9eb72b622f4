package core_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/wire"
)

func receive(t *testing.T, from <-chan string) string {
	t.Helper()
	select {
	case s := <-from:
		return s
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		return ""
	}
}

func TestEmbedded_publishAndSubscribe(t *testing.T) {
	s := servertest.Start(t, servertest.JetStream(t))
	got := make(chan string, 10)
	sub, err := s.Subscribe("rooms.*.temp", "", func(m *core.Message) {
		got <- m.Subject + " " + m.Reply + " " + string(m.Header) + string(m.Data)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Publish("rooms.1.temp", []byte("20")), s.PublishRequest("rooms.2.temp", "answers", nil), s.Publish("rooms.1.door", nil)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"rooms.1.temp  20", "rooms.2.temp answers "} {
		if g := receive(t, got); g != want {
			t.Errorf("got %q, want %q", g, want)
		}
	}
	sub.Close()
	sub.Close()
	if err := s.Publish("rooms.1.temp", []byte("21")); err != nil {
		t.Error(err)
	}
	// A service, and a stream, which answers what it has stored.
	if _, err := s.Subscribe("svc", "q", func(m *core.Message) { _ = s.Publish(m.Reply, append([]byte("you said "), m.Data...)) }); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Request(t.Context(), "svc", []byte("hi")); err != nil || string(b) != "you said hi" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := s.Request(t.Context(), "$JS.API.STREAM.CREATE.S", []byte(`{"name":"S","subjects":["stored.>"]}`)); err != nil {
		t.Fatal(err)
	}
	acks := make(chan string, 1)
	if _, err := s.Subscribe("acks", "", func(m *core.Message) { acks <- string(m.Data) }); err != nil {
		t.Fatal(err)
	}
	if err := s.PublishRequest("stored.1", "acks", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if ack := receive(t, acks); !strings.Contains(ack, `"seq":1`) {
		t.Errorf("acknowledged %s", ack)
	}
	if len(got) > 0 {
		t.Errorf("a closed subscription heard %q", <-got)
	}
}

func TestEmbedded_refuses(t *testing.T) {
	s, err := servertest.New(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish("a", nil); !errors.Is(err, core.ErrNotRunning) {
		t.Errorf("before the start: %v", err)
	}
	if _, err := s.InProcessConn(); !errors.Is(err, core.ErrNotRunning) {
		t.Errorf("before the start: %v", err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	for _, subj := range []string{"", "a..b", "a b", "a.*", ">"} {
		if err := s.Publish(subj, nil); !errors.Is(err, core.ErrBadSubject) {
			t.Errorf("publish to %q: %v", subj, err)
		}
	}
	if err := s.PublishRequest("a", "b.>", nil); !errors.Is(err, core.ErrBadSubject) {
		t.Errorf("a pattern for answers: %v", err)
	}
	if err := s.Publish("a", make([]byte, 1<<20)); err != nil {
		t.Errorf("a message of max_payload: %v", err)
	}
	if err := s.Publish("a", make([]byte, 1<<20+1)); !errors.Is(err, core.ErrTooLarge) {
		t.Errorf("a large message: %v", err)
	}
	for _, c := range [][2]string{{"a..b", ""}, {"a b", ""}, {"a", "q q"}, {"", ""}} {
		if _, err := s.Subscribe(c[0], c[1], func(*core.Message) {}); !errors.Is(err, core.ErrBadSubject) {
			t.Errorf("subscribe to %q: %v", c, err)
		}
	}
	servertest.Stop(t, s)
	if _, err := s.Subscribe("a", "", func(*core.Message) {}); !errors.Is(err, core.ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
	if err := s.Publish("a", nil); !errors.Is(err, core.ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
}

// What a handler gets is its own: the publisher uses its buffers again, and a
// header comes whole.
func TestEmbedded_messagesAreTheHandlers(t *testing.T) {
	s := servertest.Start(t)
	got := make(chan *core.Message, 10)
	if _, err := s.Subscribe("a", "", func(m *core.Message) { got <- m }); err != nil {
		t.Fatal(err)
	}
	buf := []byte("one")
	for _, text := range []string{"one", "two"} {
		copy(buf, text)
		if err := s.Publish("a", buf); err != nil {
			t.Fatal(err)
		}
	}
	c := servertest.Dial(t, s)
	const header = "NATS/1.0\r\nA: b\r\n\r\n"
	for _, body := range []string{"three", "four!"} {
		if _, err := fmt.Fprintf(c, "CONNECT {\"headers\":true,\"verbose\":false}\r\nHPUB a r %d %d\r\n%s%s\r\n", len(header), len(header)+len(body), header, body); err != nil {
			t.Fatal(err)
		}
	}
	var all []*core.Message
	for range 4 {
		select {
		case m := <-got:
			all = append(all, m)
		case <-time.After(20 * time.Second):
			t.Fatal("nothing came")
		}
	}
	for i, want := range []core.Message{{Data: []byte("one")}, {Data: []byte("two")}, {Reply: "r", Header: []byte(header), Data: []byte("three")}, {Reply: "r", Header: []byte(header), Data: []byte("four!")}} {
		if m := all[i]; m.Subject != "a" || m.Reply != want.Reply || string(m.Header) != string(want.Header) || string(m.Data) != string(want.Data) {
			t.Errorf("message %d: %q, want %q", i, *m, want)
		}
	}
}

// One member of a queue gets each message, and nothing is kept of members that
// are gone.
func TestEmbedded_queue(t *testing.T) {
	s := servertest.Start(t)
	type heard struct {
		member int
		data   string
	}
	got := make(chan heard, 1000)
	var subs []*core.Subscription
	for i := range 2 {
		sub, err := s.Subscribe("jobs", "q", func(m *core.Message) { got <- heard{i, string(m.Data)} })
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, sub)
	}
	const jobs = 50
	for range jobs {
		if err := s.Publish("jobs", []byte("job")); err != nil {
			t.Fatal(err)
		}
	}
	// Behind its first "end" a member has nothing of the jobs left.
	n, ended := 0, map[int]bool{}
	for len(ended) < 2 {
		if err := s.Publish("jobs", []byte("end")); err != nil {
			t.Fatal(err)
		}
		for h := (heard{}); h.data != "end"; {
			select {
			case h = <-got:
			case <-time.After(20 * time.Second):
				t.Fatal("nothing came")
			}
			if h.data == "end" {
				ended[h.member] = true
			} else {
				n++
			}
		}
	}
	if n != jobs {
		t.Errorf("%d jobs were done, want %d", n, jobs)
	}
	for _, sub := range subs {
		sub.Close()
	}
	if n := s.Embedded(); n != 0 {
		t.Errorf("%d subscriptions are kept", n)
	}
}

// Like a client, the program waits a little for a receiver that is behind.
func TestEmbedded_waitsForSlowReceivers(t *testing.T) {
	s := servertest.Start(t)
	c := servertest.Dial(t, s)
	if _, err := io.WriteString(c, "CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPING\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for line := ""; line != "PONG\r\n"; {
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	// It reads nothing more: 64 MB are its limit.
	body := make([]byte, 1<<20)
	for i := 0; i < 60 && s.Stalls() == 0; i++ {
		if err := s.Publish("a", body); err != nil {
			t.Fatal(err)
		}
	}
	stalls, begin := s.Stalls(), time.Now()
	for range 20 {
		if err := s.Publish("a", body[:10]); err != nil {
			t.Fatal(err)
		}
	}
	if n, took := s.Stalls()-stalls, time.Since(begin); n != 20 || took < 20*time.Millisecond {
		t.Errorf("it waited %d times of 20, %v", n, took)
	}
}

// A handler that is slow does not hold the server up, and what it missed is
// counted.
func TestEmbedded_slowHandler(t *testing.T) {
	s := servertest.Start(t, servertest.With(func(o *config.Options) { o.MaxPending, o.MaxPayload = 2000, 1000 }))
	first, goOn, handled := make(chan struct{}), make(chan struct{}), make(chan string, 20)
	sub, err := s.Subscribe("s", "", func(m *core.Message) {
		if strings.HasSuffix(string(m.Data), "00") {
			close(first)
			<-goOn
		}
		handled <- string(m.Data)
	})
	if err != nil {
		t.Fatal(err)
	}
	publish := func(i int) {
		if err := s.Publish("s", fmt.Appendf(nil, "%099d", i)); err != nil {
			t.Fatal(err)
		}
	}
	publish(0)
	<-first
	for i := range 15 {
		publish(1 + i)
	}
	if n := sub.Dropped(); n != 5 {
		t.Errorf("%d of 15 were dropped, 10 have room, of 200 bytes each", n)
	}
	close(goOn)
	for i := range 11 {
		if got, want := receive(t, handled), fmt.Sprintf("%099d", i); got != want {
			t.Errorf("handled %s, want %s", got, want)
		}
	}
	publish(99)
	if got, want := receive(t, handled), fmt.Sprintf("%099d", 99); got != want || sub.Dropped() != 5 {
		t.Errorf("then %s, %d dropped", got, sub.Dropped())
	}
}

// Shutdown waits for a handler, and no handler runs after it.
func TestEmbedded_shutdownWaitsForHandlers(t *testing.T) {
	s, err := servertest.New(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	in, goOn := make(chan struct{}), make(chan struct{})
	if _, err := s.Subscribe("s", "", func(*core.Message) { close(in); <-goOn }); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish("s", nil); err != nil {
		t.Fatal(err)
	}
	<-in
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "a handler or a Publish did not return") {
		t.Errorf("a handler runs: %v", err)
	}
	close(goOn)
	servertest.Stop(t, s)
}

// heldSink is a receiver whose routing does not go on, as a stream while the
// disk is behind.
type heldSink struct {
	account.Sink
	in, goOn chan struct{}
}

func (*heldSink) Role() account.Role { return account.RoleInternal }
func (*heldSink) Cluster() string    { return "" }
func (*heldSink) Flush()             {}
func (h *heldSink) Deliver(*account.Sub, *wire.Msg) bool {
	h.in <- struct{}{}
	<-h.goOn
	return true
}

// Who publishes may be held up. Others subscribe and close meanwhile, and
// Shutdown waits for it no longer than it may.
func TestEmbedded_publisherIsHeldUp(t *testing.T) {
	s, err := servertest.New(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	held := &heldSink{in: make(chan struct{}), goOn: make(chan struct{})}
	global, _ := s.Modules().Account(config.GlobalAccount)
	if err := global.Subscribe(&account.Sub{Subject: "held", Sink: held}); err != nil {
		t.Fatal(err)
	}
	published := make(chan string)
	go func() { published <- fmt.Sprint(s.Publish("held", nil)) }()
	<-held.in
	others := make(chan string)
	go func() {
		sub, err := s.Subscribe("other", "", func(*core.Message) {})
		if err == nil {
			sub.Close()
		}
		others <- fmt.Sprint(err)
	}()
	if got := receive(t, others); got != "<nil>" {
		t.Errorf("subscribed: %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan string)
	go func() { ended <- fmt.Sprint(s.Shutdown(ctx)) }()
	if got := receive(t, ended); !strings.Contains(got, "a Publish did not return") {
		t.Errorf("ended: %s", got)
	}
	close(held.goOn)
	if got := receive(t, published); got != "<nil>" {
		t.Errorf("published: %s", got)
	}
	servertest.Stop(t, s)
}

func TestInProcessConn(t *testing.T) {
	s, _ := startTLS(t, func(o *config.Options) { o.Auth.User, o.Auth.Password = "u", "p" })
	c, err := s.InProcessConn()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	info, err := r.ReadString('\n')
	if err != nil || !strings.HasPrefix(info, "INFO {") || strings.Contains(info, "tls_required") || !strings.Contains(info, `"auth_required":true`) {
		t.Fatalf("%q, %v", info, err)
	}
	// A pipe has no buffer: who writes while the other side writes waits.
	go io.WriteString(c, "CONNECT {\"user\":\"u\",\"pass\":\"p\",\"verbose\":false}\r\nSUB a 1\r\nPUB a 5\r\nhello\r\n")
	if line, err := r.ReadString('\n'); err != nil || line != "MSG a 1 5\r\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// Two servers in one process have nothing in common.
func TestServer_twoInOneProcess(t *testing.T) {
	one, two := servertest.Start(t, servertest.JetStream(t)), servertest.Start(t, servertest.JetStream(t))
	for i, s := range []*core.Server{one, two} {
		if _, err := s.Request(t.Context(), "$JS.API.STREAM.CREATE.S", []byte(`{"name":"S","subjects":["s"]}`)); err != nil {
			t.Fatal(err)
		}
		for range i + 1 {
			if _, err := s.Request(t.Context(), "s", []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if one.ServerID() == two.ServerID() {
		t.Error("they have one identity")
	}
	for i, s := range []*core.Server{one, two} {
		b, err := s.Request(t.Context(), "$JS.API.STREAM.INFO.S", nil)
		if want := fmt.Sprintf(`"messages":%d,`, i+1); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("server %d: %s, %v", i, b, err)
		}
	}
	servertest.Stop(t, one)
	if _, err := two.Request(t.Context(), "s", []byte("x")); err != nil {
		t.Errorf("one ended: %v", err)
	}
}

// What a program is told that asks for what can not be.
func TestEmbedded_mistakesAreErrors(t *testing.T) {
	if _, err := core.New(nil, nil, nil); err == nil || !strings.Contains(err.Error(), "config.Defaults") {
		t.Errorf("without options: %v", err)
	}
	if _, err := core.New(&config.Options{Port: -1}, nil, nil); err == nil || !strings.Contains(err.Error(), "config.Defaults") {
		t.Errorf("with options that begin as nothing: %v", err)
	}
	s, err := servertest.New(t)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Request(t.Context(), "a", nil); !errors.Is(err, core.ErrNotRunning) {
		t.Errorf("a request before the start: %v", err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err == nil {
		t.Error("started twice")
	}
	if _, err := s.Subscribe("a", "", nil); err == nil || !strings.Contains(err.Error(), "handler") {
		t.Errorf("without a handler: %v", err)
	}
	if _, err := s.Reload(nil); !errors.Is(err, core.ErrNotReloaded) {
		t.Errorf("reload without options: %v", err)
	}
	for _, subj := range []string{"", "a..b", "a b", "a.*", ">"} {
		if _, err := s.Request(t.Context(), subj, nil); !errors.Is(err, core.ErrBadSubject) {
			t.Errorf("request on %q: %v", subj, err)
		}
	}
	if _, err := s.Request(t.Context(), "a", make([]byte, 1<<20+1)); !errors.Is(err, core.ErrTooLarge) {
		t.Errorf("a large request: %v", err)
	}
	servertest.Stop(t, s)
	if _, err := s.Request(t.Context(), "a", nil); !errors.Is(err, core.ErrNotRunning) {
		t.Errorf("a request after the end: %v", err)
	}
	if err := s.Start(); err == nil {
		t.Error("started behind its end")
	}
}

// A handler that waits for an answer that never comes keeps no server from ending.
func TestEmbedded_requestEndsWithTheServer(t *testing.T) {
	s := servertest.Start(t)
	asked, told := make(chan string, 1), make(chan error, 1)
	_, err := s.Subscribe("silent", "", func(*core.Message) { asked <- "" })
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Subscribe("go", "", func(*core.Message) {
		_, err := s.Request(context.Background(), "silent", nil)
		told <- err
	})
	if err := errors.Join(err, s.Publish("go", nil)); err != nil {
		t.Fatal(err)
	}
	receive(t, asked)
	servertest.Stop(t, s)
	if err := <-told; !errors.Is(err, core.ErrNotRunning) {
		t.Errorf("%v", err)
	}
}
