package cross

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/frondmq/frond/cross/build"
)

var rewrite = flag.Bool("rewrite", false, "write linked_edge.txt anew")

// TestLinked_edge_build_does_not_grow compares the packages linked into the
// edge build, standard library included, with the committed list. A new one
// has a price in flash on every device: whoever adds it runs the test with
// -rewrite and says in the commit why, and what `make size` says.
func TestLinked_edge_build_does_not_grow(t *testing.T) {
	t.Setenv("GOOS", "linux")
	t.Setenv("GOARCH", "arm")
	t.Setenv("GOARM", "6")
	t.Setenv("CGO_ENABLED", "0")
	var linked []string
	for _, p := range list(t, "-deps", "-tags", build.EdgeTags, "./cmd/frond") {
		linked = append(linked, p.ImportPath)
		for _, f := range forbidden {
			if p.ImportPath == f || strings.HasPrefix(p.ImportPath, f+"/") {
				t.Errorf("%s is linked into the edge build", p.ImportPath)
			}
		}
	}
	slices.Sort(linked)
	const file = "linked_edge.txt"
	if *rewrite {
		if err := os.WriteFile(file, []byte(strings.Join(linked, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Fields(string(text))
	for _, p := range linked {
		if !slices.Contains(known, p) {
			t.Errorf("%s is new in the edge build; if it must be, run: go test ./cross -rewrite", p)
		}
	}
	for _, p := range known {
		if !slices.Contains(linked, p) {
			t.Logf("%s is no longer linked: go test ./cross -rewrite takes it off the list", p)
		}
	}
}
