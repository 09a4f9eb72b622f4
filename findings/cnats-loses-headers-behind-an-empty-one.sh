#!/usr/bin/env bash
# cnats 3.4.1 (Debian 12's libnats3.4, the C client of devices): a header may have an empty value; nats.go writes it as
# "Name: ". The C client takes the line's end for leading space: the next header becomes the
# value and is gone as a header, and with an empty one at the end the first question for any header is
# a "Protocol Error". A bridge that passes on properties, some of them empty, so hides
# the Nats-Msg-Id or KV-Operation behind one. nats.go reads all three messages right.
# Needs apt (Debian 12), gcc and go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/nats-server.lib"
chmod 755 .
version=3.4.1-1+b1
apt-get download -qq libnats-dev=$version libnats3.4=$version libprotobuf-c1 libsodium23 2>/dev/null
for deb in *.deb; do dpkg-deb -x "$deb" root; done
mkdir c
cat > c/main.c <<'C'
#include <stdio.h>
#include <nats/nats.h>

int main(int argc, char **argv) {
  natsConnection *nc;
  natsSubscription *sub;
  natsMsg *m;
  natsConnection_ConnectTo(&nc, argv[1]);
  natsConnection_SubscribeSync(&sub, nc, "t");
  natsConnection_Flush(nc);
  puts("subscribed");
  fflush(stdout);
  for (int i = 0; i < 3; i++) {
    const char *unit = "", *id = "";
    if (natsSubscription_NextMsg(&m, sub, 10000) != NATS_OK) return 1;
    natsStatus d = natsMsgHeader_Get(m, "Id", &id), u = natsMsgHeader_Get(m, "Unit", &unit);
    printf("cnats   %s: Id %s \"%s\", Unit %s \"%s\"\n", natsMsg_GetData(m), natsStatus_GetText(d), d ? "" : id, natsStatus_GetText(u), u ? "" : unit);
  }
}
C
cat > main.go <<'GO'
package main

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func main() {
	srv := start(&server.Options{})
	defer srv.Shutdown()
	nc, err := nats.Connect(srv.ClientURL())
	check(err)
	sub, err := nc.SubscribeSync("t")
	check(err)
	check(nc.Flush())
	device := exec.Command("./device", srv.ClientURL())
	out, err := device.StdoutPipe()
	check(err)
	check(device.Start())
	said := bufio.NewScanner(out)
	said.Scan() // subscribed
	raw, err := net.Dial("tcp", srv.Addr().String()) // nats.go writes headers in any order
	check(err)
	fmt.Fprint(raw, "CONNECT {\"verbose\":false,\"headers\":true}\r\n")
	for _, h := range []string{"Id: 7|Unit: C|", "Id: |Unit: C|", "Id: 7|Unit: |"} {
		head := "NATS/1.0\r\n" + strings.ReplaceAll(h, "|", "\r\n") + "\r\n"
		fmt.Fprintf(raw, "HPUB t %d %d\r\n%s%s\r\n", len(head), len(head)+len(h), head, h)
		m, err := sub.NextMsg(5 * time.Second)
		check(err)
		fmt.Printf("nats.go %s: Id %q, Unit %q\n", m.Data, m.Header.Get("Id"), m.Header.Get("Unit"))
	}
	for said.Scan() {
		fmt.Println(said.Text())
	}
	check(device.Wait())
}
GO
lib=$(echo "$dir"/root/usr/lib/*-linux-gnu)
cc -I root/usr/include c/main.c -o device "$lib/libnats.so" -Wl,--allow-shlib-undefined
LD_LIBRARY_PATH=$lib go run . | tee said
cat >want <<'WANT'
nats.go Id: 7|Unit: C|: Id "7", Unit "C"
nats.go Id: |Unit: C|: Id "", Unit "C"
nats.go Id: 7|Unit: |: Id "7", Unit ""
cnats   Id: 7|Unit: C|: Id OK "7", Unit OK "C"
cnats   Id: |Unit: C|: Id OK "Unit: C", Unit Not Found ""
cnats   Id: 7|Unit: |: Id Protocol Error "", Unit Not Found ""
WANT
cmp said want
