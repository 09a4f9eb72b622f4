#!/usr/bin/env bash
# google.golang.org/protobuf 1.36.12 with go.opentelemetry.io/proto/otlp 1.11.1: OTLP has a JSON form,
# "Protobuf JSON" but for a few points, one of which is that trace and span ids are hex. Hex digits
# are valid base64, so protojson.Unmarshal takes the 32 of a trace id for 24 bytes and the 16 of a
# span id for 12 and returns no error; what Marshal writes is base64, no OTLP. It is
# unknown fields, which OTLP says to skip, that are an error. Decode ids from hex in a copy of
# the structs, or by the collector's pdata.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init otlp >/dev/null 2>&1
go get go.opentelemetry.io/proto/otlp@v1.11.1 google.golang.org/protobuf@v1.36.12 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

func main() {
	var span trace.Span
	err := protojson.Unmarshal([]byte(`{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"publish"}`), &span)
	fmt.Printf("error %v, trace id of %d bytes %x, span id of %d bytes %x\n", err, len(span.TraceId), span.TraceId, len(span.SpanId), span.SpanId)
	span = trace.Span{TraceId: []byte{0x5b, 0x8e, 0xff, 0xf7, 0x98, 3, 0x81, 3, 0xd2, 0x69, 0xb6, 0x33, 0x81, 0x3f, 0xc6, 0x0c}}
	text, err := protojson.Marshal(&span)
	if err != nil {
		panic(err)
	}
	fmt.Printf("written as %s\n", text)
	err = protojson.Unmarshal([]byte(`{"name":"publish","addedLater":1}`), &span)
	fmt.Println("a field of a later version is refused:", err != nil)
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee said
cat >want <<'WANT'
error <nil>, trace id of 24 bytes e5bf1e7df7fbf7cd37f35d37776ebd6fadf7f35ddf73ad1c, span id of 12 bytes 79e7b5f5bede7377356f5ef8
written as {"traceId":"W47/95gDgQPSabYzgT/GDA=="}
a field of a later version is refused: true
WANT
cmp said want
