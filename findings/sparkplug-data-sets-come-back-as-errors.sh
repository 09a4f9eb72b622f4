#!/usr/bin/env bash
# sparkplug-payload 1.0.3 (npm, of Eclipse Tahu): a DataSet with a column of Int8 to
# Int32, UInt8, UInt16 or DateTime is encoded without complaint and cannot be decoded: the
# decoder raises "Invalid DataSetValue", for the whole payload with all its other
# metrics. The same types are fine as plain metrics. A gateway that sends tables with a
# time in each row, the usual kind, is heard by nobody who uses the same library.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund sparkplug-payload@1.0.3 >/dev/null
cat > run.js <<'JS'
const spb = require('sparkplug-payload').get('spBv1.0')
// Whether a metric comes back from what was encoded.
function decodes(type, value) {
  const bytes = spb.encodePayload({ timestamp: 1700000000000, metrics: [{ name: 'm', type, value }] })
  try { return spb.decodePayload(bytes).metrics[0].value !== null } catch (e) { return !/Invalid DataSetValue/.test(e.message) }
}
const values = { Int8: 5, Int16: 5, Int32: 5, UInt8: 5, UInt16: 5, DateTime: 1700000000000, UInt32: 5, Int64: 5, Double: 5.5, String: 'x', Boolean: true }
const plain = [], cells = []
for (const [type, value] of Object.entries(values)) {
  if (!decodes(type, value)) plain.push(type)
  if (!decodes('DataSet', { numOfColumns: 1, types: [type], columns: ['c'], rows: [[value]] })) cells.push(type)
}
console.log('sparkplug-payload', require('sparkplug-payload/package.json').version)
console.log('not decoded as a metric:', plain.join(' ') || 'none', '| as a column:', cells.join(' '))
process.exit(plain.length === 0 && cells.join(' ') === 'Int8 Int16 Int32 UInt8 UInt16 DateTime' ? 0 : 1)
JS
node run.js
