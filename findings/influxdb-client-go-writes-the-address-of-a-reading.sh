#!/usr/bin/env bash
# influxdb-client-go 2.14.0: a field may be any value, and what the library does not know it prints. A reading that may be
# missing, a *float64, is written as text with the address of the number, "0x...", and nil as the text
# "<nil>", both without an error. InfluxDB then has a field of type string in that measurement and
# shard and refuses the numbers that follow. NaN is an error, for the whole point with its other
# fields. Check for nil, take what the pointer points to, leave the field out.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init reading >/dev/null 2>&1
go get github.com/influxdata/influxdb-client-go/v2@v2.14.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
)

var address = regexp.MustCompile(`0x[0-9a-f]+`)

func main() {
	var posted string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		posted = address.ReplaceAllString(strings.TrimSpace(string(b)), "0xADDRESS")
		w.WriteHeader(http.StatusNoContent)
	}))
	defer srv.Close()
	client := influxdb2.NewClient(srv.URL, "token")
	defer client.Close()
	write := client.WriteAPIBlocking("org", "bucket")
	temp := 21.5
	var missing *float64
	for _, v := range []any{temp, &temp, missing, nil, math.NaN()} {
		posted = "nothing"
		err := write.WritePoint(context.Background(), influxdb2.NewPoint("room", nil, map[string]any{"temp": v, "hum": 40}, time.Unix(1764331200, 0)))
		fmt.Printf("%T: %s, error %v\n", v, posted, err)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee said
cat >want <<'WANT'
float64: room hum=40i,temp=21.5 1764331200000000000, error <nil>
*float64: room hum=40i,temp="0xADDRESS" 1764331200000000000, error <nil>
*float64: room hum=40i,temp="<nil>" 1764331200000000000, error <nil>
<nil>: room hum=40i,temp="<nil>" 1764331200000000000, error <nil>
float64: nothing, error is NaN
WANT
cmp said want
