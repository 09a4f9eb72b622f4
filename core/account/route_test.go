package account

import (
	"fmt"
	"hash/maphash"
	"testing"

	"github.com/frondmq/frond/core/wire"
)

var roleNames = [numRoles]string{"client", "internal", "local", "kept", "spoke", "hub", "route", "gateway"}

func TestRoute_tableOfRoles(t *testing.T) {
	// Rows and columns as in forward.go. '.' nothing; 1, 2, 3 the tier.
	want := [numRoles]string{
		RoleClient:   "11112213",
		RoleInternal: "11.12213",
		RoleLocal:    "11.12213",
		RoleKept:     "11.12213",
		RoleSpoke:    "11.12213",
		RoleHub:      "11.12..3",
		RoleRoute:    "11.12...",
		RoleGateway:  "11.1221.",
	}
	for from := range numRoles {
		for to := range numRoles {
			t.Run(roleNames[from]+" to "+roleNames[to], func(t *testing.T) {
				cell := want[from][to]
				a := New("A")
				sink := &fakeSink{role: to, cluster: "there"}
				mustSubscribe(t, a, sink, "s.*", "")
				o := seeded(&fakeSink{role: from, cluster: "here"}, from, "here")
				if n := publish(a, o, "s.x"); (n == 1) != (cell != '.') {
					t.Errorf("plain: %d deliveries, table says %c", n, cell)
				}
				mustSubscribe(t, a, sink, "s.*", "g")
				sink.take()
				if cell == '.' {
					if n := publish(a, o, "s.x", "g"); n != 0 {
						t.Errorf("queue: %d deliveries, table says none", n)
					}
					return
				}
				for other := range numRoles {
					if want[from][other] == '.' || other == to {
						continue
					}
					rival := &fakeSink{role: other, cluster: "elsewhere"}
					s := mustSubscribe(t, a, rival, "s.x", "g")
					mine := 0
					for range 40 {
						sink.take()
						publish(a, o, "s.x", "g")
						got := sink.take()
						if to.IsLink() && got == "s.*>s.x g" || !to.IsLink() && got == "s.*>s.x; s.*>s.x" {
							mine++
						}
					}
					a.Unsubscribe(s)
					switch {
					case cell < want[from][other] && mine != 40,
						cell > want[from][other] && mine != 0,
						cell == want[from][other] && (mine == 0 || mine == 40):
						t.Errorf("queue shared with a %s: chosen %d of 40, tiers are %c and %c",
							roleNames[other], mine, cell, want[from][other])
					}
				}
			})
		}
	}
}

func TestRoute_linksAreSentToOnceWithTheirQueues(t *testing.T) {
	a := New("A")
	link := &fakeSink{role: RoleSpoke}
	mustSubscribe(t, a, link, "q.*", "")
	mustSubscribe(t, a, link, "q.>", "")
	mustSubscribe(t, a, link, "q.*", "g1")
	mustSubscribe(t, a, link, "q.1", "g1")
	mustSubscribe(t, a, link, "q.1", "g2")
	o := seeded(nil, RoleInternal, "")
	if n := publish(a, o, "q.1"); n != 1 {
		t.Errorf("%d deliveries, want 1", n)
	}
	if got := link.take(); got != "q.*>q.1 g1,g2" && got != "q.>>q.1 g1,g2" && got != "q.*>q.1 g2,g1" && got != "q.>>q.1 g2,g1" {
		t.Errorf("link got %q", got)
	}
	if n := publish(a, o, "q.2"); n != 1 {
		t.Errorf("%d deliveries, want 1", n)
	}
	if link.flushes != 2 {
		t.Errorf("%d flushes, want one for each", link.flushes)
	}
}

