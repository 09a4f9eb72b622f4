#!/usr/bin/env bash
# paho.golang 0.23.0, autopaho/queue/file: the queue that a Go device program keeps
# on disk for the time without a broker gives the oldest file first, by the time
# of its last change. File times move in steps of the kernel's tick (on vfat of
# two seconds), so what was queued within one step comes back in any order. Each
# message of a topic leaves at its own turn, and MQTT's promise of order per topic
# (4.6) is broken before the first byte is on the wire.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init queue >/dev/null 2>&1
go get github.com/eclipse/paho.golang@v0.23.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/eclipse/paho.golang/autopaho/queue/file"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	dir, err := os.MkdirTemp(".", "queue")
	must(err)
	queue, err := file.New(dir, "m", ".msg")
	must(err)
	for i := range 500 {
		must(queue.Enqueue(strings.NewReader(strconv.Itoa(i))))
	}
	last, early, all := -1, 0, 0
	for {
		entry, err := queue.Peek()
		if err != nil {
			break
		}
		r, err := entry.Reader()
		must(err)
		text, err := io.ReadAll(r)
		must(err)
		must(entry.Remove())
		n, err := strconv.Atoi(string(text))
		must(err)
		if n < last {
			early++
		}
		last, all = n, all+1
	}
	fmt.Printf("paho.golang 0.23.0: %d of 500 came back, %d of them after one that was queued later\n", all, early)
	if all != 500 || early == 0 {
		os.Exit(1)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run .
