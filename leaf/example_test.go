package leaf_test

import (
	"context"
	"fmt"
	"log"
	"net/url"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/leaf"
)

// An edge that is linked to a hub: who asks at the edge is answered at the hub.
func Example() {
	o := config.Defaults()
	o.ServerName, o.Host, o.Port = "hub", "127.0.0.1", -1
	o.Leaf.Host, o.Leaf.Port, o.Leaf.Set = "127.0.0.1", -1, true
	links := leaf.New()
	hub := start(o, links)
	defer hub.Shutdown(context.Background())
	if _, err := hub.Subscribe("time", "", func(m *core.Message) { _ = hub.Publish(m.Reply, []byte("noon")) }); err != nil {
		log.Fatal(err)
	}

	o = config.Defaults()
	o.ServerName, o.Host, o.Port = "edge", "127.0.0.1", -1
	o.Leaf.Set = true
	o.Leaf.Remotes = append(o.Leaf.Remotes, o.Leaf.NewRemote(&url.URL{Scheme: "nats-leaf", Host: links.Addr().String()}))
	edge := start(o, leaf.New())
	defer edge.Shutdown(context.Background())
	for range 50 { // the link takes a moment
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		answer, err := edge.Request(ctx, "time", nil)
		if err == nil {
			fmt.Println(string(answer))
			cancel()
			break
		}
		<-ctx.Done()
		cancel()
	}
	// Output: noon
}

func start(o *config.Options, m core.Module) *core.Server {
	s, err := core.New(o, []core.Module{m}, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Start(); err != nil {
		log.Fatal(err)
	}
	return s
}
