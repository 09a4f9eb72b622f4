#!/usr/bin/env bash
# tinygo.org/x/drivers 0.37.0, honeyhsc, pressure sensors of Honeywell's HSC series: eleven bits of temperature, of which
# 2047 * (t + 50) / 200 is the datasheet's meaning. The driver puts the upper eight and the lower three
# together with five bits of nothing between, and gives the sum as thousandths of a degree: it is right at
# 24 degrees, where one tries it on a bench, and says 16.4 at the freezing point and 42.5 at 80. Its pressure, in
# millipascals of int32, is right for the gentlest sensor of 1.6 mbar and wraps for one of a bar.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init pressure >/dev/null 2>&1
go get tinygo.org/x/drivers@v0.37.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"

	"tinygo.org/x/drivers/honeyhsc"
)

// chip answers every read with two bytes of pressure and two of temperature.
type chip [4]byte

func (c chip) Tx(_ uint16, _, r []byte) error {
	copy(r, c[:])
	return nil
}

func main() {
	bar := honeyhsc.NewDevI2C(chip{0x20, 0, 0x60, 0}, 0x28, 1638, 14746, 0, 100_000_000)
	_, err := bar.ReadTemperature()
	fmt.Printf("half a bar: pressure %d of 100000000 mPa, error %v\n", bar.Pressure(), err)
	for _, celsius := range []float64{-20, 0, 24, 40, 80} {
		bits := uint16(2047*(celsius+50)/200 + 0.5)
		bus := chip{0x20, 0, byte(bits >> 3), byte(bits << 5)} // half of the range
		sensor := honeyhsc.NewDevI2C(bus, 0x28, 1638, 14746, 0, 160_000)
		milli, err := sensor.ReadTemperature()
		fmt.Printf("at %g degrees it says %.1f K, %.1f degrees, pressure %d of 160000 mPa, error %v\n", celsius, float64(milli)/1000, float64(milli)/1000-273.15, sensor.Pressure(), err)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee said
cat >want <<'WANT'
half a bar: pressure -131980 of 100000000 mPa, error <nil>
at -20 degrees it says 282.9 K, 9.7 degrees, pressure 80000 of 160000 mPa, error <nil>
at 0 degrees it says 289.5 K, 16.4 degrees, pressure 80000 of 160000 mPa, error <nil>
at 24 degrees it says 297.2 K, 24.1 degrees, pressure 80000 of 160000 mPa, error <nil>
at 40 degrees it says 302.6 K, 29.4 degrees, pressure 80000 of 160000 mPa, error <nil>
at 80 degrees it says 315.6 K, 42.5 degrees, pressure 80000 of 160000 mPa, error <nil>
WANT
cmp said want
