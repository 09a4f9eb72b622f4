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
			if !strings.Contains(out.String(), "200 of 200 alarms for a panel that was away (QoS 2), in order, none twice") {
				t.Fatal(out.String())
			}
			t.Log("\n" + out.String())
		})
	}
}

func TestFleet(t *testing.T) {
	frond, err := peers.Frond(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	f := &fleet{dir: t.TempDir(), frond: frond, hubKind: peers.FrondKind, hubBinary: frond, edges: 3, readings: 500, out: &out}
	if err := f.run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "1500 of 1500 at the hub, each edge's in order, none twice") {
		t.Fatal(out.String())
	}
}

func TestTally_tells_what_is_wrong(t *testing.T) {
	for want, order := range map[string][]int{
		"": {0, 1, 2},
		"the hub has 2 of 3: 1 missing, 0 more than once, 0 out of order": {0, 2},
		"the hub has 3 of 3: 0 missing, 1 more than once, 0 out of order": {0, 1, 1, 2},
		"the hub has 3 of 3: 0 missing, 0 more than once, 1 out of order": {0, 2, 1},
	} {
		c := newTally("the hub", 3)
		for _, n := range order {
			c.add(n)
		}
		got := ""
		if err := c.verdict(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%v: %q, want %q", order, got, want)
		}
	}
}
