#!/usr/bin/env bash
# @oneidentity/zstd-js 1.0.3 (npm): ZstdSimple.decompress of a frame that the zstd
# command has written for a file gives all but the last 18 bytes, whatever the length,
# and no error. Frames of its own compress come back whole, and so do the same frames
# through ZstdStream, which is what a test of the round trip would find.
# Needs apt (zstd), node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
command -v zstd >/dev/null || apt-get install -y -qq zstd >/dev/null
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @oneidentity/zstd-js@1.0.3 >/dev/null
cat > run.js <<'JS'
const fs = require('fs'), { execFileSync } = require('child_process'), { ZstdInit } = require('@oneidentity/zstd-js')
ZstdInit().then(({ ZstdSimple, ZstdStream }) => {
  let ok = true
  for (const n of [300, 5000, 70000]) {
    const text = Array.from({ length: n }, (_, i) => (i * i) % 10).join('')
    fs.writeFileSync('readings', text)
    const frame = new Uint8Array(execFileSync('zstd', ['-c', 'readings']))
    const simple = Buffer.from(ZstdSimple.decompress(frame)).toString()
    const stream = Buffer.from(ZstdStream.decompress(frame)).toString()
    const own = Buffer.from(ZstdSimple.decompress(ZstdSimple.compress(Buffer.from(text)))).toString()
    console.log(`zstd-js 1.0.3: of ${n} bytes ZstdSimple ${simple.length}, ZstdStream ${stream.length}; its own frame ${own.length}`)
    ok = ok && simple === text.slice(0, -18) && stream === text && own === text
  }
  process.exit(ok ? 0 : 1)
})
JS
node run.js
