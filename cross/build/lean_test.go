package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the unused files bring is nowhere else in the build.
func TestLean(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := lean(root, dir); err != nil {
		t.Fatal(err)
	}
	linked := linkedIn(t, dir, Lite())
	if slices.Contains(linked, "regexp") {
		t.Error("regexp is linked")
	}
	for _, want := range []string{"github.com/nats-io/nkeys", "github.com/mochi-mqtt/server/v2/packets", shortModule + "/mqtt"} {
		if !slices.Contains(linked, want) {
			t.Errorf("%s is not linked", want)
		}
	}
	for _, name := range linked {
		if strings.HasPrefix(name, module) {
			t.Errorf("%s has its long name", name)
		}
	}
	// The linker says nothing of a version for a variable that is not there.
	pkg, name, _ := strings.Cut(versionVariable, ".")
	text, err := os.ReadFile(filepath.Join(dir, strings.TrimPrefix(pkg, shortModule), "version.go"))
	if err != nil || !slices.Contains(linked, pkg) || !strings.Contains(string(text), "\nvar "+name+" = \"") {
		t.Errorf("no variable %s in %s: %v", name, pkg, err)
	}
}

// The compiler says nothing of flags for a package that is in no build.
func TestNoInline_names_packages(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := lean(root, dir); err != nil {
		t.Fatal(err)
	}
	for _, v := range Variants() {
		linked := linkedIn(t, dir, v)
		for _, p := range v.NoInline {
			below, all := strings.CutSuffix(short(p), "/...")
			if !slices.ContainsFunc(linked, func(name string) bool {
				return name == below || all && strings.HasPrefix(name, below+"/")
			}) {
				t.Errorf("%s is not in the %s build", p, v.Name)
			}
		}
	}
}

// linkedIn are the packages of a build that is made of the copy in dir.
func linkedIn(t *testing.T, dir string, v Variant) []string {
	t.Helper()
	cmd := exec.Command(Go(), "list", "-mod=vendor", "-deps", "-tags", strings.TrimPrefix(v.Tags+",lean", ","), "./cmd/frond")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// An edit that changes nothing is an error: the module is another.
func TestEdit(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.go")
	if err := os.WriteFile(name, []byte("a b a"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := (edit{"a.go", "a", "c"}).apply(dir); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "c b c" {
		t.Errorf("%s, %v", text, err)
	}
	if err := (edit{"a.go", "a", "c"}).apply(dir); err == nil || !strings.Contains(err.Error(), `a.go: no "a"`) {
		t.Errorf("no error where nothing is changed, but %v", err)
	}
}

// Only imports are renamed, and no line moves.
func TestRenameImports(t *testing.T) {
	text := `package p // import "github.com/frondmq/frond/p"

import "github.com/frondmq/frond/core"
import (
	a "github.com/frondmq/frond/core/wire"
	_ "github.com/frondmq/frondlike/core"
	"github.com/other/frond"
)

var home = "github.com/frondmq/frond/core"
`
	want := `package p // import "github.com/frondmq/frond/p"

import "frond/core"
import (
	a "frond/core/wire"
	_ "github.com/frondmq/frondlike/core"
	"github.com/other/frond"
)

var home = "github.com/frondmq/frond/core"
`
	if got, err := renameImports("p.go", []byte(text)); err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := renameImports("p.go", []byte("package")); err == nil {
		t.Error("what is no Go is renamed")
	}
}
