package jsclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core/jetstream"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/jetstream/jsclient/jsclienttest"
	"github.com/frondmq/frond/core/wire"
)

// The contract, through a link that breaks between two messages.
func TestClient_throughALink(t *testing.T) {
	l := newLink(t)
	jsclienttest.Run(t, jsclienttest.Env{Client: l.client, Cut: func() { l.set(false) }, Heal: func() { l.set(true) }})
}

// filled is a link and a client of a stream S with n messages.
func filled(t *testing.T, n int) (*link, *jsclient.Client) {
	t.Helper()
	l := newLink(t)
	c, err := l.client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.Ensure(t.Context(), &jsclient.StreamConfig{Name: "S", Subjects: []string{"s.*"}, Storage: asset.MemoryStorage}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := c.Publish(t.Context(), &jsclient.Outgoing{Subject: fmt.Sprintf("s.%d", i%3)}); err != nil {
			t.Fatal(err)
		}
	}
	return l, c
}

func isDelivery(m *wire.Msg) bool { return strings.HasPrefix(string(m.Reply), "$JS.ACK.") }

// Each loss of a delivery without a loss of the link shows by the next one, and the
// last by the consumer's count.
func TestCursor_missesNothingThatWasLost(t *testing.T) {
	for _, o := range []jsclient.CursorOptions{{}, {Max: 4}, {Filters: []string{"s.0", "s.2"}}, {LastPerSubject: true}} {
		for _, every := range []int{1, 2, 5, 7, 30} {
			t.Run(fmt.Sprintf("%+v, one in %d", o, every), func(t *testing.T) {
				l, c := filled(t, 30)
				count, lost := 0, 0
				l.lose(func(m *wire.Msg) bool {
					if !isDelivery(m) {
						return false
					}
					if count++; count%every != 0 || lost == 6 {
						return false
					}
					lost++
					return true
				})
				o.ToEnd, o.Heartbeat = true, 100*time.Millisecond
				u, err := c.Cursor("S", o)
				if err != nil {
					t.Fatal(err)
				}
				defer u.Close()
				var got []uint64
				for {
					m, err := u.Next(t.Context())
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, m.Seq)
				}
				var want []uint64
				for seq := uint64(1); seq <= 30; seq++ {
					if (o.Filters == nil || seq%3 != 2) && (!o.LastPerSubject || seq > 27) {
						want = append(want, seq)
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("got %v\nwant %v", got, want)
				}
				if lost == 0 && every <= 5 && !o.LastPerSubject {
					t.Error("nothing was lost")
				}
			})
		}
	}
}

// The last of all deliveries is lost, so that no gap shows.
func TestCursor_missesNotTheLast(t *testing.T) {
	l, c := filled(t, 10)
	lost := 0
	l.lose(func(m *wire.Msg) bool {
		if !isDelivery(m) || lost > 0 || !strings.Contains(string(m.Reply), ".10.10.") {
			return false
		}
		lost++
		return true
	})
	u, err := c.Cursor("S", jsclient.CursorOptions{ToEnd: true})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for want := uint64(1); want <= 10; want++ {
		if m, err := u.Next(t.Context()); err != nil || m.Seq != want {
			t.Fatalf("%+v, %v; want %d", m, err, want)
		}
	}
	if _, err := u.Next(t.Context()); !errors.Is(err, io.EOF) || lost != 1 {
		t.Errorf("at the end: %v, %d lost", err, lost)
	}
}

