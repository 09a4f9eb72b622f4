#!/usr/bin/env bash
# iso8601-duration 2.1.4 (npm): RFC 5545 (3.3.6) has durations with a sign, "TRIGGER:-PT15M" for an alarm a
# quarter of an hour before, and device schedules take the form over. The pattern is not tied
# to the beginning of the text, so parse("-PT15M") is plus 15 minutes, without an error: a
# valve opens half an hour late. sosodev/duration 1.4.0 (Go) reads the sign.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund iso8601-duration@2.1.4 >/dev/null
go mod init sign >/dev/null 2>&1
go get github.com/sosodev/duration@v1.4.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"

	"github.com/sosodev/duration"
)

func main() {
	d, err := duration.Parse("-PT15M")
	fmt.Println("sosodev/duration: -PT15M is", d.ToTimeDuration().Seconds(), "s, error", err)
}
GO
go mod tidy >/dev/null 2>&1
{ node -p "const d = require('iso8601-duration'); 'iso8601-duration: -PT15M is ' + d.toSeconds(d.parse('-PT15M')) + ' s'"; go run .; } | tee said
cat >want <<'WANT'
iso8601-duration: -PT15M is 900 s
sosodev/duration: -PT15M is -900 s, error <nil>
WANT
cmp said want
