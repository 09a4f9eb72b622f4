#!/usr/bin/env bash
# @serialport/parser-spacepacket 13.0.0 (npm): the data of a CCSDS Space Packet (133.0-B) is bytes. The parser gives it as a string
# decoded as UTF-8, so that each byte from 80 hex on that is no such text is U+FFFD, for good: the float 41 AC 80 FF is
# 41 EF BF BD ... And when a chunk of the serial port ends with the last byte of a header, the first byte of the
# packet before is taken for the first byte of this one, and a packet that holds one byte comes with a wrong value. None
# of it is an error; chunks with text, cut elsewhere, are right, as in a test.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @serialport/parser-spacepacket@13.0.0 >/dev/null
cat > run.js <<'JS'
const { SpacePacketParser } = require('@serialport/parser-spacepacket')
const hex = data => Buffer.from(data).toString('hex')
// A header of six bytes: telemetry, application 1, unsegmented, a number, and the length of the data less one.
const packet = (number, ...data) => Buffer.from([0x08, 0x01, 0xc0, number, 0, data.length - 1, ...data])
function parse(bytes, cut) {
  const said = []
  const parser = new SpacePacketParser()
  parser.on('data', packet => said.push(hex(packet.data)))
  parser.write(bytes.subarray(0, cut))
  parser.write(bytes.subarray(cut))
  return said.join(' ')
}
console.log('sent 41ac80ff, read', parse(packet(0, 0x41, 0xac, 0x80, 0xff), 8))
const two = Buffer.concat([packet(0, 1, 2, 3), packet(1, 9)])
for (let cut = 13; cut < 17; cut++) console.log('sent 010203 09, the first chunk ends after', cut, 'bytes, read', parse(two, cut))
JS
node run.js | tee said
cat >want <<'WANT'
sent 41ac80ff, read 41efbfbdefbfbdefbfbd
sent 010203 09, the first chunk ends after 13 bytes, read 010203 09
sent 010203 09, the first chunk ends after 14 bytes, read 010203 09
sent 010203 09, the first chunk ends after 15 bytes, read 010203 01
sent 010203 09, the first chunk ends after 16 bytes, read 010203 09
WANT
cmp said want
