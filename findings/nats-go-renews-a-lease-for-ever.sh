#!/usr/bin/env bash
# nats.go 1.55.0 with nats-server 2.15.3: Create of a key takes a lifetime, for leases and "I am here"; Update
# and Put take none, and what they store has none. A holder that renews its lease by Update, the
# call that checks the revision, makes it last for ever: after a crash nobody else
# ever gets it. To renew with a lifetime there is only a publication of one's own, with the
# headers Nats-TTL and Nats-Expected-Last-Subject-Sequence.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/nats-server.lib"
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	withStreams(use)
}

func use(ctx context.Context, js jetstream.JetStream) {
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
go run . | tee said
cat >want <<'WANT'
left: another takes the lease of 1 s after 5 s: true
renewed: another takes the lease of 1 s after 5 s: false
published: another takes the lease of 1 s after 5 s: true
WANT
cmp said want