func TestRoute_neverSendsBack(t *testing.T) {
	t.Run("on the link it came by", func(t *testing.T) {
		a := New("A")
		link := &fakeSink{role: RoleSpoke, cluster: "E"}
		mustSubscribe(t, a, link, ">", "")
		if n := publish(a, seeded(link, RoleSpoke, "E"), "x"); n != 0 {
			t.Errorf("%d deliveries", n)
		}
	})
	t.Run("to another link of the same leaf cluster", func(t *testing.T) {
		a := New("A")
		mustSubscribe(t, a, &fakeSink{role: RoleSpoke, cluster: "E"}, ">", "")
		mustSubscribe(t, a, &fakeSink{role: RoleSpoke, cluster: "E"}, ">", "q")
		from := &fakeSink{role: RoleSpoke, cluster: "E"}
		if n := publish(a, seeded(from, RoleSpoke, "E"), "x", "q"); n != 0 {
			t.Errorf("%d deliveries", n)
		}
	})
	t.Run("but clients without a cluster have echo", func(t *testing.T) {
		a := New("A")
		c := &fakeSink{role: RoleClient}
		mustSubscribe(t, a, c, ">", "")
		if n := publish(a, seeded(c, RoleClient, ""), "x"); n != 1 {
			t.Errorf("%d deliveries", n)
		}
	})
}

func TestRoute_queuesOfAPeer(t *testing.T) {
	a := New("A")
	c := &fakeSink{role: RoleClient}
	mustSubscribe(t, a, c, "s", "")
	mustSubscribe(t, a, c, "s", "g")
	mustSubscribe(t, a, c, "s", "h")
	o := seeded(&fakeSink{role: RoleHub}, RoleHub, "")
	for _, test := range []struct {
		queues []string
		want   int
	}{{nil, 1}, {[]string{"g"}, 2}, {[]string{"g", "h"}, 3}, {[]string{"other"}, 1}} {
		if n := publish(a, o, "s", test.queues...); n != test.want {
			t.Errorf("queues %v: %d deliveries, want %d", test.queues, n, test.want)
		}
	}
	t.Run("are chosen here when a mapping changed the subject", func(t *testing.T) {
		if err := a.AddMapping("m", "s"); err != nil {
			t.Fatal(err)
		}
		if n := publish(a, o, "m"); n != 3 {
			t.Errorf("%d deliveries, want 3", n)
		}
		if n := publish(a, o, "m", "g"); n != 2 {
			t.Errorf("%d deliveries, want 2", n)
		}
	})
}

func TestRoute_oneGroupSpansSubjects(t *testing.T) {
	a := New("A")
	c1, c2 := &fakeSink{role: RoleClient}, &fakeSink{role: RoleClient}
	mustSubscribe(t, a, c1, "q.*", "g")
	mustSubscribe(t, a, c2, "q.1", "g")
	o := seeded(nil, RoleClient, "")
	for range 50 {
		if n := publish(a, o, "q.1"); n != 1 {
			t.Fatalf("%d deliveries, want 1", n)
		}
	}
	if len(c1.got) == 0 || len(c2.got) == 0 {
		t.Errorf("shares %d and %d of 50", len(c1.got), len(c2.got))
	}
}

func TestRoute_weights(t *testing.T) {
	a := New("A")
	c := &fakeSink{role: RoleClient}
	r := &fakeSink{role: RoleRoute}
	mustSubscribe(t, a, c, "s", "g")
	s := mustSubscribe(t, a, r, "s", "g")
	o := seeded(nil, RoleClient, "")
	share := func() int {
		c.take()
		for range 4000 {
			publish(a, o, "s")
		}
		return len(c.got)
	}
	if n := share(); n < 1800 || n > 2200 {
		t.Errorf("1:1 gives the local member %d of 4000", n)
	}
	a.SetWeight(s, 3)
	if n := share(); n < 850 || n > 1150 {
		t.Errorf("1:3 gives the local member %d of 4000", n)
	}
}

