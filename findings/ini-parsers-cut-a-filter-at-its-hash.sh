#!/usr/bin/env bash
# ini 6.0.0 (npm) and go-ini 1.68.0: a # or ; within a value, with no space before
# it, begins a comment. "topic = sensors/#" is read as "sensors/", a valid filter
# that no sensor publishes to, and a URL is cut at a ; in it; neither says so. Nor
# can they help each other: ini writes "sensors/\#", which go-ini reads as "sensors/\",
# go-ini writes `sensors/#` in backticks, which ini reads as "`sensors/". Only quotation
# marks, "sensors/#", are read alike by both. Python's configparser, for comparison,
# takes the bare value whole.
# Needs go, node, npm and python3.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund ini@6.0.0 >/dev/null
go mod init filter >/dev/null 2>&1
go get gopkg.in/ini.v1@v1.68.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"gopkg.in/ini.v1"
)

func main() {
	if os.Args[1] == "write" {
		f := ini.Empty()
		f.Section("").Key("topic").SetValue("sensors/#")
		if err := f.SaveTo("go.ini"); err != nil {
			panic(err)
		}
		return
	}
	f, err := ini.Load(os.Args[2])
	if err != nil {
		panic(err)
	}
	fmt.Println("go-ini", os.Args[2], f.Section("").Key("topic").Value())
}
GO
cat > run.js <<'JS'
const fs = require('fs'), ini = require('ini'), [what, file] = process.argv.slice(2)
if (what === 'write') fs.writeFileSync('js.ini', ini.stringify({ topic: 'sensors/#' }))
else console.log('ini', file, ini.parse(fs.readFileSync(file, 'utf8')).topic)
JS
go build -o goini .
./goini write; node run.js write
echo 'topic = sensors/#' >bare.ini
echo 'topic = "sensors/#"' >quoted.ini
{ for f in bare quoted js go; do node run.js read $f.ini; ./goini read $f.ini; done; } | tee said
python3 -c 'import configparser; c = configparser.ConfigParser(); c.read_string("[m]\n" + open("bare.ini").read()); print("configparser bare.ini", c["m"]["topic"])' | tee -a said
cat >want <<'WANT'
ini bare.ini sensors/
go-ini bare.ini sensors/
ini quoted.ini sensors/#
go-ini quoted.ini sensors/#
ini js.ini sensors/#
go-ini js.ini sensors/\
ini go.ini `sensors/
go-ini go.ini sensors/#
configparser bare.ini sensors/#
WANT
cmp said want
