package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/frondmq/frond/cmd/interop/peers"
)

func TestDemo(t *testing.T) {
	frond, err := peers.Frond(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	stock, err := peers.Stock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for kind, binary := range map[peers.Kind]string{peers.FrondKind: frond, peers.StockKind: stock} {
		t.Run(string(kind)+" hub", func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			s := &story{dir: t.TempDir(), frond: frond, hubKind: kind, hubBinary: binary, readings: 5000, out: &out}
			if err := s.run(t.Context()); err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			if !strings.Contains(out.String(), "5000 of 5000 at the hub, in order, none twice") {
				t.Fatal(out.String())
			}
			t.Log("\n" + out.String())
		})
	}
}
