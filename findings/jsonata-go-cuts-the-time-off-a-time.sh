#!/usr/bin/env bash
# xiatechs/jsonata-go 1.8.8: $toMillis of a time with an offset, "2026-01-15T10:00:00+01:00", which is what ISO 8601 and RFC 3339
# have for local time, is the midnight (UTC) of that day, without an error; with Z it is right. And what +, -, * and /
# give ends at the eighth decimal, mostly rounded up: 1/3 * 3 is 1.00000002, 52.520006612345 less 0 is another place,
# 1e-9 plus 0 is ten times as much, 1e-9 * 2 is 0. jsonata 2.2.2 (npm), whose language it is, has
# both right, and so has blues/jsonata-go 1.5.4, from which it was forked.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund jsonata@2.2.2 >/dev/null
go mod init expressions >/dev/null 2>&1
go get github.com/xiatechs/jsonata-go@v1.8.8 github.com/blues/jsonata-go@v1.5.4 >/dev/null 2>&1
cat >expressions <<'LIST'
$toMillis("2026-01-15T10:00:00Z")
$toMillis("2026-01-15T10:00:00+01:00")
1/3 * 3
52.520006612345 - 0
1e-9 + 0
1e-9 * 2
LIST
cat > run.js <<'JS'
const jsonata = require('jsonata')
const lines = require('fs').readFileSync('expressions', 'utf8').trim().split('\n')
Promise.all(lines.map(line => jsonata(line).evaluate({}))).then(values => console.log('jsonata (npm)', values.join('  ')))
JS
cat > main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	blues "github.com/blues/jsonata-go"
	xiatechs "github.com/xiatechs/jsonata-go"
)

func show(name string, evaluate func(string) (any, error)) {
	lines, err := os.ReadFile("expressions")
	if err != nil {
		panic(err)
	}
	fmt.Print(name)
	for _, line := range strings.Split(strings.TrimSpace(string(lines)), "\n") {
		value, err := evaluate(line)
		if err != nil {
			panic(err)
		}
		text, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		fmt.Print("  ", string(text))
	}
	fmt.Println()
}

func main() {
	show("blues        ", func(line string) (any, error) { return blues.MustCompile(line).Eval(nil) })
	show("xiatechs     ", func(line string) (any, error) { return xiatechs.MustCompile(line).Eval(nil) })
}
GO
go mod tidy >/dev/null 2>&1
{ node run.js; go run .; } | tee said
cat >want <<'WANT'
jsonata (npm) 1768471200000  1768467600000  1  52.520006612345  1e-9  2e-9
blues          1768471200000  1768467600000  1  52.520006612345  1e-9  2e-9
xiatechs       1768471200000  1768435200000  1.00000002  52.52000662  1e-8  0
WANT
cmp said want
