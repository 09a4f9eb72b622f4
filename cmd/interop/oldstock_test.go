package interop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// TestOldStock links frond with the nats-servers of four ages, at either end,
// and cuts and kills both while streams of each retention are sourced at the hub
// and a stream of the hub is mirrored at the edge. What is acknowledged arrives
// once and in order, by the producers' own lists. Before 2.14 there are no
// acknowledged sources: a frond origin refuses the form without
// acknowledgements for a work queue or a stream of interest, so that a worker
// at the edge gets all of it, and a frond target says in its log what may
// be lost.
func TestOldStock(t *testing.T) {
	if os.Getenv("FROND_SOAK") == "" {
		t.Skip("in make soak: four releases of nats-server are built for it")
	}
	for _, version := range peers.OldVersions {
		for _, old := range []string{"hub", "edge"} {
			t.Run(version+" as "+old, func(t *testing.T) { oldStock(t, version, old) })
		}
	}
}

func oldStock(t *testing.T, version, old string) {
	path, err := peers.OldStock(t.Context(), version)
	if err != nil {
		t.Skipf("nats-server %s can not be built: %v", version, err)
	}
	begin := func(role string, c peers.Config) *peers.Server {
		if role != old {
			return start(t, peers.FrondKind, c)
		}
		return startBinary(t, peers.StockKind, path, c)
	}
	p := pair{link: link(t, "127.0.0.1:1")}
	p.hub = begin("hub", peers.Config{Name: "hub", JetStream: true, Domain: "HUB", Leaf: true, Advertise: p.link.Addr()})
	p.link.SetTarget(p.hub.LeafAddr())
	p.edge = begin("edge", peers.Config{Name: "edge", JetStream: true, Domain: "EDGE", Remotes: []string{"nats-leaf://" + p.link.Addr()}})
	p.linked(t)

	acknowledged := version >= "2.14"
	ctx := within(t, 12*time.Minute)
	local, far := stream(t, connect(t, p.edge)), stream(t, connect(t, p.hub))
	lists := make(map[string]*producer)
	for name, retention := range map[string]jetstream.RetentionPolicy{
		"L": jetstream.LimitsPolicy, "Q": jetstream.WorkQueuePolicy, "I": jetstream.InterestPolicy,
	} {
		origin := must[jetstream.Stream](t)(local.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name}, Retention: retention}))
		if name != "L" {
			must[jetstream.Consumer](t)(origin.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "w", AckPolicy: jetstream.AckExplicitPolicy}))
		}
		must[jetstream.Stream](t)(far.CreateStream(ctx, jetstream.StreamConfig{Name: "ALL" + name,
			Sources: []*jetstream.StreamSource{{Name: name, Domain: "EDGE"}}}))
		if name == "L" || acknowledged || old == "hub" {
			lists[name] = &producer{js: local, subject: name}
		}
		if name != "L" && acknowledged {
			eventually(t, 2*time.Minute, func() error { // before it, interest is the worker's only
				info, err := origin.Info(ctx)
				if err == nil && info.State.Consumers < 2 {
					err = fmt.Errorf("%s: %d consumers", name, info.State.Consumers)
				}
				return err
			})
		}
	}
	must[jetstream.Stream](t)(far.CreateStream(ctx, jetstream.StreamConfig{Name: "C", Subjects: []string{"C"}}))
	must[jetstream.Stream](t)(local.CreateStream(ctx, jetstream.StreamConfig{Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: "C", Domain: "HUB"}}))
	lists["C"] = &producer{js: far, subject: "C"}

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	misfortunes(ctx, t, p, lists, rnd, 5)
	for name, l := range lists {
		l.burst(ctx, 1)
		at, target := far, "ALL"+name
		if name == "C" {
			at, target = local, "MIRROR"
		}
		if name != "L" && name != "C" && !acknowledged {
			if info := must[jetstream.Stream](t)(far.Stream(ctx, target)).CachedInfo(); info.State.Msgs != 0 {
				t.Errorf("%s: %d messages came without acknowledgements", target, info.State.Msgs)
			}
			said(t, p.edge, "refused to serve a mirror or source without acknowledgements")
			target = "the worker only"
		} else {
			s := must[jetstream.Stream](t)(at.Stream(ctx, target))
			eventually(t, 3*time.Minute, func() error { return l.check(t, s) })
		}
		if name == "Q" || name == "I" {
			l.worked(ctx, t, must[jetstream.Consumer](t)(local.Consumer(ctx, name, "w")))
		}
		t.Logf("%s: %d of %d acknowledged, all at %s", name, len(l.acked), l.sent, target)
	}
	if old == "edge" && !acknowledged {
		said(t, p.hub, "gives mirrors and sources no durable consumer")
	}
}

// said waits until a server has said something in its log; one that was
// killed says it again.
func said(t *testing.T, s *peers.Server, what string) {
	t.Helper()
	eventually(t, 2*time.Minute, func() error {
		if !strings.Contains(s.Log(), what) {
			return fmt.Errorf("%s does not say %q:\n%s", s.Config.Name, what, tail(s.Log(), 30))
		}
		return nil
	})
}

// worked lets a worker take all that was acknowledged to the producer.
func (l *producer) worked(ctx context.Context, t *testing.T, worker jetstream.Consumer) {
	t.Helper()
	got := make(map[int]bool)
	for len(got) < len(l.acked) {
		m, err := worker.Next(jetstream.FetchMaxWait(step))
		if err != nil {
			t.Fatalf("%s: the worker got %d of %d: %v", l.subject, len(got), len(l.acked), err)
		}
		ok(t, m.DoubleAck(ctx))
		var i int
		if _, err := fmt.Sscan(string(m.Data()), &i); err != nil || got[i] {
			t.Fatalf("%s: the worker got %q, twice: %v", l.subject, m.Data(), got[i])
		}
		if slices.Contains(l.acked, i) {
			got[i] = true
		}
	}
}
