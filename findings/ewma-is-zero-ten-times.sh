#!/usr/bin/env bash
# VividCortex/ewma 1.2.0, moving averages: NewMovingAverage() and NewMovingAverage(30) have the first sample as their first
# value. Any other age, NewMovingAverage(60), has the value 0 for the first ten samples, whatever they are: a room of
# 21.5 degrees is at the freezing point for ten readings after each start, and an alarm for frost goes off, without
# a way to ask whether the value means something yet. Set() with the first sample ends that.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init average >/dev/null 2>&1
go get github.com/VividCortex/ewma@v1.2.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"

	"github.com/VividCortex/ewma"
)

func main() {
	for _, age := range []float64{30, 31, 60} {
		average := ewma.NewMovingAverage(age)
		fmt.Print("age ", age, ":")
		for range 12 {
			average.Add(21.5)
			fmt.Print(" ", average.Value())
		}
		fmt.Println()
	}
	average := ewma.NewMovingAverage(60)
	average.Set(21.5)
	average.Add(21.5)
	fmt.Println("age 60 after Set:", average.Value())
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee said
cat >want <<'WANT'
age 30: 21.5 21.5 21.5 21.5 21.5 21.5 21.5 21.5 21.5 21.5 21.5 21.5
age 31: 0 0 0 0 0 0 0 0 0 0 21.5 21.5
age 60: 0 0 0 0 0 0 0 0 0 0 21.5 21.5
age 60 after Set: 21.5
WANT
cmp said want
