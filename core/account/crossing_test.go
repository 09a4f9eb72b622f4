package account

import (
	"fmt"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/wire"
)

// imports makes a hear in b what is published there on subj.
func imports(t testing.TB, a, b *Account, subj string, name func(string) string) {
	t.Helper()
	mustSubscribe(t, a, &Crossing{To: b, Subject: name}, subj, "")
}

func TestRoute_crossesIntoAnotherAccount(t *testing.T) {
	a, b := New("A"), New("B")
	here, there, queued := &fakeSink{}, &fakeSink{}, &fakeSink{}
	mustSubscribe(t, a, here, "svc.*", "")
	mustSubscribe(t, b, there, "real.>", "")
	mustSubscribe(t, b, queued, "real.*", "q")
	imports(t, a, b, "svc.*", func(s string) string { return "real." + strings.TrimPrefix(s, "svc.") })
	o := seeded(nil, RoleClient, "")
	m := &wire.Msg{Subject: []byte("svc.x"), Body: []byte("12345")}
	if n := a.Route(o, m); n != 3 || string(m.Subject) != "svc.x" {
		t.Errorf("%d deliveries, subject %q", n, m.Subject)
	}
	o.Flush()
	if here.take() != "svc.*>svc.x" || there.take() != "real.>>real.x" || queued.take() != "real.*>real.x" {
		t.Error("not what was to come")
	}
	if there.flushes != 1 || queued.flushes != 1 {
		t.Errorf("flushed %d and %d times", there.flushes, queued.flushes)
	}
	if got := a.Traffic(); got != (Traffic{1, 5, 1, 5}) {
		t.Errorf("A counts %+v", got)
	}
	if got := b.Traffic(); got != (Traffic{1, 5, 2, 10}) {
		t.Errorf("B counts %+v", got)
	}
	// Its own publishers do not cross back.
	if n := publish(b, seeded(nil, RoleClient, ""), "real.y"); n != 2 || here.take() != "" {
		t.Errorf("%d deliveries", n)
	}
}

// A link's peer chose queue groups of the account that the link is of. Those of
// the other one are chosen here, and the choice of the peer holds behind it.
func TestRoute_crossingChoosesQueuesAnew(t *testing.T) {
	a, b := New("A"), New("B")
	there, link := &fakeSink{}, &fakeSink{role: RoleHub}
	mustSubscribe(t, b, there, "s", "there")
	imports(t, a, b, "s", nil)
	o := seeded(&fakeSink{role: RoleSpoke}, RoleSpoke, "")
	mustSubscribe(t, a, link, "s", "")
	m := &wire.Msg{Subject: []byte("s"), Queues: [][]byte{[]byte("other")}}
	a.Route(o, m)
	o.Flush()
	if got := there.take(); got != "s>s" {
		t.Errorf("there: %q", got)
	}
	if len(m.Queues) != 1 || string(m.Queues[0]) != "other" {
		t.Errorf("the message came back with %q", m.Queues)
	}
}

// asIs is a passage that changes nothing.
type asIs struct{}

func (asIs) enter(*Origin, *wire.Msg, *question) bool { return true }
func (asIs) left(*question, int)                      {}

func asks(t testing.TB, from, to *Account, pattern string, subj func(string) string) {
	t.Helper()
	if err := from.Subscribe(&Sub{Subject: pattern, Sink: &Crossing{To: to, Subject: subj, by: asIs{}}}); err != nil {
		t.Fatal(err)
	}
}

func TestRoute_crossingsInACircleEnd(t *testing.T) {
	a, b := New("A"), New("B")
	sink := &fakeSink{}
	mustSubscribe(t, a, sink, "s", "")
	asks(t, a, b, "s", nil)
	asks(t, b, a, "s", nil)
	o := seeded(nil, RoleClient, "")
	for range 2 { // by a plan of that moment, and by one that is kept
		if n := publish(a, o, "s"); n != 1+maxCrossings/2 {
			t.Errorf("%d deliveries", n)
		}
	}
	// Beyond what is remembered at once, plans that are not kept must not be taken
	// for another message while they are in use.
	for i := range 2 * alwaysCached {
		mustSubscribe(t, a, &fakeSink{}, fmt.Sprintf("fill.%d", i), "")
		publish(a, o, fmt.Sprintf("fill.%d", i))
	}
	mustSubscribe(t, a, sink, "once.>", "")
	asks(t, a, b, "once.*", func(s string) string { return s + ".there" })
	asks(t, b, a, "once.*.there", func(s string) string { return s + ".back" })
	for i := range 100 {
		if n := publish(a, o, fmt.Sprintf("once.%d", i)); n != 2 {
			t.Fatalf("once.%d: %d deliveries", i, n)
		}
	}
}

