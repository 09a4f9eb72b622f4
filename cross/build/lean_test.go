package build

import (
	"os/exec"
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
	for _, want := range []string{"github.com/nats-io/nkeys", "github.com/mochi-mqtt/server/v2/packets", module + "/mqtt"} {
		if !slices.Contains(linked, want) {
			t.Errorf("%s is not linked", want)
		}
	}
}
