package interop

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// TestStop_edge ends an edge with SIGTERM while one of its peers is in the way
// of a quick end. It ends cleanly and soon (peers.Server.Stop gives it less than
// it gives itself), and lets go of its data folder: it starts again at once.
func TestStop_edge(t *testing.T) {
	if !tested(peers.FrondKind) {
		t.Skip("of frond")
	}
	t.Parallel()
	begin := func(t *testing.T, hub string) *peers.Server {
		return start(t, peers.FrondKind, peers.Config{Name: "edge", JetStream: true, Domain: "EDGE", MQTT: true,
			Remotes: []string{"nats-leaf://" + hub}, Extra: "edge_store: \"plant.>\"\n"})
	}
	// end publishes as long as the edge lives, so that all is on its way.
	end := func(t *testing.T, edge *peers.Server) {
		t.Helper()
		nc := connect(t, edge)
		js := stream(t, nc)
		for i := range 500 {
			must[jetstream.PubAckFuture](t)(js.PublishAsync("plant.x", fmt.Appendf(nil, "%8000d", i)))
		}
		begin := time.Now()
		ok(t, edge.Stop())
		t.Logf("ended after %v", time.Since(begin))
		restart(t, edge)
	}
	sourcing := func(t *testing.T) (hub, edge *peers.Server) {
		hub = start(t, peers.FrondKind, peers.Config{Name: "hub", JetStream: true, Domain: "HUB", Leaf: true, LeafOptions: "collect: ALL\n"})
		edge = begin(t, hub.LeafAddr())
		far := stream(t, connect(t, hub))
		eventually(t, step, func() error {
			all, err := far.Stream(within(t, step), "ALL")
			if err == nil && len(all.CachedInfo().Sources) == 0 {
				err = fmt.Errorf("no source yet")
			}
			return err
		})
		return hub, edge
	}
	t.Run("its hub was ended before, in the middle of what it fetches", func(t *testing.T) {
		hub, edge := sourcing(t)
		ok(t, hub.Stop())
		end(t, edge)
	})
	t.Run("its hub fetches", func(t *testing.T) {
		_, edge := sourcing(t)
		end(t, edge)
	})
	t.Run("its hub is a machine that says nothing", func(t *testing.T) {
		ln := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
		defer ln.Close()
		end(t, begin(t, ln.Addr().String()))
	})
	t.Run("a client and a device do not read what they subscribed to", func(t *testing.T) {
		hub, edge := sourcing(t)
		for addr, say := range map[string]string{
			edge.ClientAddr(): "CONNECT {}\r\nSUB plant.> 1\r\nSUB > 2\r\nPING\r\n",
			edge.MQTTAddr(): "\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04dev1" + // CONNECT
				"\x82\x0c\x00\x01\x00\x07plant/#\x01", // SUBSCRIBE with QoS 1
		} {
			c := must[net.Conn](t)(net.Dial("tcp", addr))
			defer c.Close()
			must[int](t)(c.Write([]byte(say)))
		}
		ok(t, hub.Stop())
		end(t, edge)
	})
}
