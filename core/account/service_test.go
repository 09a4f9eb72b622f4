package account

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core/wire"
)

// responder answers each question n times, from within.
type responder struct {
	a       *Account
	n       int
	heard   []string // subject and header
	reply   []byte   // of the last question
	answers []int    // how many took each answer
}

func (*responder) Role() Role      { return RoleClient }
func (*responder) Cluster() string { return "" }
func (*responder) Flush()          {}
func (r *responder) Deliver(_ *Sub, m *wire.Msg) bool {
	r.heard = append(r.heard, string(m.Subject)+" "+string(m.Header))
	r.reply = append(r.reply[:0], m.Reply...)
	return true
}

func (r *responder) answer(t *testing.T, n int) {
	t.Helper()
	o := seeded(nil, RoleClient, "")
	for range n {
		r.answers = append(r.answers, r.a.Route(o, &wire.Msg{Subject: r.reply, Body: []byte("a")}))
	}
	o.Flush()
}

func mustService(t testing.TB, from, to *Account, share, many bool) *Service {
	t.Helper()
	s, err := NewService(from, to, "ask.*", func(s string) string { return "svc." + strings.TrimPrefix(s, "ask.") }, share, many, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A question gets a reply subject of the other account, by which one answer comes back.
func TestService_oneAnswer(t *testing.T) {
	a, b := New("A"), New("B")
	s := mustService(t, a, b, false, false)
	r, inbox := &responder{a: b}, &fakeSink{}
	mustSubscribe(t, b, r, "svc.*", "")
	mustSubscribe(t, a, inbox, "_INBOX.>", "")
	o := seeded(nil, RoleClient, "")
	m := &wire.Msg{Subject: []byte("ask.x"), Reply: []byte("_INBOX.1"), Header: []byte("NATS/1.0\r\nA: b\r\n\r\n")}
	if n := a.Route(o, m); n != 1 {
		t.Fatalf("%d took it", n)
	}
	if string(m.Subject) != "ask.x" || string(m.Reply) != "_INBOX.1" || string(m.Header) != "NATS/1.0\r\nA: b\r\n\r\n" {
		t.Errorf("the message came back as %q %q %q", m.Subject, m.Reply, m.Header)
	}
	if want := "svc.x NATS/1.0\r\nA: b\r\nNats-Request-Info: {\"acc\":\"A\"}\r\n\r\n"; r.heard[0] != want {
		t.Errorf("heard %q", r.heard[0])
	}
	if !strings.HasPrefix(string(r.reply), "_R_.") || s.Waiting() != 1 {
		t.Errorf("reply %q, %d wait", r.reply, s.Waiting())
	}
	r.answer(t, 2)
	if got := inbox.take(); got != "_INBOX.>>_INBOX.1" || r.answers[0] != 1 || r.answers[1] != 0 || s.Waiting() != 0 {
		t.Errorf("%q came, taken %v, %d wait", got, r.answers, s.Waiting())
	}
	// Others can't be guessed, and nobody's interest is left behind.
	for _, subj := range []string{"_INBOX.1", string(s.prefix) + "x", string(s.prefix) + "12345678"} {
		if n := b.Route(seeded(nil, RoleClient, ""), &wire.Msg{Subject: []byte(subj)}); n != 0 {
			t.Errorf("%d took %s", n, subj)
		}
	}
	s.Close()
	if n := a.Route(o, m); n != 0 || a.HasInterest("ask.x") || b.HasInterest(string(s.prefix)+"x") {
		t.Errorf("%d took it behind the end", n)
	}
}

func TestService_nobodyAnswers(t *testing.T) {
	a, b := New("A"), New("B")
	s := mustService(t, a, b, false, false)
	o := seeded(nil, RoleClient, "")
	if n := a.Route(o, &wire.Msg{Subject: []byte("ask.x"), Reply: []byte("_INBOX.1")}); n != 0 || s.Waiting() != 0 {
		t.Errorf("%d took it, %d wait", n, s.Waiting())
	}
}

// Many answers come within the threshold of each other.
func TestService_manyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := New("A"), New("B")
		s := mustService(t, a, b, true, true)
		r, inbox := &responder{a: b}, &fakeSink{}
		mustSubscribe(t, b, r, "svc.*", "")
		mustSubscribe(t, a, inbox, "_INBOX.>", "")
		o := seeded(nil, RoleClient, "")
		o.Describe(func(share bool) string {
			if !share {
				t.Error("the service is told who asks")
			}
			return "{me}"
		})
		a.Route(o, &wire.Msg{Subject: []byte("ask.x"), Reply: []byte("_INBOX.1")})
		if !strings.Contains(r.heard[0], "Nats-Request-Info: {me}\r\n") {
			t.Errorf("heard %q", r.heard)
		}
		for range 3 {
			time.Sleep(40 * time.Second)
			r.answer(t, 1)
		}
		time.Sleep(61 * time.Second)
		r.answer(t, 1)
		if got := r.answers; got[0]+got[1]+got[2] != 3 || got[3] != 0 || s.Waiting() != 0 {
			t.Errorf("taken %v, %d wait", got, s.Waiting())
		}
	})
}

// With too many questions the oldest gets no answer.
func TestService_isBounded(t *testing.T) {
	a, b := New("A"), New("B")
	s := mustService(t, a, b, false, false)
	mustSubscribe(t, b, &countingSink{}, "svc.*", "")
	o := seeded(nil, RoleClient, "")
	m := &wire.Msg{Subject: []byte("ask.x"), Reply: []byte("_INBOX.1")}
	for range maxQuestions + 10 {
		a.Route(o, m)
	}
	if n := s.Waiting(); n != maxQuestions {
		t.Errorf("%d wait", n)
	}
}

