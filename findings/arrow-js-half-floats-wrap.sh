#!/usr/bin/env bash
# apache-arrow 21.2.0 (npm): a half float (IEEE 754) reaches up to 65504; what is larger is infinite, what is smaller than
# its smallest step is zero. vectorFromArray of type Float16, from plain numbers, wraps instead, without an
# error: 65536 is 2, the air's 101325 Pa are 3.09, and 1e-9 is 0.00004. NaN, Infinity and all that fits are right.
# Node.js's own rounding is printed beside. To see it coming, compare with 65504 before.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund apache-arrow@21.2.0 @petamoriken/float16@3.9.3 >/dev/null
cat > run.js <<'JS'
const { Float16, vectorFromArray } = require('apache-arrow')
const { f16round } = require('@petamoriken/float16')
const values = [21.5, 65504, 65536, 101325, -101325, 1e-9, Infinity, NaN]
for (const value of values) console.log(value, 'half float', f16round(value), 'apache-arrow', vectorFromArray([value], new Float16()).get(0))
JS
node run.js | tee said
cat >want <<'WANT'
21.5 half float 21.5 apache-arrow 21.5
65504 half float 65504 apache-arrow 65504
65536 half float Infinity apache-arrow 2
101325 half float Infinity apache-arrow 3.091796875
-101325 half float -Infinity apache-arrow -3.091796875
1e-9 half float 0 apache-arrow 0.000041961669921875
Infinity half float Infinity apache-arrow Infinity
NaN half float NaN apache-arrow NaN
WANT
cmp said want
