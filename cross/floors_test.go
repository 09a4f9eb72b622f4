package cross

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/frondmq/frond/cross/build"
)

const module = "github.com/frondmq/frond"

// floors is the house: a package may import packages of the same room, and of
// the rooms in its list. The longest matching prefix is the room.
var floors = map[string][]string{
	"core/subject":   {},
	"core/wire":      {},
	"edgestore":      {},
	"core/account":   {"core/subject", "core/wire"},
	"core/auth":      {"core/subject"},
	"core/config":    {},
	"core/transport": {},
	"core/testkit":   {},
	"core/cond":      {},
	"core/outbound":  {"core/cond"},
	"core/inbound":   {"core/outbound"},
	"core/monitor":   {"core/transport"},
	"core/jetstream": {"core/cond", "core/subject", "core/wire", "edgestore"},
	"core":           {"core/*", "edgestore"},
	"leaf":           {"core", "core/*"},
	"mqtt":           {"core", "core/*"},
	"hub":            {"core", "core/*", "edgestore"},
	"cmd/frond":      {"core", "core/*", "edgestore", "leaf", "mqtt", "hub"},
	"cross":          {},
	"firmware":       {},
}

// jetstreamRooms are the rooms within core/jetstream, by what each may import of
// the others. The engine is on top of all but the client.
var jetstreamRooms = map[string][]string{
	"apierror": {},
	"consumer": {"apierror"},
	"sourcing": {"apierror", "consumer"},
	"asset":    {"apierror", "consumer", "sourcing"},
	"api":      {"apierror", "asset", "consumer", "sourcing"},
	"damage":   {},
	"origins":  {"api", "apierror", "asset", "consumer", "sourcing"},
	"":         {"api", "apierror", "asset", "consumer", "damage", "origins", "sourcing"},
	"jsclient": {"", "apierror", "asset", "consumer"},
}

// jetstreamRoom is the room within core/jetstream that a package is in, "" for
// the engine.
func jetstreamRoom(pkg string) (room string, ok bool) {
	rest, ok := strings.CutPrefix(pkg, module+"/core/jetstream")
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	room, _, _ = strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	return room, true
}

func TestFloors_rooms_of_jetstream_import_down(t *testing.T) {
	for _, p := range list(t, "./core/jetstream/...") {
		from, _ := jetstreamRoom(p.ImportPath)
		allowed, known := jetstreamRooms[from]
		if !known {
			t.Errorf("%s is in no room of core/jetstream: add it to the table here and to core/DESIGN.md", p.ImportPath)
		}
		for _, imported := range p.Imports {
			if to, ok := jetstreamRoom(imported); ok && to != from && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
			if from == "" && imported == "encoding/json" {
				t.Errorf("%s imports %s: the rooms beneath the engine know what is written in JSON", p.ImportPath, imported)
			}
		}
	}
}

// forbidden is never linked into the product, whatever imports it.
var forbidden = []string{"github.com/nats-io/nats-server", "github.com/nats-io/nats.go", "testing"}

type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// list runs `go list -json` for one set of build tags.
func list(t *testing.T, args ...string) []listed {
	t.Helper()
	root, err := build.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(build.Go(), append([]string{"list", "-json=ImportPath,Imports,TestImports,XTestImports"}, args...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// roomOf returns the room a package of ours lives in, "" when there is none.
func roomOf(pkg string) string {
	rel := strings.TrimPrefix(pkg, module+"/")
	best := ""
	for room := range floors {
		if (rel == room || strings.HasPrefix(rel, room+"/")) && len(room) > len(best) {
			best = room
		}
	}
	// core is only the server itself and what is not a room of its own below
	// it, such as its test server.
	return best
}

func mayImport(from, to string) bool {
	if from == to {
		return true
	}
	for _, allowed := range floors[from] {
		if allowed == to {
			return true
		}
		if ok, _ := path.Match(allowed, to); ok {
			return true
		}
	}
	return false
}

func TestFloors_imports_point_down(t *testing.T) {
	for _, tags := range []string{"", "edge", "invariants"} {
		for _, p := range list(t, "-tags", tags, "./...") {
			room := roomOf(p.ImportPath)
			if room == "" {
				t.Errorf("%s is in no room of the house: add it to the table here and to core/DESIGN.md", p.ImportPath)
				continue
			}
			for _, imported := range p.Imports {
				if !strings.HasPrefix(imported, module+"/") {
					continue
				}
				if to := roomOf(imported); !mayImport(room, to) {
					t.Errorf("with tags %q: %s (room %s) imports %s (room %s)", tags, p.ImportPath, room, imported, to)
				}
			}
		}
	}
}

// Tests of a room may use the embeddable server of core and the kit of all
// tests, but no room above their own, and no neighbour.
func TestFloors_tests_stay_in_the_house(t *testing.T) {
	for _, p := range list(t, "./...") {
		room := roomOf(p.ImportPath)
		for _, imported := range append(p.TestImports, p.XTestImports...) {
			to := roomOf(imported)
			if !strings.HasPrefix(imported, module+"/") || mayImport(room, to) || to == "core/testkit" {
				continue
			}
			t.Errorf("tests of %s (room %s) import %s (room %s)", p.ImportPath, room, imported, to)
		}
	}
}

func TestFloors_the_rule_itself(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"core/wire", "core/subject", false},
		{"core/account", "core/wire", true},
		{"core/account", "core/auth", false},
		{"core/jetstream", "edgestore", true},
		{"core", "core/monitor", true},
		{"core", "leaf", false},
		{"leaf", "mqtt", false},
		{"leaf", "core/account", true},
		{"mqtt", "edgestore", false},
		{"edgestore", "core/wire", false},
		{"cmd/frond", "leaf", true},
	} {
		if got := mayImport(c.from, c.to); got != c.want {
			t.Errorf("%s imports %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
	for pkg, want := range map[string]string{
		module + "/core": "core", module + "/core/servertest": "core", module + "/core/jetstream/consumer": "core/jetstream",
		module + "/edgestore/journal": "edgestore", module + "/elsewhere": "",
	} {
		if got := roomOf(pkg); got != want {
			t.Errorf("%s is in %q, want %q", pkg, got, want)
		}
	}
}
