#!/usr/bin/env bash
# protocol-buffers 5.0.0 (npm): an int32 below zero has ten bytes on the wire, as from every protoc.
# decode makes 18446744069414584000 of -5, and -123 of an int64 of -5; sint32 is right. Its own
# encode writes int32 in five bytes, which it reads back, so that a test of the round trip passes. Of a packed
# list, how proto3 writes numbers unless told otherwise, the first is taken for the length: [1, 2] is [2].
# None of it is an error. protobufjs 8.8.1 reads the same bytes right.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund protocol-buffers@5.0.0 protobufjs@8.8.1 >/dev/null
cat > run.js <<'JS'
const schema = 'syntax = "proto3"; message Reading { int32 frost = 1; int64 wide = 2; sint32 zigzag = 3; repeated int32 list = 4; }'
const small = require('protocol-buffers')(schema).Reading, big = require('protobufjs').parse(schema).root.lookupType('Reading')
const wire = big.encode({ frost: -5, wide: -5, zigzag: -5, list: [1, 2] }).finish()
console.log('on the wire     ', Buffer.from(wire).toString('hex'))
console.log('protobufjs      ', JSON.stringify(big.toObject(big.decode(wire), { longs: Number })))
console.log('protocol-buffers', JSON.stringify(small.decode(Buffer.from(wire))))
console.log('its own round   ', JSON.stringify(small.decode(small.encode({ frost: -5, wide: -5, zigzag: -5, list: [1, 2] }))))
JS
node run.js | tee said
cat >want <<'WANT'
on the wire      08fbffffffffffffffff0110fbffffffffffffffff01180922020102
protobufjs       {"frost":-5,"wide":-5,"zigzag":-5,"list":[1,2]}
protocol-buffers {"frost":18446744069414584000,"wide":-123,"zigzag":-5,"list":[2]}
its own round    {"frost":-5,"wide":-5,"zigzag":-5,"list":[1,2]}
WANT
cmp said want
