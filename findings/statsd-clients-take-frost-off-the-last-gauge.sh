#!/usr/bin/env bash
# hot-shots 17.1.1, node-statsd 0.1.1 (npm) and cactus/go-statsd-client 5.1.0 with statsd 0.9.0: in
# StatsD's text a gauge with a sign is a change of the last value, so one below zero cannot be set
# but by setting 0 first. None of the three does so: gauge(20), gauge(-5), as a cold room's
# thermometer goes, leaves 15 at the server, and the next -5 leaves 10. Above zero all is well.
# Needs go, node, npm and python3.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --omit=optional statsd@0.9.0 hot-shots@17.1.1 node-statsd@0.1.1 >/dev/null
go mod init frost >/dev/null 2>&1
go get github.com/cactus/go-statsd-client/v5@v5.1.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"os"

	"github.com/cactus/go-statsd-client/v5/statsd"
)

func main() {
	client, err := statsd.NewClientWithConfig(&statsd.ClientConfig{Address: os.Args[1]})
	if err != nil {
		panic(err)
	}
	for _, v := range []int64{20, -5, -5} {
		if err := client.Gauge("cactus", v, 1); err != nil {
			panic(err)
		}
	}
}
GO
go mod tidy >/dev/null 2>&1
go build -o cactus .
read -r port admin < <(python3 -c 'import socket
s = [socket.socket(socket.AF_INET, k) for k in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
for x in s: x.bind(("127.0.0.1", 0))
print(*[x.getsockname()[1] for x in s])')
echo "{ port: $port, address: '127.0.0.1', mgmt_port: $admin, mgmt_address: '127.0.0.1', backends: ['./backends/console'], flushInterval: 3600000 }" >config.js
node node_modules/statsd/stats.js config.js >/dev/null 2>&1 & server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true; rm -rf "$dir"' EXIT
ask() { python3 -c 'import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5); s.sendall(b"gauges\n"); got = b""
while b"END" not in got: got += s.recv(4096)
print(got.decode())' "$admin"; }
for _ in $(seq 100); do ask >/dev/null 2>&1 && break; sleep 0.1; done
cat > run.js <<'JS'
const port = +process.argv[2], host = '127.0.0.1'
const HotShots = require('hot-shots'), NodeStatsd = require('node-statsd')
const sent = (c, name, v) => new Promise((done, failed) => c.gauge(name, v, e => e ? failed(e) : done()))
const main = async () => {
  for (const [name, c] of [['hot-shots', new HotShots({ host, port })], ['node-statsd', new NodeStatsd({ host, port })]]) {
    for (const v of [20, -5, -5]) await sent(c, name, v)
    c.close()
  }
}
main()
JS
node run.js "$port"
./cactus "127.0.0.1:$port"
echo 'gauges after 20, -5 and -5: cactus: 10 hot-shots: 10 node-statsd: 10' >want
for _ in $(seq 50); do
  echo "gauges after 20, -5 and -5:" $(ask | grep -o "['\"]*\(hot-shots\|node-statsd\|cactus\)['\"]*: [-0-9.]*" | tr -d "'\"" | sort) >said
  cmp -s said want && break
  sleep 0.1
done
cat said
cmp said want
