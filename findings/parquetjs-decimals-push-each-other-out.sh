#!/usr/bin/env bash
# @dsnp/parquetjs 1.8.8 (npm, the newest for Node.js 20): a decimal may be kept in 32 bits with up to nine digits, and in 64 bits with
# up to 18 (Parquet's LogicalTypes.md), and the column's type says which. The writer takes 64 bits for all of them and says so. The reader
# goes by the digits: of nine or less it reads each half of a value as a row, the value and then 0, or -0.01 below
# zero, so that of six rows the last three are lost and the others stand among zeros. hyparquet 1.31.5 reads the
# same file right. And the writer cuts, 4.35 and 0.29 are 4.34 and 0.28, with any precision. No error is raised.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @dsnp/parquetjs@1.8.8 hyparquet@1.31.5 >/dev/null
cat > run.mjs <<'JS'
import { readFileSync } from 'fs'
import { createRequire } from 'module'
import { parquetReadObjects } from 'hyparquet'
const { ParquetReader, ParquetSchema, ParquetWriter } = createRequire(import.meta.url)('@dsnp/parquetjs')
for (const precision of [9, 10]) {
  const name = precision + '.parquet'
  const writer = await ParquetWriter.openFile(new ParquetSchema({ t: { type: 'DECIMAL', precision, scale: 2 } }), name)
  for (const t of [21.5, -0.5, 22, 4.35, 0.29, 7]) await writer.appendRow({ t })
  await writer.close()
  const reader = await ParquetReader.openFile(name)
  const cursor = reader.getCursor()
  const rows = []
  for (let row; (row = await cursor.next());) rows.push(row.t)
  await reader.close()
  const { buffer, byteOffset, byteLength } = readFileSync(name)
  const others = await parquetReadObjects({ file: buffer.slice(byteOffset, byteOffset + byteLength) })
  console.log(precision, 'digits: parquetjs', rows.join(' '), 'hyparquet', others.map(row => row.t).join(' '))
}
JS
node run.mjs | tee said
cat >want <<'WANT'
9 digits: parquetjs 21.5 0 -0.5 -0.01 22 0 hyparquet 21.5 -0.5 22 4.34 0.28 7
10 digits: parquetjs 21.5 -0.5 22 4.34 0.28 7 hyparquet 21.5 -0.5 22 4.34 0.28 7
WANT
cmp said want
