#!/usr/bin/env bash
# @nats-io/kv 3.4.0: get() of a key that never was is null, of one that was deleted or purged it is an
# entry with an empty value, of which only `operation` says DEL or PURGE. nats.go 1.55.0 returns
# ErrKeyNotFound for all three. "if (entry === null) use the default" so finds a setting that is "" once
# somebody has deleted it, entry.json() raises an error, and a device in Go beside it takes its
# default. keys() of both leave it out.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/nats-server.lib"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @nats-io/transport-node@3.4.0 @nats-io/kv@3.4.0 >/dev/null
cat > run.js <<'JS'
const { connect } = require('@nats-io/transport-node'), { Kvm } = require('@nats-io/kv')
connect({ servers: process.argv[2] }).then(async nc => {
  const kv = await new Kvm(nc).create('settings')
  for (const key of ['kept', 'deleted', 'purged']) await kv.put(key, '{"every":5}')
  await kv.delete('deleted')
  await kv.purge('purged')
  for (const key of ['kept', 'deleted', 'purged', 'never']) {
    const entry = await kv.get(key)
    let json = 'null'
    if (entry) try { json = JSON.stringify(entry.json()) } catch (e) { json = 'an error' }
    console.log(`${key}: @nats-io/kv ${entry && entry.operation} of ${entry && entry.length} bytes, json() ${json}`)
  }
  const keys = []
  for await (const key of await kv.keys()) keys.push(key)
  console.log(`keys(): ${keys}`)
  await nc.close()
})
JS
cat > main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	s := start(&server.Options{JetStream: true, StoreDir: "store"})
	defer s.Shutdown()
	cmd := exec.CommandContext(ctx, "node", "run.js", s.ClientURL())
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	check(cmd.Run())
	nc, err := nats.Connect(s.ClientURL())
	check(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	check(err)
	kv, err := js.KeyValue(ctx, "settings")
	check(err)
	for _, key := range []string{"kept", "deleted", "purged", "never"} {
		_, err := kv.Get(ctx, key)
		fmt.Printf("%s: nats.go not found %t\n", key, errors.Is(err, jetstream.ErrKeyNotFound))
	}
}
GO
timeout 100 go run . | tee said
cat >want <<'WANT'
kept: @nats-io/kv PUT of 11 bytes, json() {"every":5}
deleted: @nats-io/kv DEL of 0 bytes, json() an error
purged: @nats-io/kv PURGE of 0 bytes, json() an error
never: @nats-io/kv null of null bytes, json() null
keys(): kept
kept: nats.go not found false
deleted: nats.go not found true
purged: nats.go not found true
never: nats.go not found true
WANT
cmp said want
