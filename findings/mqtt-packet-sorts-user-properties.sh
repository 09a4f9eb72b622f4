#!/usr/bin/env bash
# mqtt-packet 9.0.2 (npm, the codec of MQTT.js and aedes): user properties of MQTT 5 are a list; a name may
# come twice, and who forwards a message must keep their order (3.3.2.3.7). They are parsed into a
# plain object: names that look like whole numbers come first, by size, and a name that comes again
# moves up to its first place. A bridge that parses and generates so changes a
# chain of "via" entries, or a text that a signature over the properties was made of.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund mqtt-packet@9.0.2 >/dev/null
cat > run.js <<'JS'
const mqtt = require('mqtt-packet')
const text = s => Buffer.concat([Buffer.from([s.length >> 8, s.length & 255]), Buffer.from(s)])
const pairs = [['via', 'gate'], ['20', 'temp'], ['via', 'plant'], ['3', 'unit']]
const properties = Buffer.concat(pairs.flatMap(([k, v]) => [Buffer.from([0x26]), text(k), text(v)]))
const body = Buffer.concat([text('t'), Buffer.from([properties.length]), properties, Buffer.from('21.5')])
const wire = Buffer.concat([Buffer.from([0x30, body.length]), body])
const parser = mqtt.parser({ protocolVersion: 5 })
parser.on('packet', packet => {
  const again = mqtt.generate(packet, { protocolVersion: 5 })
  console.log('comes in as ', pairs.join(' '))
  console.log('is parsed to', JSON.stringify(packet.properties.userProperties))
  const seen = []
  for (let at = 6; again[at] === 0x26;) {
    const read = () => { const n = again.readUInt16BE(at); at += 2 + n; return again.toString('utf8', at - n, at) }
    at++
    seen.push([read(), read()])
  }
  console.log('goes out as ', seen.join(' '))
})
parser.parse(wire)
JS
node run.js | tee said
cat >want <<'WANT'
comes in as  via,gate 20,temp via,plant 3,unit
is parsed to {"3":"unit","20":"temp","via":["gate","plant"]}
goes out as  3,unit 20,temp via,gate via,plant
WANT
cmp said want
