#!/usr/bin/env bash
# lwm2m-codec 0.1.1 (npm): integers of LwM2M's TLV are signed, of 1, 2, 4 or 8 bytes.
# The encoder chooses the size as for unsigned ones and then writes signed ones:
# 0-127 and 256-32767 go, 128-255, 32768-65535 and from 2^31 on raise an error. So a
# lifetime of 300 s registers and one of 200 s does not, and a port, a pressure or a
# time after January 2038 fails or not by its value, not by its type.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund lwm2m-codec@0.1.1 >/dev/null
cat > run.js <<'JS'
const codec = require('lwm2m-codec')
// The lifetime of a server object (/1/0, resource 1), an integer.
function survives(lifetime) {
  try { return codec.decode('tlv', '/1/0', codec.encode('tlv', '/1/0', { 1: lifetime })).lifetime === lifetime } catch (e) { return false }
}
const seen = [60, 127, 128, 200, 255, 256, 300, 32767, 32768, 40000, 65535, 65536, 86400, 2 ** 31 - 1, 2 ** 31].map(n => [n, survives(n)])
console.log('lwm2m-codec', require('lwm2m-codec/package.json').version)
console.log('goes:', seen.filter(s => s[1]).map(s => s[0]).join(' '), '| raises:', seen.filter(s => !s[1]).map(s => s[0]).join(' '))
const refused = [128, 200, 255, 32768, 40000, 65535, 2 ** 31].join()
process.exit(seen.filter(s => !s[1]).map(s => s[0]).join() === refused ? 0 : 1)
JS
node run.js
