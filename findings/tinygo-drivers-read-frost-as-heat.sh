#!/usr/bin/env bash
# tinygo.org/x/drivers 0.37.0, mcp9808 and adt7410, two I2C thermometers of cold chains: both
# chips give two's complement. The driver of the MCP9808 works out a value below zero and then
# overwrites it with the one for above, that of the ADT7410 reads the register without
# its sign: -0.5 degrees are 255.5 and 511.5, without an error. tmp102 of the same module is
# right. A gateway in its warm test room never sees it; a bound for what is possible finds it.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init frost >/dev/null 2>&1
go get tinygo.org/x/drivers@v0.37.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"

	"tinygo.org/x/drivers/adt7410"
	"tinygo.org/x/drivers/mcp9808"
	"tinygo.org/x/drivers/tmp102"
)

// chip is a bus with one chip, which answers every read with its register.
type chip [2]byte

func (c chip) Tx(_ uint16, _, r []byte) error {
	copy(r, c[:])
	return nil
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	// The register of each chip by its datasheet, for +25 and for -0.5 degrees.
	for _, at := range []struct {
		celsius       float64
		mcp, adt, tmp chip
	}{
		{25, chip{0x01, 0x90}, chip{0x0C, 0x80}, chip{0x19, 0x00}},
		{-0.5, chip{0x1F, 0xF8}, chip{0xFF, 0xC0}, chip{0xFF, 0x80}},
	} {
		mcp, adt, tmp := mcp9808.New(at.mcp), adt7410.New(at.adt), tmp102.New(at.tmp)
		tmp.Configure(tmp102.Config{})
		m, err := mcp.ReadTemperature()
		must(err)
		milli, err := tmp.ReadTemperature()
		must(err)
		fmt.Printf("%g degrees: mcp9808 %g, adt7410 %g, tmp102 %g\n", at.celsius, m, adt.ReadTempC(), float64(milli)/1000)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee said
cat >want <<'WANT'
25 degrees: mcp9808 25, adt7410 25, tmp102 25
-0.5 degrees: mcp9808 255.5, adt7410 511.5, tmp102 -0.5
WANT
cmp said want
