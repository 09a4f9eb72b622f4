#!/usr/bin/env bash
# nats.go 1.55.0 with nats-server 2.15.3: Create of a key takes a lifetime, for leases and "I am here"; Update
# and Put take none, and what they store has none. A holder that renews its lease by Update, the
# call that checks the revision, makes it last for ever: after a crash nobody else
# ever gets it. To renew with a lifetime there is only a publication of one's own, with the
# headers Nats-TTL and Nats-Expected-Last-Subject-Sequence.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init renew >/dev/null 2>&1
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
	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "leases", LimitMarkerTTL: time.Second})
	check(err)
	for _, key := range []string{"left", "renewed", "published"} {
		revision, err := kv.Create(ctx, key, []byte("gate 1"), jetstream.KeyTTL(time.Second))
		check(err)
		switch key {
		case "renewed":
			_, err = kv.Update(ctx, key, []byte("gate 1"), revision)
		case "published":
			_, err = js.Publish(ctx, "$KV.leases."+key, []byte("gate 1"), jetstream.WithMsgTTL(time.Second), jetstream.WithExpectLastSequencePerSubject(revision))
		}
		check(err)
	}
	time.Sleep(5 * time.Second)
	for _, key := range []string{"left", "renewed", "published"} {
		_, err := kv.Create(ctx, key, []byte("gate 2"), jetstream.KeyTTL(time.Second))
		fmt.Printf("%s: another takes the lease of 1 s after 5 s: %v\n", key, err == nil)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . "$dir/store" | tee said
cat >want <<'WANT'
left: another takes the lease of 1 s after 5 s: true
renewed: another takes the lease of 1 s after 5 s: false
published: another takes the lease of 1 s after 5 s: true
WANT
cmp said want
