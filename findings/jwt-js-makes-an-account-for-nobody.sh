#!/usr/bin/env bash
# @nats-io/jwt 0.0.11 (npm): encodeUser without options writes "no limit" (-1) for all
# limits of the user, encodeAccount writes none at all. What reads the account, jwt 2.8.3 in Go,
# takes a limit that is not there for 0, and 0 is not "none" but "not one": the account is valid,
# nats-server 2.15.3 takes it, and refuses each client as one connection too many. With only
# {conn: -1} it is the first subscription that is one too many. Each limit must be given:
# {limits: {...defaultNatsLimits(), conn: -1, leaf: -1, imports: -1, exports: -1, wildcards: true}}.
# NewAccountClaims of the Go package does.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @nats-io/jwt@0.0.11 @nats-io/nkeys@2.0.3 >/dev/null
go mod init account >/dev/null 2>&1
go get github.com/nats-io/jwt/v2@v2.8.3 github.com/nats-io/nats.go@v1.55.0 github.com/nats-io/nats-server/v2@v2.15.3 >/dev/null 2>&1
cat > make.js <<'JS'
const fs = require('fs'), jwt = require('@nats-io/jwt'), { createOperator, createAccount, createUser } = require('@nats-io/nkeys')
const limits = { none: undefined, conn: { conn: -1 }, all: { ...jwt.defaultNatsLimits(), conn: -1, leaf: -1, imports: -1, exports: -1, wildcards: true } }
const operator = createOperator(), account = createAccount(), user = createUser()
;(async () => {
  const given = limits[process.argv[2]]
  fs.writeFileSync('creds', jwt.fmtCreds(await jwt.encodeUser('user', user, account, {}), user))
  console.log(await jwt.encodeOperator('operator', operator, {}))
  console.log(await jwt.encodeAccount('account', account, given ? { limits: given } : {}, { signer: operator }))
})()
JS
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// try starts a server with an account of the limits, and tells how a client fares.
func try(limits string) string {
	out, err := exec.Command("node", "make.js", limits).Output()
	must(err)
	tokens := strings.Fields(string(out))
	operator, err := jwt.DecodeOperatorClaims(tokens[0])
	must(err)
	account, err := jwt.DecodeAccountClaims(tokens[1])
	must(err)
	resolver := &server.MemAccResolver{}
	must(resolver.Store(account.Subject, tokens[1]))
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, TrustedOperators: []*jwt.OperatorClaims{operator}, AccountResolver: resolver})
	must(err)
	s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(10 * time.Second) {
		panic("no server")
	}
	refused := make(chan error, 10)
	nc, err := nats.Connect(s.ClientURL(), nats.UserCredentials("creds"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		return err.Error()
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync("t")
	must(err)
	must(nc.Publish("t", nil))
	if _, err = sub.NextMsg(2 * time.Second); err != nil {
		return (<-refused).Error()
	}
	return "ok"
}

func main() {
	none, conn, all := try("none"), try("conn"), try("all")
	fmt.Printf("@nats-io/jwt 0.0.11: without limits: %s\nwith {conn: -1}: %s\nwith all of them: %s\n", none, conn, all)
	if !strings.Contains(none, "connections exceeded") || !strings.Contains(conn, "subscriptions exceeded") || all != "ok" {
		os.Exit(1)
	}
}
GO
go mod tidy >/dev/null 2>&1
timeout 100 go run .
