#!/usr/bin/env bash
# @influxdata/influxdb-client 1.35.0 (npm): intField of a number with a fraction, as a sensor's driver gives, is no error
# and no rounding but the floor: 0.9 is 0i and -0.4 is -1i, so that a cold room about the freezing point
# is below it half of the time, and an average is half a degree low. Of the same number as text
# the fraction is cut off, "-0.4" is 0i. Round before, or take floatField.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @influxdata/influxdb-client@1.35.0 >/dev/null
cat > run.js <<'JS'
const { Point } = require('@influxdata/influxdb-client')
for (const v of [21.5, 0.9, -0.4, '-0.4', -1.01, '-1.01']) console.log(JSON.stringify(v), new Point('room').intField('temp', v).timestamp('').toLineProtocol())
JS
node run.js | tee said
cat >want <<'WANT'
21.5 room temp=21i
0.9 room temp=0i
-0.4 room temp=-1i
"-0.4" room temp=0i
-1.01 room temp=-2i
"-1.01" room temp=-1i
WANT
cmp said want
