#!/usr/bin/env bash
# flatbuffers 25.9.23 (npm), flexbuffers.js, FlatBuffers without a schema: what is whole for JavaScript is written as an
# integer of at most 64 bits. 3.4e38, the greatest float32, which is whole, is read back as 0, and 1e20 as another number, without an
# error. Numbers from 2^31 on, so each Date.now(), come back as BigInt, and with them all the others of their list: 5 === 5n is
# false, typeof says "bigint", and a rule that compares with === or asks for a number passes them by.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund flatbuffers@25.9.23 >/dev/null
cat > run.js <<'JS'
const { encode, toObject } = require('flatbuffers/js/flexbuffers.js')
const { inspect } = require('util')
for (const value of [21.5, 2147483647, 2147483648, 1768471200123, [5, 2147483648], 1e20, 3.4028234663852886e38]) {
  const bytes = encode(value)
  console.log(inspect(value), 'is read as', inspect(toObject(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))))
}
JS
node run.js | tee said
cat >want <<'WANT'
21.5 is read as 21.5
2147483647 is read as 2147483647
2147483648 is read as 2147483648n
1768471200123 is read as 1768471200123n
[ 5, 2147483648 ] is read as [ 5n, 2147483648n ]
100000000000000000000 is read as 7766279631452241920n
3.4028234663852886e+38 is read as 0n
WANT
cmp said want