// What an account hears of another one is not heard by a third one, to which it exports
// the same subjects: that it may hear it says nothing of others.
func TestRoute_whatIsHeardDoesNotGoOn(t *testing.T) {
	p, q, r, z := New("P"), New("Q"), New("R"), New("Z")
	inP, inQ, inR, inZ := &fakeSink{}, &fakeSink{}, &fakeSink{}, &fakeSink{}
	mustSubscribe(t, p, inP, "s", "")
	mustSubscribe(t, q, inQ, "s", "")
	mustSubscribe(t, r, inR, "s", "")
	mustSubscribe(t, z, inZ, "s", "")
	imports(t, p, q, "s", nil)
	imports(t, q, r, "s", nil)
	imports(t, p, z, "s", nil)
	o := seeded(nil, RoleClient, "")
	for _, step := range []struct {
		in   *Account
		want string
	}{{p, "s>s s>s  s>s"}, {q, " s>s s>s "}, {p, "s>s s>s  s>s"}} {
		publish(step.in, o, "s")
		if got := strings.Join([]string{inP.take(), inQ.take(), inR.take(), inZ.take()}, " "); got != step.want {
			t.Errorf("published in %s: %q", step.in.name, got)
		}
	}
	// A question may be heard by others where it is answered.
	asks(t, z, p, "ask", func(string) string { return "s" })
	if n := publish(z, o, "ask"); n != 3 {
		t.Errorf("%d took a question", n)
	}
}

func TestRoute_crossingIsInterest(t *testing.T) {
	a, b := New("A"), New("B")
	var seen []string
	stop := a.WatchSubject("s", func(present bool) { seen = append(seen, fmt.Sprint(present)) })
	defer stop()
	imports(t, a, b, "s", nil)
	if got := strings.Join(seen, " "); got != "false true" || !a.HasInterest("s") {
		t.Errorf("seen %q", got)
	}
}

// An Origin that publishes in turn in two accounts, or crosses from one to the
// other, keeps its plans of both.
func TestOrigin_keepsPlansOfSeveralAccounts(t *testing.T) {
	a, b, o := crossingPair(t)
	m := &wire.Msg{Subject: []byte("bench.17.temperature")}
	round := func() {
		if a.Route(o, m) != 2 || b.Route(o, m) != 1 {
			t.Error("not all were delivered to")
		}
		o.Flush()
	}
	round()
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations a round", n)
	}
	if len(o.home.plans) != 1 || len(o.far) != 1 || len(o.far[0].plans) != 1 {
		t.Errorf("%d, %v", len(o.home.plans), o.far)
	}
	// What changes there is seen.
	mustSubscribe(t, b, &countingSink{}, "bench.>", "")
	if n := a.Route(o, m); n != 3 {
		t.Errorf("%d deliveries", n)
	}
}

func TestOrigin_forgetsAccountsBeyondItsBound(t *testing.T) {
	first := New("first")
	o := seeded(nil, RoleClient, "")
	publish(first, o, "s")
	all := make([]*Account, 3*maxSides)
	for i := range all {
		all[i] = New(fmt.Sprint(i))
		mustSubscribe(t, all[i], &fakeSink{}, "s", "")
		imports(t, first, all[i], "s", nil)
		if n := publish(all[i], o, "s"); n != 1 {
			t.Fatalf("%d deliveries in account %d", n, i)
		}
		if len(o.far) > maxSides-1 {
			t.Fatalf("%d sides", len(o.far))
		}
	}
	sum := 0
	for _, s := range append([]*side{&o.home}, o.far...) {
		for _, p := range s.plans {
			sum += p.weight
		}
	}
	if sum != o.cached {
		t.Errorf("cached counts %d, plans weigh %d", o.cached, sum)
	}
	// All at once need their sides as long as the message is routed.
	for range 2 {
		if n := publish(first, o, "s"); n != len(all) {
			t.Errorf("%d deliveries", n)
		}
	}
	for i, a := range all {
		if got := a.Traffic().InMsgs; got != 3 {
			t.Errorf("account %d counts %d", i, got)
		}
	}
}

func crossingPair(t testing.TB) (a, b *Account, o *Origin) {
	a, b = New("A"), New("B")
	mustSubscribe(t, a, &countingSink{}, "bench.*.temperature", "")
	mustSubscribe(t, b, &countingSink{}, "bench.*.temperature", "")
	imports(t, a, b, "bench.>", nil)
	return a, b, NewOrigin(nil, RoleClient, "")
}

func BenchmarkRoute_crossing(b *testing.B) {
	a, _, o := crossingPair(b)
	m := &wire.Msg{Subject: []byte("bench.17.temperature"), Body: make([]byte, 16)}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		a.Route(o, m)
		if i++; i%100 == 0 {
			o.Flush()
		}
	}
}
