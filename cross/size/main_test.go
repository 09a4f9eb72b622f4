package main

import "testing"

func TestPackageOf(t *testing.T) {
	for symbol, want := range map[string]string{
		"runtime.mallocgc": "runtime",
		"github.com/frondmq/frond/core/wire.(*Parser).Parse":              "github.com/frondmq/frond/core/wire",
		"go.etcd.io/bbolt.(*DB).Update":                                   "go.etcd.io/bbolt",
		"github.com/nats-io/jwt/v2.Decode":                                "github.com/nats-io/jwt/v2",
		"gopkg.in/yaml%2ev3.Marshal":                                      "gopkg.in/yaml.v3",
		"slices.pdqsortCmpFunc[go.shape.struct { github.com/x/y.Z int }]": "slices",
		"type:.eq.net.IPNet":                                              "(types and other data without a package)",
	} {
		if got := packageOf(symbol); got != want {
			t.Errorf("%s: %q, want %q", symbol, got, want)
		}
	}
}

func TestParseStock_is_the_committed_table(t *testing.T) {
	sizes, version, err := parseStock(stockTable)
	if err != nil || version == "" || sizes["linux-armv6"] == 0 {
		t.Fatalf("%v, %q, %v", sizes, version, err)
	}
	if _, _, err := parseStock("linux-armv6 many"); err == nil {
		t.Error("a size that is no number is accepted")
	}
}

func TestParseGates(t *testing.T) {
	gates, err := parseGates(gateTable)
	if err != nil {
		t.Fatal(err)
	}
	g := gates.of("edge", "linux-armv6")
	if g == nil || g.judge(g.bytes) != nil || g.judge(g.bytes+1) == nil {
		t.Errorf("the gate of the edge build for ARMv6 is %+v, and must refuse one byte more", g)
	}
	for text, why := range map[string]string{
		"edge linux-armv6 many -":                    "a gate that is no number",
		"edge linux-armv6 1":                         "a row without a goal",
		"edge linux-armv66 1 -":                      "a machine that is not built for",
		"egde linux-armv6 1 -":                       "a variant that is not built",
		"edge linux-armv6 1 -\nedge linux-armv6 2 -": "two gates for one build",
		"edge linux-armv6 99999999999999999999999 -": "a number that does not fit",
	} {
		if _, err := parseGates(text); err == nil {
			t.Errorf("%s is accepted", why)
		}
	}
}
