#!/usr/bin/env bash
# deb-version-compare 1.2.1 (npm), "according to debian policy": 1.0 and 1.0-1 are equal
# for it, where dpkg has 1.0 before 1.0-1; 1.0-0 and 1.0, which are equal for dpkg, are
# not, nor are 2026.04 and 2026.4. A fleet's "is there something newer" never gives out
# the first revision of a package. (go-deb-version agrees with dpkg in all of them.)
# Needs dpkg, go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund deb-version-compare@1.2.1 >/dev/null
go mod init versions >/dev/null 2>&1
go get github.com/knqyf263/go-deb-version@v0.0.0-20241115132648-6f4aee6ccd23 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"cmp"
	"fmt"
	"os"

	version "github.com/knqyf263/go-deb-version"
)

func main() {
	a, errA := version.NewVersion(os.Args[1])
	b, errB := version.NewVersion(os.Args[2])
	if errA != nil || errB != nil {
		panic(fmt.Sprint(errA, errB))
	}
	fmt.Println(cmp.Compare(a.Compare(b), 0))
}
GO
cat > run.js <<'JS'
const lib = require('deb-version-compare'), compare = lib.default || lib.compare || lib
console.log(Math.sign(compare(process.argv[2], process.argv[3])))
JS
go build -o compare .
dpkg_says() { if dpkg --compare-versions "$1" lt "$2"; then echo -1; elif dpkg --compare-versions "$1" gt "$2"; then echo 1; else echo 0; fi; }
while read -r a b; do
  echo "$a $b: dpkg $(dpkg_says "$a" "$b"), go-deb-version $(./compare "$a" "$b"), deb-version-compare $(node run.js "$a" "$b")"
done <<'PAIRS' | tee said
1.0-1 1.0-2
1.0 1.0-1
1.0-0 1.0
2026.04 2026.4
PAIRS
cat >want <<'WANT'
1.0-1 1.0-2: dpkg -1, go-deb-version -1, deb-version-compare -1
1.0 1.0-1: dpkg -1, go-deb-version -1, deb-version-compare 0
1.0-0 1.0: dpkg 0, go-deb-version 0, deb-version-compare 1
2026.04 2026.4: dpkg 0, go-deb-version 0, deb-version-compare -1
WANT
cmp said want
