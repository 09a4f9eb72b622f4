#!/usr/bin/env bash
# nats-server 2.15.3 as MQTT broker with MQTT.js 5.16.0: a space in a topic is valid ("room 1/temp", MQTT 3.1.1, 4.7.3), but
# not in a subject, and the server ends the connection of whoever publishes to one, where 3.1.1 has no
# other answer. At QoS 1 the client keeps the message, comes back and sends it first, so the
# connection ends again, for ever, and what was published behind it waits with it. A
# subscription is refused by itself (0x80), and the connection stays.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/nats-server.lib"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund mqtt@5.16.0 >/dev/null
cat > run.js <<'JS'
const mqtt = require('mqtt')
const main = async () => {
  const client = await mqtt.connectAsync(process.argv[2], { protocolVersion: 4, reconnectPeriod: 100 })
  const refused = await client.subscribeAsync('room 1/#', { qos: 1 }).then(() => 'granted', e => 'refused')
  console.log(`subscription to "room 1/#": ${refused}, still connected: ${client.connected}`)
  let lost = 0, acknowledged = []
  const thrice = new Promise(done => client.on('close', () => { if (++lost === 3) done() }))
  for (const topic of ['room 1/temp', 'room2/temp']) client.publish(topic, '21.5', { qos: 1 }, e => { if (!e) acknowledged.push(topic) })
  await thrice
  console.log(`publication to "room 1/temp": connection lost at least ${lost} times, acknowledged: [${acknowledged}]`)
  process.exit()
}
main()
JS
cat > main.go <<'GO'
package main

import (
	"net"
	"os"
	"os/exec"

	"github.com/nats-io/nats-server/v2/server"
)

func main() {
	opts := &server.Options{ServerName: "hub", JetStream: true, StoreDir: "store"}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	opts.MQTT.Host, opts.MQTT.Port = "127.0.0.1", free.Addr().(*net.TCPAddr).Port
	free.Close()
	srv := start(opts)
	defer srv.Shutdown()
	client := exec.Command("node", "run.js", "mqtt://"+free.Addr().String())
	client.Stdout, client.Stderr = os.Stdout, os.Stderr
	check(client.Run())
}
GO
go run . | tee said
cat >want <<'WANT'
subscription to "room 1/#": refused, still connected: true
publication to "room 1/temp": connection lost at least 3 times, acknowledged: []
WANT
cmp said want
