#!/usr/bin/env bash
# sparkplug-payload 1.0.3 (npm, of Eclipse Tahu): what is encoded from numbers does
# not decode to numbers. The sequence number of a payload, which a host must watch
# for gaps (Sparkplug 3.0, 6.4.7), and Int64 and UInt64 metrics come back as objects
# {low, high, unsigned}: "seq === last + 1" is never true, "seq == last + 1" is.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund sparkplug-payload@1.0.3 >/dev/null
cat > run.js <<'JS'
const spb = require('sparkplug-payload').get('spBv1.0')
const sent = { timestamp: 1700000000000, seq: 7, metrics: [{ name: 'total', type: 'UInt64', value: 5 }] }
const got = spb.decodePayload(spb.encodePayload(sent))
console.log('sparkplug-payload', require('sparkplug-payload/package.json').version)
console.log('seq', JSON.stringify(got.seq), 'UInt64', JSON.stringify(got.metrics[0].value))
console.log('seq === 7:', got.seq === 7, ' seq == 7:', got.seq == 7)
process.exit(typeof got.seq === 'object' && got.seq !== 7 && got.seq == 7 && typeof got.metrics[0].value === 'object' ? 0 : 1)
JS
node run.js
