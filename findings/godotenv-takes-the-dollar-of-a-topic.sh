#!/usr/bin/env bash
# joho/godotenv 1.5.1: a word of capital letters behind a $ is a variable, in a .env file as in a shell. Topics and subjects have such
# words: $SYS/broker/uptime becomes /broker/uptime, $KV.config.> becomes .config.>, $JS.API.> becomes .API.>, with
# no error for a variable that nobody set. Small letters are none: $share/g/t stays. So do single quotes. The program subscribes
# to a valid filter that nobody publishes to. dotenv 17.2.3 (npm) reads the same lines as they are,
# so that one file configures two services in two ways.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund dotenv@17.2.3 >/dev/null
go mod init topics >/dev/null 2>&1
go get github.com/joho/godotenv@v1.5.1 >/dev/null 2>&1
cat >env <<'ENV'
STATUS=$SYS/broker/uptime
BUCKET="$KV.config.>"
SHARED=$share/g/t
QUOTED='$SYS/broker/uptime'
ENV
cat > main.go <<'GO'
package main

import (
	"fmt"

	"github.com/joho/godotenv"
)

func main() {
	values, err := godotenv.Read("env")
	if err != nil {
		panic(err)
	}
	fmt.Println("godotenv", values["STATUS"], values["BUCKET"], values["SHARED"], values["QUOTED"])
}
GO
cat > run.js <<'JS'
const values = require('dotenv').parse(require('fs').readFileSync('env'))
console.log('dotenv  ', values.STATUS, values.BUCKET, values.SHARED, values.QUOTED)
JS
go mod tidy >/dev/null 2>&1
{ go run .; node run.js; } | tee said
cat >want <<'WANT'
godotenv /broker/uptime .config.> $share/g/t $SYS/broker/uptime
dotenv   $SYS/broker/uptime $KV.config.> $share/g/t $SYS/broker/uptime
WANT
cmp said want
