#!/usr/bin/env bash
# @nats-io/transport-node 3.4.0: a list of URLs in one string, as NATS_URL is set for
# programs in Go and for the nats command, is taken for one URL, of which the last
# "://" counts: "nats://a:4222,nats://b:4222" connects to b only, without an error, and
# fails while a is up. And user and password of a URL, "nats://me:secret@host", are cut
# off and not sent: an authorization violation. nats.go 1.55.0 does both. Lists must be split
# into an array, and users given as options.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/nats-server.lib"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @nats-io/transport-node@3.4.0 >/dev/null
cat > main.go <<'GO'
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func broker(user, password string) string {
	return strings.TrimPrefix(start(&server.Options{Username: user, Password: password}).ClientURL(), "nats://")
}

// closed is an address where nobody listens.
func closed() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer l.Close()
	return l.Addr().String()
}

func main() {
	plain, locked, down := broker("", ""), broker("me", "secret"), closed()
	ok := true
	for _, c := range []struct{ name, url, js string }{
		{"first down, second up", "nats://" + down + ",nats://" + plain, "connected"},
		{"first up, second down", "nats://" + plain + ",nats://" + down, "ConnectionError"},
		{"user and password", "nats://me:secret@" + locked, "AuthorizationError"},
	} {
		goSays := "connected"
		nc, err := nats.Connect(c.url)
		if err != nil {
			goSays = err.Error()
		} else {
			nc.Close()
		}
		out, err := exec.Command("node", "run.js", c.url).Output()
		check(err)
		js := strings.TrimSpace(string(out))
		fmt.Printf("%s: nats.go %s, transport-node 3.4.0 %s\n", c.name, goSays, js)
		ok = ok && goSays == "connected" && js == c.js
	}
	if !ok {
		os.Exit(1)
	}
}
GO
cat > run.js <<'JS'
const { connect } = require('@nats-io/transport-node')
connect({ servers: process.argv[2], reconnect: false })
  .then(async c => { await c.close(); console.log('connected') })
  .catch(e => console.log(e.name))
  .finally(() => process.exit())
JS
go run .
