#!/usr/bin/env bash
# nats-server 2.15.3: in a bucket with LimitMarkerTTL, whose watchers are told of keys that ended, and a history of
# more than one, a key created with a shorter lifetime than the marker's gets the marker's: the server
# rewrites the Nats-TTL of the message and acknowledges it. A lease of a second on a pump, in a bucket
# that keeps markers for an hour, holds for an hour, and nothing but the stored header says so.
# With a history of 1 the lifetime is what was asked for.
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
	for _, history := range []uint8{1, 2} {
		bucket := fmt.Sprintf("pumps%d", history)
		kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket, History: history, LimitMarkerTTL: time.Hour})
		check(err)
		seq, err := kv.Create(ctx, "pump", []byte("gate 1"), jetstream.KeyTTL(time.Second))
		check(err)
		stream, err := js.Stream(ctx, "KV_"+bucket)
		check(err)
		m, err := stream.GetMsg(ctx, seq)
		check(err)
		time.Sleep(4 * time.Second)
		_, err = kv.Get(ctx, "pump")
		fmt.Printf("history %d: asked for 1s, Nats-TTL is %s, after 4 s: %v\n", history, m.Header.Get("Nats-TTL"), err)
	}
}
GO
go run . | tee said
cat >want <<'WANT'
history 1: asked for 1s, Nats-TTL is 1s, after 4 s: nats: key not found
history 2: asked for 1s, Nats-TTL is 3600, after 4 s: <nil>
WANT
cmp said want
