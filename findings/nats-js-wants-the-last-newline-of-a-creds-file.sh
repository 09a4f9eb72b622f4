#!/usr/bin/env bash
# @nats-io/transport-node 3.4.0: credsAuthenticator raises "unable to parse credentials"
# for a credentials file without its last newline, which is what $(cat user.creds), a
# secret pasted into a form or a variable leaves of it, and for one with CRLF, as an
# editor or git on Windows makes it. jwt 2.8.3, which nats.go programs read with, takes
# all three.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @nats-io/transport-node@3.4.0 >/dev/null
go mod init creds >/dev/null 2>&1
go get github.com/nats-io/jwt/v2@v2.8.3 github.com/nats-io/nkeys@v0.4.17 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func main() {
	account, user := must(nkeys.CreateAccount()), must(nkeys.CreateUser())
	token := must(jwt.NewUserClaims(must(user.PublicKey())).Encode(account))
	whole := must(jwt.FormatUserConfig(token, must(user.Seed())))
	seed := must(user.Seed())
	// Up to the end of the last marker.
	short := whole[:bytes.LastIndex(whole, []byte("------END USER NKEY SEED------"))+len("------END USER NKEY SEED------")]
	for name, file := range map[string][]byte{
		"whole":      append(bytes.Clone(short), '\n'),
		"no-newline": short,
		"crlf":       bytes.ReplaceAll(append(bytes.Clone(short), '\n'), []byte("\n"), []byte("\r\n")),
	} {
		got := must(jwt.ParseDecoratedJWT(file))
		key := must(jwt.ParseDecoratedUserNKey(file))
		fmt.Printf("jwt 2.8.3 %s: %v\n", name, got == token && bytes.Equal(must(key.Seed()), seed))
		if err := os.WriteFile(name+".creds", file, 0o600); err != nil {
			panic(err)
		}
	}
}
GO
cat > run.js <<'JS'
const fs = require('fs'), { credsAuthenticator } = require('@nats-io/transport-node')
for (const name of ['whole', 'no-newline', 'crlf']) {
  let says
  try { says = !!credsAuthenticator(fs.readFileSync(name + '.creds'))('nonce').jwt } catch (e) { says = e.message }
  console.log(`transport-node 3.4.0 ${name}: ${says}`)
}
JS
{ go run . | sort; node run.js; } | tee said
cat >want <<'WANT'
jwt 2.8.3 crlf: true
jwt 2.8.3 no-newline: true
jwt 2.8.3 whole: true
transport-node 3.4.0 whole: true
transport-node 3.4.0 no-newline: unable to parse credentials
transport-node 3.4.0 crlf: unable to parse credentials
WANT
cmp said want
