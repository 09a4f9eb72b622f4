#!/usr/bin/env bash
# lz4js 0.2.0 (npm): an LZ4 frame may carry a checksum behind each block (flag of its header; "lz4 -BX",
# an option of pierrec/lz4). decompress ignores the flag: the four bytes become data, the first ones
# are lost, and what follows is read from the wrong place, without an error. Of frames one after
# another, as a file that was appended to has, it unpacks the first. lz4 and pierrec/lz4 read both.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund lz4js@0.2.0 >/dev/null
go mod init sums >/dev/null 2>&1
go get github.com/pierrec/lz4/v4@v4.1.33 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/pierrec/lz4/v4"
)

func frame(text string, sums bool) []byte {
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	if err := w.Apply(lz4.BlockChecksumOption(sums)); err != nil {
		panic(err)
	}
	io.WriteString(w, text)
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func main() {
	plain, other := frame(`{"temp":21.5,"hum":40}`, false), frame(`{"temp":21.6,"hum":41}`, false)
	for name, data := range map[string][]byte{"plain": plain, "sums": frame(`{"temp":21.5,"hum":40}`, true), "two": append(bytes.Clone(plain), other...)} {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			panic(err)
		}
		back, err := io.ReadAll(lz4.NewReader(bytes.NewReader(data)))
		if err != nil {
			panic(err)
		}
		fmt.Printf("pierrec/lz4 of %s: %q\n", name, back)
	}
}
GO
go mod tidy >/dev/null 2>&1
{ go run . | sort
for name in plain sums two; do node -p "'lz4js of $name: ' + JSON.stringify(Buffer.from(require('lz4js').decompress(fs.readFileSync('$name'))).toString('latin1').replace(/[^ -~]/g, '?'))"; done; } | tee said
cat >want <<'WANT'
pierrec/lz4 of plain: "{\"temp\":21.5,\"hum\":40}"
pierrec/lz4 of sums: "{\"temp\":21.5,\"hum\":40}"
pierrec/lz4 of two: "{\"temp\":21.5,\"hum\":40}{\"temp\":21.6,\"hum\":41}"
lz4js of plain: "{\"temp\":21.5,\"hum\":40}"
lz4js of sums: "mp\":21.5,\"hum\":40}???d"
lz4js of two: "{\"temp\":21.5,\"hum\":40}"
WANT
cmp said want
