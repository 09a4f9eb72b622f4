#!/usr/bin/env bash
# notepack.io 3.0.1 and @ygoe/msgpack 1.0.3 (npm): for JavaScript each number from 2^53 on is whole, and both write what is whole as an
# integer of MessagePack, though these end at 2^64 and a float64 would hold the number. The bits above are gone for
# notepack: the greatest float, 3.4e38, by which drivers say "no limit" or "no value", is sent as 0, 1e20 as 7.8e18.
# @ygoe/msgpack sends 3.4e38 as 1.8e19 and 2^63 as a number below zero. None of it is an error. With a fraction
# or under 2^53 all is well. @msgpack/msgpack 3.1.3 writes floats.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund notepack.io@3.0.1 @ygoe/msgpack@1.0.3 @msgpack/msgpack@3.1.3 >/dev/null
cat > run.js <<'JS'
const notepack = require('notepack.io'), ygoe = require('@ygoe/msgpack'), msgpack = require('@msgpack/msgpack')
// What arrives is read by one decoder for all three.
for (const number of [2 ** 53, 2 ** 63, 1e20, -1e20, 3.4028234663852886e38]) {
  const read = bytes => msgpack.decode(bytes)
  console.log(number, '@msgpack/msgpack', read(msgpack.encode(number)), 'notepack.io', read(notepack.encode(number)),
    '@ygoe/msgpack', read(ygoe.encode(number)))
}
JS
node run.js | tee said
cat >want <<'WANT'
9007199254740992 @msgpack/msgpack 9007199254740992 notepack.io 9007199254740992 @ygoe/msgpack 9007199254740992
9223372036854776000 @msgpack/msgpack 9223372036854776000 notepack.io 9223372036854776000 @ygoe/msgpack -9223372036854776000
100000000000000000000 @msgpack/msgpack 100000000000000000000 notepack.io 7766279631452242000 @ygoe/msgpack 18446744073709552000
-100000000000000000000 @msgpack/msgpack -100000000000000000000 notepack.io -7766279631452242000 @ygoe/msgpack -9223372036854776000
3.4028234663852886e+38 @msgpack/msgpack 3.4028234663852886e+38 notepack.io 0 @ygoe/msgpack 18446744073709552000
WANT
cmp said want
