#!/usr/bin/env bash
# mqtt-jsonl-store 0.2.1 (npm), which keeps what MQTT.js has not yet had acknowledged
# over a restart: a payload given as a Buffer is written as JSON and comes back, after the
# restart for which the store exists, as a plain object {type: "Buffer", data: [...]},
# which MQTT.js cannot send. Strings are fine, and so is everything until the restart.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund mqtt-jsonl-store@0.2.1 >/dev/null
mkdir store
cat > run.js <<'JS'
const { Manager } = require('mqtt-jsonl-store')
const put = (store, packet) => new Promise((done, fail) => store.put(packet, e => e ? fail(e) : done()))
const all = store => new Promise((done, fail) => {
  const got = []
  store.createStream().on('data', p => got.push(p)).on('end', () => done(got)).on('error', fail)
})
const kind = p => Buffer.isBuffer(p.payload) ? 'Buffer' : typeof p.payload
const main = async () => {
  let manager = new Manager('store')
  await manager.open()
  await put(manager.outgoing, { cmd: 'publish', messageId: 1, topic: 't', qos: 1, payload: '21.5' })
  await put(manager.outgoing, { cmd: 'publish', messageId: 2, topic: 't', qos: 1, payload: Buffer.from('21.5') })
  const before = (await all(manager.outgoing)).map(kind)
  await manager.close()
  manager = new Manager('store')
  await manager.open()
  const packets = await all(manager.outgoing), after = packets.map(kind)
  await manager.close()
  console.log('mqtt-jsonl-store', require('mqtt-jsonl-store/package.json').version, '- before:', before.join(), 'after:', after.join(), JSON.stringify(packets[1].payload))
  process.exit(before.join() === 'string,Buffer' && after.join() === 'string,object' ? 0 : 1)
}
main()
JS
node run.js
