package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
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
		{name: "JetStream pub sync x16", unit: "/s", n: 3200, disk: true, rivals: durable, run: jsSync(16)},
		{name: "JetStream pub async", unit: "/s", n: 10_000, disk: true, rivals: durable, run: jsAsync},
		{name: "JetStream consume", unit: "/s", n: 10_000, rivals: nats, run: consume},
		{name: "MQTT QoS 0", unit: "/s", n: 10_000, rivals: mq, run: mqttPubsub(0)},
		{name: "MQTT QoS 1", unit: "/s", n: 3000, disk: true, rivals: mq, run: mqttPubsub(1)},
		{name: "idle RSS", unit: "MB", less: true, fresh: true, rivals: mq, run: idle},
	}
}

func main() {
	pairs := flag.Int("pairs", 9, "pairs of runs for each line; below 6 there is no interval")
	only := flag.String("run", ".", "loads to run, a regular expression")
	dir := flag.String("dir", "", "folder for the servers' data; default: a temporary one")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, *pairs, *only, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, pairs int, only, parent string) error {
	want, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(parent, "frond-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	frond, err := peers.Frond(ctx, dir)
	if err != nil {
		return err
	}
	natsServer, err := peers.Stock(ctx)
	if err != nil {
		return err
	}
	b := &bench{dir: dir, pairs: pairs, out: os.Stdout, frond: server("frond", peers.FrondKind, frond, ""),
		others: map[string]rival{
			stock:  server(stock, peers.StockKind, natsServer, ""),
			always: server(always, peers.StockKind, natsServer, "always"),
			mosq:   mosquitto(),
		}}
	fmt.Printf("%d pairs a line, %d cores, %s; frond with its defaults (an ack waits for the disk) beside nats-server %s with its\n"+
		"defaults (syncs every two minutes) and with sync_interval: always, and mosquitto with persistence\n\n",
		pairs, runtime.NumCPU(), runtime.Version(), peers.StockVersion)
	b.header()
	begin := time.Now()
	var failed error
	for _, l := range loads() {
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
	fmt.Printf("\n%.0f s\n", time.Since(begin).Seconds())
	return failed
}
