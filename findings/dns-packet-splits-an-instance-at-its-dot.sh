#!/usr/bin/env bash
# dns-packet 5.6.1 (npm, under multicast-dns and bonjour-service): the instance of a DNS-SD service is one label
# and may hold dots (RFC 6763, 4.3: "Pump v1.2"). Names are decoded by joining labels with
# dots, without an escape, and encoded by splitting at each: the question for the SRV record of the
# instance that was just found asks for another name, and the service is never resolved.
# miekg/dns 1.1.73 (Go) escapes the dot and asks for what it was told.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund dns-packet@5.6.1 >/dev/null
go mod init dot >/dev/null 2>&1
go get github.com/miekg/dns@v1.1.73 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"encoding/hex"
	"fmt"
	"os"

	"github.com/miekg/dns"
)

func main() {
	wire, err := hex.DecodeString(os.Args[1])
	if err != nil {
		panic(err)
	}
	var m, q dns.Msg
	if err := m.Unpack(wire); err != nil {
		panic(err)
	}
	name := m.Answer[0].(*dns.PTR).Ptr
	q.SetQuestion(name, dns.TypeSRV)
	out, err := q.Pack()
	if err != nil {
		panic(err)
	}
	fmt.Printf("miekg/dns:  found %s, asks for %q\n", name, out[12:len(out)-4])
}
GO
go mod tidy >/dev/null 2>&1
cat > run.js <<'JS'
const dns = require('dns-packet')
const label = s => Buffer.concat([Buffer.from([s.length]), Buffer.from(s)])
const service = Buffer.concat([label('_mqtt'), label('_tcp'), label('local'), Buffer.from([0])])
const instance = Buffer.concat([label('Pump v1.2'), Buffer.from([0xc0, 12])]) // the rest is the name at byte 12
const wire = Buffer.concat([Buffer.from([0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0]), service, Buffer.from([0, 12, 0, 1, 0, 0, 0, 120, 0, instance.length]), instance])
const name = dns.decode(wire).answers[0].data
const question = dns.encode({ type: 'query', questions: [{ type: 'SRV', name }] })
const asked = question.subarray(12, -4).toString('latin1').replace(/[\0-\x1f]/g, c => '\\x' + c.charCodeAt().toString(16).padStart(2, '0'))
console.log(`dns-packet: found ${name}, asks for "${asked}"`)
console.error(wire.toString('hex'))
JS
node run.js 2>wire | tee said
go run . "$(cat wire)" | tee -a said
cat >want <<'WANT'
dns-packet: found Pump v1.2._mqtt._tcp.local, asks for "\x07Pump v1\x012\x05_mqtt\x04_tcp\x05local\x00"
miekg/dns:  found Pump\ v1\.2._mqtt._tcp.local., asks for "\tPump v1.2\x05_mqtt\x04_tcp\x05local\x00"
WANT
cmp said want
