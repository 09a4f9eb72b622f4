#!/usr/bin/env bash
# apache-arrow 21.2.0 (npm): a value of the type Decimal is a whole number and the type says how many of its digits are
# behind the point (scale; Arrow's Schema.fbs). What get() returns knows of no scale: String and Number of
# 21.50 in decimal(10, 2) are 2150, Number of -0.50 is -50, and JSON has the text "2150". None is an error. Databases and
# Parquet files hold meter readings and prices in that type, of which a page so shows the hundredfold. The
# scale is there, column.type.scale, to divide by. And value + 1 is the text "21501".
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund apache-arrow@21.2.0 >/dev/null
cat > run.js <<'JS'
const { Decimal, makeVector, Table, tableFromIPC, tableToIPC } = require('apache-arrow')
// 21.50 and -0.50 with two digits behind the point, in four words of 32 bits each, the lowest first.
const data = new Uint32Array([2150, 0, 0, 0, 0xffffffce, 0xffffffff, 0xffffffff, 0xffffffff])
const table = tableFromIPC(tableToIPC(new Table({ kwh: makeVector({ type: new Decimal(2, 10, 128), data }) })))
const column = table.getChild('kwh')
console.log('type', String(column.type), 'scale', column.type.scale)
for (const value of column) console.log('text', String(value), 'number', Number(value), 'plus one', JSON.stringify(value + 1))
console.log(JSON.stringify(table.toArray()))
JS
node run.js | tee said
cat >want <<'WANT'
type Decimal[10e+2] scale 2
text 2150 number 2150 plus one "21501"
text -50 number -50 plus one "-501"
[{"kwh":"\"2150\""},{"kwh":"\"-50\""}]
WANT
cmp said want
