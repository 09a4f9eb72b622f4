package interop

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
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

// TestLeaf_secondConnection looks at a stock hub while a message is long on the
// line: beside the link there is a second one, of the name with "-lifeline" and
// without interest, or with no_heartbeat_connection none; either way the message
// arrives.
func TestLeaf_secondConnection(t *testing.T) {
	t.Parallel()
	if !tested(peers.StockKind) || !tested(peers.FrondKind) {
		t.Skip("it takes both")
	}
	for _, off := range []bool{false, true} {
		t.Run(fmt.Sprintf("no_heartbeat_connection: %v", off), func(t *testing.T) {
			t.Parallel()
			p := pair{hub: start(t, peers.StockKind, peers.Config{Name: "hub", JetStream: true, Domain: "HUB", Leaf: true, HTTP: true})}
			p.link = link(t, p.hub.LeafAddr())
			p.edge = start(t, peers.FrondKind, peers.Config{Name: "edge", JetStream: true, Domain: "EDGE",
				Remotes: []string{"nats-leaf://" + p.link.Addr()}, RemoteOptions: []string{fmt.Sprintf("no_heartbeat_connection: %v", off)}})
			p.linked(t)
			ctx := within(t, 2*time.Minute)
			local := stream(t, connect(t, p.edge))
			must[jetstream.Stream](t)(local.CreateStream(ctx, jetstream.StreamConfig{Name: "BIG", Subjects: []string{"big"}}))
			all := must[jetstream.Stream](t)(stream(t, connect(t, p.hub)).CreateStream(ctx, jetstream.StreamConfig{Name: "ALL",
				Sources: []*jetstream.StreamSource{{Name: "BIG", Domain: "EDGE"}}}))
			must[*jetstream.PubAck](t)(local.Publish(ctx, "big", []byte("0")))
			arrived(t, all, 1)
			// It is on the line for 8 s: long enough to be looked for, and no hub asks
			// for it again.
			big := make([]byte, 80_000)
			rnd := rand.NewChaCha8([32]byte{})
			_, _ = rnd.Read(big)
			p.link.Throttle(10_000)
			must[*jetstream.PubAck](t)(local.Publish(ctx, "big", big))
			names := make(map[string]bool)
			most := 0
			eventually(t, time.Minute, func() error {
				most = max(most, p.link.Live())
				for _, m := range leafName.FindAllStringSubmatch(page(t, "http://"+p.hub.HTTPAddr()+"/leafz"), -1) {
					names[m[1]] = true
				}
				info, err := all.Info(ctx)
				if err == nil && info.State.Msgs != 2 {
					err = fmt.Errorf("%d messages", info.State.Msgs)
				}
				return err
			})
			want := map[string]bool{"edge": true, "edge-lifeline": true}
			if off {
				delete(want, "edge-lifeline")
			}
			if !maps.Equal(names, want) || most != len(want) {
				t.Errorf("%d connections, of %v, want %v", most, names, want)
			}
		})
	}
}

var leafName = regexp.MustCompile(`"name": "([^"]*)"`)
