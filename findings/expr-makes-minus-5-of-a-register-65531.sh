#!/usr/bin/env bash
# expr-lang/expr 1.17.8, the expressions of Go programs with rules and alarms: arithmetic on small integers is done in int, so that a
# uint8 of 200 times 2 is 400, and 5 - 10 of two uint16 is -5. The minus sign alone keeps the type: -level of a
# uint16 of 5 is 65531, -level < 0 is false, 0 - level < 0 is true, and -raw of an int8 of -128 is -128. No error
# is raised. Registers and CAN signals are of such types.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init minus >/dev/null 2>&1
go get github.com/expr-lang/expr@v1.17.8 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"

	"github.com/expr-lang/expr"
)

func main() {
	readings := map[string]any{"level": uint16(5), "limit": uint16(10), "state": uint8(200), "raw": int8(-128)}
	for _, rule := range []string{"state * 2", "level - limit", "-level", "0 - level", "-level < 0", "0 - level < 0", "-raw"} {
		value, err := expr.Eval(rule, readings)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s is %v (%T)\n", rule, value, value)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee said
cat >want <<'WANT'
state * 2 is 400 (int)
level - limit is -5 (int)
-level is 65531 (uint16)
0 - level is -5 (int)
-level < 0 is false (bool)
0 - level < 0 is true (bool)
-raw is -128 (int8)
WANT
cmp said want
