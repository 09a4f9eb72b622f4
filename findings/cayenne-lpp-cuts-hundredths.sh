#!/usr/bin/env bash
# cayenne-lpp 1.0.2 (npm): LoRaWAN sensors send temperatures in tenths and analog
# values in hundredths. The encoder multiplies the floating value and cuts the rest
# off instead of rounding, so a value that the format holds exactly comes out one
# step lower: 1.15 is sent as 1.14.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund cayenne-lpp@1.0.2 >/dev/null
cat > run.js <<'JS'
const { encoder, decoder } = require('cayenne-lpp')
let wrong = 0, first
for (let n = -32768; n <= 32767; n++) {
  const value = n / 100
  const back = decoder.decode(encoder.encodeAnalogInput(1, value))[0].analog_input_1
  if (back !== value) { wrong++; if (value === 1.15) first = back }
}
console.log('cayenne-lpp', require('cayenne-lpp/package.json').version)
console.log(`${wrong} of 65536 analog values with two decimals come back one step off; 1.15 as ${first}`)
process.exit(wrong > 1000 && first === 1.14 ? 0 : 1)
JS
node run.js
