package interop

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// TestLeaf_slowLine brings a message that needs longer on the line than an
// origin may be silent, and one behind it. The message is random, so that
// compression does not shorten it. A stock hub waits 10 to 20 s for one, so that
// a frond edge keeps it patient over a second connection.
func TestLeaf_slowLine(t *testing.T) {
	if os.Getenv("FROND_SOAK") == "" {
		slowLine(t, 160_000, 10_000)
		return
	}
	for _, x := range []struct{ size, rate int }{{300_000, 20_000}, {1_000_000, 64_000}, {1_000_000, 16_000}} {
		t.Run(fmt.Sprintf("%d at %d a second", x.size, x.rate), func(t *testing.T) { slowLine(t, x.size, x.rate) })
	}
}

func slowLine(t *testing.T, size, rate int) {
	eachFrondPair(t, func(t *testing.T, p pair) {
		p.linked(t)
		ctx := within(t, 3*time.Minute)
		edge, hub := connect(t, p.edge), connect(t, p.hub)
		local := stream(t, edge)
		must[jetstream.Stream](t)(local.CreateStream(ctx, jetstream.StreamConfig{Name: "BIG", Subjects: []string{"big"}}))
		all := must[jetstream.Stream](t)(stream(t, hub).CreateStream(ctx, jetstream.StreamConfig{Name: "ALL",
			Sources: []*jetstream.StreamSource{{Name: "BIG", Domain: "EDGE"}}}))
		must[*jetstream.PubAck](t)(local.Publish(ctx, "big", []byte("first")))
		eventually(t, step, func() error {
			info, err := all.Info(ctx)
			if err == nil && info.State.Msgs != 1 {
				err = fmt.Errorf("%d messages", info.State.Msgs)
			}
			return err
		})
		big := make([]byte, size)
		rnd := rand.NewChaCha8([32]byte{})
		_, _ = rnd.Read(big)
		p.link.Throttle(rate)
		before := p.link.Counters().Up
		began := time.Now()
		must[*jetstream.PubAck](t)(local.Publish(ctx, "big", big))
		must[*jetstream.PubAck](t)(local.Publish(ctx, "big", []byte("last")))
		eventually(t, 2*time.Minute, func() error {
			info, err := all.Info(ctx)
			if err == nil && info.State.Msgs < 3 {
				err = fmt.Errorf("%d of 3 messages; %d bytes sent; %+v", info.State.Msgs, p.link.Counters().Up-before, info.Sources[0])
			}
			return err
		})
		sent, took := p.link.Counters().Up-before, time.Since(began).Seconds()*float64(rate)/float64(size)
		t.Logf("%d bytes at %d/s: %.1f s, of the line %.2fx; sent %.3f a byte", size, rate,
			time.Since(began).Seconds(), took, float64(sent)/float64(size))
		for seq, want := range map[uint64][]byte{1: []byte("first"), 2: big, 3: []byte("last")} {
			if m := must[*jetstream.RawStreamMsg](t)(all.GetMsg(ctx, seq)); !bytes.Equal(m.Data, want) {
				t.Errorf("message %d: %d bytes, want %d", seq, len(m.Data), len(want))
			}
		}
		if float64(sent) > 1.1*float64(size) {
			t.Errorf("%d bytes were sent for a message of %d", sent, size)
		}
		if took > 1.25 {
			t.Errorf("it took %.2f of the line's time", took)
		}
		helped := strings.Contains(p.edge.Log(), "Second connection opened")
		if want := p.edge.Kind == peers.FrondKind && p.hub.Kind == peers.StockKind; helped != want {
			t.Errorf("a second connection: %v, want %v", helped, want)
		}
	})
}
