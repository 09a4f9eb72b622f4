#!/usr/bin/env bash
# influx 5.12.0 (npm): times of InfluxDB are nanoseconds, and toNanoDate gives a Date that knows them besides. Its seconds are taken from
# the float of the whole number, which has steps of 256 ns: in the last hundred of a second's nanoseconds they are those of the next,
# and the .999 is added to them. The last nanosecond of a day, 23:59:59.999999999, as bounds of ranges and
# retention have it, is 00:00:00.999 of the next day, for getTime and toNanoISOString, in the year that follows
# on a 31st of December; getNanoTime is right. No error tells, and other times are right to the millisecond.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund influx@5.12.0 >/dev/null
cat > run.js <<'JS'
const { toNanoDate } = require('influx')
for (const time of ['1798761599123456789', '1798761599999999800', '1798761599999999999']) {
  const date = toNanoDate(time)
  const exact = new Date(Number(BigInt(time) / 1000000n))
  console.log(date.getNanoTime(), 'is', exact.toISOString() + ', read as', date.toISOString(), date.toNanoISOString())
}
JS
node run.js | tee said
cat >want <<'WANT'
1798761599123456789 is 2026-12-31T23:59:59.123Z, read as 2026-12-31T23:59:59.123Z 2026-12-31T23:59:59.123456789Z
1798761599999999800 is 2026-12-31T23:59:59.999Z, read as 2026-12-31T23:59:59.999Z 2026-12-31T23:59:59.999999800Z
1798761599999999999 is 2026-12-31T23:59:59.999Z, read as 2027-01-01T00:00:00.999Z 2027-01-01T00:00:00.999999999Z
WANT
cmp said want
