#!/usr/bin/env bash
# node-opcua-basic-types 2.182.0 (npm): what is read of type Int64 or UInt64, the usual one of energy
# meters and piece counters, is neither number nor BigInt but an array of its upper and lower
# 32 bits, so that JSON.stringify publishes [0,5] for 5, and value > limit compares the text
# "0,5": false always. Int64 has halves without sign, -5 is [4294967295,4294967291]. To
# write, numbers are taken too: -5 goes, and -2^40 raises an error.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts node-opcua-basic-types@2.182.0 node-opcua-binary-stream@2.181.0 >/dev/null
cat > run.js <<'JS'
const types = require('node-opcua-basic-types'), { BinaryStream } = require('node-opcua-binary-stream')
const round = (type, value) => {
  const stream = new BinaryStream(16)
  try { types['encode' + type](value, stream) } catch { return 'an error' }
  stream.rewind()
  return types['decode' + type](stream)
}
for (const [type, value] of [['UInt32', 5], ['UInt64', 5], ['UInt64', 2 ** 40], ['Int64', -5], ['Int64', -(2 ** 40)]]) {
  const got = round(type, value)
  console.log(`${type} ${value}: ${JSON.stringify(got)}, more than -9 ${got > -9}`)
}
JS
node run.js | tee said
cat >want <<'WANT'
UInt32 5: 5, more than -9 true
UInt64 5: [0,5], more than -9 false
UInt64 1099511627776: [256,0], more than -9 false
Int64 -5: [4294967295,4294967291], more than -9 false
Int64 -1099511627776: "an error", more than -9 false
WANT
cmp said want
