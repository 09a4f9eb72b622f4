#!/usr/bin/env bash
# libmodbus 3.1.6 (Debian 12): of the four orders of a float in two registers each has
# a function to set and one to get, and on a little-endian machine the pairs do not fit:
# what modbus_set_float_abcd writes, modbus_get_float_abcd does not read, and what is on the
# wire has the bytes of each register exchanged. The getters are right: 41AC 0000 is
# 21.5 in order abcd. A device program that sets with one and a gateway that gets with
# the other, both by the manual, disagree; set_badc is what get_abcd reads.
# Needs apt (Debian 12) and gcc, on a little-endian machine.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
chmod 755 .
version=3.1.6-2.1+deb12u1
apt-get download -qq libmodbus5=$version libmodbus-dev=$version 2>/dev/null
for deb in *.deb; do dpkg-deb -x "$deb" root; done
cat > main.c <<'C'
#include <stdio.h>
#include <modbus.h>

int main(void) {
  const struct {
    const char *name;
    void (*set)(float, uint16_t *);
    float (*get)(const uint16_t *);
  } orders[] = {
    {"abcd", modbus_set_float_abcd, modbus_get_float_abcd},
    {"dcba", modbus_set_float_dcba, modbus_get_float_dcba},
    {"badc", modbus_set_float_badc, modbus_get_float_badc},
    {"cdab", modbus_set_float_cdab, modbus_get_float_cdab},
  };
  const uint16_t right[2] = {0x41AC, 0};
  int lost = 0;
  for (int i = 0; i < 4; i++) {
    uint16_t r[2];
    orders[i].set(21.5f, r);
    float back = orders[i].get(r);
    printf("libmodbus 3.1.6 %s: 21.5 is set as %04X %04X and read back as %g\n", orders[i].name, r[0], r[1], back);
    lost += back != 21.5f;
  }
  uint16_t swapped[2];
  modbus_set_float_badc(21.5f, swapped);
  return !(lost == 4 && modbus_get_float_abcd(right) == 21.5f && modbus_get_float_abcd(swapped) == 21.5f);
}
C
lib=$(echo root/usr/lib/*-linux-gnu*)
cc -I root/usr/include/modbus main.c -o floats "$lib/libmodbus.so.5"
LD_LIBRARY_PATH=$lib ./floats
