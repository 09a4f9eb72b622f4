#!/usr/bin/env bash
# fxamacker/cbor 2.10.0: Marshal writes a time.Time as a bare integer of seconds. The
# fraction is gone, and so is the tag (RFC 8949, 3.4.2) that says it is a time: a
# reading taken at .987 comes back at .000, and in a map as uint64. Times with their
# fraction need EncOptions{Time: TimeRFC3339Nano, TimeTag: EncTagRequired} or alike.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init times >/dev/null 2>&1
go get github.com/fxamacker/cbor/v2@v2.10.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/fxamacker/cbor/v2"
)

func main() {
	at := time.Date(2026, 3, 1, 12, 0, 0, 987_000_000, time.UTC)
	data, err := cbor.Marshal(map[string]any{"at": at})
	if err != nil {
		panic(err)
	}
	var reading struct {
		At time.Time `cbor:"at"`
	}
	var loose map[string]any
	if err := cbor.Unmarshal(data, &reading); err != nil {
		panic(err)
	}
	if err := cbor.Unmarshal(data, &loose); err != nil {
		panic(err)
	}
	fmt.Printf("fxamacker/cbor 2.10.0: %s is %x, back as %s and as %T\n", at.Format(time.RFC3339Nano), data, reading.At.UTC().Format(time.RFC3339Nano), loose["at"])
	if _, number := loose["at"].(uint64); !number || !reading.At.Equal(at.Truncate(time.Second)) || reading.At.Equal(at) {
		os.Exit(1)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run .