func TestRoute_nextMemberWhenOneRefuses(t *testing.T) {
	a := New("A")
	bad, good := &fakeSink{role: RoleClient, refuse: true}, &fakeSink{role: RoleClient}
	mustSubscribe(t, a, bad, "s", "g")
	mustSubscribe(t, a, good, "s", "g")
	leaf := &fakeSink{role: RoleSpoke}
	mustSubscribe(t, a, leaf, "s", "g")
	o := seeded(nil, RoleClient, "")
	for range 20 {
		if n := publish(a, o, "s"); n != 1 {
			t.Fatalf("%d deliveries", n)
		}
	}
	good.refuse = true
	if n := publish(a, o, "s"); n != 1 || leaf.take() != "s>s g" {
		t.Errorf("the leaf was not the last resort: %d deliveries", n)
	}
	leaf.refuse = true
	if n := publish(a, o, "s"); n != 0 {
		t.Errorf("%d deliveries, want none", n)
	}
}

func TestRoute_seesEveryChange(t *testing.T) {
	a := New("A")
	o := seeded(nil, RoleClient, "")
	c := &fakeSink{role: RoleClient}
	for range 3 {
		if n := publish(a, o, "a.b"); n != 0 {
			t.Fatalf("%d deliveries, want 0", n)
		}
		s := mustSubscribe(t, a, c, "a.>", "")
		if n := publish(a, o, "a.b"); n != 1 {
			t.Fatalf("%d deliveries, want 1", n)
		}
		a.Unsubscribe(s)
		a.Unsubscribe(s)
	}
	if n := a.Subscriptions(); n != 0 {
		t.Errorf("%d subscriptions counted", n)
	}
}

func TestRoute_countsTraffic(t *testing.T) {
	a := New("A")
	mustSubscribe(t, a, &fakeSink{}, "s", "")
	mustSubscribe(t, a, &fakeSink{}, "s", "")
	o := seeded(nil, RoleClient, "")
	m := &wire.Msg{Subject: []byte("s"), Header: []byte("NATS/1.0\r\n\r\n"), Body: []byte("abc")}
	a.Route(o, m)
	a.Route(o, &wire.Msg{Subject: []byte("nobody"), Body: []byte("1234")})
	o.Flush()
	want := Traffic{InMsgs: 2, InBytes: 19, OutMsgs: 2, OutBytes: 30}
	if got := a.Traffic(); got != want {
		t.Errorf("traffic %+v, want %+v", got, want)
	}
}

func TestOrigin_boundsItsMemory(t *testing.T) {
	a := New("A")
	mustSubscribe(t, a, &fakeSink{}, ">", "")
	mustSubscribe(t, a, &fakeSink{}, ">", "q")
	o := seeded(nil, RoleClient, "")
	b := []byte("s.000000")
	for i := range 3 * maxCached {
		for j, n := len(b)-1, i; n > 0; j, n = j-1, n/10 {
			b[j] = byte('0' + n%10)
		}
		for range 2 { // what is missed twice in a row is remembered
			if n := a.Route(o, &wire.Msg{Subject: b}); n != 2 {
				t.Fatalf("%s: %d deliveries", b, n)
			}
		}
		if _, ok := o.home.plans[string(b)]; !ok {
			t.Fatalf("%s came twice and is not remembered", b)
		}
		if o.cached > maxCached+8 {
			t.Fatalf("%d cached", o.cached)
		}
	}
	sum := 0
	for _, p := range o.home.plans {
		sum += p.weight
	}
	if sum != o.cached {
		t.Errorf("cached counts %d, plans weigh %d", o.cached, sum)
	}
}

