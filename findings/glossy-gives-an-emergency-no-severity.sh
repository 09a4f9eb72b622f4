#!/usr/bin/env bash
# glossy 0.1.7 (npm): a line of syslog begins with facility * 8 + severity. Of <1> up the parser
# gives facility and severity by name and number; of <0>, an emergency of the kernel, the worst
# there is, it gives neither, since the number 0 passes for "none": prival is 0 and
# severityID is missing. A gateway that publishes to "log/" + severity, or passes on what
# has severityID <= 3, sends the emergency to "log/undefined" or nowhere.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund glossy@0.1.7 nsyslog-parser@0.10.1 >/dev/null
cat > run.js <<'JS'
const { Parse } = require('glossy'), parse = require('nsyslog-parser')
for (const line of ['<1>1 2026-01-01T00:00:00Z gateway kernel - - - alert', '<0>1 2026-01-01T00:00:00Z gateway kernel - - - panic', '<0>Jan  1 00:00:00 gateway kernel: panic']) {
  Parse.parse(line, m => console.log(`${line.slice(0, 4).trim()} glossy ${m.type}: facility ${m.facility}, severity ${m.severity}, id ${m.severityID}, passed on ${m.severityID <= 3}; nsyslog-parser: ${parse(line).level}`))
}
JS
node run.js | tee said
cat >want <<'WANT'
<1>1 glossy RFC5424: facility kern, severity alert, id 1, passed on true; nsyslog-parser: alert
<0>1 glossy RFC5424: facility undefined, severity undefined, id undefined, passed on false; nsyslog-parser: emerg
<0>J glossy RFC3164: facility undefined, severity undefined, id undefined, passed on false; nsyslog-parser: emerg
WANT
cmp said want
