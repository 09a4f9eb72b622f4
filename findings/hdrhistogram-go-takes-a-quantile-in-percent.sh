#!/usr/bin/env bash
# HdrHistogram/hdrhistogram-go 1.4.0: ValueAtQuantile wants percent. A quantile is a share of one for statistics, Prometheus and
# gonum (stat.Quantile), so ValueAtQuantile(0.99) looks right, is no error, and is the first percentile: of latencies from 1 to 1000 ms
# the slowest hundredth begins at 10 ms. 0.5 and 0.999 give nearly the same, which is what may raise a doubt. Percent it
# is in ValueAtPercentile too, of which the name says so.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init latency >/dev/null 2>&1
go get github.com/HdrHistogram/hdrhistogram-go@v1.4.0 gonum.org/v1/gonum/stat@v0.17.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/gonum/stat"
)

func main() {
	histogram := hdrhistogram.New(1, 1_000_000, 3)
	var all []float64
	for i := range 1000 {
		if err := histogram.RecordValue(int64(i + 1)); err != nil {
			panic(err)
		}
		all = append(all, float64(i+1))
	}
	for _, q := range []float64{0.5, 0.99, 0.999} {
		fmt.Println("quantile", q, "hdrhistogram", histogram.ValueAtQuantile(q), "gonum", stat.Quantile(q, stat.Empirical, all, nil))
	}
	fmt.Println("quantile 99 hdrhistogram", histogram.ValueAtQuantile(99))
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee said
cat >want <<'WANT'
quantile 0.5 hdrhistogram 5 gonum 500
quantile 0.99 hdrhistogram 10 gonum 990
quantile 0.999 hdrhistogram 10 gonum 999
quantile 99 hdrhistogram 990
WANT
cmp said want
