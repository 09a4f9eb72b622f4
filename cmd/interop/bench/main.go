package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
)

const (
	stock  = "nats-server"
	always = "nats-server always"
	mosq   = "mosquitto"
)

func loads() []load {
	nats, durable, mq := []string{stock}, []string{always, stock}, []string{mosq, stock}
	return []load{
		{name: "pub", unit: "/s", n: 200_000, rivals: nats, run: publish},
		{name: "pub/sub", unit: "/s", n: 200_000, rivals: nats, run: pubsub},
		{name: "request/reply", unit: "µs", less: true, n: 3000, rivals: nats, run: request},
		{name: "JetStream pub sync", unit: "/s", n: 400, disk: true, rivals: durable, run: jsSync(1)},
		{name: "JetStream pub sync x16", unit: "/s", n: 9600, disk: true, rivals: durable, run: jsSync(16)},
		{name: "JetStream pub async", unit: "/s", n: 60_000, disk: true, rivals: durable, run: jsAsync},
		{name: "JetStream consume", unit: "/s", n: 60_000, rivals: nats, run: consume},
		{name: "KV put x16", unit: "/s", n: 9600, disk: true, rivals: durable, run: kvPut(16)},
		{name: "stream create x16", unit: "/s", n: 320, disk: true, rivals: nats, run: createStreams(16)},
		{name: "MQTT QoS 0 1:1 x100", unit: "/s", n: 50_000, rivals: mq, run: fan{qos: 0, from: 1, to: 1, window: 100}.run},
		{name: "MQTT QoS 0 1:100 x100", unit: "/s", n: 1000, rivals: mq, run: fan{qos: 0, from: 1, to: 100, window: 100}.run},
		{name: "MQTT QoS 0 100:1 x20", unit: "/s", n: 50_000, rivals: mq, run: fan{qos: 0, from: 100, to: 1, window: 20}.run},
		{name: "MQTT QoS 1 1:1 x100", unit: "/s", n: 10_000, disk: true, rivals: mq, run: fan{qos: 1, from: 1, to: 1, window: 100}.run},
		{name: "MQTT QoS 1 16:1 x20", unit: "/s", n: 16_000, disk: true, rivals: mq, run: fan{qos: 1, from: 16, to: 1, window: 20}.run},
		{name: "MQTT QoS 1 16:1 x20 kept", unit: "/s", n: 16_000, disk: true, rivals: mq, run: fan{qos: 1, from: 16, to: 1, window: 20, kept: true}.run},
		{name: "MQTT QoS 1 kept, p99", unit: "µs", less: true, n: 16_000, disk: true, rivals: mq, run: fan{qos: 1, from: 16, to: 1, window: 20, kept: true, latencies: true}.run},
		{name: "MQTT QoS 2 1:1 x20 kept", unit: "/s", n: 4000, disk: true, rivals: mq, run: fan{qos: 2, from: 1, to: 1, window: 20, kept: true}.run},
		{name: "MQTT QoS 2 16:1 x20 kept", unit: "/s", n: 8000, disk: true, rivals: mq, run: fan{qos: 2, from: 16, to: 1, window: 20, kept: true}.run},
		{name: "MQTT resume 100x100", unit: "/s", rivals: mq, run: resume{sessions: 100}.run},
		{name: "MQTT resume 100x100 own", unit: "/s", rivals: mq, run: resume{sessions: 100, own: true}.run},
		{name: "MQTT resume 1000x100", unit: "/s", rivals: mq, run: resume{sessions: 1000}.run},
		{name: "MQTT resume 1000x100 own", unit: "/s", rivals: mq, run: resume{sessions: 1000, own: true}.run},
		{name: "idle RSS", unit: "MB", less: true, fresh: true, rivals: mq, run: idle},
		{name: "RSS of 1000 streams", unit: "MB", less: true, fresh: true, n: 1000, rivals: nats, run: streamsAtRest(16)},
	}
}

