#!/usr/bin/env bash
# cJSON 1.7.15 (Debian 12; part of ESP-IDF): a number has a valueint and a valuedouble. valueint, the
# natural field for a whole number, is an int and saturates: each time in milliseconds is 2147483647,
# and so is a counter of 32 bits past its half, without an error. Every later reading has
# the same time. And cJSON_GetObjectItem minds no case: of {"T": 21.5, "t": 1764331200} "t" gives
# 21.5, the first of the two; cJSON_GetObjectItemCaseSensitive is the other function.
# Needs apt (Debian 12) and gcc.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
chmod 755 .
version=1.7.15-1+deb12u4
apt-get download -qq libcjson-dev=$version libcjson1=$version 2>/dev/null
for deb in *.deb; do dpkg-deb -x "$deb" root; done
cat > main.c <<'C'
#include <stdio.h>
#include <cjson/cJSON.h>

int main(void) {
  cJSON *o = cJSON_Parse("{\"T\": 21.5, \"t\": 1764331200, \"ms\": 1764331200123, \"pulses\": 3000000000}");
  const char *names[] = {"t", "ms", "pulses"};
  printf("cJSON %s\n", cJSON_Version());
  for (int i = 0; i < 3; i++) {
    cJSON *item = cJSON_GetObjectItem(o, names[i]);
    printf("%s: valueint %d, valuedouble %.15g\n", names[i], item->valueint, item->valuedouble);
  }
}
C
lib=$(echo root/usr/lib/*-linux-gnu)
cc -I root/usr/include main.c -o main "$lib"/libcjson.so
LD_LIBRARY_PATH=$lib ./main | tee said
cat >want <<'WANT'
cJSON 1.7.15
t: valueint 21, valuedouble 21.5
ms: valueint 2147483647, valuedouble 1764331200123
pulses: valueint 2147483647, valuedouble 3000000000
WANT
cmp said want
