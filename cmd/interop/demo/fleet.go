package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
	"github.com/frondmq/frond/cmd/interop/proxy"
)

// fleet is the demo with several edges, which all keep plant.> and forward into
// one stream of the hub.
type fleet struct {
	dir              string
	frond, hubBinary string
	hubKind          peers.Kind
	edges, readings  int // readings of each
	out              io.Writer

	hub   *peers.Server
	sites []*site
}

// site is one edge with its link and its device.
type site struct {
	name string
	edge *peers.Server
	link *proxy.Proxy
	dev  *device
}

func (f *fleet) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*limit)
	defer cancel()
	defer f.close()
	if err := f.set(ctx); err != nil {
		return err
	}
	done := make(chan error, f.edges)
	for _, s := range f.sites {
		go func() { done <- s.dev.run(ctx) }()
	}
	if err := f.disturb(ctx); err != nil {
		return err
	}
	for range f.sites {
		if err := <-done; err != nil {
			return err
		}
	}
	total := f.edges * f.readings
	if err := f.arrive(ctx, total); err != nil {
		return err
	}
	if err := f.count(ctx, f.hub.URL(), "ALL", f.sites); err != nil {
		return fmt.Errorf("the hub: %w", err)
	}
	for _, s := range f.sites {
		if err := f.count(ctx, s.edge.URL(), "EDGE", []*site{s}); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	fmt.Fprintf(f.out, "%d of %d at the hub, each edge's in order, none twice; each edge has its own %d and no others\n", total, total, f.readings)
	return nil
}

func (f *fleet) set(ctx context.Context) error {
	folder := func(name string) (string, error) {
		dir := filepath.Join(f.dir, name)
		return dir, os.MkdirAll(dir, 0o755)
	}
	dir, err := folder("hub")
	if err != nil {
		return err
	}
	c := peers.Config{Name: "hub", JetStream: true, Domain: "hub", Leaf: true}
	if f.hubKind == peers.FrondKind {
		c.LeafOptions = "collect: ALL\nunique_domains: true\nisolate_leafnode_interest: true\n"
	}
	if f.hub, err = peers.Start(ctx, f.hubKind, f.hubBinary, dir, c); err != nil {
		return err
	}
	fmt.Fprintf(f.out, "hub   %s at %s\n", f.hubKind, f.hub.URL())
	var sources []*jetstream.StreamSource
	for i := range f.edges {
		s := &site{name: fmt.Sprintf("gw%d", i+1)}
		f.sites = append(f.sites, s)
		if s.link, err = proxy.New(f.hub.LeafAddr()); err != nil {
			return err
		}
		if dir, err = folder(s.name); err != nil {
			return err
		}
		if s.edge, err = peers.Start(ctx, peers.FrondKind, f.frond, dir, peers.Config{Name: s.name, JetStream: true, Domain: s.name, MQTT: true,
			Remotes: []string{"nats-leaf://" + s.link.Addr()}, DenyImports: []string{"plant.>"}, Extra: "edge_store: \"plant.>\"\n"}); err != nil {
			return err
		}
		s.dev = &device{addr: s.edge.MQTTAddr(), readings: f.readings, prefix: s.name + "-", topic: "plant/" + s.name + "/temperature"}
		sources = append(sources, &jetstream.StreamSource{Name: "EDGE", Domain: s.name})
		fmt.Fprintf(f.out, "edge  %s at mqtt://%s\n", s.name, s.edge.MQTTAddr())
	}
	if f.hubKind == peers.FrondKind {
		return nil
	}
	return f.with(f.hub.URL(), func(js jetstream.JetStream) error {
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "ALL", Sources: sources})
		return err
	})
}

// disturb makes trouble for one site after the other, at points of its
// device's progress.
func (f *fleet) disturb(ctx context.Context) error {
	for i, s := range f.sites {
		at := f.readings * (i + 1) / (len(f.sites) + 2)
		if err := f.await(ctx, s, at); err != nil {
			return err
		}
		fmt.Fprintf(f.out, "%s  %5d acknowledged: link cut\n", s.name, s.dev.acked.Load())
		s.link.Set(proxy.Refuse)
		s.link.Cut()
		if err := f.await(ctx, s, at+f.readings/(2*len(f.sites)+4)); err != nil {
			return err
		}
		if i%2 == 0 {
			fmt.Fprintf(f.out, "%s  %5d acknowledged: killed with -9 and started again\n", s.name, s.dev.acked.Load())
			s.edge.Kill()
			if err := s.edge.Restart(ctx); err != nil {
				return err
			}
		}
		fmt.Fprintf(f.out, "%s  %5d acknowledged: link back\n", s.name, s.dev.acked.Load())
		s.link.Set(proxy.Pass)
	}
	return nil
}

func (f *fleet) await(ctx context.Context, s *site, acked int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for int(s.dev.acked.Load()) < acked {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %d of %d acknowledged: %w", s.name, s.dev.acked.Load(), f.readings, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// with runs do with a connection of its own.
func (f *fleet) with(url string, do func(jetstream.JetStream) error) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return do(js)
}

func (f *fleet) arrive(ctx context.Context, total int) error {
	return f.with(f.hub.URL(), func(js jetstream.JetStream) error {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			at := 0
			if str, err := js.Stream(ctx, "ALL"); err == nil {
				if at = int(str.CachedInfo().State.Msgs); at >= total {
					return nil
				}
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%d of %d at the hub: %w\nlog of the hub:\n%s", at, total, ctx.Err(), f.hub.Log())
			case <-tick.C:
			}
		}
	})
}

// count reads a whole stream: each reading of the sites once and in order, and
// nothing else.
func (f *fleet) count(ctx context.Context, url, stream string, sites []*site) error {
	tallies := map[string]*tally{}
	for _, s := range sites {
		tallies[s.dev.prefix] = newTally("the hub", f.readings)
	}
	return f.with(url, func(js jetstream.JetStream) error {
		str, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		c, err := str.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
		if err != nil {
			return err
		}
		it, err := c.Messages()
		if err != nil {
			return err
		}
		defer it.Stop()
		for n := range int(str.CachedInfo().State.Msgs) {
			m, err := it.Next(jetstream.NextMaxWait(20 * time.Second))
			if err != nil {
				return fmt.Errorf("read after %d messages: %w", n, err)
			}
			var r reading
			if err := json.Unmarshal(m.Data(), &r); err != nil {
				return fmt.Errorf("message %d: %w", n+1, err)
			}
			prefix, ok := "", r.N >= 0 && r.N < f.readings
			if ok {
				prefix = r.ID[:max(len(r.ID)-len(readingID(r.N)), 0)]
			}
			if tallies[prefix] == nil || r.ID != prefix+readingID(r.N) {
				return fmt.Errorf("message %d is no reading for here: %s", n+1, m.Data())
			}
			tallies[prefix].add(r.N)
		}
		for prefix, t := range tallies {
			if err := t.verdict(); err != nil {
				return fmt.Errorf("of %s %w", prefix, err)
			}
		}
		return nil
	})
}

func (f *fleet) close() {
	for _, s := range f.sites {
		if s.edge != nil {
			s.edge.Kill()
		}
		if s.link != nil {
			s.link.Close()
		}
	}
	if f.hub != nil {
		f.hub.Kill()
	}
}
