package main

import (
	"strings"
	"testing"
)

func TestRead_counts_tests_and_shows_failures(t *testing.T) {
	in := `{"Action":"run","Package":"github.com/frondmq/frond/core","Test":"TestA"}
{"Action":"output","Package":"github.com/frondmq/frond/core","Test":"TestA","Output":"    a_test.go:1: broken\n"}
{"Action":"fail","Package":"github.com/frondmq/frond/core","Test":"TestA","Elapsed":2}
{"Action":"pass","Package":"github.com/frondmq/frond/core","Test":"TestB"}
{"Action":"skip","Package":"github.com/frondmq/frond/core","Test":"TestC"}
{"Action":"fail","Package":"github.com/frondmq/frond/core","Elapsed":3}
{"ImportPath":"github.com/frondmq/frond/leaf","Action":"build-output","Output":"leaf/x.go:1: no\n"}
{"ImportPath":"github.com/frondmq/frond/leaf","Action":"build-fail"}
{"Action":"fail","Package":"github.com/frondmq/frond/leaf"}
{"Action":"pass","Package":"github.com/frondmq/frond/mqtt","Elapsed":1}
go: some words
`
	var out strings.Builder
	r, err := read(strings.NewReader(in), &out)
	if err != nil {
		t.Fatal(err)
	}
	if r.passed != 1 || r.failed != 2 || r.skipped != 1 || len(r.slow) != 1 {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{"--- FAIL: core TestA", "a_test.go:1: broken", "FAIL leaf does not build", "leaf/x.go:1: no", "ok   mqtt", "go: some words"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
