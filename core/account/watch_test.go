package account

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

// tally is a watcher that keeps the set that the events describe.
type tally struct {
	t     *testing.T
	subs  map[*Sub]bool
	lines []string
}

func (w *tally) Interest(e Event) {
	switch e.Delta {
	case 1:
		if w.subs[e.Sub] {
			w.t.Errorf("%s subscribed twice", e.Sub.Subject)
		}
		w.subs[e.Sub] = true
	case -1:
		if !w.subs[e.Sub] {
			w.t.Errorf("%s gone before it came", e.Sub.Subject)
		}
		delete(w.subs, e.Sub)
	}
	w.lines = append(w.lines, fmt.Sprintf("%+d %s", e.Delta, e.Sub.Subject))
}

func TestWatch_replayThenChangesInOrder(t *testing.T) {
	a := New("A")
	s1 := mustSubscribe(t, a, &fakeSink{}, "one", "")
	w := &tally{t: t, subs: map[*Sub]bool{}}
	cancel := a.Watch(w)
	s2 := mustSubscribe(t, a, &fakeSink{role: RoleSpoke}, "two", "q")
	a.SetWeight(s2, 4)
	a.SetWeight(s2, 4)
	a.Unsubscribe(s1)
	cancel()
	cancel()
	a.Unsubscribe(s2)
	want := []string{"+1 one", "+1 two", "+0 two", "-1 one"}
	if !slices.Equal(w.lines, want) {
		t.Errorf("events %q, want %q", w.lines, want)
	}
}

func TestWatch_missesNothingUnderLoad(t *testing.T) {
	a := New("A")
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 200 {
				s := &Sub{Subject: fmt.Sprintf("s.%d.%d", g, i), Sink: &fakeSink{}}
				if err := a.Subscribe(s); err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					a.Unsubscribe(s)
				}
			}
		}()
	}
	w := &tally{t: t, subs: map[*Sub]bool{}}
	cancel := a.Watch(w)
	wg.Wait()
	cancel()
	if len(w.subs) != 400 {
		t.Errorf("watcher knows %d subscriptions, want 400", len(w.subs))
	}
}

func TestWatchSubject(t *testing.T) {
	a := New("A")
	var got []bool
	cancel := a.WatchSubject("d.1", func(present bool) { got = append(got, present) })
	s1 := mustSubscribe(t, a, &fakeSink{}, "d.*", "")
	s2 := mustSubscribe(t, a, &fakeSink{}, "d.1", "q")
	mustSubscribe(t, a, &fakeSink{}, "d.2", "")
	a.Unsubscribe(s1)
	a.Unsubscribe(s2)
	s1 = mustSubscribe(t, a, &fakeSink{}, ">", "")
	cancel()
	a.Unsubscribe(s1)
	if want := []bool{false, true, false, true}; !slices.Equal(got, want) {
		t.Errorf("presence %v, want %v", got, want)
	}
	if len(a.mu.watched) != 0 {
		t.Errorf("%d watches left", len(a.mu.watched))
	}
}

func TestAnnounces(t *testing.T) {
	// Rows are links, columns whose interest: as the columns of forward.go.
	for link, want := range map[Role]string{
		RoleSpoke:   "yy.yyyyy",
		RoleHub:     "yy.yy...",
		RoleRoute:   "yy.yy...",
		RoleGateway: "yy.yy.y.",
		RoleClient:  "........",
	} {
		got := ""
		for r := range numRoles {
			if Announces(link, r) {
				got += "y"
			} else {
				got += "."
			}
		}
		if got != want {
			t.Errorf("%s hears %s, want %s", roleNames[link], got, want)
		}
	}
}
