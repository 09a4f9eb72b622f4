#!/usr/bin/env bash
# proxy-protocol-js 4.0.6 (npm): the header of PROXY protocol 2 says its length, and behind the addresses there may be
# TLVs, as load balancers add them for a server name or an endpoint (2.2). parse reads the addresses, and what
# remains of the header becomes the first bytes of `data`: the CONNECT of a device behind it begins
# with 02 instead of 10, and every device is turned away the day the balancer adds a field. Of
# version 1 it refuses "PROXY UNKNOWN" without addresses, which the specification gives (2.1).
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund proxy-protocol-js@4.0.6 >/dev/null
cat > run.js <<'JS'
const { V1ProxyProtocol, V2ProxyProtocol } = require('proxy-protocol-js')
const connect = Buffer.from('100c00044d5154540402003c0000', 'hex')
const addresses = Buffer.from('c0000201c0000202dc04075b', 'hex')
const header = tlvs => Buffer.concat([Buffer.from('0d0a0d0a000d0a515549540a2111', 'hex'), Buffer.from([0, addresses.length + tlvs.length]), addresses, tlvs])
for (const [name, tlvs] of [['none', Buffer.alloc(0)], ['a server name', Buffer.from('02000465646765', 'hex')]]) {
  const wire = Buffer.concat([header(tlvs), connect])
  const it = V2ProxyProtocol.parse(wire)
  console.log(`TLVs: ${name}: data begins with ${Buffer.from(it.data).subarray(0, 8).toString('hex')}`)
}
for (const line of ['PROXY TCP4 192.0.2.1 192.0.2.2 56324 1883\r\n', 'PROXY UNKNOWN\r\n']) {
  let said = 'read'
  try { V1ProxyProtocol.parse(line) } catch (e) { said = 'refused' }
  console.log(`${line.trim()}: ${said}`)
}
JS
node run.js | tee said
cat >want <<'WANT'
TLVs: none: data begins with 100c00044d515454
TLVs: a server name: data begins with 0200046564676510
PROXY TCP4 192.0.2.1 192.0.2.2 56324 1883: read
PROXY UNKNOWN: refused
WANT
cmp said want
