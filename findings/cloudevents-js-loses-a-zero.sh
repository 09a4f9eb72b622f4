#!/usr/bin/env bash
# cloudevents 10.0.0 (npm): an event in structured mode over HTTP, whose data is the number 0, false or "", all of them
# JSON values that the format may carry (CloudEvents JSON format 1.0.2, 3.1.1), is read by HTTP.toEvent as an event without
# data, with no error; 21.5 and true come through. A valve that closes and a thermometer at the freezing point are
# events of nothing. MQTT.toEvent reads all of them. In binary mode a number comes as its text: "0", and "21.5" + 1 is
# "21.51". The library itself writes such events.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund cloudevents@10.0.0 >/dev/null
cat > run.js <<'JS'
const { HTTP, MQTT, CloudEvent } = require('cloudevents')
const show = value => value === undefined ? 'no data' : JSON.stringify(value)
for (const data of [0, false, '', 21.5, true]) {
  const event = new CloudEvent({ id: '1', source: '/valve', type: 'reading', data })
  const message = HTTP.structured(event)
  console.log('sent', JSON.stringify(JSON.parse(message.body).data), 'HTTP', show(HTTP.toEvent(message).data),
    'MQTT', show(MQTT.toEvent(MQTT.structured(event)).data))
}
const headers = { 'ce-id': '1', 'ce-source': '/valve', 'ce-type': 'reading', 'ce-specversion': '1.0', 'content-type': 'application/json' }
for (const body of ['0', '21.5', '{"t":0}']) console.log('binary mode', body, 'HTTP', show(HTTP.toEvent({ headers, body }).data))
JS
node run.js | tee said
cat >want <<'WANT'
sent 0 HTTP no data MQTT 0
sent false HTTP no data MQTT false
sent "" HTTP no data MQTT ""
sent 21.5 HTTP 21.5 MQTT 21.5
sent true HTTP true MQTT true
binary mode 0 HTTP "0"
binary mode 21.5 HTTP "21.5"
binary mode {"t":0} HTTP {"t":0}
WANT
cmp said want
