#!/usr/bin/env bash
# nmea-simple 3.3.0 (npm) and pynmea2 1.15.0 (Debian 12's python3-nmea2): a receiver
# without a fix sends its sentences with empty fields for the position. Both parsers
# turn those into latitude 0 and longitude 0, a place in the Gulf of Guinea, as numbers
# like any other and without an error. The speed, just as empty, is 0 for nmea-simple and
# None for pynmea2. A tracker that publishes what it parsed must look at the fix
# quality (GGA) or status (RMC) itself. gps 0.9.0 (npm) gives null.
# Needs apt, python3, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
chmod 755 .
apt-get download -qq python3-nmea2=1.15.0-4 2>/dev/null
dpkg-deb -x python3-nmea2_*.deb root
npm init -y >/dev/null
npm install --silent --no-audit --no-fund nmea-simple@3.3.0 gps@0.9.0 >/dev/null
rmc='$GNRMC,120000.00,V,,,,,,,010326,,,N*66'
cat > run.js <<'JS'
const simple = require('nmea-simple').parseNmeaSentence(process.argv[2])
console.log('nmea-simple', simple.latitude + 0, simple.longitude + 0, simple.speedKnots + 0)
const gps = require('gps'), parsed = (gps.GPS || gps.default || gps).Parse(process.argv[2])
console.log('gps', parsed.lat, parsed.lon, parsed.speed)
JS
cat > run.py <<'PY'
import sys, pynmea2
m = pynmea2.parse(sys.argv[1])
print('pynmea2', m.latitude, m.longitude, m.spd_over_grnd)
PY
{ node run.js "$rmc"; PYTHONPATH=root/usr/lib/python3/dist-packages python3 run.py "$rmc"; } | tee said
printf '%s\n' 'nmea-simple 0 0 0' 'gps null null null' 'pynmea2 0.0 0.0 None' | cmp - said
