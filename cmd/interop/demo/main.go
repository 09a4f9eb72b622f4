package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
)

func main() {
	hub := flag.String("hub", "frond", "server at the hub: frond or stock (nats-server)")
	n := flag.Int("n", 5000, "readings, of all devices")
	edges := flag.Int("edges", 1, "edges, each with a device")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	dir, err := os.MkdirTemp("", "frond-demo")
	if err != nil {
		fail(err)
	}
	err = play(ctx, dir, peers.Kind(*hub), *n, *edges)
	os.RemoveAll(dir)
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
	os.Exit(1)
}

func play(ctx context.Context, dir string, hub peers.Kind, n, edges int) error {
	fmt.Println("building ...")
	frond, err := peers.Frond(ctx, dir)
	if err != nil {
		return err
	}
	bin := frond
	if hub == peers.StockKind {
		if bin, err = peers.Stock(ctx); err != nil {
			return err
		}
	}
	begin := time.Now()
	if edges > 1 {
		f := &fleet{dir: dir, frond: frond, hubKind: hub, hubBinary: bin, edges: edges, readings: n / edges, out: os.Stdout}
		err := f.run(ctx)
		if err == nil {
			fmt.Printf("done in %.1f s\n", time.Since(begin).Seconds())
		}
		return err
	}
	s := &story{dir: dir, frond: frond, hubKind: hub, hubBinary: bin, readings: n, out: os.Stdout}
	if err := s.run(ctx); err != nil {
		return err
	}
	fmt.Printf("done in %.1f s\n", time.Since(begin).Seconds())
	return nil
}
