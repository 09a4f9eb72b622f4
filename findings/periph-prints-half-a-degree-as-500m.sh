#!/usr/bin/env bash
# periph.io/x/conn 3.7.3, whose physic types the drivers of sensors return: String()
# chooses a prefix by the size of the number. 21.5 degrees are "21.500°C", half a degree is
# "500m°C", 1000 are "1k°C", so parseFloat and the like at the other end of a topic
# read 500 degrees on a frosty night. JSON is no way out: it is a number of nanokelvin.
# Humidity is cut, not rounded, 99.99 % to "99.9%rH". Divide by physic.Celsius instead.
# Needs go, node.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init frost >/dev/null 2>&1
go get periph.io/x/conn/v3/physic@v3.7.3 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"

	"periph.io/x/conn/v3/physic"
)

func main() {
	for _, tenths := range []physic.Temperature{215, 5, -5} {
		t := physic.ZeroCelsius + tenths*physic.Celsius/10
		data, err := json.Marshal(t)
		if err != nil {
			panic(err)
		}
		fmt.Println(t, string(data))
	}
	fmt.Println(9999 * physic.PercentRH / 100)
}
GO
go run . | tee said
printf '%s\n' '21.500°C 294650000000' '500m°C 273650000000' '-500m°C 272650000000' '99.9%rH' | cmp - said
[ "$(node -p 'parseFloat("500m°C")')" = 500 ]
