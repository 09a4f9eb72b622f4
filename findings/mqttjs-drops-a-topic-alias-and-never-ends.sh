#!/usr/bin/env bash
# MQTT.js 5.16.0: a publication of QoS 1 with the property topicAlias, to a broker
# that announces no Topic Alias Maximum (which means 0), is neither sent nor
# refused: its callback is never called, no error event comes, and end() without
# force waits for it for ever. The topic was given as well, so it could have gone
# without the alias. With a Topic Alias Maximum all is well. A program that awaits
# publishAsync() hangs at brokers without aliases, and at no other.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund mqtt@5.16.0 mqtt-packet@9.0.2 >/dev/null
cat > run.js <<'JS'
const net = require('net'), packet = require('mqtt-packet'), mqtt = require('mqtt')

// A publication with an alias, to a broker that announces so many.
function run(topicAliasMaximum) {
  return new Promise(done => {
    const seen = { announced: topicAliasMaximum || 0, sent: 0, callback: 0, errors: 0, ended: false }
    const broker = net.createServer(socket => {
      const parser = packet.parser({ protocolVersion: 5 })
      const answer = p => socket.write(packet.generate(p, { protocolVersion: 5 }))
      parser.on('packet', p => {
        if (p.cmd === 'connect') answer({ cmd: 'connack', reasonCode: 0, sessionPresent: false, properties: topicAliasMaximum ? { topicAliasMaximum } : {} })
        if (p.cmd === 'publish') { seen.sent++; answer({ cmd: 'puback', messageId: p.messageId, reasonCode: 0 }) }
      })
      socket.on('error', () => {})
      socket.on('data', d => parser.parse(d))
    })
    broker.listen(0, '127.0.0.1', () => {
      const client = mqtt.connect({ host: '127.0.0.1', port: broker.address().port, protocolVersion: 5, reconnectPeriod: 0 })
      client.on('error', () => seen.errors++)
      client.on('connect', () => {
        client.publish('t', 'x', { qos: 1, properties: { topicAlias: 1 } }, () => seen.callback++)
        setTimeout(() => client.end(false, {}, () => { seen.ended = true }), 500)
      })
      setTimeout(() => { client.end(true); broker.close(); done(seen) }, 3000)
    })
  })
}

(async () => {
  console.log('MQTT.js', require('mqtt/package.json').version)
  const without = await run(0), announced = await run(10)
  for (const r of [without, announced]) console.log(`Topic Alias Maximum ${r.announced}: ${r.sent} sent, ${r.callback} callbacks, ${r.errors} errors, ended: ${r.ended}`)
  process.exit(without.sent + without.callback + without.errors === 0 && !without.ended && announced.callback === 1 && announced.ended ? 0 : 1)
})()
JS
node run.js
