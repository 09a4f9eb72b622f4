#!/usr/bin/env bash
# nats-server 2.15.3: a publication whose acknowledgement was lost is sent again with the same Nats-Msg-Id and
# acknowledged as a duplicate. With an expected last sequence as well (of the stream or the subject, as
# a KV update has it), that is checked first, and the first try has made it wrong: what was stored
# is refused as "wrong last sequence", and a gateway on a bad link gives up, or takes its own write
# for another's. With an expected last message id the id is looked at first.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init retry >/dev/null 2>&1
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
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "SET", Subjects: []string{"set.>"}})
	check(err)
	twice := func(name, subject string, options ...jetstream.PublishOpt) {
		options = append(options, jetstream.WithMsgID(name))
		first, err := js.Publish(ctx, subject, []byte("on"), options...)
		check(err)
		again, err := js.Publish(ctx, subject, []byte("on"), options...)
		fmt.Printf("%s: stored as %d, again: duplicate %v, error %v\n", name, first.Sequence, err == nil && again.Duplicate, err)
	}
	twice("id alone", "set.pump")
	twice("last of the stream", "set.pump", jetstream.WithExpectLastSequence(1))
	twice("last of the subject", "set.pump", jetstream.WithExpectLastSequencePerSubject(2))
	twice("last id", "set.pump", jetstream.WithExpectLastMsgID("last of the subject"))
}
GO
go mod tidy >/dev/null 2>&1
go run . "$dir/store" | tee said
cat >want <<'WANT'
id alone: stored as 1, again: duplicate true, error <nil>
last of the stream: stored as 2, again: duplicate false, error nats: nats: API error: code=400 err_code=10071 description=wrong last sequence: 2
last of the subject: stored as 3, again: duplicate false, error nats: nats: API error: code=400 err_code=10071 description=wrong last sequence: 3
last id: stored as 4, again: duplicate true, error <nil>
WANT
cmp said want
