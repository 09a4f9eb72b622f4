package interop

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// TestLeaf_loop lets a stream of the edge and one of the hub source each
// other, which neither server sees. Messages go round for a while, and then
// they stop: a frond takes each over 16 times at most, also when it is alone
// in counting.
func TestLeaf_loop(t *testing.T) {
	eachFrondPair(t, func(t *testing.T, p pair) {
		p.linked(t)
		ctx := within(t, 2*time.Minute)
		edge, hub := stream(t, connect(t, p.edge)), stream(t, connect(t, p.hub))
		a := must[jetstream.Stream](t)(edge.CreateStream(ctx, jetstream.StreamConfig{Name: "A", Subjects: []string{"a"},
			Sources: []*jetstream.StreamSource{{Name: "B", Domain: "HUB"}}}))
		b := must[jetstream.Stream](t)(hub.CreateStream(ctx, jetstream.StreamConfig{Name: "B", Subjects: []string{"b"},
			Sources: []*jetstream.StreamSource{{Name: "A", Domain: "EDGE"}}}))
		const sent = 3
		for i := range sent {
			must[*jetstream.PubAck](t)(edge.Publish(ctx, "a", fmt.Appendf(nil, "%d", i)))
		}
		// Stored by its publisher, then once for each time it was taken over:
		// 16 times by all fronds together, and as often by a stock server between.
		want := uint64(sent * 17)
		if p.edge.Kind == peers.StockKind || p.hub.Kind == peers.StockKind {
			want = sent * 33
		}
		count := func() uint64 {
			x, y := must[*jetstream.StreamInfo](t)(a.Info(ctx)), must[*jetstream.StreamInfo](t)(b.Info(ctx))
			return x.State.Msgs + y.State.Msgs
		}
		eventually(t, time.Minute, func() error {
			if n := count(); n < want-2*sent {
				return fmt.Errorf("%d messages, they go round for longer", n)
			}
			return nil
		})
		// What is on its way arrives, and nothing comes of it.
		last, same := uint64(0), 0
		eventually(t, step, func() error {
			n := count()
			if same++; n != last {
				last, same = n, 0
			}
			if n > want {
				t.Fatalf("%d messages of %d that were published", n, sent)
			}
			if same < 50 {
				return fmt.Errorf("%d messages and more", n)
			}
			return nil
		})
		t.Logf("%d published, %d stored", sent, last)
	})
}