// Long reply subjects are bounded by their bytes, and none of what questions needed is
// held when nothing waits any more, though nobody comes by.
func TestService_holdsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := New("A"), New("B")
		s := mustService(t, a, b, false, true)
		mustSubscribe(t, b, &countingSink{}, "svc.*", "")
		o := seeded(nil, RoleClient, "")
		m := &wire.Msg{Subject: []byte("ask.x"), Reply: []byte("_INBOX." + strings.Repeat("1", 4000)), Header: []byte("NATS/1.0\r\nA: " + strings.Repeat("b", 50000) + "\r\n\r\n")}
		for range maxHeld / 4000 * 2 {
			a.Route(o, m)
		}
		if n := s.Waiting(); n < maxHeld/8000 || n > maxHeld/4000 || s.held > maxHeld {
			t.Errorf("%d wait, with %d bytes", n, s.held)
		}
		time.Sleep(time.Second)
		a.Route(o, m)
		time.Sleep(time.Minute)
		if n := s.Waiting(); n != 1 {
			t.Errorf("%d wait, and the last one still may", n)
		}
		time.Sleep(2 * time.Second)
		if n := s.Waiting(); n != 0 || s.held != 0 || s.armed {
			t.Errorf("%d wait, with %d bytes", n, s.held)
		}
		for _, p := range []*pool{&s.free, &o.onWay} {
			n := 0
			for q := p.first; q != nil; q = q.next {
				if n++; cap(q.reply) > maxKept || cap(q.header) > maxKept {
					t.Fatalf("%d and %d bytes are kept", cap(q.reply), cap(q.header))
				}
			}
			if n > maxPooled || n != p.n {
				t.Errorf("%d are kept of %d", n, p.n)
			}
		}
		a.Route(o, m)
		s.Close()
		a.Route(o, m)
		if n := s.Waiting(); n != 0 {
			t.Errorf("%d wait for what is closed", n)
		}
	})
}

// A question over two accounts tells who asks, and who asks for it.
func TestService_overTwoAccounts(t *testing.T) {
	a, b, c := New(`A"`), New("B"), New("C")
	same := func(s string) string { return s }
	for _, pair := range [][2]*Account{{a, b}, {b, c}} {
		if _, err := NewService(pair[0], pair[1], "svc", same, false, false, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	r, inbox := &responder{a: c}, &fakeSink{}
	mustSubscribe(t, c, r, "svc", "")
	mustSubscribe(t, a, inbox, "in", "")
	o := seeded(nil, RoleClient, "")
	for i, want := range []string{`{"acc":"A\"","svc":"B"}`, `{"acc":"A\"","rtt":1,"svc":"B"}`} {
		a.Route(o, &wire.Msg{Subject: []byte("svc"), Reply: []byte("in")})
		if !strings.HasSuffix(r.heard[i], HdrRequestInfo+": "+want+"\r\n\r\n") {
			t.Errorf("heard %q", r.heard[i])
		}
		o.Describe(func(bool) string { return `{"acc":"A\"","rtt":1}` })
	}
	r.answer(t, 1)
	if got := inbox.take(); got != "in>in" {
		t.Errorf("%q came", got)
	}
}

// askAndAnswer is one question and its answer, by one publisher on each side.
func askAndAnswer(t testing.TB, imported bool) (step func()) {
	a, b := New("A"), New("B")
	to, subj := a, "svc.x"
	if imported {
		mustService(t, a, b, false, false)
		to, subj = b, "ask.x"
	}
	r, inbox := &last{}, &countingSink{}
	mustSubscribe(t, to, r, "svc.*", "")
	mustSubscribe(t, a, inbox, "_INBOX.1.*", "")
	asks, answers := seeded(nil, RoleClient, ""), seeded(nil, RoleClient, "")
	asks.Describe(func(bool) string { return `{"acc":"A","rtt":123456}` })
	question := &wire.Msg{Subject: []byte(subj), Reply: []byte("_INBOX.1.abcdefgh")}
	answer := &wire.Msg{}
	n := 0
	return func() {
		n++
		for i, x := len(question.Reply)-1, n; i > len("_INBOX.1."); i, x = i-1, x/10 {
			question.Reply[i] = byte('0' + x%10)
		}
		answer.Subject = question.Reply
		a.Route(asks, question)
		asks.Flush()
		answer.Subject = r.reply
		if to.Route(answers, answer) != 1 {
			t.Fatal("no answer")
		}
		answers.Flush()
	}
}

// last keeps the reply of the last message.
type last struct {
	countingSink
	reply []byte
}

func (l *last) Deliver(_ *Sub, m *wire.Msg) bool {
	l.reply = append(l.reply[:0], m.Reply...)
	return true
}

func TestService_doesNotAllocate(t *testing.T) {
	step := askAndAnswer(t, true)
	for range 10_000 {
		step()
	}
	if n := testing.AllocsPerRun(10_000, step); n > 0.02 { // now and then the map of questions
		t.Errorf("%v allocations a question", n)
	}
}

func BenchmarkService(b *testing.B) {
	for _, imported := range []bool{false, true} {
		name := "local"
		if imported {
			name = "imported"
		}
		b.Run(name, func(b *testing.B) {
			step := askAndAnswer(b, imported)
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}
