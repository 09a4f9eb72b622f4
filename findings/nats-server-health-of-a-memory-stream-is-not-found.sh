#!/usr/bin/env bash
# nats-server 2.15.3: the health of a stream in memory is asked for by its name, over
# HTTP (/healthz?account=A&stream=M) or as $SYS.REQ.SERVER.PING.HEALTHZ, and is 404,
# "JetStream stream "M" not found", while the stream takes messages. A stream in a file
# beside it is "ok". A probe that watches a memory stream restarts a server that is well.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/nats-server.lib"
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func main() {
	dir, err := os.MkdirTemp("", "js")
	check(err)
	defer os.RemoveAll(dir)
	s := start(&server.Options{ServerName: "s", JetStream: true, StoreDir: dir})
	defer s.Shutdown()
	nc, err := nats.Connect(s.ClientURL())
	check(err)
	defer nc.Close()
	js, err := nc.JetStream()
	check(err)
	for name, storage := range map[string]nats.StorageType{"FILE": nats.FileStorage, "MEMORY": nats.MemoryStorage} {
		_, err = js.AddStream(&nats.StreamConfig{Name: name, Subjects: []string{name}, Storage: storage})
		check(err)
		_, err = js.Publish(name, []byte("stored"))
		check(err)
	}
	failed := false
	for _, name := range []string{"FILE", "MEMORY"} {
		h := s.Healthz(&server.HealthzOptions{Account: "$G", Stream: name})
		fmt.Println(name, h.StatusCode, h.Status, h.Error)
		failed = failed || name == "MEMORY" && h.StatusCode == 404
	}
	if !failed {
		fmt.Println("not reproduced")
		os.Exit(1)
	}
}
GO
go run .