func TestOrigin_remembersLittleOfWhatComesOnce(t *testing.T) {
	a := New("A")
	mustSubscribe(t, a, &fakeSink{}, ">", "")
	o := seeded(nil, RoleClient, "")
	const once = 20_000
	for i := range once {
		if n := a.Route(o, &wire.Msg{Subject: fmt.Appendf(nil, "once.%d", i)}); n != 1 {
			t.Fatalf("once.%d: %d deliveries", i, n)
		}
	}
	if n := len(o.home.plans) - alwaysCached/2; n > 2*once/admitOneIn {
		t.Errorf("%d of %d subjects that came once are remembered", n, once)
	}
	// What comes back among many others is remembered all the same.
	for round := range 100 * admitOneIn {
		if _, ok := o.home.plans["back"]; ok {
			return
		}
		a.Route(o, &wire.Msg{Subject: []byte("back")})
		for i := range missedMarks {
			a.Route(o, &wire.Msg{Subject: fmt.Appendf(nil, "other.%d.%d", round, i)})
		}
	}
	t.Error("a subject that comes back is never remembered")
}

// A subject that is not remembered reaches who listens to it, not who listens to
// the one before.
func TestOrigin_plansOfWhatComesOnceAreItsOwn(t *testing.T) {
	a := New("A")
	o := seeded(nil, RoleClient, "")
	for i := range alwaysCached + 1 {
		a.Route(o, &wire.Msg{Subject: fmt.Appendf(nil, "known.%d", i)})
	}
	one, two := &fakeSink{}, &fakeSink{}
	mustSubscribe(t, a, one, "one.*", "")
	mustSubscribe(t, a, two, "two.*", "")
	mustSubscribe(t, a, two, "two.*", "q")
	for i := range 100 {
		for name, want := range map[string]int{"one": 1, "two": 2, "nobody": 0} {
			if n := a.Route(o, &wire.Msg{Subject: fmt.Appendf(nil, "%s.%d", name, i)}); n != want {
				t.Fatalf("%s.%d: %d deliveries, want %d", name, i, n, want)
			}
		}
	}
}

// A subject that another one with its place keeps pushing out gets in by chance.
func TestOrigin_remembersWhatIsAlwaysPushedOut(t *testing.T) {
	a := New("A")
	o := seeded(nil, RoleClient, "")
	for i := range alwaysCached + 1 {
		a.Route(o, &wire.Msg{Subject: fmt.Appendf(nil, "known.%d", i)})
	}
	if o.missed == nil {
		t.Fatal("all is remembered")
	}
	place := func(s []byte) uint64 { return maphash.Bytes(o.missed.seed, s) % missedMarks }
	back := []byte("back")
	var rivals [][]byte // none comes twice
	for i := 0; len(rivals) < 100*admitOneIn; i++ {
		if s := fmt.Appendf(nil, "rival.%d", i); place(s) == place(back) {
			rivals = append(rivals, s)
		}
	}
	for _, rival := range rivals {
		a.Route(o, &wire.Msg{Subject: back})
		if _, ok := o.home.plans["back"]; ok {
			return
		}
		a.Route(o, &wire.Msg{Subject: rival})
	}
	t.Error("never remembered")
}

// What is counted of plans is right after each was made anew many times.
func TestOrigin_countsPlansThatChange(t *testing.T) {
	a := New("A")
	o := seeded(nil, RoleClient, "")
	for i := range 50 {
		s := mustSubscribe(t, a, &fakeSink{}, "a.*", fmt.Sprint("q", i%3))
		publish(a, o, "a.b")
		publish(a, o, "a.c")
		if i%2 == 0 {
			a.Unsubscribe(s)
		}
	}
	sum := 0
	for _, p := range o.home.plans {
		sum += p.weight
	}
	if sum != o.cached {
		t.Errorf("cached counts %d, plans weigh %d", o.cached, sum)
	}
}

func TestSub_takesNoMoreThanItsLimit(t *testing.T) {
	var s Sub
	s.Take()
	if !s.Limit(3) {
		t.Fatal("limit of 3 after 1 is not reached")
	}
	for i, want := range [][2]bool{{true, false}, {true, true}, {false, false}, {false, false}} {
		if ok, last := s.Take(); ok != want[0] || last != want[1] {
			t.Errorf("take %d: %v %v, want %v", i+2, ok, last, want)
		}
	}
	if s.Limit(2) {
		t.Error("limit of 2 after 3 is reached")
	}
}
