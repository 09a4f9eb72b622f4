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
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/nats-server.lib"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @nats-io/jwt@0.0.11 @nats-io/nkeys@2.0.3 >/dev/null
go get github.com/nats-io/jwt/v2@v2.8.3 >/dev/null 2>&1
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

// try starts a server with an account of the limits, and tells how a client fares.
func try(limits string) string {
	out, err := exec.Command("node", "make.js", limits).Output()
	check(err)
	tokens := strings.Fields(string(out))
	operator, err := jwt.DecodeOperatorClaims(tokens[0])
	check(err)
	account, err := jwt.DecodeAccountClaims(tokens[1])
	check(err)
	resolver := &server.MemAccResolver{}
	check(resolver.Store(account.Subject, tokens[1]))
	s := start(&server.Options{TrustedOperators: []*jwt.OperatorClaims{operator}, AccountResolver: resolver})
	defer s.Shutdown()
	refused := make(chan error, 10)
	nc, err := nats.Connect(s.ClientURL(), nats.UserCredentials("creds"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		return err.Error()
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync("t")
	check(err)
	check(nc.Publish("t", nil))
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
timeout 100 go run .
