package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// TestLeaf_what_cannot_cross: a hub of a smaller max_payload, and a subject
// longer than a control line between servers. Sent nevertheless, either would
// cut the link at every attempt, and nothing behind it would ever arrive.
func TestLeaf_what_cannot_cross(t *testing.T) {
	t.Parallel()
	for _, hub := range []peers.Kind{peers.StockKind, peers.FrondKind} {
		if !tested(hub) || !tested(peers.FrondKind) {
			continue
		}
		t.Run(fmt.Sprintf("%s hub", hub), func(t *testing.T) {
			t.Parallel()
			p := pair{hub: start(t, hub, peers.Config{Name: "hub", JetStream: true, Domain: "HUB", Leaf: true, Extra: "max_payload: 40000\n"})}
			p.link = link(t, p.hub.LeafAddr())
			p.edge = start(t, peers.FrondKind, peers.Config{Name: "edge", JetStream: true, Domain: "EDGE",
				Remotes: []string{"nats-leaf://" + p.link.Addr()}, Extra: "max_control_line: 200000\n"})
			p.linked(t)
			atEdge, atHub := connect(t, p.edge), connect(t, p.hub)
			ctx := within(t, time.Minute)
			js := stream(t, atEdge)
			must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, AllowDirect: true}))
			big := bytes.Repeat([]byte("x"), 50_000)
			for i, m := range []*nats.Msg{
				{Subject: "s.a", Data: []byte("0")},
				{Subject: "s.b", Data: big},
				{Subject: "s." + strings.Repeat("c", 70_000), Data: []byte("2")},
				{Subject: "s.d", Data: []byte("1")},
			} {
				if _, err := js.PublishMsg(ctx, m); err != nil {
					t.Fatalf("message %d: %v", i, err)
				}
			}
			all := must[jetstream.Stream](t)(stream(t, atHub).CreateStream(ctx, jetstream.StreamConfig{Name: "ALL",
				Sources: []*jetstream.StreamSource{{Name: "S", Domain: "EDGE"}}}))
			arrived(t, all, 2)

			t.Run("the origin tells", func(t *testing.T) {
				for _, seq := range []string{"seq=2", "seq=3"} {
					if !strings.Contains(p.edge.Log(), "it is passed over stream=S") || !strings.Contains(p.edge.Log(), seq) {
						t.Errorf("nothing of %s in\n%s", seq, p.edge.Log())
					}
				}
			})
			if hub == peers.FrondKind {
				t.Run("the target books them as lost", func(t *testing.T) {
					m := must[*nats.Msg](t)(atHub.Request("$JS.API.STREAM.INFO.ALL", nil, step))
					var info struct {
						Sources []struct {
							Lost struct {
								Messages int    `json:"messages"`
								LastSeq  uint64 `json:"last_seq"`
								Reason   string `json:"reason"`
							} `json:"lost_on_the_way"`
						} `json:"sources"`
					}
					ok(t, json.Unmarshal(m.Data, &info))
					if l := info.Sources[0].Lost; l.Messages != 2 || l.LastSeq != 3 || !strings.Contains(l.Reason, "line of 70") {
						t.Errorf("%+v", l)
					}
				})
			}
			t.Run("a direct get and a get of it are answered", func(t *testing.T) {
				m := must[*nats.Msg](t)(atHub.Request("$JS.EDGE.API.DIRECT.GET.S", []byte(`{"seq":2}`), step))
				if m.Header.Get("Status") != "413" || m.Header.Get("Nats-Sequence") != "2" {
					t.Errorf("direct get: %v", m.Header)
				}
				m = must[*nats.Msg](t)(atHub.Request("$JS.EDGE.API.STREAM.MSG.GET.S", []byte(`{"seq":2}`), step))
				if !bytes.Contains(m.Data, []byte(`"code":413`)) || !bytes.Contains(m.Data, []byte("stream_msg_get_response")) {
					t.Errorf("get: %.300s", m.Data)
				}
			})
			if n := p.link.Counters().Dials; n != 1 {
				t.Errorf("the link was made %d times", n)
			}
		})
	}
}
