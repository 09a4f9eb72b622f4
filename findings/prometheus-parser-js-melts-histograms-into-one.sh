#!/usr/bin/env bash
# parse-prometheus-text-format 1.1.1 (npm): a histogram without labels, as in its README, becomes
# one object of buckets, sum and count. One with a label, a series for each device, becomes
# one object too: without the labels, without sum and count, and with the buckets of the device that comes
# last. Summaries do the same with their quantiles. Counters and gauges keep their labels, so a page that
# shows a broker's metrics is right but for its latencies, and no error tells.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund parse-prometheus-text-format@1.1.1 >/dev/null
cat > run.js <<'JS'
const lib = require('parse-prometheus-text-format'), parse = lib.default || lib
const histogram = (labels, le, n) => `h_bucket{${labels}le="0.1"} ${n}\nh_bucket{${labels}le="+Inf"} ${n}\nh_sum${le} 3\nh_count${le} ${n}\n`
const quantile = (labels, le, n) => `s{${labels}quantile="0.5"} ${n}\ns_sum${le} 3\ns_count${le} ${n}\n`
const both = make => make('dev="a",', '{dev="a"}', 1) + make('dev="b",', '{dev="b"}', 2)
for (const text of ['# TYPE g gauge\ng{dev="a"} 1\ng{dev="b"} 2\n', '# TYPE h histogram\n' + histogram('', '', 1), '# TYPE h histogram\n' + both(histogram), '# TYPE s summary\n' + both(quantile)]) {
  console.log(JSON.stringify(parse(text)[0].metrics))
}
JS
node run.js | tee said
cat >want <<'WANT'
[{"value":"1","labels":{"dev":"a"}},{"value":"2","labels":{"dev":"b"}}]
[{"buckets":{"0.1":"1","+Inf":"1"},"count":"1","sum":"3"}]
[{"buckets":{"0.1":"2","+Inf":"2"}}]
[{"quantiles":{"0.5":"2"}}]
WANT
cmp said want