func main() {
	pairs := flag.Int("pairs", wholePairs, "pairs of runs for each line; below 6 there is no interval, below 9 the run fails at its end")
	ref := flag.String("ref", "", "compare with frond of this commit instead of other servers")
	results := flag.String("results", "", "folder for a file with every pair; default: none")
	only := flag.String("run", ".", "loads to run, a regular expression")
	dir := flag.String("dir", "", "folder for the servers' data; default: a temporary one")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, options{*pairs, *only, *dir, *ref, *results}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	pairs        int
	only         string
	dir          string // of the servers' data
	ref, results string
}

// wholePairs is how many pairs a figure takes that may be quoted.
const wholePairs = 9

// earlier is frond of another commit.
const earlier = "frond before"

func run(ctx context.Context, o options) error {
	want, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "frond-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	frond, err := peers.Frond(ctx, dir)
	if err != nil {
		return err
	}
	b := &bench{dir: dir, pairs: o.pairs, out: os.Stdout, binary: frond, frond: server("frond", peers.FrondKind, frond, "")}
	list := loads()
	if o.ref != "" {
		err = b.againstCommit(ctx, o.ref)
		for i := range list {
			list[i].rivals = []string{earlier}
		}
		fmt.Printf("%d pairs a line or more, %d cores, %s; frond beside frond of %s\n\n", o.pairs, runtime.NumCPU(), runtime.Version(), o.ref)
	} else {
		err = b.againstOthers(ctx)
		fmt.Printf("%d pairs a line or more, %d cores, %s; frond with its defaults (an ack waits for the disk) beside nats-server %s with its\n"+
			"defaults (syncs every two minutes) and with sync_interval: always, and mosquitto with persistence\n\n",
			o.pairs, runtime.NumCPU(), runtime.Version(), peers.StockVersion)
	}
	if err != nil {
		return err
	}
	b.header()
	begin := time.Now()
	var failed error
	for _, l := range list {
		if !want.MatchString(l.name) {
			continue
		}
		for _, name := range l.rivals {
			if err := b.compare(ctx, l, b.others[name]); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				// One broken load must not hide the others.
				fmt.Printf("%-26s failed: %v\n", l.name, err)
				failed = err
			}
		}
	}
	if o.ref == "" {
		for _, a := range absolutes() {
			if want.MatchString(a.name) {
				if err := b.measureAbsolute(ctx, a); err != nil {
					fmt.Printf("%-26s failed: %v\n", a.name, err)
					failed = err
				}
			}
		}
	}
	fmt.Printf("\n%.0f s\n", time.Since(begin).Seconds())
	if o.results != "" {
		failed = errors.Join(failed, b.write(ctx, o.results, o.ref))
	}
	if o.pairs < wholePairs {
		failed = errors.Join(failed, fmt.Errorf("%d pairs show nothing that may be quoted: %d at least", o.pairs, wholePairs))
	}
	return failed
}

func (b *bench) againstOthers(ctx context.Context) error {
	natsServer, err := peers.Stock(ctx)
	if err != nil {
		return err
	}
	b.others = map[string]rival{
		stock:  server(stock, peers.StockKind, natsServer, ""),
		always: server(always, peers.StockKind, natsServer, "always"),
		mosq:   mosquitto(),
	}
	return nil
}

// againstCommit builds frond of another commit, in a worktree that is gone
// afterwards.
func (b *bench) againstCommit(ctx context.Context, ref string) error {
	root, err := peers.ProductRoot()
	if err != nil {
		return err
	}
	tree := filepath.Join(b.dir, "tree")
	if _, err := command(ctx, root, "git", "worktree", "add", "--detach", tree, ref); err != nil {
		return err
	}
	binary := filepath.Join(b.dir, "frond-before")
	_, err = command(ctx, tree, "go", "build", "-o", binary, "./cmd/frond")
	_, gone := command(ctx, root, "git", "worktree", "remove", "--force", tree)
	b.others = map[string]rival{earlier: server(earlier, peers.FrondKind, binary, "")}
	return errors.Join(err, gone)
}

func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
