#!/usr/bin/env bash
# @nats-io/transport-node 3.4.0 with nats-server 2.15.3: publish() while the connection is down returns as ever,
# with no error and no limit, and counts the message in stats().outMsgs; when the client is back, by itself,
# none of it is sent. nats.go 1.55.0 keeps it (ReconnectBufSize, 8 MB) and sends it first.
# A gateway ported from one to the other loses the readings of each short break; a publication to
# JetStream, which waits for its acknowledgement, or flush() tells.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/nats-server.lib"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @nats-io/transport-node@3.4.0 >/dev/null
cat > run.js <<'JS'
const { connect } = require('@nats-io/transport-node')
const main = async () => {
  const nc = await connect({ servers: process.argv[2], reconnectTimeWait: 100, maxReconnectAttempts: -1 })
  nc.publish('js', 'before')
  await nc.flush()
  console.log('connected')
  for await (const s of nc.status()) {
    if (s.type === 'disconnect') {
      for (let i = 0; i < 5; i++) nc.publish('js', 'away')
      console.log('away')
    }
    if (s.type === 'reconnect') {
      nc.publish('js', 'after')
      await nc.flush()
      console.log(`${nc.stats().outMsgs} messages counted as sent`)
      return nc.close()
    }
  }
}
main()
JS
cat > main.go <<'GO'
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func main() {
	srv := start(&server.Options{JetStream: true, StoreDir: "store"})
	url := srv.ClientURL()
	down, up := make(chan bool, 1), make(chan bool, 1)
	nc, err := nats.Connect(url, nats.ReconnectWait(100*time.Millisecond), nats.MaxReconnects(-1),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { down <- true }), nats.ReconnectHandler(func(*nats.Conn) { up <- true }))
	check(err)
	js, err := nc.JetStream()
	check(err)
	_, err = js.AddStream(&nats.StreamConfig{Name: "KEPT", Subjects: []string{"go", "js"}}) // what the server has got
	check(err)
	node := exec.Command("node", "run.js", url)
	node.Stderr = os.Stderr
	out, err := node.StdoutPipe()
	check(err)
	check(node.Start())
	said := bufio.NewScanner(out)
	said.Scan() // connected
	_, err = js.Publish("go", []byte("before")) // acknowledged: the stream has all that came before, too
	check(err)
	port := srv.Addr().String()
	srv.Shutdown()
	srv.WaitForShutdown()
	<-down
	for range 5 {
		check(nc.Publish("go", []byte("away")))
	}
	said.Scan() // away
	var n int
	_, err = fmt.Sscanf(port, "127.0.0.1:%d", &n)
	check(err)
	srv = start(&server.Options{Port: n, JetStream: true, StoreDir: "store"})
	defer srv.Shutdown()
	said.Scan()
	fmt.Println("nats.js:", said.Text())
	check(node.Wait())
	<-up
	_, err = js.Publish("go", []byte("after"))
	check(err)
	info, err := js.StreamInfo("KEPT", &nats.StreamInfoRequest{SubjectsFilter: ">"})
	check(err)
	fmt.Printf("of 7 the server has %d from nats.go, %d from nats.js\n", info.State.Subjects["go"], info.State.Subjects["js"])
}
GO
go run . | tee said
cat >want <<'WANT'
nats.js: 7 messages counted as sent
of 7 the server has 7 from nats.go, 2 from nats.js
WANT
cmp said want
