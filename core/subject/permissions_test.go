package subject

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func mustPermissions(t *testing.T, pub, sub *Rules, resp *Responses) *Permissions {
	t.Helper()
	p, err := NewPermissions(pub, sub, resp)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPermissions_publish(t *testing.T) {
	for _, test := range []struct {
		name    string
		rules   *Rules
		resp    *Responses
		subject string
		want    bool
	}{
		{"no rules", nil, nil, "a", true},
		{"empty rules", &Rules{}, nil, "a", true},
		{"empty allow list", &Rules{Allow: []string{}}, nil, "a", true},
		{"allowed", &Rules{Allow: []string{"a.*"}}, nil, "a.b", true},
		{"not allowed", &Rules{Allow: []string{"a.*"}}, nil, "b", false},
		{"denied", &Rules{Deny: []string{"a.>"}}, nil, "a.b.c", false},
		{"not denied", &Rules{Deny: []string{"a.>"}}, nil, "a", true},
		{"deny beats allow", &Rules{Allow: []string{">"}, Deny: []string{"a.b"}}, nil, "a.b", false},
		{"allowed and not denied", &Rules{Allow: []string{">"}, Deny: []string{"a.b"}}, nil, "a.c", true},
		{"responses close the rest", nil, &Responses{}, "a", false},
		{"responses close an empty list", &Rules{Deny: []string{"b"}}, &Responses{}, "a", false},
		{"responses beside an allow list", &Rules{Allow: []string{"a"}}, &Responses{}, "a", true},
		{"a published wildcard", &Rules{Allow: []string{"a.*"}}, nil, "a.*", true},
		{"a published wildcard is not wide", &Rules{Allow: []string{"a.b"}}, nil, "a.*", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := mustPermissions(t, test.rules, nil, test.resp)
			for range 2 { // the second answer is remembered
				if got := p.CanPublish([]byte(test.subject)); got != test.want {
					t.Errorf("CanPublish(%q) is %v", test.subject, got)
				}
			}
		})
	}
}

func TestPermissions_subscribe(t *testing.T) {
	for _, test := range []struct {
		name           string
		rules          *Rules
		pattern, queue string
		want           bool
	}{
		{"no rules", nil, ">", "", true},
		{"covered", &Rules{Allow: []string{"b.>"}}, "b.x", "", true},
		{"covered wildcard", &Rules{Allow: []string{"b.>"}}, "b.*", "", true},
		{"wider than allowed", &Rules{Allow: []string{"b.*"}}, "b.>", "", false},
		{"everything is wider", &Rules{Allow: []string{"b.>"}}, ">", "", false},
		{"queue on a plain entry", &Rules{Allow: []string{"b.>"}}, "b.x", "q", true},
		{"denied", &Rules{Deny: []string{"b.>"}}, "b.x", "", false},
		{"denied for queues too", &Rules{Deny: []string{"b.>"}}, "b.x", "q", false},
		{"wider than the deny entry", &Rules{Deny: []string{"b.x"}}, "b.*", "", true},
		{"queue entry, its group", &Rules{Allow: []string{"q.* grp"}}, "q.1", "grp", true},
		{"queue entry, other group", &Rules{Allow: []string{"q.* grp"}}, "q.1", "grp2", false},
		{"queue entry, plain", &Rules{Allow: []string{"q.* grp"}}, "q.1", "", false},
		{"queue entry with wildcards", &Rules{Allow: []string{"q.* *.dev"}}, "q.1", "a.dev", true},
		{"queue entry with wildcards, other", &Rules{Allow: []string{"q.* *.dev"}}, "q.1", "a.prod", false},
		{"both entries, plain", &Rules{Allow: []string{"foo", "foo v1"}}, "foo", "", true},
		{"both entries, its group", &Rules{Allow: []string{"foo", "foo v1"}}, "foo", "v1", true},
		{"both entries, other group", &Rules{Allow: []string{"foo", "foo v1"}}, "foo", "v2", false},
		{"deny a group", &Rules{Deny: []string{"foo v1"}}, "foo", "v1", false},
		{"deny a group, other group", &Rules{Deny: []string{"foo v1"}}, "foo", "v2", true},
		{"deny a group, plain", &Rules{Deny: []string{"foo v1"}}, "foo", "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := mustPermissions(t, nil, test.rules, nil)
			if got := p.CanSubscribe(test.pattern, test.queue); got != test.want {
				t.Errorf("CanSubscribe(%q, %q) is %v", test.pattern, test.queue, got)
			}
		})
	}
}

