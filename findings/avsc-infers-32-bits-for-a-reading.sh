#!/usr/bin/env bash
# avsc 5.7.9 (npm): Type.forValue, which makes a schema from a sample, takes "float" for a number
# that is not whole. JavaScript's numbers have 64 bits and Avro has "double" for them; float
# keeps 24 bits, and what it cuts off is gone without an error: a meter of 1234567.89 kWh reads
# 1234567.875, a longitude moves by up to 0.4 m. A sample that happens to be whole makes "int", and
# then each reading with a fraction is refused. Take "double" by typeHook, or write the schema.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund avsc@5.7.9 >/dev/null
cat > run.js <<'JS'
const { Type } = require('avsc')
const reading = { lon: 108.5416947, kwh: 1234567.89 }
const type = Type.forValue(reading)
console.log(type.fields.map(f => `${f.name} ${f.type.typeName}`).join(', '), JSON.stringify(type.fromBuffer(type.toBuffer(reading))))
const whole = Type.forValue({ lon: 108 })
let refused = 'written'
try { whole.toBuffer({ lon: 108.5 }) } catch (e) { refused = 'an error' }
console.log(`a sample of 108 makes ${whole.fields[0].type.typeName}; 108.5 is ${refused}`)
JS
node run.js | tee said
cat >want <<'WANT'
lon float, kwh float {"lon":108.54169464111328,"kwh":1234567.875}
a sample of 108 makes int; 108.5 is an error
WANT
cmp said want
