package leaf

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/testkit"
)

// Interest that changes while links come and go is known at the other end in
// the end, neither more nor less, with the weights of its groups.
func TestInterest_changesWhileLinksComeAndGo(t *testing.T) {
	const seed, subjects, workers = 7, 10, 4
	hub := startHub(t, nil)
	g := newGate(t, hub.addr())
	edge := startSpoke(t, g.ln.Addr().String(), nil)
	counts := newWeights(hub.Acc)
	testkit.Eventually(t, "a link", func() bool { return len(hub.m.Links()) == 1 })

	stop := make(chan struct{})
	var churn sync.WaitGroup
	left := make([][]*account.Sub, workers)
	for w := range workers {
		rng := rand.New(rand.NewPCG(seed, uint64(w)))
		churn.Go(func() {
			var mine []*account.Sub
			for {
				select {
				case <-stop:
					left[w] = mine
					return
				default:
				}
				if len(mine) > 5 {
					i := rng.IntN(len(mine))
					edge.Acc.Unsubscribe(mine[i])
					mine = append(mine[:i], mine[i+1:]...)
					continue
				}
				s := &account.Sub{Subject: fmt.Sprint("churn.", rng.IntN(subjects)), Sink: &listenerSink{}}
				if rng.IntN(2) == 0 {
					s.Queue = "g"
				}
				if err := edge.Acc.Subscribe(s); err != nil {
					t.Error(err)
					return
				}
				mine = append(mine, s)
			}
		})
	}
	for range 5 {
		before := hub.Conns.NextID()
		g.cut()
		testkit.Eventually(t, "the next link", func() bool {
			links := hub.m.Links()
			return len(links) == 1 && links[0].ID > before
		})
	}
	close(stop)
	churn.Wait()
	want := make(map[interestKey]int)
	for _, mine := range left {
		for _, s := range mine {
			k := interestKey{s.Subject, s.Queue}
			if want[k]++; s.Queue == "" {
				want[k] = 1
			}
		}
	}
	same := func() bool {
		got := counts.now()
		if len(got) != len(want) {
			return false
		}
		for k, n := range want {
			if got[k] != n {
				return false
			}
		}
		return true
	}
	testkit.Eventually(t, "both ends agree", func() bool { return len(hub.m.Links()) == 1 && same() })
}

// weights are what an account knows of "churn." subjects.
type weights struct {
	mu  sync.Mutex
	sub map[*account.Sub]int
}

func newWeights(a *account.Account) *weights {
	w := &weights{sub: make(map[*account.Sub]int)}
	a.Watch(w)
	return w
}

func (w *weights) Interest(e account.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Delta < 0 {
		delete(w.sub, e.Sub)
		return
	}
	w.sub[e.Sub] = e.Sub.Members()
}

func (w *weights) now() map[interestKey]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[interestKey]int)
	for s, n := range w.sub {
		if len(s.Subject) > 6 && s.Subject[:6] == "churn." {
			all[interestKey{s.Subject, s.Queue}] += n
		}
	}
	return all
}
