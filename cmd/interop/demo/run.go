package main

import (
	"context"
	"errors"
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

// story is one run of the demo.
type story struct {
	dir              string
	frond, hubBinary string
	hubKind          peers.Kind
	readings         int
	out              io.Writer
	live             bool // out is a terminal: rewrite the progress line

	hub, edge *peers.Server
	link      *proxy.Proxy
	dev       *device
	alarms    *alarms
	hubConn   *nats.Conn
}

// alarmCount is how many alarms there are beside the readings.
const alarmCount = 200

// limit is the promise: under a minute.
const limit = time.Minute

func (s *story) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer s.close()
	if err := s.set(ctx); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- s.dev.run(ctx) }()
	alarmed := make(chan error, 1)
	go func() { alarmed <- s.alarms.publish(ctx) }()
	err := s.disturb(ctx, done)
	if err != nil {
		cancel() // the sensor waits for the device
	}
	err = errors.Join(err, <-alarmed)
	cancelled := ctx.Err()
	if err == nil {
		err = s.arrive(ctx)
	}
	if err != nil {
		if cancelled != nil {
			return fmt.Errorf("not done within %v: %w", limit, err)
		}
		return err
	}
	if err := verify(ctx, s.hub.URL(), s.readings); err != nil {
		return err
	}
	if err := s.alarms.read(ctx); err != nil {
		return fmt.Errorf("alarms: %w", err)
	}
	s.say("%d of %d alarms for a panel that was away (QoS 2), in order, none twice", s.alarms.count, s.alarms.count)
	s.say("%d of %d at the hub, in order, none twice (%d sent by the device, %d connections to the edge)",
		s.readings, s.readings, s.dev.sent.Load(), s.dev.connects.Load())
	return nil
}

// set builds the scene: hub, link, edge, and the two streams.
func (s *story) set(ctx context.Context) error {
	if f, is := s.out.(*os.File); is {
		info, err := f.Stat()
		s.live = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	hubDir, edgeDir := filepath.Join(s.dir, "hub"), filepath.Join(s.dir, "edge")
	for _, d := range []string{hubDir, edgeDir} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	var err error
	if s.hub, err = peers.Start(ctx, s.hubKind, s.hubBinary, hubDir,
		peers.Config{Name: "hub", JetStream: true, Domain: "hub", Leaf: true}); err != nil {
		return err
	}
	if s.link, err = proxy.New(s.hub.LeafAddr()); err != nil {
		return err
	}
	if s.edge, err = peers.Start(ctx, peers.FrondKind, s.frond, edgeDir,
		peers.Config{Name: "edge", JetStream: true, Domain: "edge", MQTT: true,
			Remotes: []string{"nats-leaf://" + s.link.Addr()}}); err != nil {
		return err
	}
	s.say("hub   %s at %s, domain hub", s.hubKind, s.hub.URL())
	s.say("edge  frond at mqtt://%s, domain edge, linked to the hub through a fault proxy", s.edge.MQTTAddr())
	if err := s.streams(ctx); err != nil {
		return err
	}
	s.dev = &device{addr: s.edge.MQTTAddr(), readings: s.readings}
	s.alarms = &alarms{addr: s.edge.MQTTAddr(), count: alarmCount}
	s.alarms.due = func() int { return int(s.dev.acked.Load()) * alarmCount / s.readings }
	return s.alarms.enrol(ctx)
}

func (s *story) streams(ctx context.Context) error {
	nc, err := nats.Connect(s.edge.URL())
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "EDGE", Subjects: []string{"plant.>"}}); err != nil {
		return fmt.Errorf("create EDGE at the edge: %w", err)
	}
	if s.hubConn, err = nats.Connect(s.hub.URL(), nats.MaxReconnects(-1)); err != nil {
		return err
	}
	if js, err = jetstream.New(s.hubConn); err != nil {
		return err
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "ALL",
		Sources: []*jetstream.StreamSource{{Name: "EDGE", Domain: "edge"}}}); err != nil {
		return fmt.Errorf("create ALL at the hub, sourcing EDGE of the edge: %w", err)
	}
	return nil
}

// disturb makes trouble at fixed points of the device's progress, and returns
// when the device has all its acknowledgements.
func (s *story) disturb(ctx context.Context, done <-chan error) error {
	troubles := []struct {
		at   int
		what string
		do   func(context.Context) error
	}{
		{s.readings * 15 / 100, "link cut", s.cut},
		{s.readings * 30 / 100, "link back", s.mend},
		{s.readings * 50 / 100, "edge killed with -9 and started again", s.kill},
		{s.readings * 65 / 100, "link cut again", s.cut},
		{s.readings * 85 / 100, "link back", s.mend},
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		acked := int(s.dev.acked.Load())
		if len(troubles) > 0 && acked >= troubles[0].at {
			t := troubles[0]
			troubles = troubles[1:]
			s.say("%5d acknowledged: %s", acked, t.what)
			if err := t.do(ctx); err != nil {
				return fmt.Errorf("%s: %w", t.what, err)
			}
			continue
		}
		select {
		case err := <-done:
			if err == nil && len(troubles) > 0 {
				err = fmt.Errorf("the device was done before this happened: %s", troubles[0].what)
			}
			return err
		case <-tick.C:
			s.progress(ctx)
		}
	}
}

func (s *story) cut(context.Context) error {
	s.link.Set(proxy.Refuse)
	s.link.Cut()
	return nil
}

func (s *story) mend(context.Context) error {
	s.link.Set(proxy.Pass)
	return nil
}

func (s *story) kill(ctx context.Context) error {
	s.edge.Kill()
	return s.edge.Restart(ctx)
}

// arrive waits until the hub has as many messages as were published.
func (s *story) arrive(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for s.progress(ctx) < s.readings {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d at the hub: %w\nlog of the edge:\n%s\nlog of the hub:\n%s",
				s.progress(context.Background()), s.readings, ctx.Err(), s.edge.Log(), s.hub.Log())
		case <-tick.C:
		}
	}
	return nil
}

// progress shows the line and returns how many messages the hub has.
func (s *story) progress(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	js, err := jetstream.New(s.hubConn)
	if err != nil {
		return 0
	}
	str, err := js.Stream(ctx, "ALL")
	if err != nil {
		return 0
	}
	at := int(str.CachedInfo().State.Msgs)
	if s.live {
		fmt.Fprintf(s.out, "\r\x1b[Kdevice %5d of %d acknowledged   hub %5d   link %s",
			s.dev.acked.Load(), s.readings, at, map[bool]string{true: "up", false: "down"}[s.link.Live() > 0])
	}
	return at
}

func (s *story) say(format string, args ...any) {
	if s.live {
		fmt.Fprint(s.out, "\r\x1b[K")
	}
	fmt.Fprintf(s.out, format+"\n", args...)
}

func (s *story) close() {
	if s.hubConn != nil {
		s.hubConn.Close()
	}
	if s.edge != nil {
		s.edge.Kill()
	}
	if s.link != nil {
		s.link.Close()
	}
	if s.hub != nil {
		s.hub.Kill()
	}
}
