#!/usr/bin/env bash
# knx 2.5.4 and knxultimate 5.4.0 (npm): in KNX's two-byte float (DPT 9) the bytes 7F FF mean "invalid
# data" (KNX 3.7.2, 3.10); a temperature sensor with a broken wire sends them. Both libraries compute
# them like any other: 670760.96, finite, no error, so neither isNaN nor a null check finds
# it, and one such value among the 60 of an hour makes the mean 11,000 degrees. Compare with that
# number before it is published. Nor can it be handed on: written again by the same
# library, it is -10.25 (knx, knxultimate: 83ff).
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts knx@2.5.4 knxultimate@5.4.0 >/dev/null
cat > run.js <<'JS'
const write = (lib, value) => { const apdu = {}; try { lib.populateAPDU(value, apdu, 'DPT9.001') } catch { return 'an error' } return apdu.data ? apdu.data.toString('hex') : 'nothing' }
for (const [name, lib] of [['knx 2.5.4', require('knx/src/dptlib')], ['knxultimate 5.4.0', require('knxultimate').dptlib]]) {
  const read = hex => lib.fromBuffer(Buffer.from(hex, 'hex'), lib.resolve('DPT9.001'))
  const again = write(lib, read('7fff'))
  console.log(`${name}: 0c33 is ${read('0c33')}, 7fff is ${read('7fff')}, which is written as ${again}, ${read(again)}`)
}
process.exit()
JS
timeout 60 node run.js | tee said
cat >want <<'WANT'
knx 2.5.4: 0c33 is 21.5, 7fff is 670760.96, which is written as 83ff, -10.25
knxultimate 5.4.0: 0c33 is 21.5, 7fff is 670760.96, which is written as 83ff, -10.25
WANT
cmp said want
