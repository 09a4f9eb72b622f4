#!/usr/bin/env bash
# hyparquet 1.31.5 and hyparquet-writer 0.17.0 (npm): a Parquet column of byte arrays without a logical type is bytes, and text is
# marked as STRING. The reader decodes both as UTF-8 unless it is told utf8: false: each byte from 80 hex on that is no
# such text is U+FFFD, for good, without an error. The writer takes a Uint8Array and marks it right, so that
# payloads kept in a file, 41 AC 80 FF, come back as the text "A" with three marks, and those that happen
# to be text as strings. Compressed, CBOR or protobuf payloads are lost whole.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund hyparquet@1.31.5 hyparquet-writer@0.17.0 >/dev/null
cat > run.mjs <<'JS'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { parquetWriteBuffer } from 'hyparquet-writer'
const file = parquetWriteBuffer({ columnData: [{ name: 'payload', data: [new Uint8Array([0x41, 0xac, 0x80, 0xff]), new Uint8Array([0x32, 0x31])] }] })
const { type, converted_type, logical_type } = parquetMetadata(file).schema[1]
console.log('column:', type, 'converted', converted_type, 'logical', logical_type)
const show = value => typeof value + ' ' + Buffer.from(value).toString('hex')
for (const options of [{}, { utf8: false }]) {
  const rows = await parquetReadObjects({ file, ...options })
  console.log('read with', JSON.stringify(options), rows.map(row => show(row.payload)).join(', '))
}
JS
node run.mjs | tee said
cat >want <<'WANT'
column: BYTE_ARRAY converted undefined logical undefined
read with {} string 41efbfbdefbfbdefbfbd, string 3231
read with {"utf8":false} object 41ac80ff, object 3231
WANT
cmp said want
