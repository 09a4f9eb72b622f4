#!/usr/bin/env bash
# mosquitto_rr 2.0.11 (Debian 12), the command for MQTT 5's request and response: it prints
# the first message on its response topic, whatever the correlation data in it. Two
# scripts at once with one response topic, each with correlation data of its own, both
# print the answer that comes first, and both end with 0: one of them has the
# other's answer. Only a response topic for each request tells them apart.
# Needs apt (Debian 12), python3, gcc, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/mosquitto.lib"
( cd "$dir" && npm init -y >/dev/null && npm install --silent --no-audit --no-fund mqtt@5.16.0 >/dev/null )
start ''
cat >"$dir/responder.js" <<'JS'
// Answers two requests, once both are there, with the correlation data of each.
const client = require('mqtt').connect('mqtt://127.0.0.1:' + process.argv[2], { protocolVersion: 5 })
const held = []
client.on('connect', () => client.subscribe('request', () => console.log('READY')))
client.on('message', async (topic, payload, packet) => {
  held.push([payload, packet.properties])
  if (held.length === 2) console.log('BOTH ' + held.map(h => h[1].correlationData).join(' '))
  if (held.length < 2) return
  for (const [what, { responseTopic, correlationData }] of held) {
    await client.publishAsync(responseTopic, 'answer to ' + what, { qos: 1, properties: { correlationData } })
  }
  client.end()
})
setTimeout(() => process.exit(1), 20000).unref()
JS
node "$dir/responder.js" "$port" >"$dir/responder.log" & responder=$!
for _ in $(seq 100); do grep -q READY "$dir/responder.log" && break; sleep 0.1; done
rr=$dir/root/usr/bin/mosquitto_rr pids=()
for n in one two; do
  timeout 15 "$rr" -p "$port" -V mqttv5 -q 1 -t request -e response -m "$n" -D publish correlation-data "for-$n" >"$dir/$n" & pids+=($!)
done
codes=; for p in "${pids[@]}"; do wait "$p" && codes+=' 0' || codes+=" $?"; done
wait $responder
one=$(cat "$dir/one") two=$(cat "$dir/two")
echo "mosquitto_rr 2.0.11: one got \"$one\", two got \"$two\", exit codes$codes ($(tail -1 "$dir/responder.log"))"
[ "$one" = "$two" ] && [ -n "$one" ] && [ "$codes" = ' 0 0' ]
