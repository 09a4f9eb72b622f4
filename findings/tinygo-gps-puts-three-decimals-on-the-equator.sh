#!/usr/bin/env bash
# tinygo.org/x/drivers 0.37.0, gps: the minutes of an NMEA position have as many decimals as
# the receiver likes. A latitude of fewer than nine characters (three decimals: 4916.450) is taken
# for none and is 0, while the longitude, with a digit more, is right, and the fix is Valid:
# the vehicle is on the equator. The fraction of a second is
# taken for nanoseconds, whatever its length: .500 is 500 ns. What comes with four decimals is right.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init gps >/dev/null 2>&1
go get tinygo.org/x/drivers@v0.37.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"

	"tinygo.org/x/drivers/gps"
)

func main() {
	for _, s := range []string{
		"$GPRMC,101500.500,A,4916.4500,N,01111.1200,E,0.0,0.0,150626,,,A",
		"$GPRMC,101500.500,A,4916.450,N,01111.120,E,0.0,0.0,150626,,,A",
	} {
		var sum byte
		for _, c := range []byte(s[1:]) {
			sum ^= c
		}
		s = fmt.Sprintf("%s*%02X", s, sum)
		p := gps.NewParser()
		fix, err := p.Parse(s)
		fmt.Printf("%s: valid %v, latitude %.4f, longitude %.4f, %d ns, error %v\n", s[18:42], fix.Valid, fix.Latitude, fix.Longitude, fix.Time.Nanosecond(), err)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee said
cat >want <<'WANT'
A,4916.4500,N,01111.1200: valid true, latitude 49.2742, longitude 11.1853, 500 ns, error <nil>
A,4916.450,N,01111.120,E: valid true, latitude 0.0000, longitude 11.1853, 500 ns, error <nil>
WANT
cmp said want
