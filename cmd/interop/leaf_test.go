package interop

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
	"github.com/frondmq/frond/cmd/interop/proxy"
)

// pair is an edge linked to a hub through a fault proxy.
type pair struct {
	hub, edge *peers.Server
	link      *proxy.Proxy
}

// eachPair runs f for every pair of kinds that -servers allows.
func eachPair(t *testing.T, f func(t *testing.T, p pair)) {
	t.Helper()
	t.Parallel()
	for _, k := range kindPairs() {
		t.Run(fmt.Sprintf("%s edge, %s hub", k.edge, k.hub), func(t *testing.T) {
			t.Parallel()
			f(t, startPair(t, k.edge, k.hub))
		})
	}
}

type kindPair struct{ edge, hub peers.Kind }

func kindPairs() []kindPair {
	var pairs []kindPair
	for _, edge := range []peers.Kind{peers.StockKind, peers.FrondKind} {
		for _, hub := range []peers.Kind{peers.StockKind, peers.FrondKind} {
			if tested(edge) && tested(hub) {
				pairs = append(pairs, kindPair{edge, hub})
			}
		}
	}
	return pairs
}

func startPair(t testing.TB, edge, hub peers.Kind) pair {
	t.Helper()
	p := pair{hub: start(t, hub, peers.Config{Name: "hub", JetStream: true, Domain: "HUB", Leaf: true})}
	p.link = link(t, p.hub.LeafAddr())
	p.edge = start(t, edge, peers.Config{Name: "edge", JetStream: true, Domain: "EDGE", MQTT: false,
		Remotes: []string{"nats-leaf://" + p.link.Addr()}})
	return p
}

// linked waits until a request from the edge is answered at the hub.
func (p pair) linked(t testing.TB) {
	t.Helper()
	hub, edge := connect(t, p.hub), connect(t, p.edge)
	must[*nats.Subscription](t)(hub.Subscribe("is.linked", func(m *nats.Msg) { _ = m.Respond(nil) }))
	ok(t, hub.Flush())
	eventually(t, step, func() error {
		_, err := edge.Request("is.linked", nil, time.Second)
		return err
	})
	hub.Close()
	edge.Close()
}

func TestLeaf_core(t *testing.T) {
	eachPair(t, func(t *testing.T, p pair) {
		p.linked(t)
		hub, edge := connect(t, p.hub), connect(t, p.edge)

		t.Run("messages cross in both directions, with headers and replies", func(t *testing.T) {
			for _, c := range []struct {
				name     string
				from, to *nats.Conn
			}{{"up", edge, hub}, {"down", hub, edge}} {
				must[*nats.Subscription](t)(c.to.Subscribe("svc."+c.name, func(m *nats.Msg) {
					r := nats.NewMsg(m.Reply)
					r.Data, r.Header = m.Data, nats.Header{"Echo": m.Header["Say"]}
					_ = m.RespondMsg(r)
				}))
				ok(t, c.to.Flush())
				var got *nats.Msg
				eventually(t, step, func() (err error) {
					m := nats.NewMsg("svc." + c.name)
					m.Data, m.Header = []byte("x"), nats.Header{"Say": {"hi"}}
					got, err = c.from.RequestMsg(m, time.Second)
					return err
				})
				if string(got.Data) != "x" || got.Header.Get("Echo") != "hi" {
					t.Errorf("%s: got %q, %v", c.name, got.Data, got.Header)
				}
			}
		})
		t.Run("a queue group on both sides gets each message once", func(t *testing.T) {
			var atEdge, atHub atomic.Int64
			must[*nats.Subscription](t)(edge.QueueSubscribe("q.x", "g", func(*nats.Msg) { atEdge.Add(1) }))
			must[*nats.Subscription](t)(hub.QueueSubscribe("q.x", "g", func(*nats.Msg) { atHub.Add(1) }))
			plain := must[*nats.Subscription](t)(hub.SubscribeSync("q.*"))
			ok(t, edge.Flush())
			ok(t, hub.Flush())
			eventually(t, step, func() error { // until the interest of the hub is at the edge
				ok(t, edge.Publish("q.probe", nil))
				_, err := plain.NextMsg(50 * time.Millisecond)
				return err
			})
			for {
				if m, err := plain.NextMsg(100 * time.Millisecond); err != nil || m.Subject != "q.probe" {
					break
				}
			}
			for range 100 {
				ok(t, edge.Publish("q.x", nil))
			}
			for range 100 {
				must[*nats.Msg](t)(plain.NextMsg(step))
			}
			ok(t, edge.Flush())
			ok(t, hub.Flush())
			eventually(t, step, func() error {
				if n := atEdge.Load() + atHub.Load(); n != 100 {
					return fmt.Errorf("%d at the edge and %d at the hub of 100", atEdge.Load(), atHub.Load())
				}
				return nil
			})
		})
		t.Run("interest comes back after a cut, and goes with its subscriber", func(t *testing.T) {
			sub := must[*nats.Subscription](t)(hub.SubscribeSync("after.cut"))
			ok(t, hub.Flush())
			p.link.Cut()
			eventually(t, step, func() error {
				ok(t, edge.Publish("after.cut", nil))
				_, err := sub.NextMsg(50 * time.Millisecond)
				return err
			})
			ok(t, sub.Unsubscribe())
			ok(t, hub.Flush())
			eventually(t, step, func() error {
				before := p.link.Counters().Up
				ok(t, edge.Publish("after.cut", bytes.Repeat([]byte("x"), 100_000)))
				ok(t, edge.Flush())
				if up := p.link.Counters().Up - before; up > 50_000 {
					return fmt.Errorf("%d bytes crossed the link for nobody", up)
				}
				return nil
			})
		})
		t.Run("a large message", func(t *testing.T) {
			sub := must[*nats.Subscription](t)(hub.SubscribeSync("large"))
			ok(t, hub.Flush())
			body := bytes.Repeat([]byte("0123456789"), 100_000)
			eventually(t, step, func() error {
				ok(t, edge.Publish("large", body))
				m, err := sub.NextMsg(time.Second)
				if err == nil && !bytes.Equal(m.Data, body) {
					t.Fatalf("got %d bytes of %d, or others", len(m.Data), len(body))
				}
				return err
			})
		})
	})
}

