#!/usr/bin/env bash
# rrule 2.8.1 (npm): RFC 5545 (3.3.10) makes a set of the parts of a rule, and its occurrences come by time.
# "FREQ=DAILY;BYHOUR=18,6" gives 18:00 before 6:00 of each day, as the list is written: COUNT
# ends with another occurrence, and after() of four in the morning is 18:00, so that
# an actuator on a schedule leaves out six o'clock for ever. BYMINUTE is sorted, and so is BYHOUR with the
# hours in order. teambition/rrule-go 1.8.2 gives the same rule by time.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund rrule@2.8.1 >/dev/null
go mod init rule >/dev/null 2>&1
go get github.com/teambition/rrule-go@v1.8.2 >/dev/null 2>&1
cat > run.js <<'JS'
const { rrulestr } = require('rrule')
const short = d => d.toISOString().slice(8, 16)
const rule = rrulestr('DTSTART:20260115T000000Z\nRRULE:FREQ=DAILY;BYHOUR=18,6;COUNT=3')
console.log('rrule    ', rule.all().map(short).join(' '), 'after 15T04:00', short(rule.after(new Date('2026-01-15T04:00:00Z'))))
JS
cat > main.go <<'GO'
package main

import (
	"fmt"
	"time"

	"github.com/teambition/rrule-go"
)

func main() {
	set, err := rrule.StrToRRuleSet("DTSTART:20260115T000000Z\nRRULE:FREQ=DAILY;BYHOUR=18,6;COUNT=3")
	if err != nil {
		panic(err)
	}
	fmt.Print("rrule-go  ")
	for _, t := range set.All() {
		fmt.Print(t.Format("02T15:04 "))
	}
	fmt.Println("after 15T04:00", set.After(time.Date(2026, 1, 15, 4, 0, 0, 0, time.UTC), false).Format("02T15:04"))
}
GO
go mod tidy >/dev/null 2>&1
{ node run.js; go run .; } | tee said
cat >want <<'WANT'
rrule     15T18:00 15T06:00 16T18:00 after 15T04:00 15T18:00
rrule-go  15T06:00 15T18:00 16T06:00 after 15T04:00 15T06:00
WANT
cmp said want
