#!/usr/bin/env bash
# cbor-sync 1.0.4 (npm): a time of CBOR's tag 1 counts seconds (RFC 8949, 3.4.2). It is taken for
# milliseconds, so that each time of this century becomes a day of January 1970; a Date, valid, without
# an error. Its own Dates it writes as text (tag 0), and reads them right, so only what others send is
# hit: cbor 10.0.12 and borc 3.0.0 write tag 1. Between the others a Date is not whole either:
# borc cuts it to seconds, and cbor-js 0.1.0 writes it as an empty map. Text or a plain number of
# milliseconds is what all of them read alike.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts cbor-sync@1.0.4 cbor@10.0.12 borc@3.0.0 cbor-js@0.1.0 >/dev/null
cat > run.js <<'JS'
const libs = { 'cbor-sync': require('cbor-sync'), cbor: require('cbor'), borc: require('borc'), 'cbor-js': require('cbor-js') }
const time = new Date('2023-11-14T22:13:20.123Z')
for (const [name, lib] of Object.entries(libs)) {
  const bytes = Buffer.from(lib.encode(time))
  const read = ['cbor-sync', 'cbor'].map(by => {
    const got = libs[by].decode(bytes)
    return `${by} reads ${got instanceof Date ? got.toISOString() : JSON.stringify(got)}`
  })
  console.log(`${name} writes ${bytes.toString('hex')}: ${read.join(', ')}`)
}
JS
node run.js | tee said
cat >want <<'WANT'
cbor-sync writes c07818323032332d31312d31345432323a31333a32302e3132335a: cbor-sync reads 2023-11-14T22:13:20.123Z, cbor reads 2023-11-14T22:13:20.123Z
cbor writes c1fb41d954fc4007df3b: cbor-sync reads 1970-01-20T16:13:20.000Z, cbor reads 2023-11-14T22:13:20.123Z
borc writes c11a6553f100: cbor-sync reads 1970-01-20T16:13:20.000Z, cbor reads 2023-11-14T22:13:20.000Z
cbor-js writes a0: cbor-sync reads {}, cbor reads {}
WANT
cmp said want