func TestLeaf_domains(t *testing.T) {
	eachPair(t, func(t *testing.T, p pair) {
		p.linked(t)
		ctx := within(t, time.Minute)
		edge, hub := connect(t, p.edge), connect(t, p.hub)
		// Each side reaches the other's JetStream by its domain.
		there := must[jetstream.JetStream](t)(jetstream.NewWithDomain(hub, "EDGE"))
		var str jetstream.Stream
		eventually(t, step, func() (err error) {
			str, err = there.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "REMOTE", Subjects: []string{"remote.>"}})
			return err
		})
		must[*jetstream.PubAck](t)(stream(t, edge).Publish(ctx, "remote.a", []byte("1")))
		if m := must[*jetstream.RawStreamMsg](t)(str.GetMsg(ctx, 1)); string(m.Data) != "1" {
			t.Fatalf("got %q", m.Data)
		}
		if _, err := stream(t, hub).Stream(ctx, "REMOTE"); err == nil {
			t.Fatal("the stream of the edge is in the hub's own domain")
		}
		back := must[jetstream.JetStream](t)(jetstream.NewWithDomain(edge, "HUB"))
		must[jetstream.Stream](t)(back.CreateStream(ctx, jetstream.StreamConfig{Name: "ATHUB", Subjects: []string{"athub"}}))
		if _, err := stream(t, hub).Stream(ctx, "ATHUB"); err != nil {
			t.Fatal(err)
		}
		info := must[*jetstream.AccountInfo](t)(back.AccountInfo(ctx))
		if info.Domain != "HUB" {
			t.Fatalf("the hub says its domain is %q", info.Domain)
		}
	})
}

// TestLeaf_source is the main way of store-and-forward: a hub stream sources a
// stream of the edge through its domain, while the link is cut and refuses.
// What is acknowledged at the edge is at the hub at the end, once, in order.
func TestLeaf_source(t *testing.T) {
	eachPair(t, func(t *testing.T, p pair) {
		p.linked(t)
		ctx := within(t, 2*time.Minute)
		edge, hub := connect(t, p.edge), connect(t, p.hub)
		const n = 3000
		local := stream(t, edge)
		must[jetstream.Stream](t)(local.CreateStream(ctx, jetstream.StreamConfig{Name: "EDGE", Subjects: []string{"tele.>"}}))
		all := must[jetstream.Stream](t)(stream(t, hub).CreateStream(ctx, jetstream.StreamConfig{Name: "ALL",
			Sources: []*jetstream.StreamSource{{Name: "EDGE", Domain: "EDGE"}}}))
		publish := func(from, to int) {
			for i := from; i < to; i++ {
				must[*jetstream.PubAck](t)(local.Publish(ctx, "tele.x", fmt.Appendf(nil, "%d", i)))
			}
		}
		publish(0, n/3)
		p.link.Cut()
		publish(n/3, n/3*2)
		p.link.Set(proxy.Refuse)
		p.link.Cut()
		publish(n/3*2, n)
		p.link.Set(proxy.Pass)
		arrived(t, all, n)
	})
}

// TestLeaf_mirror is the other direction: a stream of the edge mirrors one of
// the hub (commands), over a cut.
func TestLeaf_mirror(t *testing.T) {
	eachPair(t, func(t *testing.T, p pair) {
		p.linked(t)
		ctx := within(t, 2*time.Minute)
		edge, hub := connect(t, p.edge), connect(t, p.hub)
		const n = 2000
		js := stream(t, hub)
		must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "CMD", Subjects: []string{"cmd.>"}}))
		mirror := must[jetstream.Stream](t)(stream(t, edge).CreateStream(ctx, jetstream.StreamConfig{Name: "CMD",
			Mirror: &jetstream.StreamSource{Name: "CMD", Domain: "HUB"}}))
		for i := range n {
			if i == n/2 {
				p.link.Cut()
			}
			must[*jetstream.PubAck](t)(js.Publish(ctx, "cmd.x", fmt.Appendf(nil, "%d", i)))
		}
		arrived(t, mirror, n)
		for i, seqs := range readAll(t, mirror) {
			if want := fmt.Sprint(seqs[0] - 1); i != want {
				t.Fatalf("message %s is at sequence %d: a mirror keeps sequences", i, seqs[0])
			}
		}
	})
}

// arrived waits until a stream holds n messages, then checks that they are
// 0..n-1, each once, in order.
func arrived(t *testing.T, str jetstream.Stream, n int) {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	eventually(t, 90*time.Second, func() error {
		info, err := str.Info(ctx)
		if err == nil && info.State.Msgs < uint64(n) {
			err = fmt.Errorf("%d of %d arrived", info.State.Msgs, n)
		}
		return err
	})
	type entry struct {
		seq  uint64
		body string
	}
	var got []entry
	for body, seqs := range readAll(t, str) {
		for _, s := range seqs {
			got = append(got, entry{s, body})
		}
	}
	slices.SortFunc(got, func(a, b entry) int { return int(a.seq) - int(b.seq) })
	if len(got) != n {
		t.Fatalf("%d messages of %d", len(got), n)
	}
	for i, e := range got {
		if e.body != fmt.Sprint(i) {
			t.Fatalf("message %d (sequence %d) is %q", i, e.seq, e.body)
		}
	}
}