func TestPermissions_filterWiderSubscriptions(t *testing.T) {
	p := mustPermissions(t, nil, &Rules{Deny: []string{"b.x", "c v1"}}, nil)
	for pattern, want := range map[string]bool{"b.*": true, ">": true, "b.>": true, "b.y": false, "c": false, "*": false, "a.*": false} {
		if got := p.NeedsFilter(pattern); got != want {
			t.Errorf("NeedsFilter(%q) is %v", pattern, got)
		}
	}
	for s, want := range map[string]bool{"b.x": true, "b.y": false, "c": false} {
		if got := p.DeniesDelivery([]byte(s)); got != want {
			t.Errorf("DeniesDelivery(%q) is %v", s, got)
		}
	}
	free := mustPermissions(t, nil, nil, nil)
	if free.DeniesDelivery([]byte("b.x")) || free.NeedsFilter(">") {
		t.Error("no rules deny something")
	}
}

func TestPermissions_announce(t *testing.T) {
	p := mustPermissions(t, &Rules{Allow: []string{"a.>"}, Deny: []string{"a.secret.>"}}, &Rules{Deny: []string{"x.in"}}, nil)
	for pattern, want := range map[string]bool{
		"a.b": true, "b": false, "a.secret.x": false, "a.secret.*": false, "a.secret": true,
		"a.*": true, ">": true, "*.b": true, "b.*": false, "a.>": true,
	} {
		if got := p.MayAnnouncePub(pattern); got != want {
			t.Errorf("MayAnnouncePub(%q) is %v", pattern, got)
		}
	}
	for pattern, want := range map[string]bool{"x.in": false, "x.*": true, "y": true} {
		if got := p.MayAnnounceSub(pattern); got != want {
			t.Errorf("MayAnnounceSub(%q) is %v", pattern, got)
		}
	}
	if p.CanReceive([]byte("x.in")) || !p.CanReceive([]byte("x.out")) {
		t.Error("CanReceive is wrong")
	}
}

func TestNewPermissions_saysWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		pub, sub *Rules
		want     string
	}{
		{&Rules{Allow: []string{"a..b"}}, nil, `publish permission allow: "a..b"`},
		{&Rules{Deny: []string{"a q"}}, nil, `publish permission deny: "a q"`},
		{nil, &Rules{Allow: []string{""}}, `subscribe permission allow: ""`},
		{nil, &Rules{Deny: []string{"a q r"}}, `subscribe permission deny: "a q r"`},
	} {
		_, err := NewPermissions(test.pub, test.sub, nil)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
}

func TestPermissions_agreeWithTwin(t *testing.T) {
	r := newRand(t)
	for range 300 {
		rules := &Rules{}
		for range r.IntN(4) {
			rules.Allow = append(rules.Allow, randomPattern(r))
		}
		for range r.IntN(3) {
			rules.Deny = append(rules.Deny, randomPattern(r))
		}
		p := mustPermissions(t, rules, rules, nil)
		for range 200 {
			s := randomLiteral(r)
			want := len(rules.Allow) == 0
			for _, a := range rules.Allow {
				want = want || dumbMatch(a, s)
			}
			denied := false
			for _, d := range rules.Deny {
				denied = denied || dumbMatch(d, s)
			}
			if got := p.CanPublish([]byte(s)); got != (want && !denied) {
				t.Fatalf("%+v: CanPublish(%q) is %v", rules, s, got)
			}
			if got := p.DeniesDelivery([]byte(s)); got != denied {
				t.Fatalf("%+v: DeniesDelivery(%q) is %v", rules, s, got)
			}
		}
	}
}

