#!/usr/bin/env bash
# MQTT.js 5.16.0: a client with reconnectPeriod set reconnects for ever after a
# lost connection, but not once after a CONNACK that refuses it, be it one that
# says "for now": return code 3 of MQTT 3.1.1 (server unavailable), reason codes
# 0x88 (server unavailable), 0x89 (server busy) and 0x97 (quota exceeded) of
# MQTT 5. A device that meets a broker which is just starting stays away until
# somebody restarts it. Closing the connection without a CONNACK is what makes it
# come back. (The option reconnectOnConnackError, off by default, changes that.)
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund mqtt@5.16.0 mqtt-packet@9.0.2 >/dev/null
cat > run.js <<'JS'
const net = require('net'), packet = require('mqtt-packet'), mqtt = require('mqtt')

// A broker that answers every CONNECT with one code, or by hanging up.
function attempts(protocolVersion, code) {
  return new Promise(done => {
    let seen = 0
    const broker = net.createServer(socket => {
      const parser = packet.parser({ protocolVersion })
      parser.on('packet', p => {
        if (p.cmd !== 'connect') return
        seen++
        if (code !== null) {
          const answer = protocolVersion === 5
            ? { cmd: 'connack', reasonCode: code, sessionPresent: false, properties: {} }
            : { cmd: 'connack', returnCode: code, sessionPresent: false }
          socket.write(packet.generate(answer, { protocolVersion }))
        }
        socket.end()
      })
      socket.on('error', () => {})
      socket.on('data', d => parser.parse(d))
    })
    broker.listen(0, '127.0.0.1', () => {
      const client = mqtt.connect({ host: '127.0.0.1', port: broker.address().port, protocolVersion, reconnectPeriod: 50 })
      client.on('error', () => {})
      setTimeout(() => { client.end(true); broker.close(); done(seen) }, 2000)
    })
  })
}

(async () => {
  console.log('MQTT.js', require('mqtt/package.json').version)
  let ok = true
  for (const [version, code, name] of [[4, 3, 'server unavailable'], [5, 0x88, 'server unavailable'], [5, 0x89, 'server busy'], [5, 0x97, 'quota exceeded']]) {
    const n = await attempts(version, code)
    console.log(`protocol ${version}, CONNACK 0x${code.toString(16)} (${name}): ${n} CONNECT in 2 s`)
    ok = ok && n === 1
  }
  const n = await attempts(4, null)
  console.log(`hung up without a CONNACK: ${n} CONNECT in 2 s`)
  process.exit(ok && n > 3 ? 0 : 1)
})()
JS
node run.js
