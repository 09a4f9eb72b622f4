#!/usr/bin/env bash
# Runs steps.mjs, 124 steps of nats.js (core, streams, consumers, KV, object
# store), against frond and nats-server, and prints in what their transcripts
# differ: nothing is right. Needs node and npm; no part of make test.
#
#     cmd/interop/natsjs/run.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
(cd "$here/../../.." && go build -o "$dir/frond" ./cmd/frond)
(cd "$here/.." && go build -o "$dir/nats-server" github.com/nats-io/nats-server/v2)
cp "$here/steps.mjs" "$dir"
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @nats-io/transport-node@3.4.0 @nats-io/jetstream@3.4.0 @nats-io/kv@3.4.0 @nats-io/obj@3.4.0 >/dev/null
for server in frond nats-server; do
  printf 'host: 127.0.0.1, port: -1\njetstream { store_dir: "%s/%s.d" }\n' "$dir" "$server" >"$server.conf"
  "./$server" -c "$server.conf" >"$server.log" 2>&1 &
  pids+=($!)
  for _ in $(seq 100); do
    url=$(sed -n 's/.*Listening for client connections on /nats:\/\//p' "$server.log")
    [ -z "$url" ] || break
    sleep 0.1
  done
  [ -n "$url" ] || { cat "$server.log"; exit 1; }
  node steps.mjs "$url" >"$server.txt"
done
wc -l <frond.txt
diff nats-server.txt frond.txt
