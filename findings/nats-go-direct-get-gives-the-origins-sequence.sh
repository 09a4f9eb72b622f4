#!/usr/bin/env bash
# nats.go 1.55.0 with nats-server 2.15.3: a stream that keeps what another stream
# republishes holds messages with the headers Nats-Stream, Nats-Subject,
# Nats-Sequence and Nats-Time-Stamp of the place they came from. The answer to a
# direct get appends the same four of the stream that
# was asked, behind them. nats.go takes the first of each name: GetMsg(5) of such a
# stream returns a message that says it is another sequence on another subject,
# without an error, and a program that deletes or goes on by it takes the wrong
# one. Without allow_direct the same call is right.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init get >/dev/null 2>&1
go get github.com/nats-io/nats.go@v1.55.0 github.com/nats-io/nats-server/v2@v2.15.3 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: os.Args[1], NoSigs: true})
	check(err)
	srv.Start()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(10 * time.Second) {
		panic("no server")
	}
	nc, err := nats.Connect(srv.ClientURL())
	check(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	wrong := 0
	for _, direct := range []bool{false, true} {
		kept, plant := fmt.Sprintf("KEPT%v", direct), fmt.Sprintf("plant%v", direct)
		stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: kept, Subjects: []string{"kept." + plant + ".>"}, AllowDirect: direct})
		check(err)
		_, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name: plant, Subjects: []string{plant + ".>"},
			RePublish: &jetstream.RePublish{Source: ">", Destination: "kept.>"},
		})
		check(err)
		for range 4 { // the sequences of the two streams differ
			_, err = js.Publish(ctx, "kept."+plant+".other", nil)
			check(err)
		}
		_, err = js.Publish(ctx, plant+".boiler", []byte("71.5"))
		check(err)
		for {
			info, err := stream.Info(ctx)
			check(err)
			if info.State.LastSeq == 5 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		m, err := stream.GetMsg(ctx, 5)
		check(err)
		fmt.Printf("allow_direct %-5v asked for 5, got %q as sequence %d on %s\n", direct, m.Data, m.Sequence, m.Subject)
		if direct && m.Sequence != 5 && string(m.Data) == "71.5" {
			wrong++
		}
		if !direct && m.Sequence != 5 {
			panic("without allow_direct too")
		}
	}
	if wrong == 0 {
		fmt.Println("it is right now")
		os.Exit(1)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . "$dir/store"
