#!/usr/bin/env bash
# gopcua 0.8.0: OPC UA's DateTime (part 6, 5.2.2.5) reaches from 1601 to the end of
# 9999, and servers send both ends for "no time" and "never". The library computes
# in nanoseconds of int64, which reach from 1678 to 2262, and wraps without an error:
# the end of 9999 is read as a day in 1816, its maximum as one in 2185, and what a
# program writes as 2300 arrives as 1715. A check "valid until > now" turns round.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init never >/dev/null 2>&1
go get github.com/gopcua/opcua/ua@v0.8.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"github.com/gopcua/opcua/ua"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

const dateTime = 13 // the type of a variant

// read decodes a variant that holds so many steps of 100 ns since 1601.
func read(ticks int64) time.Time {
	var v ua.Variant
	_, err := v.Decode(binary.LittleEndian.AppendUint64([]byte{dateTime}, uint64(ticks)))
	must(err)
	return v.Value().(time.Time)
}

func main() {
	epoch := time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC)
	ticks := func(t time.Time) int64 { return (t.Unix() - epoch.Unix()) * 10_000_000 }
	end := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	today := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	fmt.Println("gopcua 0.8.0 reads", today.Format(time.DateTime), "as", read(ticks(today)).Format(time.DateTime))
	fmt.Println("gopcua 0.8.0 reads", end.Format(time.DateTime), "as", read(ticks(end)).Format(time.DateTime))
	fmt.Println("gopcua 0.8.0 reads the largest value as", read(1<<63-1).Format(time.DateTime))
	later := time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)
	v, err := ua.NewVariant(later)
	must(err)
	data, err := v.Encode()
	must(err)
	written := int64(binary.LittleEndian.Uint64(data[1:])) / 10_000_000
	arrives := time.Unix(epoch.Unix()+written, 0).UTC()
	fmt.Println("gopcua 0.8.0 writes", later.Format(time.DateTime), "as", arrives.Format(time.DateTime))
	if !read(ticks(today)).Equal(today) || read(ticks(end)).Year() != 1816 || read(1<<63-1).Year() != 2185 || arrives.Equal(later) {
		os.Exit(1)
	}
}
GO
go run .
