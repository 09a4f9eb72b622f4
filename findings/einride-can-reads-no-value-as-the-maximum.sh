#!/usr/bin/env bash
# einride/can 0.17.0: on J1939 and NMEA 2000 a byte of 0xFF means "not available"
# and 0xFE "error". UnmarshalPhysical puts what lies outside the signal's [min|max] of
# the DBC file onto the nearer limit, and returns no error: a tank without a sensor
# is full (0xFF * 0.4 = 102 % becomes 100 %), and no caller can tell it from a full one.
# Without limits in the file ([0|0]) the value is 102, which can be told.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init tank >/dev/null 2>&1
go get go.einride.tech/can/pkg/descriptor@v0.17.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"go.einride.tech/can"
	"go.einride.tech/can/pkg/descriptor"
)

func main() {
	// SG_ FuelLevel : 8|8@1+ (0.4,0) [0|100] "%"
	limited := &descriptor.Signal{Name: "FuelLevel", Start: 8, Length: 8, Scale: 0.4, Max: 100}
	free := &descriptor.Signal{Name: "FuelLevel", Start: 8, Length: 8, Scale: 0.4}
	read := func(s *descriptor.Signal, raw byte) float64 {
		return s.UnmarshalPhysical(can.Data{0, raw})
	}
	for _, raw := range []byte{125, 250, 0xFE, 0xFF} {
		fmt.Printf("einride/can 0.17.0: %#02x with [0|100] is %g, with [0|0] %g\n", raw, read(limited, raw), read(free, raw))
	}
	if read(limited, 125) != 50 || read(limited, 250) != 100 || read(limited, 0xFE) != 100 || read(limited, 0xFF) != 100 || read(free, 0xFF) != 102 {
		os.Exit(1)
	}
}
GO
go run .
