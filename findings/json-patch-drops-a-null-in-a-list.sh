#!/usr/bin/env bash
# evanphx/json-patch 5.9.11: a JSON merge patch replaces a list as a whole, by what the patch has there (RFC 7396, 2: what is
# no object replaces the target). null means "remove" only as a member of the patch's own objects. MergePatch takes the
# members that are null out of objects within a list as well, without an error: a list of channels, in which null says
# "no limit", is stored without the word, and what asks for the member finds none. Within an object that is
# within the list it is the same. json-merge-patch 1.0.2 (npm) keeps them.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund json-merge-patch@1.0.2 >/dev/null
go mod init merge >/dev/null 2>&1
go get github.com/evanphx/json-patch/v5@v5.9.11 >/dev/null 2>&1
echo '{"channels":[{"id":1,"limit":30}],"old":1}' >document
echo '{"channels":[{"id":1,"limit":null},{"id":2,"at":{"x":null}},null],"old":null}' >patch
cat > run.js <<'JS'
const { readFileSync } = require('fs')
const read = name => JSON.parse(readFileSync(name))
console.log('json-merge-patch', JSON.stringify(require('json-merge-patch').apply(read('document'), read('patch'))))
JS
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"

	jsonpatch "github.com/evanphx/json-patch/v5"
)

func main() {
	document, err := os.ReadFile("document")
	if err != nil {
		panic(err)
	}
	patch, err := os.ReadFile("patch")
	if err != nil {
		panic(err)
	}
	merged, err := jsonpatch.MergePatch(document, patch)
	fmt.Println("json-patch      ", string(merged), err)
}
GO
{ node run.js; go run .; } | tee said
cat >want <<'WANT'
json-merge-patch {"channels":[{"id":1,"limit":null},{"id":2,"at":{"x":null}},null]}
json-patch       {"channels":[{"id":1},{"id":2,"at":{}},null]} <nil>
WANT
cmp said want
