#!/usr/bin/env bash
# pymodbus 3.0.0 (Debian 12): BinaryPayloadDecoder.fromRegisters([1]).decode_16bit_int() is
# 256. What goes in are registers, numbers whose bytes the library itself has put in order; its
# decoder takes them apart and puts each together the other way round unless it is told
# byteorder=Endian.Big. A builder without options makes the same turn, so a round trip in
# a test shows nothing, and only devices of others are read wrong. Words of a 32-bit
# value are by default in the order of the standard, bytes are not.
# Needs apt (Debian 12) and python3.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
chmod 755 .
apt-get download -qq python3-pymodbus=3.0.0-7 2>/dev/null
dpkg-deb -x python3-pymodbus_*.deb root
cat > run.py <<'PY'
import sys
from pymodbus.constants import Endian
from pymodbus.payload import BinaryPayloadBuilder, BinaryPayloadDecoder

plain = BinaryPayloadDecoder.fromRegisters([1]).decode_16bit_int()
big = BinaryPayloadDecoder.fromRegisters([1], byteorder=Endian.Big).decode_16bit_int()
builder = BinaryPayloadBuilder()
builder.add_16bit_int(1)
written = builder.to_registers()
back = BinaryPayloadDecoder.fromRegisters(written).decode_16bit_int()
print(f'pymodbus 3.0.0: register [1] is {plain}, with byteorder Big {big}; 1 is written as {written} and read back as {back}')
sys.exit(0 if (plain, big, written, back) == (256, 1, [256], 1) else 1)
PY
PYTHONPATH=root/usr/lib/python3/dist-packages python3 run.py
