#!/usr/bin/env bash
# sparkplug-payload 1.0.3 (npm, of Eclipse Tahu): Sparkplug 3.0 (6.4.6) says that an edge
# node should leave the datatype out of NDATA and DDATA, since the birth certificate has
# told it, and an alias stands for the name. The library picks the field of the value by
# the datatype of the same message: without one every metric decodes to null, like one
# that is_null says has no value. No error is raised, and no other call gives the value.
# The node that keeps to the standard is the one whose readings are lost.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund sparkplug-payload@1.0.3 protobufjs@7.5.4 >/dev/null
cat > run.js <<'JS'
const { Writer } = require('protobufjs')
const spb = require('sparkplug-payload').get('spBv1.0')
const [varint, fixed64, bytes] = [0, 1, 2]
// A payload with one metric: alias 7, double_value 21.5, and a datatype if given.
function data(datatype) {
  const metric = Writer.create().uint32(2 << 3 | varint).uint64(7)
  if (datatype) metric.uint32(4 << 3 | varint).uint32(datatype)
  metric.uint32(13 << 3 | fixed64).double(21.5)
  return Writer.create().uint32(2 << 3 | bytes).bytes(metric.finish()).finish()
}
const [without, double] = [data(), data(10)].map(d => spb.decodePayload(d).metrics[0].value)
console.log('sparkplug-payload', require('sparkplug-payload/package.json').version)
console.log('alias and 21.5 without a datatype:', without, ' with datatype Double:', double)
process.exit(without === null && double === 21.5 ? 0 : 1)
JS
node run.js
