#!/usr/bin/env bash
# tinylib/msgp 1.6.5: UnmarshalAsJSON, with which gateways show MessagePack to a browser, writes
# a float that is NaN or infinite, as a sensor's driver sends for "no value", as the bare
# word NaN or +Inf and returns no error. The document as a whole is no JSON any more:
# JSON.parse and encoding/json refuse all of it, the other readings too. encoding/json
# raises an error when it is to write such a number.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init nan >/dev/null 2>&1
go get github.com/tinylib/msgp/msgp@v1.6.5 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"

	"github.com/tinylib/msgp/msgp"
)

func main() {
	ok := true
	for _, value := range []float64{21.5, math.NaN(), math.Inf(1)} {
		data := msgp.AppendMapHeader(nil, 2)
		data = msgp.AppendFloat64(msgp.AppendString(data, "t"), value)
		data = msgp.AppendInt(msgp.AppendString(data, "n"), 7)
		var out bytes.Buffer
		_, err := msgp.UnmarshalAsJSON(&out, data)
		valid := json.Valid(out.Bytes())
		fmt.Printf("msgp 1.6.5: %s, error %v, valid JSON %v\n", out.String(), err, valid)
		ok = ok && err == nil && valid == (value == 21.5)
	}
	if !ok {
		os.Exit(1)
	}
}
GO
go run .
