#!/usr/bin/env bash
# MQTT.js 5.16.0: the Receive Maximum of a broker's CONNACK (MQTT 5, 3.2.2.3.3)
# bounds how many QoS 1 and 2 publications may be without an acknowledgement.
# The client reads the property and sends as many as it is given all the same, so
# a broker that enforces its own number with DISCONNECT 0x93 cuts a client that
# its own standard library of the web made break the rule.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund mqtt@5.16.0 mqtt-packet@9.0.2 >/dev/null
cat > run.js <<'JS'
const net = require('net'), packet = require('mqtt-packet'), mqtt = require('mqtt')
const maximum = 10
let inFlight = 0, told
const broker = net.createServer(socket => {
  const parser = packet.parser({ protocolVersion: 5 })
  parser.on('packet', p => {
    if (p.cmd === 'connect') {
      socket.write(packet.generate({ cmd: 'connack', reasonCode: 0, sessionPresent: false, properties: { receiveMaximum: maximum } }, { protocolVersion: 5 }))
    }
    if (p.cmd === 'publish') inFlight++ // and no PUBACK, ever
  })
  socket.on('error', () => {})
  socket.on('data', d => parser.parse(d))
})
broker.listen(0, '127.0.0.1', () => {
  const client = mqtt.connect({ host: '127.0.0.1', port: broker.address().port, protocolVersion: 5 })
  client.on('connect', connack => {
    told = connack.properties && connack.properties.receiveMaximum
    for (let i = 0; i < 100; i++) client.publish('t', String(i), { qos: 1 })
  })
  setTimeout(() => {
    console.log('MQTT.js', require('mqtt/package.json').version)
    console.log(`Receive Maximum ${told} as the client shows it; ${inFlight} of 100 publications sent without a PUBACK`)
    process.exit(told === maximum && inFlight > maximum ? 0 : 1)
  }, 2000)
})
JS
node run.js
