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
