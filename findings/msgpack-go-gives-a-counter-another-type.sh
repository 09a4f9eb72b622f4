#!/usr/bin/env bash
# vmihailenco/msgpack 5.4.1: a number decoded into any has the Go type of its width on the wire:
# a counter sent as int is int8 up to 127, uint8 at 128, uint16 from 256, uint32 from
# 65536, and int8 or int16 below zero. A rule with v.(int64), or a type switch over the types
# that a test has shown, works in the lab and drops the reading once the counter
# is large enough. msgp 1.6.5 has two types, int64 and uint64, for the same bytes, and
# changes over at 128. (Decoder.UseLooseInterfaceDecoding makes the first one like that.)
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init counter >/dev/null 2>&1
go get github.com/tinylib/msgp/msgp@v1.6.5 github.com/vmihailenco/msgpack/v5@v5.4.1 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/tinylib/msgp/msgp"
	"github.com/vmihailenco/msgpack/v5"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func main() {
	seen, other := "", ""
	for _, n := range []int{-200, -1, 127, 128, 256, 65536} {
		data := must(msgpack.Marshal(n))
		var v any
		if err := msgpack.Unmarshal(data, &v); err != nil {
			panic(err)
		}
		w, _, err := msgp.ReadIntfBytes(data)
		must(w, err)
		seen += fmt.Sprintf("%d %T, ", n, v)
		other += fmt.Sprintf("%d %T, ", n, w)
	}
	fmt.Println("msgpack 5.4.1:", seen)
	fmt.Println("msgp 1.6.5:   ", other)
	if seen != "-200 int16, -1 int8, 127 int8, 128 uint8, 256 uint16, 65536 uint32, " ||
		other != "-200 int64, -1 int64, 127 int64, 128 uint64, 256 uint64, 65536 uint64, " {
		os.Exit(1)
	}
}
GO
go run .
