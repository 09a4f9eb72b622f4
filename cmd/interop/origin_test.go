package interop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
	"github.com/frondmq/frond/cmd/interop/proxy"
)

// eachFrondPair is eachPair without the pair of two stock servers: that one
// is the measure, not what is tested.
func eachFrondPair(t *testing.T, f func(t *testing.T, p pair)) {
	t.Helper()
	eachPair(t, func(t *testing.T, p pair) {
		if p.edge.Kind == peers.StockKind && p.hub.Kind == peers.StockKind {
			t.Skip("two stock servers: run by hand as the measure")
		}
		f(t, p)
	})
}

// TestOrigin_workQueue sources a work queue of the edge at the hub, beside a
// worker at the edge: the link is cut and refused and both servers are killed.
// What was acknowledged is at the hub, once and in order, and the worker got
// it too; then the queue is empty.
func TestOrigin_workQueue(t *testing.T) {
	eachFrondPair(t, func(t *testing.T, p pair) {
		p.linked(t)
		ctx := within(t, 3*time.Minute)
		edge, hub := connect(t, p.edge), connect(t, p.hub)
		local := stream(t, edge)
		queue := must[jetstream.Stream](t)(local.CreateStream(ctx, jetstream.StreamConfig{Name: "Q", Subjects: []string{"q.>"}, Retention: jetstream.WorkQueuePolicy}))
		worker := must[jetstream.Consumer](t)(queue.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "w", AckPolicy: jetstream.AckExplicitPolicy}))
		all := must[jetstream.Stream](t)(stream(t, hub).CreateStream(ctx, jetstream.StreamConfig{Name: "ALL",
			Sources: []*jetstream.StreamSource{{Name: "Q", Domain: "EDGE"}}}))
		var name string
		eventually(t, step, func() error {
			for n := range queue.ConsumerNames(ctx).Name() {
				if strings.HasPrefix(n, "JS_SRC_") {
					name = n
					return nil
				}
			}
			return fmt.Errorf("no consumer JS_SRC_ at the origin")
		})
		const n = 600
		sent := 0
		publish := func(to int) {
			for ; sent < to; sent++ {
				must[*jetstream.PubAck](t)(local.Publish(ctx, "q.x", fmt.Appendf(nil, "%d", sent)))
			}
		}
		publish(n / 6)
		p.link.Cut()
		publish(n / 6 * 2)
		p.link.Set(proxy.Refuse)
		p.link.Cut()
		publish(n / 6 * 3)
		p.hub.Kill()
		publish(n / 6 * 4)
		restart(t, p.hub)
		p.link.SetTarget(p.hub.LeafAddr())
		p.link.Set(proxy.Pass)
		publish(n / 6 * 5)
		p.edge.Kill()
		restart(t, p.edge)
		eventually(t, step, func() error { _, err := local.AccountInfo(ctx); return err })
		publish(n)
		arrived(t, all, n)
		for i := range n {
			m := must[jetstream.Msg](t)(worker.Next(jetstream.FetchMaxWait(step)))
			if string(m.Data()) != fmt.Sprint(i) {
				t.Fatalf("the worker's message %d is %q", i, m.Data())
			}
			ok(t, m.DoubleAck(ctx))
		}
		eventually(t, step, func() error {
			info, err := queue.Info(ctx)
			if err == nil && info.State.Msgs > 0 {
				err = fmt.Errorf("%d messages are left in the queue; consumer %s", info.State.Msgs, name)
			}
			return err
		})
	})
}

// TestOrigin_madeAnew deletes the stream of the edge and makes it again under
// its name, with more messages than it had: the hub gets all of them.
func TestOrigin_madeAnew(t *testing.T) {
	eachFrondPair(t, func(t *testing.T, p pair) {
		p.linked(t)
		ctx := within(t, 2*time.Minute)
		edge, hub := connect(t, p.edge), connect(t, p.hub)
		local := stream(t, edge)
		cfg := jetstream.StreamConfig{Name: "E", Subjects: []string{"e"}}
		sent := 0
		fill := func(n int) {
			must[jetstream.Stream](t)(local.CreateStream(ctx, cfg))
			for range n {
				must[*jetstream.PubAck](t)(local.Publish(ctx, "e", fmt.Appendf(nil, "%d", sent)))
				sent++
			}
		}
		fill(10)
		all := must[jetstream.Stream](t)(stream(t, hub).CreateStream(ctx, jetstream.StreamConfig{Name: "ALL",
			Sources: []*jetstream.StreamSource{{Name: "E", Domain: "EDGE"}}}))
		arrived(t, all, 10)
		ok(t, local.DeleteStream(ctx, "E"))
		fill(15)
		arrived(t, all, 25)
	})
}

// TestOrigin_mirrorMadeAnew is the same for a mirror, which keeps the origin's
// sequences: it takes nothing of the new stream and says why, until it is let
// start over. A stock hub mixes the two.
func TestOrigin_mirrorMadeAnew(t *testing.T) {
	eachFrondPair(t, func(t *testing.T, p pair) {
		if p.hub.Kind == peers.StockKind {
			t.Skip("a stock hub mixes them")
		}
		p.linked(t)
		ctx := within(t, 2*time.Minute)
		edge, hub := connect(t, p.edge), connect(t, p.hub)
		local, far := stream(t, edge), stream(t, hub)
		sent := 0
		fill := func(n int) {
			must[jetstream.Stream](t)(local.CreateStream(ctx, jetstream.StreamConfig{Name: "E", Subjects: []string{"e"}}))
			for range n {
				must[*jetstream.PubAck](t)(local.Publish(ctx, "e", fmt.Appendf(nil, "%d", sent)))
				sent++
			}
		}
		fill(10)
		cfg := jetstream.StreamConfig{Name: "M", Mirror: &jetstream.StreamSource{Name: "E", Domain: "EDGE"}}
		mirror := must[jetstream.Stream](t)(far.CreateStream(ctx, cfg))
		arrived(t, mirror, 10)
		ok(t, local.DeleteStream(ctx, "E"))
		fill(15)
		p.link.Cut() // so that it asks again now
		eventually(t, step, func() error {
			info, err := mirror.Info(ctx)
			if err == nil && (info.Mirror.Error == nil || info.Mirror.Error.ErrorCode != 10225) {
				err = fmt.Errorf("%+v", info.Mirror)
			}
			return err
		})
		arrived(t, mirror, 10)
		cfg.Metadata = map[string]string{"frond.origin_made_anew": "start_over"}
		mirror = must[jetstream.Stream](t)(far.UpdateStream(ctx, cfg))
		eventually(t, step, func() error {
			info, err := mirror.Info(ctx)
			if err == nil && (info.State.FirstSeq != 1 || info.State.LastSeq != 15) {
				err = fmt.Errorf("%+v", info.State)
			}
			return err
		})
		for body, seqs := range readAll(t, mirror) {
			if want := fmt.Sprint(seqs[0] + 9); body != want {
				t.Errorf("sequence %d is message %s, want %s", seqs[0], body, want)
			}
		}
	})
}
