#!/usr/bin/env bash
# fflate 0.8.3 (npm): a gzip file may hold members one after another, as log files that
# are appended to do, and gunzip, Go, Node.js and pako read them all. gunzipSync unpacks
# the first member only, into a buffer as long as the *last* one says (its final
# four bytes): a batch of 1,200 bytes with one of 7 behind it comes back as the
# first 7 bytes of the first batch, without an error.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund fflate@0.8.3 pako@3.0.3 >/dev/null
cat > run.js <<'JS'
const zlib = require('zlib'), { gunzipSync } = require('fflate'), { ungzip } = require('pako')
const first = 'first batch of readings;'.repeat(50), second = 'second;'
const both = Buffer.concat([zlib.gzipSync(first), zlib.gzipSync(second)])
const got = { node: zlib.gunzipSync(both), pako: ungzip(both), fflate: gunzipSync(both) }
for (const name in got) got[name] = Buffer.from(got[name]).toString()
console.log(`of ${first.length + second.length} bytes: node ${got.node.length}, pako ${got.pako.length}, fflate 0.8.3 ${got.fflate.length}, ${JSON.stringify(got.fflate)}`)
process.exit(got.node === first + second && got.pako === first + second && got.fflate === first.slice(0, second.length) ? 0 : 1)
JS
node run.js
