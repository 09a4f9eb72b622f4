package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// contender is a running server.
type contender struct {
	name string
	dir  string
	nats string // URL
	mqtt string // host:port
	pid  int
	stop func()
}

// rival says how to start one.
type rival struct {
	name  string
	start func(ctx context.Context, dir string) (*contender, error)
}

// sample is one run of a load.
type sample struct {
	value    float64 // in the load's unit
	messages int
	took     time.Duration

	cpu     time.Duration // of the server; 0: of the whole run
	flushes int64         // -1 = unknown
}

// cpuEach is the processor time of the server a message, in microseconds.
func (s *sample) cpuEach() float64 {
	if s.messages == 0 {
		return 0
	}
	return float64(s.cpu.Microseconds()) / float64(s.messages)
}

// load is one thing to do to a server. Fresh loads get a server that was just
// started.
type load struct {
	name   string
	unit   string
	less   bool // less is better
	fresh  bool
	disk   bool // tell flushes
	rivals []string
	run    func(ctx context.Context, c *contender, n int) (sample, error)
	n      int // messages
}

// bench is one run of the program.
type bench struct {
	dir    string
	frond  rival
	others map[string]rival
	pairs  int
	out    io.Writer
	binary string   // frond
	lines  []result // as they were printed
	// figures are of absolutes.
	figures []figure
}

// maxPairs is where a line ends whose interval stays too wide.
const maxPairs = 31

// wide: an interval of more than a quarter of its median shows nothing.
func wide(ratios []float64) bool {
	low, high, ok := interval(ratios)
	return ok && high-low > median(ratios)/4
}

func (b *bench) header() {
	fmt.Fprintf(b.out, "%-26s %12s  %-18s %12s  %-24s %-34s %s\n",
		"load", "frond", "rival", "its figure", "ratio [95 % interval]", "CPU µs a message", "flushes/s (messages a flush)")
}

// compare runs a load in alternating pairs and prints its line.
func (b *bench) compare(ctx context.Context, l load, other rival) error {
	var ours, theirs []sample
	var ratios []float64
	var a, z *contender
	defer func() { stop(a); stop(z) }()
	for i := 0; i < b.pairs || b.pairs >= wholePairs && i < maxPairs && wide(ratios); i++ {
		if a == nil || l.fresh {
			stop(a)
			stop(z)
			var err error
			if a, err = b.up(ctx, b.frond); err != nil {
				return err
			}
			if z, err = b.up(ctx, other); err != nil {
				return err
			}
		}
		order := []*contender{a, z}
		if i%2 == 1 {
			order[0], order[1] = z, a
		}
		got := map[*contender]sample{}
		for _, c := range order {
			s, err := measure(ctx, l, c)
			if err != nil {
				return fmt.Errorf("%s against %s: %w", l.name, c.name, err)
			}
			got[c] = s
		}
		ours, theirs = append(ours, got[a]), append(theirs, got[z])
		r := got[a].value / got[z].value
		if l.less {
			r = 1 / r
		}
		ratios = append(ratios, r)
	}
	b.line(l, other.name, ours, theirs, ratios)
	b.lines = append(b.lines, newResult(&l, other.name, ours, theirs, ratios))
	return nil
}

func (b *bench) line(l load, name string, ours, theirs []sample, ratios []float64) {
	low, high, ok := interval(ratios)
	mark := ""
	if !ok {
		mark = " (range)"
	}
	cpu := func(all []sample) float64 {
		return pick(all, func(s sample) float64 { return s.cpuEach() })
	}
	cpus, disk := "", ""
	if ours[0].messages > 0 {
		shares := make([]float64, len(ours))
		for i := range ours {
			shares[i] = ours[i].cpuEach() / theirs[i].cpuEach()
		}
		low, high, _ := interval(shares)
		cpus = fmt.Sprintf("%.3g / %.3g: %.2f [%.2f, %.2f]", cpu(ours), cpu(theirs), median(shares), low, high)
	}
	if l.disk && ours[0].flushes >= 0 {
		disk = syncs(ours) + " / " + syncs(theirs)
	}
	value := func(s sample) float64 { return s.value }
	fmt.Fprintf(b.out, "%-26s %12s  %-18s %12s  %-24s %-34s %s\n", l.name, number(pick(ours, value), l.unit), name,
		number(pick(theirs, value), l.unit), fmt.Sprintf("%.2f [%.2f, %.2f]%s", median(ratios), low, high, mark), cpus, disk)
}

func pick(all []sample, f func(sample) float64) float64 {
	var v []float64
	for _, s := range all {
		v = append(v, f(s))
	}
	return median(v)
}

func syncs(all []sample) string {
	rate := pick(all, func(s sample) float64 { return float64(s.flushes) / s.took.Seconds() })
	if rate < 1 {
		return "0"
	}
	group := pick(all, func(s sample) float64 { return float64(s.messages) / float64(max(1, s.flushes)) })
	return fmt.Sprintf("%.0f (%.1f)", rate, group)
}

func number(v float64, unit string) string {
	switch {
	case v >= 10_000:
		return fmt.Sprintf("%.0fk %s", v/1000, unit)
	case v >= 100:
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

func measure(ctx context.Context, l load, c *contender) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cpu, err := cpuTime(c.pid)
	if err != nil {
		return sample{}, err
	}
	before := flushes(c.dir)
	s, err := l.run(ctx, c, l.n)
	if err != nil {
		return sample{}, err
	}
	after, err := cpuTime(c.pid)
	if err != nil {
		return sample{}, err
	}
	if s.cpu == 0 {
		s.cpu = after - cpu
	}
	s.flushes = flushes(c.dir) - before
	if before < 0 {
		s.flushes = -1
	}
	return s, nil
}

func (b *bench) up(ctx context.Context, r rival) (*contender, error) {
	dir, err := os.MkdirTemp(b.dir, "server")
	if err != nil {
		return nil, err
	}
	c, err := r.start(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", r.name, err)
	}
	c.name, c.dir = r.name, dir
	return c, nil
}

func stop(c *contender) {
	if c != nil {
		c.stop()
		os.RemoveAll(c.dir)
	}
}

// server is a rival that speaks NATS and MQTT.
func server(name string, kind peers.Kind, binary, sync string) rival {
	return rival{name, func(ctx context.Context, dir string) (*contender, error) {
		s, err := peers.Start(ctx, kind, binary, filepath.Clean(dir), peers.Config{JetStream: true, MQTT: true, SyncInterval: sync})
		if err != nil {
			return nil, err
		}
		return &contender{nats: s.URL(), mqtt: s.MQTTAddr(), pid: s.Pid(), stop: s.Kill}, nil
	}}
}

func mosquitto() rival {
	return rival{"mosquitto", func(ctx context.Context, dir string) (*contender, error) {
		m, err := peers.StartMosquitto(ctx, dir, "")
		if err != nil {
			return nil, err
		}
		return &contender{mqtt: m.Addr, pid: m.Pid(), stop: m.Kill}, nil
	}}
}
