#!/usr/bin/env bash
# jansson 2.14 (Debian 12): JSON has one kind of number, jansson has two, by how a number is written.
# json_real_value of 21 is 0.0, of 21.5 it is 21.5, without an error; json_unpack with "f" refuses the 21.
# Publishers in JavaScript and Go write a float of 21.0 as 21, so the device misses each reading that
# happens to be whole. json_number_value, "F" and JSON_DECODE_INT_AS_REAL take both.
# Needs apt (Debian 12), gcc, go and node (for two publishers).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
chmod 755 .
apt-get download -qq libjansson-dev=2.14-2 2>/dev/null
for deb in *.deb; do dpkg-deb -x "$deb" root; done
cat > main.c <<'C'
#include <stdio.h>
#include <jansson.h>

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    double unpacked = -1;
    json_t *o = json_loads(argv[i], 0, NULL);
    int code = json_unpack(o, "{s:f}", "temp", &unpacked);
    printf("jansson %s, %s: json_real_value %g, json_unpack returns %d, json_number_value %g\n", JANSSON_VERSION, argv[i],
           json_real_value(json_object_get(o, "temp")), code, json_number_value(json_object_get(o, "temp")));
  }
}
C
cat > main.go <<'GO'
package main

import (
	"encoding/json"
	"os"
)

func main() { json.NewEncoder(os.Stdout).Encode(map[string]float64{"temp": 21.0}) }
GO
cc -I root/usr/include main.c -o main root/usr/lib/*-linux-gnu/libjansson.a
./main "$(node -p 'JSON.stringify({ temp: 42.0 / 2 })')" "$(go run main.go)" '{"temp":21.5}' | tee said
cat >want <<'WANT'
jansson 2.14, {"temp":21}: json_real_value 0, json_unpack returns -1, json_number_value 21
jansson 2.14, {"temp":21}: json_real_value 0, json_unpack returns -1, json_number_value 21
jansson 2.14, {"temp":21.5}: json_real_value 21.5, json_unpack returns 0, json_number_value 21.5
WANT
cmp said want
