#!/usr/bin/env bash
# synadia-io/orbit.go/kvcodec 0.1.2, for key-value buckets of NATS: PathCodec lets programs use paths as keys and puts a dot
# where the path has a slash. A dot of the path itself, valid in a key, stays a dot: "config/pump.json" and "config/pump/json" are
# one key of the bucket, the last that is put wins, and a list of keys gives "config/pump/json" for both: who reads the
# names back finds no file of that name. "fw/1.2" comes back as "fw/1/2", and "a/b/" as "a/b". No error tells.
# Base64Codec keeps what it is given apart, except that a dot still parts levels.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init keys >/dev/null 2>&1
go get github.com/synadia-io/orbit.go/kvcodec@v0.1.2 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"

	"github.com/synadia-io/orbit.go/kvcodec"
)

func main() {
	codec := kvcodec.PathCodec()
	for _, key := range []string{"/config/pump", "config/pump.json", "config/pump/json", "fw/1.2", "a/b/"} {
		stored, err := codec.EncodeKey(key)
		if err != nil {
			panic(err)
		}
		back, err := codec.DecodeKey(stored)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s is stored as %s and read back as %s\n", key, stored, back)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee said
cat >want <<'WANT'
/config/pump is stored as _root_.config.pump and read back as /config/pump
config/pump.json is stored as config.pump.json and read back as config/pump/json
config/pump/json is stored as config.pump.json and read back as config/pump/json
fw/1.2 is stored as fw.1.2 and read back as fw/1/2
a/b/ is stored as a.b and read back as a/b
WANT
cmp said want
