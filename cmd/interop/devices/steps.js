// Steps of a device and a program behind it, by MQTT.js. Prints what was seen; the
// caller compares two brokers.
const mqtt = require('mqtt')
const [host, port] = process.argv.slice(2)

const within = (what, promise) => Promise.race([
  promise, new Promise((_, no) => setTimeout(() => no(new Error('waited for ' + what)), 15000).unref())])

async function connect (clientId, options = {}) {
  const c = mqtt.connect(`mqtt://${host}:${port}`, { clientId, reconnectPeriod: 0, ...options })
  const got = []
  let wake = () => {}
  c.on('message', (topic, payload, packet) => {
    const p = packet.properties || {}
    let text = `${topic} ${packet.qos} ${packet.retain} ${payload}`
    for (const k of ['userProperties', 'responseTopic', 'correlationData', 'contentType']) {
      if (p[k] !== undefined) text += ` ${k}=${k === 'correlationData' ? p[k].toString('hex') : JSON.stringify(p[k])}`
    }
    got.push(text)
    wake()
  })
  c.gets = async n => {
    while (got.length < n) await within(`${n} messages of ${clientId}, has ${got}`, new Promise(resolve => { wake = resolve }))
    for (const text of got.splice(0, n)) console.log('  ' + text)
  }
  const connack = await within('CONNACK of ' + clientId, new Promise((resolve, reject) => { c.once('connect', resolve); c.once('error', reject) }))
  console.log('connected', clientId, connack.sessionPresent)
  return c
}

const subscribe = async (c, topic, options) => {
  for (const g of await within('SUBACK', c.subscribeAsync(topic, options))) console.log('granted', g.topic, g.qos)
}

async function main () {
  for (const protocolVersion of [3, 4, 5]) {
    const at = `js/${protocolVersion}`
    const of = protocolVersion === 3 ? { protocolId: 'MQIsdp', protocolVersion } : { protocolVersion }
    const kept = { ...of, clean: false, ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 600 } } : {}) }
    let k = await connect(`kept-${protocolVersion}`, kept)
    await subscribe(k, at + '/#', { qos: 2 })
    await k.endAsync()
    const p = await connect(`pub-${protocolVersion}`, { ...of, will: { topic: at + '/will', payload: 'gone', qos: 2, retain: true } })
    for (const qos of [0, 1, 2]) await within('the acknowledgement', p.publishAsync(`${at}/q${qos}`, `with ${qos}`, { qos }))
    await p.publishAsync(at + '/state', 'on', { qos: 1, retain: true })
    const w = await connect(`watch-${protocolVersion}`, of)
    await subscribe(w, at + '/will', { qos: 1 })
    p.stream.destroy()
    await w.gets(1)
    k = await connect(`kept-${protocolVersion}`, kept)
    await k.gets(4)
    const late = await connect(`late-${protocolVersion}`, of)
    await subscribe(late, at + '/+', { qos: 0 })
    await late.gets(2)
    await late.publishAsync(at + '/state', '', { qos: 1, retain: true })
    for (const c of [k, w, late]) await c.endAsync()
  }
  const ask = await connect('ask', { protocolVersion: 5 })
  const answer = await connect('answer', { protocolVersion: 5 })
  await subscribe(ask, 'js/answers', { qos: 1 })
  await subscribe(answer, 'js/question', { qos: 1 })
  await ask.publishAsync('js/question', 'how warm', { qos: 1, properties: { responseTopic: 'js/answers', correlationData: Buffer.from([1, 2]), contentType: 'text/plain', userProperties: { unit: 'C' } } })
  await answer.gets(1)
  await answer.publishAsync('js/answers', '21', { qos: 1, properties: { correlationData: Buffer.from([1, 2]) } })
  await ask.gets(1)
  for (const c of [ask, answer]) await c.endAsync()
}

main().catch(err => { console.log(err); process.exit(1) })
