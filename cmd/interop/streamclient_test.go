package interop

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
	"github.com/frondmq/frond/cmd/interop/proxy"
	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/jetstream/jsclient/jsclienttest"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/leaf"
)

// TestStreamClient runs the contract of the client that is inside a server: an edge
// asks the JetStream of its hub, through a leaf link that breaks.
func TestStreamClient(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		hub := start(t, kind, peers.Config{Name: "hub", JetStream: true, Domain: "HUB", Leaf: true})
		way := link(t, hub.LeafAddr())
		o := config.Defaults()
		o.ServerName, o.Host, o.Port = "edge", "127.0.0.1", -1
		o.JetStream.Enabled, o.JetStream.StoreDir, o.JetStream.Domain = true, t.TempDir(), "EDGE"
		o.Leaf.Set = true
		r := o.Leaf.NewRemote(&url.URL{Scheme: "nats-leaf", Host: way.Addr()})
		r.ReconnectInterval = 50 * time.Millisecond
		o.Leaf.Remotes = append(o.Leaf.Remotes, r)
		var tap servertest.Tap
		edge, err := core.New(o, []core.Module{leaf.New(), &tap}, slog.New(slog.DiscardHandler))
		ok(t, err)
		ok(t, edge.Start())
		defer func() { ok(t, edge.Shutdown(context.Background())) }()
		acc, _ := tap.Account(config.GlobalAccount)
		client := func() (*jsclient.Client, error) { return tap.StreamClient(acc, "HUB") }
		c := must[*jsclient.Client](t)(client())
		eventually(t, step, func() error {
			if _, err := c.Info(within(t, time.Second), "NONE"); !errors.Is(err, jsclient.ErrStreamNotFound) {
				return err
			}
			return nil
		})
		c.Close()
		jsclienttest.Run(t, jsclienttest.Env{
			Client: client,
			Cut:    func() { way.Set(proxy.Refuse); way.Cut() },
			Heal:   func() { way.Set(proxy.Pass) },
		})
	})
}
