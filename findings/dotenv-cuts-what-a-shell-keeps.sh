#!/usr/bin/env bash
# dotenv 17.4.2 (npm): in an unquoted value a # begins a comment even with no space
# before it. "TOPIC=sensors/#" is "sensors/" for a service in JavaScript, while
# the same file sourced by sh, or read by godotenv 1.5.1, gives "sensors/#", and
# "TOPIC=#" is the empty string. The service subscribes to another filter than its
# neighbours that share the file.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund dotenv@17.4.2 >/dev/null
go mod init env >/dev/null 2>&1
go get github.com/joho/godotenv@v1.5.1 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"

	"github.com/joho/godotenv"
)

func main() {
	m, err := godotenv.Read("shared.env")
	if err != nil {
		panic(err)
	}
	fmt.Println(m["TOPIC"])
}
GO
echo 'TOPIC=sensors/#' >shared.env
js=$(node -p 'require("dotenv").parse(require("fs").readFileSync("shared.env")).TOPIC')
go=$(go run .)
sh=$(sh -c '. ./shared.env; echo "$TOPIC"')
echo "TOPIC=sensors/# is for dotenv 17.4.2 $js, for godotenv 1.5.1 $go, for sh $sh"
[ "$js" = 'sensors/' ] && [ "$go" = 'sensors/#' ] && [ "$sh" = 'sensors/#' ]
