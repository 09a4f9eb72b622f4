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
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/nats-server.lib"
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	withStreams(use)
}

func use(ctx context.Context, js jetstream.JetStream) {
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
go run .
