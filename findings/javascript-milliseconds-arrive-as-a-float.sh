#!/usr/bin/env bash
# cbor-x 1.6.9, msgpackr 2.1.4 and msgpack-lite 0.2.2 (npm): whole numbers from 2^32 on, and so each
# Date.now(), are written as 64-bit floats. fxamacker/cbor 2.10.0, vmihailenco/msgpack 5.4.1
# and tinylib/msgp 1.6.5 raise an error when such a number is to go into an int64, and with
# it the message is lost. Smaller numbers, of the same field, are integers and arrive, so that
# counters break at 4,294,967,296. cbor 10.0.12 and @msgpack/msgpack 3.1.3
# (npm) write integers.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts cbor-x@1.6.9 msgpackr@2.1.4 msgpack-lite@0.2.2 cbor@10.0.12 @msgpack/msgpack@3.1.3 >/dev/null
go mod init millis >/dev/null 2>&1
go get github.com/fxamacker/cbor/v2@v2.10.0 github.com/tinylib/msgp/msgp@v1.6.5 github.com/vmihailenco/msgpack/v5@v5.4.1 >/dev/null 2>&1
cat > run.js <<'JS'
const fs = require('fs')
const encoders = {
  'cbor-x.cbor': require('cbor-x').encode, 'cbor.cbor': require('cbor').encode,
  'msgpackr.msgpack': require('msgpackr').pack, 'msgpack-lite.msgpack': require('msgpack-lite').encode, '@msgpack.msgpack': require('@msgpack/msgpack').encode,
}
for (const [name, encode] of Object.entries(encoders)) {
  fs.writeFileSync('small.' + name, encode(4294967295))
  fs.writeFileSync('large.' + name, encode(1772366400987))
}
JS
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"github.com/tinylib/msgp/msgp"
	"github.com/vmihailenco/msgpack/v5"
)

func main() {
	for _, name := range []string{"cbor-x.cbor", "cbor.cbor", "msgpackr.msgpack", "msgpack-lite.msgpack", "@msgpack.msgpack"} {
		says := name + ":"
		for _, size := range []string{"small", "large"} {
			data, err := os.ReadFile(size + "." + name)
			if err != nil {
				panic(err)
			}
			var n int64
			if strings.HasSuffix(name, ".cbor") {
				says += fmt.Sprintf(" %s %v;", size, cbor.Unmarshal(data, &n) == nil)
				continue
			}
			_, _, other := msgp.ReadInt64Bytes(data)
			says += fmt.Sprintf(" %s %v, msgp %v;", size, msgpack.Unmarshal(data, &n) == nil, other == nil)
		}
		fmt.Println(says)
	}
}
GO
node run.js
go run . | tee said
cat >want <<'WANT'
cbor-x.cbor: small true; large false;
cbor.cbor: small true; large true;
msgpackr.msgpack: small true, msgp true; large false, msgp false;
msgpack-lite.msgpack: small true, msgp true; large false, msgp false;
@msgpack.msgpack: small true, msgp true; large true, msgp true;
WANT
cmp said want
