#!/usr/bin/env bash
# gps-time 1.0.8 (npm), "time between GPS epoch and Unix epoch": whole seconds come out right,
# leap seconds included. toGPSMS of a time with a fraction is half a second late: .100 becomes .600,
# .999 becomes .499 of the next second. Back by toUnixMS it stays so, which makes a
# round trip of readings drift by half a second each time they pass. Receivers that give ten
# positions a second, and LoRaWAN's tmms (GPS milliseconds), have fractions nearly always.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund gps-time@1.0.8 >/dev/null
cat > run.js <<'JS'
const { toGPSMS, toUnixMS } = require('gps-time')
// 18 leap seconds in 2026; the GPS epoch is the 6th of January 1980.
const right = ms => ms - Date.UTC(1980, 0, 6) + 18000
for (const fraction of [0, 100, 500, 999]) {
  const unix = Date.UTC(2026, 0, 1) + fraction, gps = toGPSMS(unix)
  console.log(`${fraction} ms: toGPSMS ${gps - right(unix)} late, and back ${toUnixMS(gps) - unix}; toUnixMS of the right time ${toUnixMS(right(unix)) - unix}`)
}
JS
node run.js | tee said
cat >want <<'WANT'
0 ms: toGPSMS 0 late, and back 0; toUnixMS of the right time 0
100 ms: toGPSMS 500 late, and back 500; toUnixMS of the right time 0
500 ms: toGPSMS 500 late, and back 500; toUnixMS of the right time 0
999 ms: toGPSMS 500 late, and back 500; toUnixMS of the right time 0
WANT
cmp said want
