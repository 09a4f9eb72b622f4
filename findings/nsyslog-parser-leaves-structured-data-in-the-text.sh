#!/usr/bin/env bash
# nsyslog-parser 0.10.1 (npm): structured data of syslog (RFC 5424, 6.3) escapes ", \ and ] by a backslash, and an element may have
# no parameters, [a@1]. A value with an escaped quote, or such an element, and all of the data stays at the head of the message;
# of other escapes the backslash stays in the value. In CEF, which it reads too, a value is cut at an escaped "=", as in a
# URL's query, and the rest is gone. None of it is an error, and lines without an escape are right.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund nsyslog-parser@0.10.1 >/dev/null
cat >lines <<'LINES'
<34>1 2026-01-15T10:00:00Z gateway app 1 id [a@1 state="open" unit="C"] door
<34>1 2026-01-15T10:00:00Z gateway app 1 id [a@1 state="open" name="the \"big\" one"] door
<34>1 2026-01-15T10:00:00Z gateway app 1 id [a@1 name="x\\y"] door
<34>1 2026-01-15T10:00:00Z gateway app 1 id [a@1] door
<34>1 2026-01-15T10:00:00Z gateway app 1 id - CEF:0|v|p|1|2|n|5|request=/set?on\=1&for\=60 act=done
LINES
cat > run.js <<'JS'
const parse = require('nsyslog-parser')
for (const line of require('fs').readFileSync('lines', 'utf8').trim().split('\n')) {
  const { structuredData, message, cef, fields } = parse(line)
  console.log(cef ? JSON.stringify(fields) : JSON.stringify(structuredData) + ' message: ' + message)
}
JS
node run.js | tee said
cat >want <<'WANT'
[{"$id":"a@1","state":"open","unit":"C"}] message: door
[] message: [a@1 state="open" name="the \"big\" one"] door
[{"$id":"a@1","name":"x\\\\y"}] message: door
[] message: [a@1] door
{"request":"/set?on\\","act":"done"}
WANT
cmp said want
