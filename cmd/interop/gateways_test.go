package interop

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
	"github.com/frondmq/frond/cmd/interop/proxy"
)

var gatewaysFlag = flag.Int("gateways", 5, "edges of one hub stream")

// gateway is an edge with a producer of its own.
type gateway struct {
	n     int
	edge  *peers.Server
	link  *proxy.Proxy
	acked []string // what the producer was told is stored, in order
}

// TestGateways: several edges keep the same subjects and forward them into one
// stream of the hub, while links are cut and edges and the hub are killed. Each
// reading is once at the hub, once on its own edge, and nowhere else.
func TestGateways(t *testing.T) {
	if !tested(peers.FrondKind) {
		t.Skip("needs frond at the edge")
	}
	t.Parallel()
	for _, hub := range []peers.Kind{peers.FrondKind, peers.StockKind} {
		if tested(hub) {
			t.Run(fmt.Sprintf("%s hub", hub), func(t *testing.T) {
				t.Parallel()
				gateways(t, hub, *gatewaysFlag, 120)
			})
		}
	}
}

func gateways(t *testing.T, kind peers.Kind, edges, readings int) {
	c := peers.Config{Name: "hub", JetStream: true, Domain: "hub", Leaf: true}
	if kind == peers.FrondKind {
		c.LeafOptions = "collect: ALL\nunique_domains: true\nisolate_leafnode_interest: true\n"
	}
	hub := start(t, kind, c)
	gs := make([]*gateway, edges)
	var sources []*jetstream.StreamSource
	for i := range gs {
		g := &gateway{n: i, link: link(t, hub.LeafAddr())}
		name := fmt.Sprintf("gw%d", i)
		g.edge = start(t, peers.FrondKind, peers.Config{Name: name, JetStream: true, Domain: name,
			Remotes: []string{"nats-leaf://" + g.link.Addr()}, DenyImports: []string{"plant.>"}, Extra: "edge_store: \"plant.>\"\n"})
		gs[i] = g
		sources = append(sources, &jetstream.StreamSource{Name: "EDGE", Domain: name})
	}
	ctx := within(t, 4*time.Minute)
	if kind == peers.StockKind {
		must[jetstream.Stream](t)(stream(t, connect(t, hub)).CreateStream(ctx, jetstream.StreamConfig{Name: "ALL", Sources: sources}))
	}

	var total atomic.Int64
	var work sync.WaitGroup
	for _, g := range gs {
		js := stream(t, connect(t, g.edge))
		work.Go(func() { g.produce(ctx, js, readings, &total) })
	}
	disturb(t, ctx, hub, gs, &total, int64(edges*readings))
	work.Wait()

	want := map[string]int{}
	for _, g := range gs {
		if len(g.acked) != readings {
			t.Fatalf("gateway %d: %d of %d acknowledged", g.n, len(g.acked), readings)
		}
		for i, id := range g.acked {
			want[id] = i
		}
	}
	all := must[jetstream.Stream](t)(stream(t, connect(t, hub)).Stream(ctx, "ALL"))
	eventually(t, 2*time.Minute, func() error {
		info, err := all.Info(ctx)
		if err == nil && info.State.Msgs < uint64(len(want)) {
			err = fmt.Errorf("%d of %d at the hub", info.State.Msgs, len(want))
		}
		return err
	})
	once(t, "the hub", readAll(t, all), slices.Collect(keys(want)))
	for _, g := range gs {
		own := must[jetstream.Stream](t)(stream(t, connect(t, g.edge)).Stream(ctx, "EDGE"))
		once(t, fmt.Sprintf("edge %d", g.n), readAll(t, own), g.acked)
	}
}

func keys(m map[string]int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// produce publishes readings one after the other, each until it is
// acknowledged.
func (g *gateway) produce(ctx context.Context, js jetstream.JetStream, readings int, total *atomic.Int64) {
	for i := 0; i < readings && ctx.Err() == nil; {
		id := fmt.Sprintf("gw%d-%d", g.n, i)
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := js.Publish(try, fmt.Sprintf("plant.%d.temp", g.n), []byte(id), jetstream.WithMsgID(id))
		cancel()
		if err == nil {
			g.acked = append(g.acked, id)
			total.Add(1)
			i++
		}
	}
}

// disturb makes trouble at points of the producers' progress.
func disturb(t *testing.T, ctx context.Context, hub *peers.Server, gs []*gateway, total *atomic.Int64, all int64) {
	var troubles []func()
	for i, g := range gs {
		troubles = append(troubles, func() { g.link.Set(proxy.Refuse); g.link.Cut() }, func() { g.link.Set(proxy.Pass) })
		if i%2 == 0 {
			troubles = append(troubles, func() { g.edge.Kill(); restart(t, g.edge) })
		}
		// A stock hub may fetch nothing for 40 seconds after a restart.
		if i == len(gs)/2 && (hub.Kind == peers.FrondKind || len(gs) > 5) {
			troubles = append(troubles, func() { hub.Kill(); restart(t, hub) })
		}
	}
	for i, do := range troubles {
		eventually(t, 3*time.Minute, func() error {
			if n := total.Load(); n < all*int64(i+1)/int64(len(troubles)+2) {
				return fmt.Errorf("%d of %d acknowledged", n, all)
			}
			return ctx.Err()
		})
		do()
	}
}

// once fails unless got holds each of want once and nothing else.
func once(t *testing.T, where string, got map[string][]uint64, want []string) {
	t.Helper()
	missing, twice := 0, 0
	for _, id := range want {
		switch n := len(got[id]); {
		case n == 0:
			missing++
		case n > 1:
			twice++
		}
		delete(got, id)
	}
	if missing+twice+len(got) > 0 {
		t.Errorf("%s: of %d readings %d are missing, %d are there more than once, and %d are not its own", where, len(want), missing, twice, len(got))
	}
}
