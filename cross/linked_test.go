package cross

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/frondmq/frond/cross/build"
)

var rewrite = flag.Bool("rewrite", false, "write the lists of linked packages anew")

// TestLinked_builds_do_not_grow compares the packages linked into the small
// builds, standard library included, with the committed lists. A new one has a
// price in flash on every device: whoever adds it runs the test with -rewrite
// and says in the commit why, and what `make size` says.
func TestLinked_builds_do_not_grow(t *testing.T) {
	t.Setenv("GOOS", "linux")
	t.Setenv("GOARCH", "arm")
	t.Setenv("GOARM", "6")
	t.Setenv("CGO_ENABLED", "0")
	for _, v := range []build.Variant{build.Edge(), build.Lite()} {
		t.Run(v.Name, func(t *testing.T) {
			compareLinked(t, v, "linked_"+v.Name+".txt")
		})
	}
}

func compareLinked(t *testing.T, v build.Variant, file string) {
	var linked []string
	for _, p := range list(t, "-deps", "-tags", v.Tags, "./cmd/frond") {
		linked = append(linked, p.ImportPath)
		for _, f := range forbidden {
			if p.ImportPath == f || strings.HasPrefix(p.ImportPath, f+"/") {
				t.Errorf("%s is linked into the %s build", p.ImportPath, v.Name)
			}
		}
	}
	slices.Sort(linked)
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
			t.Errorf("%s is new in the %s build; if it must be, run: go test ./cross -rewrite", p, v.Name)
		}
	}
	for _, p := range known {
		if !slices.Contains(linked, p) {
			t.Logf("%s is no longer linked: go test ./cross -rewrite takes it off the list", p)
		}
	}
}
