#!/usr/bin/env bash
# hamba/avro 2.31.0: a decimal (logical type of Avro's bytes and fixed) goes into a *big.Rat. Of a field that is a big.Rat,
# without the pointer, Marshal writes the value, and Unmarshal leaves it at 0, with no error, while the fields beside it are
# read; a field of a type that does not fit, a string, is refused. So the same struct sends a meter reading, a price or a
# limit and receives zero: the sender's side is right and every other receiver is too. twmb/avro 1.9.1 reads
# the same bytes into the same struct.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init price >/dev/null 2>&1
go get github.com/hamba/avro/v2@v2.31.0 github.com/twmb/avro@v1.9.1 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"
	"math/big"

	"github.com/hamba/avro/v2"
	twmb "github.com/twmb/avro"
)

const schema = `{"type":"record","name":"reading","fields":[
	{"name":"kwh","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
	{"name":"meter","type":"int"}]}`

type withPointer struct {
	KWh   *big.Rat `avro:"kwh"`
	Meter int      `avro:"meter"`
}

type withoutPointer struct {
	KWh   big.Rat `avro:"kwh"`
	Meter int     `avro:"meter"`
}

type text struct {
	KWh   string `avro:"kwh"`
	Meter int    `avro:"meter"`
}

func main() {
	s := avro.MustParse(schema)
	data, err := avro.Marshal(s, withPointer{big.NewRat(2150, 100), 7})
	if err != nil {
		panic(err)
	}
	var a withPointer
	err = avro.Unmarshal(s, data, &a)
	fmt.Println("hamba, *big.Rat:", a.KWh.FloatString(2), "meter", a.Meter, err)
	var b withoutPointer
	err = avro.Unmarshal(s, data, &b)
	fmt.Println("hamba, big.Rat:", b.KWh.FloatString(2), "meter", b.Meter, err)
	var c text
	fmt.Println("hamba, string: an error:", avro.Unmarshal(s, data, &c) != nil)
	written, err := avro.Marshal(s, withoutPointer{*big.NewRat(2150, 100), 7})
	if err != nil {
		panic(err)
	}
	var e withPointer
	err = avro.Unmarshal(s, written, &e)
	fmt.Println("hamba, Marshal of big.Rat, read as *big.Rat:", e.KWh.FloatString(2), "meter", e.Meter, err)
	var d withoutPointer
	_, err = twmb.MustParse(schema).Decode(data, &d)
	fmt.Println("twmb, big.Rat:", d.KWh.FloatString(2), "meter", d.Meter, err)
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee said
cat >want <<'WANT'
hamba, *big.Rat: 21.50 meter 7 <nil>
hamba, big.Rat: 0.00 meter 7 <nil>
hamba, string: an error: true
hamba, Marshal of big.Rat, read as *big.Rat: 21.50 meter 7 <nil>
twmb, big.Rat: 21.50 meter 7 <nil>
WANT
cmp said want
