#!/usr/bin/env bash
# paulmach/orb 0.14.0: GeoJSON positions may have a third number, the altitude (RFC 7946, 3.1.1),
# and trackers add it. orb's geojson reads the first two of each position and the rest
# is gone, without an error, so a gateway that reads a feature, adds a property and writes it
# takes the altitude away. Other members of the feature that the RFC leaves to users
# ("time") do survive, which makes one trust it.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init altitude >/dev/null 2>&1
go get github.com/paulmach/orb/geojson@v0.14.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/paulmach/orb/geojson"
)

func main() {
	const in = `{"type":"Feature","geometry":{"type":"Point","coordinates":[13.4,52.5,34.5]},"properties":{},"time":"12:00"}`
	feature, err := geojson.UnmarshalFeature([]byte(in))
	if err != nil {
		panic(err)
	}
	feature.Properties["gateway"] = "g1"
	out, err := feature.MarshalJSON()
	if err != nil {
		panic(err)
	}
	fmt.Println("in: ", in)
	fmt.Println("out:", string(out))
	if string(out) != `{"geometry":{"type":"Point","coordinates":[13.4,52.5]},"properties":{"gateway":"g1"},"time":"12:00","type":"Feature"}` {
		os.Exit(1)
	}
}
GO
go run .
