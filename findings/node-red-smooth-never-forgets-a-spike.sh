#!/usr/bin/env bash
# node-red-node-smooth 0.1.2 (npm), Node-RED's node for the mean of the last readings: it keeps a running total, adds what
# comes and takes away what leaves, so that what a huge number has pushed out of a float's bits never comes back. After one
# 3.4e38, a driver's "no value", twenty degrees have a mean of 0, with the spike long out of the window of three, and keep it
# until a reset; one "Infinity" makes all that follow NaN. null, which a sensor without a value sends, is averaged
# as 0, though what is no number "is rejected". Keep such readings away by a switch node before it.
# Needs node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node-red-node-smooth@0.1.2 >/dev/null
cat > run.js <<'JS'
// What Node-RED gives to a node: a way to register, and to read and write the property of a message.
function mean(readings) {
  const said = []
  let Node, input
  const RED = {
    nodes: {
      registerType: (name, type) => { Node = type },
      createNode: node => {
        node.on = (event, handler) => { input = handler.bind(node) }
        node.send = message => said.push(Number(message.payload.toFixed(2)))
        node.log = () => {}
      },
    },
    util: {
      getMessageProperty: (message, name) => message[name],
      setMessageProperty: (message, name, value) => { message[name] = value },
    },
  }
  require('node-red-node-smooth/17-smooth.js')(RED)
  new Node({ action: 'mean', count: '3' })
  for (const payload of readings) input({ payload })
  return said.slice(-3).join(' ')
}
const twenty = [20, 20, 20, 20, 20, 20]
console.log('only 20:', mean(twenty))
console.log('after one of 3.4e38:', mean([20, 20, 20, 3.4028234663852886e38, ...twenty]))
console.log('after one "Infinity":', mean([20, 20, 20, 'Infinity', ...twenty]))
console.log('20, null, 20:', mean([20, null, 20]))
JS
node run.js | tee said
cat >want <<'WANT'
only 20: 20 20 20
after one of 3.4e38: 0 0 0
after one "Infinity": NaN NaN NaN
20, null, 20: 20 10 13.33
WANT
cmp said want
