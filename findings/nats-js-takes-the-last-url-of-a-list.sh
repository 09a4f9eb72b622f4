#!/usr/bin/env bash
# @nats-io/transport-node 3.4.0: a list of URLs in one string, as NATS_URL is set for
# programs in Go and for the nats command, is taken for one URL, of which the last
# "://" counts: "nats://a:4222,nats://b:4222" connects to b only, without an error, and
# fails while a is up. And user and password of a URL, "nats://me:secret@host", are cut
# off and not sent: an authorization violation. nats.go 1.55.0 does both. Lists must be split
# into an array, and users given as options.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @nats-io/transport-node@3.4.0 >/dev/null
go mod init urls >/dev/null 2>&1
go get github.com/nats-io/nats.go@v1.55.0 github.com/nats-io/nats-server/v2@v2.15.3 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func start(user, password string) string {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, Username: user, Password: password})
	if err != nil {
		panic(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		panic("no server")
	}
	return strings.TrimPrefix(s.ClientURL(), "nats://")
}

// closed is an address where nobody listens.
func closed() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func main() {
	plain, locked, down := start("", ""), start("me", "secret"), closed()
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
		if err != nil {
			panic(err)
		}
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
go mod tidy >/dev/null 2>&1
go run .
