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
	cmd := exec.Command(Go(), "list", "-mod=vendor", "-deps", "-tags", Lite().Tags+",lean", "./cmd/frond")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(out))
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
