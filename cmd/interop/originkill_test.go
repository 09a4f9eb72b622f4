package interop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
	"github.com/frondmq/frond/cmd/interop/proxy"
)

// TestOrigin_kills cuts the link and kills either server at random moments
// while a work queue and a stream of interest of the edge are sourced at the
// hub. What the producer got an acknowledgement for, by its own list, is at
// the hub once and in order; what it got none for is there at most once.
func TestOrigin_kills(t *testing.T) {
	rounds := 3
	if os.Getenv("FROND_SOAK") != "" {
		rounds = 12
	}
	eachFrondPair(t, func(t *testing.T, p pair) {
		if rounds == 3 && p.hub.Kind == peers.StockKind {
			t.Skip("a stock hub may take minutes to go on after several kills: in make soak")
		}
		p.linked(t)
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 0))
		ctx := within(t, time.Duration(rounds)*3*time.Minute)
		local, far := stream(t, connect(t, p.edge)), stream(t, connect(t, p.hub))
		lists := make(map[string]*producer)
		for name, retention := range map[string]jetstream.RetentionPolicy{"Q": jetstream.WorkQueuePolicy, "I": jetstream.InterestPolicy} {
			origin := must[jetstream.Stream](t)(local.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name}, Retention: retention}))
			must[jetstream.Stream](t)(far.CreateStream(ctx, jetstream.StreamConfig{Name: "ALL" + name,
				Sources: []*jetstream.StreamSource{{Name: name, Domain: "EDGE"}}}))
			// Before there is interest a stream of interest stores nothing.
			eventually(t, step, func() error {
				info, err := origin.Info(ctx)
				if err == nil && info.State.Consumers == 0 {
					err = fmt.Errorf("%s: no consumer yet", name)
				}
				return err
			})
			lists[name] = &producer{js: local, subject: name}
		}
		misfortunes(ctx, t, p, lists, rnd, rounds)
		for name, l := range lists {
			l.burst(ctx, 1)
			all := must[jetstream.Stream](t)(far.Stream(ctx, "ALL"+name))
			eventually(t, 3*time.Minute, func() error { return l.check(t, all) })
			t.Logf("%s: %d of %d acknowledged", name, len(l.acked), l.sent)
		}
	})
}

// misfortunes has all producers send, and does one thing to the pair in the middle
// of each of their bursts.
func misfortunes(ctx context.Context, t *testing.T, p pair, lists map[string]*producer, rnd *rand.Rand, rounds int) {
	t.Helper()
	for range rounds {
		var bursts sync.WaitGroup
		for _, l := range lists {
			bursts.Go(func() { l.burst(ctx, 40) })
		}
		misfortune(t, p, rnd)
		bursts.Wait()
	}
}

// misfortune does one thing to the pair, in the middle of a burst.
func misfortune(t *testing.T, p pair, rnd *rand.Rand) {
	<-time.After(time.Duration(rnd.IntN(100)) * time.Millisecond)
	kill := func(s *peers.Server) {
		s.Kill()
		restart(t, s)
		p.link.SetTarget(p.hub.LeafAddr())
	}
	switch rnd.IntN(4) {
	case 0:
		p.link.Cut()
	case 1:
		p.link.Set(proxy.Refuse)
		p.link.Cut()
		kill(p.hub)
		p.link.Set(proxy.Pass)
	case 2:
		kill(p.hub)
	case 3:
		kill(p.edge)
	}
}

// producer publishes numbers and keeps the list of those that were
// acknowledged.
type producer struct {
	js      jetstream.JetStream
	subject string
	sent    int
	acked   []int
}

// burst publishes until n more are acknowledged. No number is sent twice.
func (l *producer) burst(ctx context.Context, n int) {
	for n > 0 && ctx.Err() == nil {
		once, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := l.js.Publish(once, l.subject, fmt.Appendf(nil, "%d", l.sent), jetstream.WithRetryAttempts(0))
		cancel()
		if err == nil {
			l.acked = append(l.acked, l.sent)
			n--
		}
		l.sent++
	}
}

// check compares what a stream has with the list.
func (l *producer) check(t *testing.T, all jetstream.Stream) error {
	t.Helper()
	info, err := all.Info(within(t, step))
	if err == nil && info.State.Msgs < uint64(len(l.acked)) {
		err = fmt.Errorf("%s: %d messages, %d were acknowledged", l.subject, info.State.Msgs, len(l.acked))
	}
	if err != nil {
		return err
	}
	at := make(map[int]uint64)
	for body, seqs := range readAll(t, all) {
		var i int
		if _, err := fmt.Sscan(body, &i); err != nil || len(seqs) != 1 {
			t.Fatalf("message %q is at %v", body, seqs)
		}
		at[i] = seqs[0]
	}
	missing, last := 0, uint64(0)
	for i := range l.sent {
		seq, here := at[i]
		switch {
		case !here && slices.Contains(l.acked, i):
			missing++
		case here && seq < last:
			t.Fatalf("message %d is before one that was published earlier", i)
		case here:
			last = seq
		}
	}
	if missing > 0 {
		return fmt.Errorf("%s: %d of %d acknowledged messages are missing", l.subject, missing, len(l.acked))
	}
	return nil
}