// A consumer is silent: its answers, heartbeats among them, are lost for a while.
func TestConsumer_noticesSilence(t *testing.T) {
	l, c := filled(t, 5)
	k, err := c.Consumer("S", &jsclient.ConsumerConfig{Durable: "k", AckPolicy: consumer.AckExplicit, AckWait: 200 * time.Millisecond},
		jsclient.ConsumeOptions{Heartbeat: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	lost := 0
	l.lose(func(m *wire.Msg) bool {
		if !strings.HasPrefix(string(m.Subject), "_INBOX.") || strings.Contains(string(m.Subject), "-") || lost == 20 {
			return false // what is no answer to a pull request
		}
		lost++
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	seen := map[uint64]bool{}
	for len(seen) < 5 {
		d, err := k.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		seen[d.Seq] = true
		if err := d.AckSync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// answerer is a bus on which a test is the JetStream.
func answerer(t *testing.T, answer func(subject string, body []byte) string) *side {
	l := &link{}
	l.near.l, l.far.l = l, l
	if _, err := l.near.Subscribe("$JS.>", "", func(m *wire.Msg) {
		if text := answer(string(m.Subject), m.Body); text != "" {
			publisher{&l.near}.Publish(&wire.Msg{Subject: m.Reply, Body: []byte(text)})
		}
	}); err != nil {
		t.Fatal(err)
	}
	return &l.near
}

func client(t *testing.T, b jetstream.Bus, o jsclient.Options) *jsclient.Client {
	t.Helper()
	c, err := jsclient.New(b, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Settings of a later version stay as they are when others are changed, and numbers
// go back as they came.
func TestClient_updateKeepsWhatItDoesNotKnow(t *testing.T) {
	sent := ""
	c := client(t, answerer(t, func(subject string, body []byte) string {
		if strings.Contains(subject, ".UPDATE.") {
			sent = string(body)
		}
		return `{"config":{"name":"S","subjects":["a"],"max_bytes":9007199254740993,"of_tomorrow":{"x":1.50},"description":"old"}}`
	}), jsclient.Options{})
	if _, err := c.Update(t.Context(), "S", func(*jsclient.StreamConfig) {}); err != nil || sent != "" {
		t.Errorf("nothing to change: %v, sent %s", err, sent)
	}
	_, err := c.Update(t.Context(), "S", func(cfg *jsclient.StreamConfig) { cfg.Subjects, cfg.Description = []string{"b"}, "" })
	const want = `{"max_bytes":9007199254740993,"name":"S","of_tomorrow":{"x":1.50},"subjects":["b"]}`
	if err != nil || sent != want {
		t.Errorf("%v, sent\n%s, want\n%s", err, sent, want)
	}
}

func TestClient_saysWhatIsWrongWithAnAnswer(t *testing.T) {
	for answer, want := range map[string]string{
		`no`:           "answer of JetStream: ",
		`{"config":5}`: "answer of JetStream: ",
		`{"error":{"code":400,"err_code":10065,"description":"subjects overlap"}}`: "$JS.API.STREAM.INFO.S: subjects overlap (10065)",
	} {
		c := client(t, answerer(t, func(string, []byte) string { return answer }), jsclient.Options{})
		if _, err := c.Info(t.Context(), "S"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", answer, err)
		}
	}
	if _, err := jsclient.New(answerer(t, nil), jsclient.Options{Domain: "a.b"}); err == nil {
		t.Error("a domain of two tokens is taken")
	}
}

// streamOn answers publishes on a subject.
func streamOn(t *testing.T, b *side, subject string, answer func(m *wire.Msg)) {
	t.Helper()
	if _, err := b.Subscribe(subject, "", answer); err != nil {
		t.Fatal(err)
	}
}

func (s *side) say(to, text string) {
	publisher{s}.Publish(&wire.Msg{Subject: []byte(to), Body: []byte(text)})
}

// Only the stream of the domain that is meant counts, and only the first answer.
func TestWindow_takesTheAnswerOfItsDomain(t *testing.T) {
	b := answerer(t, nil)
	streamOn(t, b, "s", func(m *wire.Msg) {
		to := string(m.Reply)
		b.say(to, "a program that listens too")
		b.say(to, `{"stream":"NEAR","domain":"HOME","seq":7}`)
		b.say(to, `{"stream":"S","domain":"FAR","seq":3,"duplicate": true}`)
		b.say(to, `{"stream":"S","domain":"FAR","seq":4}`)
		b.say(to+"9", `{"stream":"S","domain":"FAR","seq":5}`)
	})
	c := client(t, b, jsclient.Options{Domain: "FAR"})
	if ack, err := c.Publish(t.Context(), &jsclient.Outgoing{Subject: "s"}); err != nil || ack != (jsclient.Ack{Stream: "S", Seq: 3, Duplicate: true}) {
		t.Errorf("%+v, %v", ack, err)
	}
}

// Outcomes that never come are told when the time is up, each at its own, and what
// comes later is not told again; a full window makes room by it.
func TestWindow_tellsWhatCameNotInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := answerer(t, nil)
		var late []string
		streamOn(t, b, "silent", func(m *wire.Msg) { late = append(late, string(m.Reply)) })
		streamOn(t, b, "prompt", func(m *wire.Msg) { b.say(string(m.Reply), `{"stream":"S","seq":1}`) })
		c := client(t, b, jsclient.Options{})
		start := time.Now()
		var mu sync.Mutex
		told := map[uint64]string{}
		w, err := c.NewWindow(jsclient.WindowOptions{Max: 2, Wait: 10 * time.Second, Told: func(tag uint64, o jsclient.Outcome) {
			mu.Lock()
			defer mu.Unlock()
			told[tag] += fmt.Sprintf("%v %v after %v;", o.State, o.Err, time.Since(start))
		}})
		if err != nil {
			t.Fatal(err)
		}
		publish := func(tag uint64, subject string) {
			t.Helper()
			if err := w.Publish(t.Context(), &jsclient.Outgoing{Subject: subject}, tag); err != nil {
				t.Fatal(err)
			}
		}
		publish(1, "silent")
		publish(2, "prompt")
		time.Sleep(3 * time.Second)
		publish(3, "silent")
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Publish(short, &jsclient.Outgoing{Subject: "silent"}, 4); !errors.Is(err, jsclient.ErrTimeout) {
			t.Errorf("into a full window: %v", err)
		}
		publish(5, "prompt") // waits for 1
		if at := time.Since(start); at != 10*time.Second {
			t.Errorf("there was room after %v", at)
		}
		if err := w.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		for _, to := range late {
			b.say(to, `{"stream":"S","seq":2}`)
		}
		w.Close()
		mu.Lock()
		defer mu.Unlock()
		want := map[uint64]string{
			1: "unknown no answer in time after 10s;", 2: "stored <nil> after 0s;", 3: "unknown no answer in time after 13s;", 5: "stored <nil> after 10s;",
		}
		if fmt.Sprint(told) != fmt.Sprint(want) {
			t.Errorf("told %v\nwant %v", told, want)
		}
	})
}

// A receipt is a window's, whatever it says and how late, and its flight is used
// again only when nobody can say more.
func TestWindow_receipts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := answerer(t, nil)
		var late []wire.Receipt
		streamOn(t, b, "late", func(m *wire.Msg) { m.Receipt.Expect(); late = append(late, m.Receipt) })
		streamOn(t, b, "twice", func(m *wire.Msg) {
			m.Receipt.Expect()
			m.Receipt.Expect()
			m.Receipt.Stored("A", 1, false, nil)
			m.Receipt.Stored("B", 2, false, nil)
		})
		streamOn(t, b, "refused", func(m *wire.Msg) {
			m.Receipt.Expect()
			m.Receipt.Stored("A", 0, false, &jsclient.APIError{Code: 400, ErrCode: 10164, Description: "wrong last sequence"})
		})
		streamOn(t, b, "lost", func(m *wire.Msg) { m.Receipt.Expect(); m.Receipt.Stored("A", 0, false, errors.New("who knows")) })
		streamOn(t, b, "plain", func(m *wire.Msg) {})
		c := client(t, b, jsclient.Options{Local: true})
		var mu sync.Mutex
		told := map[uint64]string{}
		w, err := c.NewWindow(jsclient.WindowOptions{Wait: time.Second, Told: func(tag uint64, o jsclient.Outcome) {
			mu.Lock()
			defer mu.Unlock()
			told[tag] += fmt.Sprintf("%v %s%d %v;", o.State, o.Stream, o.Seq, o.Err)
		}})
		if err != nil {
			t.Fatal(err)
		}
		for i, subject := range []string{"late", "twice", "refused", "lost", "plain", "nobody"} {
			if err := w.Publish(t.Context(), &jsclient.Outgoing{Subject: subject}, uint64(i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		for i := range uint64(3) {
			if err := w.Publish(t.Context(), &jsclient.Outgoing{Subject: "late"}, 10+i); err != nil {
				t.Fatal(err)
			}
		}
		for i, r := range late {
			r.Stored("L", uint64(i), true, nil)
		}
		w.Close()
		mu.Lock()
		defer mu.Unlock()
		want := map[uint64]string{
			0: "unknown 0 no answer in time;", 1: "stored A1 <nil>;", 2: "refused A0 wrong last sequence (10071);", 3: "unknown A0 who knows;",
			4: "refused 0 no responders;", 5: "refused 0 no responders;", 10: "stored L1 <nil>;", 11: "stored L2 <nil>;", 12: "stored L3 <nil>;",
		}
		if fmt.Sprint(told) != fmt.Sprint(want) {
			t.Errorf("told %v\nwant %v", told, want)
		}
	})
}

// Publishing costs nothing per message but what the stream does.
func TestWindow_doesNotAllocate(t *testing.T) {
	b := answerer(t, nil)
	streamOn(t, b, "s", func(m *wire.Msg) { m.Receipt.Expect(); m.Receipt.Stored("S", 1, false, nil) })
	c := client(t, fixed{b, b.matching("s")[0].h}, jsclient.Options{Local: true})
	w, err := c.NewWindow(jsclient.WindowOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	m := &jsclient.Outgoing{Subject: "s", Data: []byte("x"), MsgID: "an id", Last: jsclient.ExpectSeq(5)}
	if n := testing.AllocsPerRun(200, func() {
		if err := w.Publish(t.Context(), m, 1); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations for one message", n)
	}
}

// fixed is a bus that routes without allocating.
type fixed struct {
	*side
	h func(m *wire.Msg)
}

func (f fixed) Publisher() jetstream.Publisher { return f }
func (fixed) Flush()                           {}
func (f fixed) Publish(m *wire.Msg) int        { f.h(m); return 1 }
