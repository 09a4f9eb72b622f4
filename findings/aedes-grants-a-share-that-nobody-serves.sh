#!/usr/bin/env bash
# aedes 1.2.0: a shared subscription ($share/GROUP/FILTER) from a 3.1.1 client, as
# mosquitto and others serve it, is granted in the SUBACK with its QoS, and then
# taken for a topic of that spelling: nothing is ever delivered. A refusal (0x80)
# would have told.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund aedes@1.2.0 mqtt@5.16.0 >/dev/null
cat > run.js <<'JS'
const net = require('net'), mqtt = require('mqtt'), { Aedes } = require('aedes')
const main = async () => {
  const broker = await Aedes.createBroker()
  const server = net.createServer(broker.handle)
  await new Promise(done => server.listen(0, '127.0.0.1', done))
  const url = 'mqtt://127.0.0.1:' + server.address().port
  const shared = await mqtt.connectAsync(url), plain = await mqtt.connectAsync(url)
  let viaShare = 0, viaPlain = 0
  shared.on('message', () => viaShare++)
  const last = new Promise(done => plain.on('message', () => { if (++viaPlain === 10) done() }))
  const [granted] = await shared.subscribeAsync('$share/workers/jobs', { qos: 1 })
  await plain.subscribeAsync('jobs', { qos: 1 })
  for (let i = 0; i < 10; i++) await plain.publishAsync('jobs', String(i), { qos: 1 })
  await last
  await new Promise(done => setTimeout(done, 1000))
  console.log('aedes', JSON.parse(require('fs').readFileSync('node_modules/aedes/package.json')).version)
  console.log(`share granted with QoS ${granted.qos}; of 10 messages ${viaPlain} came to the plain subscriber, ${viaShare} to the shared one`)
  process.exit(granted.qos === 1 && viaPlain === 10 && viaShare === 0 ? 0 : 1)
}
main()
JS
node run.js
