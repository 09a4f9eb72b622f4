#!/usr/bin/env bash
# tinylib/msgp 1.6.5: a time.Time is written as an extension of type 5, of its own, not as
# MessagePack's timestamp (type -1). vmihailenco/msgpack 5.4.1, msgpackr 2.1.4 and msgpack5
# 6.1.0 (npm) raise an error for the whole message, @msgpack/msgpack 3.1.3 gives 12
# raw bytes. In the other direction msgp's ReadTimeBytes reads the standard's time, but its
# ReadIntfBytes, for messages without a schema, gives a RawExtension. A time of vmihailenco
# is read by all of the others.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @msgpack/msgpack@3.1.3 msgpackr@2.1.4 msgpack5@6.1.0 >/dev/null
go mod init times >/dev/null 2>&1
go get github.com/tinylib/msgp/msgp@v1.6.5 github.com/vmihailenco/msgpack/v5@v5.4.1 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/tinylib/msgp/msgp"
	"github.com/vmihailenco/msgpack/v5"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func main() {
	at := time.Date(2026, 3, 1, 12, 0, 0, 987_000_000, time.UTC)
	own := msgp.AppendTime(nil, at)
	standard := must(msgpack.Marshal(at))
	if os.WriteFile("own", own, 0o600) != nil || os.WriteFile("standard", standard, 0o600) != nil {
		panic("not written")
	}
	var v any
	fmt.Println("vmihailenco reads msgp:", msgpack.Unmarshal(own, &v))
	read, _, err := msgp.ReadTimeBytes(standard)
	fmt.Println("msgp reads the standard's as a time:", read.Equal(at), err)
	v, _, err = msgp.ReadIntfBytes(standard)
	fmt.Printf("msgp reads the standard's as any: %T %v\n", v, err)
}
GO
cat > run.js <<'JS'
const fs = require('fs')
const libraries = { '@msgpack/msgpack': require('@msgpack/msgpack').decode, msgpackr: require('msgpackr').unpack, msgpack5: b => require('msgpack5')().decode(b) }
for (const [name, decode] of Object.entries(libraries)) {
  const read = file => {
    try { const v = decode(fs.readFileSync(file)); return v instanceof Date ? v.toISOString() : v.constructor.name } catch (e) { return 'error' }
  }
  console.log(`${name}: standard ${read('standard')}, msgp ${read('own')}`)
}
JS
{ go run .; node run.js; } | tee said
cat >want <<'WANT'
vmihailenco reads msgp: msgpack: unknown ext id=5
msgp reads the standard's as a time: true <nil>
msgp reads the standard's as any: *msgp.RawExtension <nil>
@msgpack/msgpack: standard 2026-03-01T12:00:00.987Z, msgp ExtData
msgpackr: standard 2026-03-01T12:00:00.987Z, msgp error
msgpack5: standard 2026-03-01T12:00:00.987Z, msgp error
WANT
cmp said want
