#!/usr/bin/env bash
# modbus-serial 8.0.25 and jsmodbus 5.0.0 (npm): readCoils(0, 3) gives eight values, nine give
# sixteen: whole bytes are unpacked, with the padding behind the last coil (Modbus 6.1: zeros)
# as coils that are off. Registers come in the number that was asked for. A gateway that
# publishes a topic for each value it gets makes up coils, all of them off, that the device
# may not have, or has and has on. Cut the answer to what was asked for. simonvetter/modbus
# 1.6.4 (Go) does.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts modbus-serial@8.0.25 jsmodbus@5.0.0 >/dev/null
go mod init coils >/dev/null 2>&1
go get github.com/simonvetter/modbus@v1.6.4 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/simonvetter/modbus"
)

func main() {
	client, err := modbus.NewClient(&modbus.ClientConfiguration{URL: "tcp://127.0.0.1:" + os.Args[1]})
	if err == nil {
		err = client.Open()
	}
	if err != nil {
		panic(err)
	}
	coils, err := client.ReadCoils(0, 3)
	if err != nil {
		panic(err)
	}
	fmt.Println(len(coils))
}
GO
go build -o client .
cat > run.js <<'JS'
const net = require('net'), Serial = require('modbus-serial'), js = require('jsmodbus'), { promisify } = require('util')
const exec = promisify(require('child_process').execFile)
// A device whose coils are all on.
const device = net.createServer(socket => {
  socket.on('error', () => {})
  socket.on('data', request => {
    const count = request.readUInt16BE(10), bytes = Math.ceil(count / 8), answer = Buffer.alloc(9 + bytes)
    request.copy(answer, 0, 0, 8)
    answer.writeUInt16BE(3 + bytes, 4)
    answer[8] = bytes
    for (let i = 0; i < count; i++) answer[9 + (i >> 3)] |= 1 << (i & 7)
    socket.write(answer)
  })
})
device.listen(0, '127.0.0.1', async () => {
  const port = device.address().port
  const serial = new Serial()
  await serial.connectTCP('127.0.0.1', { port })
  serial.setID(1)
  const three = (await serial.readCoils(0, 3)).data, nine = (await serial.readCoils(0, 9)).data
  const socket = net.connect(port, '127.0.0.1'), client = new js.client.TCP(socket, 1)
  await new Promise(done => socket.on('connect', done))
  const other = (await client.readCoils(0, 3)).response.body.valuesAsArray
  const go = Number((await exec('./client', [String(port)])).stdout)
  console.log(`modbus-serial 8.0.25: 3 coils are ${three.length} (${three.map(Number)}), 9 are ${nine.length}; jsmodbus 5.0.0: 3 are ${other.length} (${other.map(Number)}); simonvetter/modbus 1.6.4: ${go}`)
  process.exit(three.length === 8 && nine.length === 16 && other.length === 8 && !other[3] && go === 3 ? 0 : 1)
})
JS
timeout 60 node run.js
