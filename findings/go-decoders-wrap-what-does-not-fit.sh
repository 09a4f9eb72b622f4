#!/usr/bin/env bash
# vmihailenco/msgpack 5.4.1, shamaton/msgpack 2.4.0, hamba/avro 2.31.0 and go-viper/mapstructure 2.5.0: a number that does not fit the
# field it goes to is cut to the field's bits, without an error: 300 into an int8 is 44, 70000 into a uint16 is 4464. encoding/json, from
# which one comes, says "cannot unmarshal", and so do fxamacker/cbor 2.10.0 and ugorji/go 1.3.2. shamaton cuts a fraction off
# as well. A sender whose counter or battery current grew past the width of a receiver's struct is believed
# with another value. Decode into int64 or float64 and check the bounds, or use one of those that do.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init wrap >/dev/null 2>&1
go get github.com/vmihailenco/msgpack/v5@v5.4.1 github.com/shamaton/msgpack/v2@v2.4.0 github.com/hamba/avro/v2@v2.31.0 \
  github.com/go-viper/mapstructure/v2@v2.5.0 github.com/fxamacker/cbor/v2@v2.10.0 github.com/ugorji/go/codec@v1.3.2 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-viper/mapstructure/v2"
	"github.com/hamba/avro/v2"
	shamaton "github.com/shamaton/msgpack/v2"
	"github.com/ugorji/go/codec"
	vmihailenco "github.com/vmihailenco/msgpack/v5"
)

type message struct {
	Current int8   `json:"current" msgpack:"current" cbor:"current" codec:"current" avro:"current" mapstructure:"current"`
	Turns   uint16 `json:"turns" msgpack:"turns" cbor:"turns" codec:"turns" avro:"turns" mapstructure:"turns"`
}

func show(name string, m message, err error) {
	if err != nil {
		fmt.Println(name, "an error")
		return
	}
	fmt.Println(name, "current", m.Current, "turns", m.Turns, "no error")
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

func main() {
	// 300 does not fit an int8; 70000 no uint16.
	sent := map[string]any{"current": 300, "turns": 70000}
	var m message
	show("encoding/json       ", m, json.Unmarshal(must(json.Marshal(sent)), &m))
	m = message{}
	show("fxamacker/cbor      ", m, cbor.Unmarshal(must(cbor.Marshal(sent)), &m))
	m = message{}
	show("ugorji/go           ", m, codec.NewDecoderBytes(must(vmihailenco.Marshal(sent)), new(codec.MsgpackHandle)).Decode(&m))
	m = message{}
	err := vmihailenco.Unmarshal(must(vmihailenco.Marshal(sent)), &m)
	show("vmihailenco/msgpack ", m, err)
	m = message{}
	err = shamaton.Unmarshal(must(shamaton.Marshal(sent)), &m)
	show("shamaton/msgpack    ", m, err)
	schema := avro.MustParse(`{"type":"record","name":"m","fields":[{"name":"current","type":"int"},{"name":"turns","type":"int"}]}`)
	m = message{}
	err = avro.Unmarshal(schema, must(avro.Marshal(schema, sent)), &m)
	show("hamba/avro          ", m, err)
	var fromJSON map[string]any
	if err := json.Unmarshal(must(json.Marshal(sent)), &fromJSON); err != nil {
		panic(err)
	}
	m = message{}
	err = mapstructure.Decode(fromJSON, &m)
	show("mapstructure of JSON", m, err)

	var whole int
	err = shamaton.Unmarshal(must(shamaton.Marshal(21.9)), &whole)
	fmt.Println("shamaton/msgpack: 21.9 into an int is", whole, err)
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee said
cat >want <<'WANT'
encoding/json        an error
fxamacker/cbor       an error
ugorji/go            an error
vmihailenco/msgpack  current 44 turns 4464 no error
shamaton/msgpack     current 44 turns 4464 no error
hamba/avro           current 44 turns 4464 no error
mapstructure of JSON current 44 turns 4464 no error
shamaton/msgpack: 21.9 into an int is 21 <nil>
WANT
cmp said want
