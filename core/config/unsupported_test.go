package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The file lists what of nats-server this version does not do, so that each key
// that begins to work is seen in a diff, and one that stops working too.
func TestUnsupported_isListed(t *testing.T) {
	path := filepath.Join("testdata", "unsupported.txt")
	var b strings.Builder
	b.WriteString("Keys of nats-server without support in this version. Made from the tables:\ngo test ./core/config -run Unsupported -rewrite\n")
	for _, part := range []struct {
		status Status
		head   string
	}{{NotYet, "refused"}, {Ignored, "accepted with a warning, without effect"}} {
		n := 0
		var lines strings.Builder
		for _, s := range Reference() {
			for _, k := range s.Keys {
				if k.Status == part.status {
					n++
					lines.WriteString(unsupportedLine(s.Name, &k))
				}
			}
		}
		fmt.Fprintf(&b, "\n%s: %d\n%s", part.head, n, lines.String())
	}
	if *rewrite {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s is not made from the tables (-rewrite makes it):\n%s", path, b.String())
	}
}

func unsupportedLine(section string, k *Key) string {
	var why []string
	for _, w := range []string{k.Help, k.Why} {
		if w != "" {
			why = append(why, w)
		}
	}
	return "  " + join(section, k.Name) + ": " + strings.Join(why, "; ") + "\n"
}

// A block that may be absent is one of a module, which the table names.
func TestBlocks_areThoseOfTheTable(t *testing.T) {
	o := Defaults()
	if on := o.Blocks(); len(on) != 0 {
		t.Errorf("by default %v", on)
	}
	o.Leaf.Set, o.MQTT.Set = true, true
	on := o.Blocks()
	if len(on) != 2 {
		t.Fatalf("%v", on)
	}
	for _, k := range on {
		if k.Module == "" || k.Build == "" {
			t.Errorf("%+v", k)
		}
	}
	for _, k := range topTable().section("").Keys {
		if (k.Module == "") != (k.Build == "") {
			t.Errorf("%+v", k)
		}
	}
}
