#!/usr/bin/env bash
# nfpm 2.45.2: for deb, arm6 and arm7 are both "armhf", so the packages of the
# two builds have one file name and one identity: whichever is written last wins,
# and apt would upgrade one by the other. Debian's armhf is ARMv7; only Raspberry
# Pi OS means ARMv6 by it. A program for ARMv7 dies with an illegal instruction on
# a Pi Zero that took it for its own.
# Needs go 1.26.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
)

func main() {
	names := map[string]string{}
	for _, arch := range []string{"arm5", "arm6", "arm7"} {
		info := nfpm.WithDefaults(&nfpm.Info{Name: "x", Arch: arch, Version: "1.0.0"})
		names[arch] = deb.Default.ConventionalFileName(info)
		fmt.Println(arch, "is", names[arch])
	}
	if names["arm6"] != names["arm7"] || names["arm5"] == names["arm6"] {
		os.Exit(1)
	}
}
GO
go get github.com/goreleaser/nfpm/v2@v2.45.2 >/dev/null 2>&1
go mod tidy >/dev/null 2>&1
go list -m github.com/goreleaser/nfpm/v2
go run .
