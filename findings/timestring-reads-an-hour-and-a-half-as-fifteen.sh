#!/usr/bin/env bash
# timestring 7.0.0 and human-interval 2.0.1 (npm), durations of settings and forms as people write them: "1,5 h", with the comma of half of
# Europe, is 15 hours for timestring, which takes commas for those of thousands, and one hour for
# human-interval. "-5 m", five minutes before, is plus five for the first. "half an hour" and "an hour" are 0 ms
# for the second, so that a timer fires at once, without an end. None of it is an error, where "abc" is one for
# the first and NaN for the second. "1.5 hours" is right for both.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund timestring@7.0.0 human-interval@2.0.1 >/dev/null
cat > run.js <<'JS'
const timestring = require('timestring'), interval = require('human-interval')
const attempt = read => { try { return read() + ' s' } catch { return 'an error' } }
for (const text of ['1.5 hours', '1,5 hours', '-5 minutes', 'an hour', 'half an hour', 'abc']) {
  console.log(text + ':', 'timestring', attempt(() => timestring(text)) + ', human-interval', attempt(() => interval(text) / 1000))
}
JS
node run.js | tee said
cat >want <<'WANT'
1.5 hours: timestring 5400 s, human-interval 5400 s
1,5 hours: timestring 54000 s, human-interval 3600 s
-5 minutes: timestring 300 s, human-interval -300 s
an hour: timestring an error, human-interval 0 s
half an hour: timestring an error, human-interval 0 s
abc: timestring an error, human-interval NaN s
WANT
cmp said want
