#!/usr/bin/env bash
# coreos/go-systemd 22.7.0, package unit: a comment line between the lines of a continued
# value (systemd.syntax(7): it is skipped) ends the value for Deserialize, and the next line
# is an error, for the whole file; systemd-analyze verify has nothing to say
# against it. And a continued value comes with the backslash and the line feed in it, not
# joined by a space, so comparing or splitting it misses the words behind. A tool that edits the
# units of a fleet must join lines before.
# Needs go and systemd-analyze (apt: systemd).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init units >/dev/null 2>&1
go get github.com/coreos/go-systemd/v22/unit@v22.7.0 >/dev/null 2>&1
printf '[Service]\nExecStart=/bin/echo one \\\n  two\n' >joined.service
printf '[Service]\nExecStart=/bin/echo one \\\n# why two\n  two\n' >comment.service
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/coreos/go-systemd/v22/unit"
)

func main() {
	for _, name := range []string{"joined", "comment"} {
		f, err := os.Open(name + ".service")
		if err != nil {
			panic(err)
		}
		options, err := unit.Deserialize(f)
		if err != nil {
			fmt.Printf("%s: error %q\n", name, err)
			continue
		}
		fmt.Printf("%s: %q\n", name, options[0].Value)
	}
}
GO
go run . | tee said
cat >want <<'WANT'
joined: "/bin/echo one \\\n  two"
comment: error "unexpected newline encountered while parsing option name"
WANT
cmp said want
for f in joined comment; do
  out=$(systemd-analyze verify ./$f.service 2>&1) || { echo "systemd-analyze $f: refused $out"; exit 1; }
  case $out in *"$f.service:"*) echo "systemd-analyze: $out"; exit 1 ;; esac
  echo "systemd-analyze verify $f.service: nothing to say"
done
