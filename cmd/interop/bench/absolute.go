package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// figure is one that is not compared with a rival but with a bound.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Bound float64 `json:"at_most"`
}

// absolute is a load whose figures have bounds.
type absolute struct {
	name string
	run  func(ctx context.Context, b *bench, dir string) ([]figure, error)
}

func absolutes() []absolute {
	return []absolute{
		{"lone message on the device", loneMessage},
		{"10,000 streams", manyStreams},
		{"an idle connection", idleConnections},
	}
}

// errNotHere: this machine can't show the figure.
var errNotHere = errors.New("can't be shown here")

// measureAbsolute runs one and prints its figures.
func (b *bench) measureAbsolute(ctx context.Context, a absolute) error {
	dir, err := os.MkdirTemp(b.dir, "absolute")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	list, err := a.run(ctx, b, dir)
	if errors.Is(err, errNotHere) {
		fmt.Fprintf(b.out, "%-26s skipped: %v\n", a.name, err)
		return nil
	}
	for _, f := range list {
		fmt.Fprintf(b.out, "%-26s %-24s %8.2f %-4s (at most %g)\n", a.name, f.Name, f.Value, f.Unit, f.Bound)
	}
	b.figures = append(b.figures, list...)
	return err
}

// manyStreams starts a server, under a limit of 256 descriptors, on 10,000
// streams of 10 messages that it was killed with.
func manyStreams(ctx context.Context, b *bench, dir string) ([]figure, error) {
	const streams, messages, clients, descriptors = 10_000, 10, 16, 256
	// Else each request had its client's five seconds.
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	few := filepath.Join(dir, "few")
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec '%s' \"$@\"\n", descriptors, b.binary)
	if err := os.WriteFile(few, []byte(script), 0o755); err != nil {
		return nil, err
	}
	s, err := peers.Start(ctx, peers.FrondKind, few, dir, peers.Config{JetStream: true})
	if err != nil {
		return nil, err
	}
	defer s.Kill()
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { errs[i] = fillStreams(ctx, s.URL(), i, clients, streams, messages) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s.Kill()
	if err := s.Restart(ctx); err != nil {
		return nil, err
	}
	cpu, err := cpuTime(s.Pid())
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(s.URL())
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	info, err := js.AccountInfo(ctx)
	if err != nil {
		return nil, err
	}
	if info.Streams != streams {
		return nil, fmt.Errorf("%d of %d streams are there", info.Streams, streams)
	}
	anon, err := status(s.Pid(), "RssAnon:")
	if err != nil {
		return nil, err
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.Pid()))
	if err != nil {
		return nil, err
	}
	return []figure{
		{"start, processor time", cpu.Seconds(), "s", 1},
		{"RssAnon after it", float64(anon) / (1 << 20), "MB", 50},
		{"open files", float64(len(open)), "", descriptors},
	}, nil
}

func fillStreams(ctx context.Context, url string, from, step, to, messages int) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(64))
	if err != nil {
		return err
	}
	data := body()
	for i := from; i < to; i += step {
		name := fmt.Sprintf("MANY_%d", i)
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}}); err != nil {
			return err
		}
		for range messages {
			if _, err := js.PublishAsync(name+".a", data, jetstream.WithStallWait(30*time.Second)); err != nil {
				return err
			}
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// loneMessage publishes synced messages of 200 bytes one by one into a file
// system of their own, and counts what its device is asked to do.
func loneMessage(ctx context.Context, b *bench, dir string) (_ []figure, err error) {
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "mount")
	if err := os.Mkdir(mount, 0o755); err != nil {
		return nil, err
	}
	if _, err := command(ctx, dir, "truncate", "-s", "512M", image); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotHere, err)
	}
	if _, err := command(ctx, dir, "mkfs.ext4", "-q", "-F", image); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotHere, err)
	}
	loop, err := command(ctx, dir, "losetup", "-f", "--show", image)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotHere, err)
	}
	defer exec.Command("losetup", "-d", loop).Run()
	if _, err := command(ctx, dir, "mount", loop, mount); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotHere, err)
	}
	defer exec.Command("umount", mount).Run()

	s, err := peers.Start(ctx, peers.FrondKind, b.binary, mount, peers.Config{JetStream: true})
	if err != nil {
		return nil, err
	}
	defer s.Kill()
	const messages = 1000
	var figures []figure
	c := &contender{nats: s.URL()}
	_, err = withStream(ctx, c, func(_ *nats.Conn, js jetstream.JetStream) (sample, error) {
		data := make([]byte, 200)
		stat := func() (sectors, flushes int64, err error) { return deviceStat(filepath.Base(loop)) }
		// The files that are made ahead are not of these messages.
		if err := quiet(ctx, stat); err != nil {
			return sample{}, err
		}
		sectors, flushes, err := stat()
		if err != nil {
			return sample{}, err
		}
		for range messages {
			if _, err := js.Publish(ctx, "js.lone", data); err != nil {
				return sample{}, err
			}
		}
		s2, f2, err := stat()
		figures = []figure{
			{"written a message", float64(s2-sectors) * 512 / 1000 / messages, "kB", 4.8},
			{"flushes a message", float64(f2-flushes) / messages, "", 1.1},
		}
		return sample{}, err
	})
	return figures, err
}

// quiet waits until the device has nothing to do for a second.
func quiet(ctx context.Context, stat func() (int64, int64, error)) error {
	last, same := int64(-1), 0
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for same < 5 {
		sectors, _, err := stat()
		if err != nil {
			return err
		}
		if same++; sectors != last {
			last, same = sectors, 0
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// deviceStat reads what was written to a block device and how often it was
// flushed (Documentation/block/stat.rst: fields 7 and 16).
func deviceStat(name string) (sectors, flushes int64, err error) {
	text, err := os.ReadFile("/sys/block/" + name + "/stat")
	if err != nil {
		return 0, 0, err
	}
	f := strings.Fields(string(text))
	if len(f) < 16 {
		return 0, 0, fmt.Errorf("%w: the kernel counts no flushes", errNotHere)
	}
	if sectors, err = strconv.ParseInt(f[6], 10, 64); err != nil {
		return 0, 0, err
	}
	flushes, err = strconv.ParseInt(f[15], 10, 64)
	return sectors, flushes, err
}
