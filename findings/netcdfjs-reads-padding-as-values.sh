#!/usr/bin/env bash
# netcdfjs 4.0.0 (npm): in a NetCDF classic file what is recorded over time lies record by record, and the part of each variable
# in a record is padded to four bytes (File Format Specification: vsize), so that a short has two bytes of nothing
# behind it. getDataVariable takes the padding for a second value: a variable of one short per record
# comes as pairs, [100, 0], or in a byte's case four, where int and double are right, one value for
# each record. No error is raised; a weather station's humidity is half of the time 0.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund netcdfjs@4.0.0 >/dev/null
cat > run.js <<'JS'
const { NetCDFReader } = require('netcdfjs')
const int = n => { const b = Buffer.alloc(4); b.writeInt32BE(n); return b }
const padded = b => Buffer.concat([b, Buffer.alloc((4 - b.length % 4) % 4)])
const name = s => Buffer.concat([int(s.length), padded(Buffer.from(s))])
const none = Buffer.concat([int(0), int(0)])

// One dimension, time, without a bound; three variables along it, of type byte (1), short (3) and int (4).
const records = [[1, 100, 1000], [2, 200, 2000], [3, 300, 3000]]
function header(begin) {
  const variable = (label, type, i) => [name(label), int(1), int(0), none, int(type), int(4), int(begin + 4 * i)]
  return Buffer.concat([Buffer.from('CDF\x01'), int(records.length), int(10), int(1), name('time'), int(0), none,
    int(11), int(3), ...variable('state', 1, 0), ...variable('humidity', 3, 1), ...variable('pressure', 4, 2)].flat())
}
const data = records.map(([state, humidity, pressure]) => {
  const short = Buffer.alloc(2)
  short.writeInt16BE(humidity)
  return Buffer.concat([padded(Buffer.from([state])), padded(short), int(pressure)])
})
const reader = new NetCDFReader(Buffer.concat([header(header(0).length), ...data]))
for (const label of ['state', 'humidity', 'pressure']) console.log(label, JSON.stringify(reader.getDataVariable(label)))
JS
node run.js | tee said
cat >want <<'WANT'
state [[1,0,0,0],[2,0,0,0],[3,0,0,0]]
humidity [[100,0],[200,0],[300,0]]
pressure [1000,2000,3000]
WANT
cmp said want