func TestPermissions_sharedByGoroutines(t *testing.T) {
	p := mustPermissions(t, &Rules{Allow: []string{"a.*", "c", "d"}}, nil, nil)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 2000 {
				yes, no := fmt.Appendf(nil, "a.%d", (i*g)%300), fmt.Appendf(nil, "b.%d", (i*g)%300)
				if !p.CanPublish(yes) || p.CanPublish(no) {
					t.Error("wrong verdict")
					return
				}
			}
		}()
	}
	wg.Wait()
}

func TestPermissions_rememberedVerdictDoesNotAllocate(t *testing.T) {
	p := mustPermissions(t, &Rules{Allow: []string{"a.*", "b.*"}, Deny: []string{"a.x"}}, nil, nil)
	s := []byte("a.b")
	p.CanPublish(s)
	if n := testing.AllocsPerRun(100, func() { p.CanPublish(s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestResponseTracker(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	defaults := mustPermissions(t, nil, nil, &Responses{}).Responses()
	t.Run("once within two minutes by default", func(t *testing.T) {
		tr := NewResponseTracker(defaults)
		tr.Arm([]byte("r"), start)
		if tr.Use([]byte("other"), start) {
			t.Error("another subject was let through")
		}
		if !tr.Use([]byte("r"), start.Add(2*time.Minute)) {
			t.Error("the answer was refused")
		}
		if tr.Use([]byte("r"), start.Add(2*time.Minute)) {
			t.Error("a second answer was let through")
		}
		tr.Arm([]byte("r"), start)
		if tr.Use([]byte("r"), start.Add(2*time.Minute+1)) {
			t.Error("a late answer was let through")
		}
		if tr.Len() != 0 {
			t.Errorf("%d are remembered", tr.Len())
		}
	})
	t.Run("a number of times", func(t *testing.T) {
		tr := NewResponseTracker(&Responses{Max: 2, Expires: time.Second})
		tr.Arm([]byte("r"), start)
		for i, want := range []bool{true, true, false} {
			if got := tr.Use([]byte("r"), start); got != want {
				t.Errorf("answer %d: %v", i, got)
			}
		}
	})
	t.Run("without limits", func(t *testing.T) {
		tr := NewResponseTracker(&Responses{Max: -1, Expires: -1})
		tr.Arm([]byte("r"), start)
		for range 10 {
			if !tr.Use([]byte("r"), start.Add(1000*time.Hour)) {
				t.Fatal("refused")
			}
		}
	})
	t.Run("is bounded", func(t *testing.T) {
		tr := NewResponseTracker(&Responses{Max: 1, Expires: time.Second})
		now := start
		for i := range 10_000 {
			now = now.Add(10 * time.Millisecond)
			tr.Arm(fmt.Appendf(nil, "r.%d", i), now)
		}
		if tr.Len() > 2*responseSweep {
			t.Errorf("%d are remembered", tr.Len())
		}
		forever := NewResponseTracker(&Responses{Max: 1, Expires: -1})
		for i := range maxResponses + 100 {
			forever.Arm(fmt.Appendf(nil, "r.%d", i), now)
		}
		if forever.Len() > maxResponses {
			t.Errorf("%d are remembered", forever.Len())
		}
	})
}

func BenchmarkPermissions_canPublish(b *testing.B) {
	for name, rules := range map[string]*Rules{
		"one":   {Allow: []string{"sensors.*.*.temp"}},
		"three": {Allow: []string{"a.*", "sensors.*.*.temp"}, Deny: []string{"x.>"}},
	} {
		b.Run(name, func(b *testing.B) {
			p, err := NewPermissions(rules, nil, nil)
			if err != nil {
				b.Fatal(err)
			}
			s := []byte("sensors.hall.17.temp")
			b.ReportAllocs()
			for b.Loop() {
				p.CanPublish(s)
			}
		})
	}
}
