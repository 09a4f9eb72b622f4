#!/usr/bin/env bash
# qemu-user 7.2 (Debian 12): /proc/self/maps has the addresses of the emulated
# program, /proc/self/smaps those of the machine around, moved by what qemu keeps
# below the program (4 KB for 32-bit ARM). A program that hands ranges of smaps to
# madvise or mincore means other memory of its own, and MADV_DONTNEED puts pages
# of its variables back to what the file has.
# Needs Go 1.26, and apt for Debian 12's package.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
version='1:7.2+dfsg-7+deb12u18+b3'
apt-get download -qq "qemu-user-static=$version" 2>/dev/null
dpkg-deb -x qemu-user-static_*.deb root
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"reflect"
	"strings"
)

func main() {
	for _, name := range []string{"maps", "smaps"} {
		b, err := os.ReadFile("/proc/self/" + name)
		if err != nil {
			panic(err)
		}
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, " 00000000 ") && strings.HasSuffix(line, "/program\n") {
				fmt.Println(name, strings.Fields(line)[0])
			}
		}
	}
	fmt.Printf("code at %08x\n", reflect.ValueOf(main).Pointer())
}
GO
GOOS=linux GOARCH=arm GOARM=6 CGO_ENABLED=0 go build -o program main.go
qemu=root/usr/bin/qemu-arm-static
"$qemu" --version | head -1
"$qemu" ./program | tee out
maps=$(sed -n 's/^maps \([0-9a-f]*\)-.*/\1/p' out | head -1)
smaps=$(sed -n 's/^smaps \([0-9a-f]*\)-.*/\1/p' out | head -1)
test "$maps" = 10000
test "$smaps" = 00011000
