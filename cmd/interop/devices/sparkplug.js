// An edge node and its device by sparkplug-client, and a host by MQTT.js that reads
// payloads with sparkplug-payload. Prints what the host sees; the caller compares two
// brokers.
const path = require('path')
const mqtt = require('mqtt')
const sparkplug = require('sparkplug-client')
const beside = name => require(require.resolve(name, { paths: [path.dirname(require.resolve('sparkplug-client'))] }))
const payloads = beside('sparkplug-payload').get('spBv1.0')
const [host, port] = process.argv.slice(2)
const url = `mqtt://${host}:${port}`

const within = (what, promise) => Promise.race([
  promise, new Promise((_, no) => setTimeout(() => no(new Error('waited for ' + what)), 15000).unref())])
const once = (emitter, name) => within(name, new Promise(resolve => emitter.once(name, (...args) => resolve(args))))

function nodeOf (clientId, more = {}) {
  return sparkplug.newClient({ serverUrl: url, username: '', password: '', groupId: 'Plant', edgeNode: 'N1', clientId, version: 'spBv1.0', keepalive: 30, mqttOptions: { reconnectPeriod: 0 }, ...more })
}

const birth = value => ({ timestamp: 1700000000000, metrics: [{ name: 'temp', type: 'Float', value }] })

async function main () {
  const h = mqtt.connect(url, { clientId: 'host' })
  await once(h, 'connect')
  const got = []
  let wake = () => {}
  h.on('message', (topic, payload, packet) => {
    const m = payloads.decodePayload(payload)
    const metrics = (m.metrics || []).map(x => `${x.name}=${x.value}`).join(' ')
    got.push(`${topic} ${packet.qos} ${packet.retain} seq=${m.seq} ${metrics}`)
    wake()
  })
  const sees = async n => {
    while (got.length < n) await within(`${n} messages, has ${got}`, new Promise(resolve => { wake = resolve }))
    for (const text of got.splice(0, n)) console.log('  ' + text)
  }
  await h.subscribeAsync('spBv1.0/#', { qos: 1 })

  const n = nodeOf('N1')
  await once(n, 'birth')
  n.publishNodeBirth(birth(20.5))
  n.publishDeviceBirth('D1', birth(1))
  n.publishNodeData(birth(21.5))
  n.publishDeviceData('D1', birth(2))
  console.log('births and data')
  await sees(4)

  const asked = once(n, 'ncmd')
  // Its subscriptions are not told of: it is asked until it hears.
  const command = payloads.encodePayload({ timestamp: 1, metrics: [{ name: 'Node Control/Rebirth', type: 'Boolean', value: true }] })
  const again = setInterval(() => h.publish('spBv1.0/Plant/NCMD/N1', Buffer.from(command)), 200)
  const [order] = await asked
  clearInterval(again)
  await h.unsubscribeAsync('spBv1.0/#')
  console.log('a command', order.metrics[0].name, order.metrics[0].value)
  got.length = 0
  await h.subscribeAsync('spBv1.0/#', { qos: 1 })

  // The node comes again where it is connected still: its older self dies first.
  const closed = once(n, 'close')
  const anew = nodeOf('N1')
  await once(anew, 'birth')
  anew.publishNodeBirth(birth(22.5))
  console.log('a takeover')
  await sees(2)
  await closed

  // It is cut, and another node of that name comes.
  anew.client.stream.destroy()
  console.log('a cut')
  await sees(1)
  const last = nodeOf('N1', { publishDeath: true })
  await once(last, 'birth')
  last.publishNodeBirth(birth(23.5))
  last.stop()
  console.log('a birth, and a death by its own word')
  await sees(2)
  await h.endAsync()
}

main().then(() => process.exit(0), err => { console.log(err); process.exit(1) })
