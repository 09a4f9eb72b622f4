#!/usr/bin/env bash
# gosnmp 1.47.0: ToBigInt(variable.Value), which the README gives for "numeric values", is 0 for a
# float. Net-SNMP agents, UPSs and probes send temperatures and loads as Opaque Float and Opaque Double,
# which gosnmp decodes to float32 and float64. No error tells the 0 from a measured one. Switch
# on the Go type first.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init snmp >/dev/null 2>&1
go get github.com/gosnmp/gosnmp@v1.47.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"

	"github.com/gosnmp/gosnmp"
)

func main() {
	packet := gosnmp.SnmpPacket{Version: gosnmp.Version2c, Community: "public", PDUType: gosnmp.GetResponse, Variables: []gosnmp.SnmpPDU{
		{Name: ".1.3.6.1.4.1.2021.13.16.2.1.3.1", Type: gosnmp.Gauge32, Value: uint32(21500)},
		{Name: ".1.3.6.1.4.1.2021.13.16.2.1.3.2", Type: gosnmp.OpaqueFloat, Value: float32(21.5)},
		{Name: ".1.3.6.1.4.1.2021.13.16.2.1.3.3", Type: gosnmp.OpaqueDouble, Value: 21.5},
	}}
	wire, err := packet.MarshalMsg()
	if err != nil {
		panic(err)
	}
	client := gosnmp.GoSNMP{Version: gosnmp.Version2c}
	got, err := client.SnmpDecodePacket(wire)
	if err != nil {
		panic(err)
	}
	for _, v := range got.Variables {
		fmt.Printf("%v %v (%T): ToBigInt %v\n", v.Type, v.Value, v.Value, gosnmp.ToBigInt(v.Value))
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee said
cat >want <<'WANT'
Gauge32 21500 (uint): ToBigInt 21500
OpaqueFloat 21.5 (float32): ToBigInt 0
OpaqueDouble 21.5 (float64): ToBigInt 0
WANT
cmp said want
