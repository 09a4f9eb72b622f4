#!/usr/bin/env bash
# sparkplug-client 3.2.4 (npm, of Eclipse Tahu): bdSeq of the birth and of the will
# tells a host which life of a node a death ends (Sparkplug 3.0: it grows by one with
# each CONNECT, and the death is a will with QoS 1). The client sends 0 in every life,
# also over its own reconnects, and the will with QoS 0: a death that comes late is
# that of the node which was just born. And an application that keeps its birth as one
# object finds one bdSeq more in it with each birth, and sends them all.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund sparkplug-client@3.2.4 sparkplug-payload@1.0.3 mqtt-packet@9.0.2 >/dev/null
cat > run.js <<'JS'
const net = require('net'), packet = require('mqtt-packet')
const payloads = require('sparkplug-payload').get('spBv1.0')
const bdSeq = b => payloads.decodePayload(b).metrics.filter(m => m.name === 'bdSeq').map(m => Number(m.value))
const lives = []
const broker = net.createServer(socket => {
  const parser = packet.parser({ protocolVersion: 4 })
  parser.on('packet', p => {
    if (p.cmd === 'connect') {
      lives.push({ will: bdSeq(p.will.payload), qos: p.will.qos })
      socket.write(packet.generate({ cmd: 'connack', returnCode: 0, sessionPresent: false }))
    }
    if (p.cmd === 'subscribe') socket.write(packet.generate({ cmd: 'suback', messageId: p.messageId, granted: p.subscriptions.map(() => 0) }))
    if (p.cmd === 'publish' && p.topic.includes('/NBIRTH/')) {
      lives.at(-1).birth = bdSeq(p.payload)
      socket.destroy() // the network: the client connects again
      if (lives.length === 3) end()
    }
  })
  socket.on('error', () => {})
  socket.on('data', d => parser.parse(d))
})
const birth = { timestamp: 1700000000000, metrics: [{ name: 'temp', type: 'Float', value: 20.5 }] }
broker.listen(0, '127.0.0.1', () => {
  const node = require('sparkplug-client').newClient({
    serverUrl: 'mqtt://127.0.0.1:' + broker.address().port, username: '', password: '', groupId: 'G', edgeNode: 'N', clientId: 'N', version: 'spBv1.0', mqttOptions: { reconnectPeriod: 50 }
  })
  node.on('birth', () => node.publishNodeBirth(birth))
})
function end () {
  console.log('sparkplug-client', require('sparkplug-client/package.json').version)
  lives.forEach((l, i) => console.log(`life ${i + 1}: bdSeq of the will ${l.will}, its QoS ${l.qos}; bdSeq of the birth ${JSON.stringify(l.birth)}`))
  process.exit(lives.every(l => l.will[0] === 0 && l.qos === 0 && l.birth.every(n => n === 0)) && lives[2].birth.length === 3 ? 0 : 1)
}
setTimeout(() => { console.log('not in time', lives); process.exit(1) }, 20000)
JS
node run.js
