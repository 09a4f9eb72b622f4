#!/usr/bin/env bash
# bacstack 0.0.1-beta.14 and node-bacnet 0.2.4 (npm): on the wire a BACnet date has months from 1 to
# 12 (clause 20.2.12). Both libraries put JavaScript's month, 0 to 11, there and read it back as
# such. Among themselves all is well, so a test of the round trip passes; a controller's
# March comes as April, its 31st of January as the 3rd of March, and what is written to it as
# 1st of March is the 1st of February. A January that is written has the month 0, which BACnet does not have.
# @bacnet-js/client 3.3.2 does as the standard says, so an update of a
# gateway from one to the other moves schedules by a month too.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund bacstack@0.0.1-beta.14 node-bacnet@0.2.4 @bacnet-js/client@3.3.2 >/dev/null
cat > run.js <<'JS'
const day = d => [d.getFullYear(), d.getMonth() + 1, d.getDate()].join('-')
for (const [name, file] of [['bacstack', 'lib/asn1'], ['node-bacnet', 'lib/asn1'], ['@bacnet-js/client', 'dist/lib/asn1']]) {
  const asn1 = require(name + '/' + file)
  // Year since 1900, month, day, day of the week.
  const read = (...bytes) => day(asn1.decodeDate(Buffer.from(bytes), 0).value)
  const to = { buffer: Buffer.alloc(8), offset: 0 }
  asn1.encodeApplicationDate(to, new Date(2026, 2, 1))
  console.log(`${name}: 2026-3-1 is read as ${read(126, 3, 1, 7)}, 2026-1-31 as ${read(126, 1, 31, 6)}; 2026-3-1 is written with month ${to.buffer[2]}`)
}
JS
node run.js | tee said
cat >want <<'WANT'
bacstack: 2026-3-1 is read as 2026-4-1, 2026-1-31 as 2026-3-3; 2026-3-1 is written with month 2
node-bacnet: 2026-3-1 is read as 2026-4-1, 2026-1-31 as 2026-3-3; 2026-3-1 is written with month 2
@bacnet-js/client: 2026-3-1 is read as 2026-3-1, 2026-1-31 as 2026-1-31; 2026-3-1 is written with month 3
WANT
cmp said want
