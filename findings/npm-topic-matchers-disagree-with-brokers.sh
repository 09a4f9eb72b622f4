#!/usr/bin/env bash
# mqtt-pattern 2.1.1, mqtt-wildcard 3.0.9 and mqtt-match 3.0.0, with which programs
# in JavaScript dispatch what came: all three let a filter that begins with a
# wildcard match a topic that begins with $ (MQTT 4.7.2: it must not), so that a
# bridge's "#" handles $SYS too; and for mqtt-pattern "+" matches no empty level
# (4.7.3: it does), so that messages which the broker delivers for "a/+/b" or
# "/+" find no handler.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund mqtt-pattern@2.1.1 mqtt-wildcard@3.0.9 mqtt-match@3.0.0 >/dev/null
cat > run.js <<'JS'
const pattern = require('mqtt-pattern'), wildcard = require('mqtt-wildcard'), match = require('mqtt-match')
const libraries = {
  'mqtt-pattern': (f, t) => pattern.matches(f, t),
  'mqtt-wildcard': (f, t) => wildcard(t, f) !== null,
  'mqtt-match': (f, t) => (match.default || match)(f, t),
}
const cases = [ // filter, topic, by the standard
  ['#', '$SYS/broker', false], ['+/broker', '$SYS/broker', false],
  ['/+', '/', true], ['a/+/b', 'a//b', true], ['a/#', 'a', true],
]
const seen = {}
for (const [name, matches] of Object.entries(libraries)) {
  seen[name] = cases.map(([f, t, right]) => matches(f, t) === right ? 'right' : 'wrong').join(' ')
  console.log(name, require(name + '/package.json').version, cases.map(c => c[0] + ' on ' + c[1]).join(', ') + ':', seen[name])
}
const same = seen['mqtt-pattern'] === 'wrong wrong wrong wrong right' &&
  seen['mqtt-wildcard'] === 'wrong wrong right right right' && seen['mqtt-match'] === 'wrong wrong right right right'
process.exit(same ? 0 : 1)
JS
node run.js
