#!/usr/bin/env bash
# gpsd 3.22 (Debian 12), gpsdecode -j and what gpsd sends as JSON unless asked for raw values: the rate of turn of an
# AIS position is signed, below zero to port (ITU-R M.1371: (n / 4.733)^2 degrees a minute with the sign of n).
# The sign is lost in the square: a ship that turns to port at 3 degrees a minute turns to starboard.
# "Not available" and "fast" are strings in the same field. With -u the raw value has its sign.
# Needs apt (Debian 12) and python3.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
chmod 755 .
apt-get download -qq gpsd-clients=3.22-4.1+deb12u1 libgps28=3.22-4.1+deb12u1 libusb-1.0-0 libbluetooth3 libdbus-1-3 2>/dev/null
for deb in *.deb; do dpkg-deb -x "$deb" root; done
export LD_LIBRARY_PATH=$(echo "$dir"/root/usr/lib/*-linux-gnu):$(echo "$dir"/root/lib/*-linux-gnu)
cat > make.py <<'PY'
# Position reports (type 1) that differ in the rate of turn only.
def report(turn):
    fields = [(1, 6), (0, 2), (211000001, 30), (0, 4), (turn & 255, 8), (0, 11), (0, 28), (0, 27), (0, 12), (0, 9), (0, 6), (0, 25)]
    bits = ''.join(format(v, f'0{n}b') for v, n in fields)
    six = [int(bits[i:i + 6], 2) for i in range(0, 168, 6)]
    text = 'AIVDM,1,1,,A,%s,0' % ''.join(chr(v + 48 if v < 40 else v + 56) for v in six)
    check = 0
    for c in text:
        check ^= ord(c)
    print('!%s*%02X\r' % (text, check))
for turn in 8, -8, -128:
    report(turn)
PY
python3 make.py >ais
paste -d' ' <(root/usr/bin/gpsdecode -u -j <ais | grep -o '"turn":[^,]*') <(root/usr/bin/gpsdecode -j <ais | grep -o '"turn":[^,]*') | sed 's/^/raw and scaled: /' | tee said
cat >want <<'WANT'
raw and scaled: "turn":8 "turn":3
raw and scaled: "turn":-8 "turn":3
raw and scaled: "turn":-128 "turn":"nan"
WANT
cmp said want
