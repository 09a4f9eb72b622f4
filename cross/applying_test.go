package cross

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/frondmq/frond/cross/build"
)

// Applying an operation is the same on every server that has the log, and a restart
// applies it again. So what applying calls, however far down in the engine, goes by the
// operation and the state alone: it appends and publishes nothing, looks at no clock,
// takes nothing at random or in the order of a map, and starts nothing.
const applying = "(*stream).applyOne"

// ticking are the ticks: what a leader does because time passes. They go by the
// reading of the clocks that they are given and by the state, so that a simulator, and
// a test, has the same from the same time. What they ask for is carried out elsewhere.
var ticking = []string{
	"(*stream).tick", "(*Engine).clockTick", "(*stream).unneeded", "(*stream).sweepable",
	"(*member).learn", "(*member).handle", "(*member).find", "(*member).found", "(*member).notTaken", "(*member).deadline", "(*clock).due",
	"(*deltaLog).take", "(*deltaLog).oldest", "(*deltaLog).drop", "(*deltaLog).sent",
	// And all that a consumer's machine does: it has its numbers of chance, and who
	// listens, by functions that it is given.
	"(*consumer.Machine).*",
}

// tickingMay are the places in them that look otherwise, and why they are not.
var tickingMay = map[string]string{
	"(*Engine).allStreams goes through e.mu.streams in the order of a map":            "they are sorted",
	"(*consumer.Machine).exhausted goes through m.st.exhausted in the order of a map": "they are sorted",
}

// applyingMay are the places that look otherwise, and why they are not.
var applyingMay = map[string]string{
	"(*replay).notesOf goes through r.notes in the order of a map":                 "each is sorted",
	"(*replay).notesOf calls (fileLog).Scan, which asks the log":                   "a recovery looks ahead for notes of the stream",
	"(*stream).pause calls time.NewTimer, which looks at a clock":                  "between two tries of a read",
	"(*stream).putOff calls (*Engine).now, which looks at a clock":                 "how often it is said that reads fail",
	"(*dedup).start calls crypto/rand.Read, which takes something at random":       "the hash of a table in memory: what is found in it is the same",
	"(*member).newMachine calls (*Engine).random, which takes something at random": "a consumer has it for when it runs",
	"(*member).interest calls (Bus).HasInterest, which asks the bus":               "a consumer has it for when it runs",
}

// actsOrDiffers says what is wrong with a call, "" for nothing. f is as in callName.
func actsOrDiffers(f string) string {
	pkg, name, _ := strings.Cut(f, ".")
	switch {
	case strings.HasPrefix(f, "math/rand"), strings.HasPrefix(f, "(*math/rand"), pkg == "crypto/rand", f == "(*Engine).random", f == "(*Engine).token":
		return "takes something at random"
	case pkg == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}, name),
		f == "(*Engine).now", f == "(*timeline).read":
		return "looks at a clock"
	case pkg == "(Log)", pkg == "(reserver)", pkg == "(fileLog)", f == "(*Engine).append", f == "(*Engine).appendLazy":
		return "asks the log"
	case pkg == "(Bus)", pkg == "(Publisher)", pkg == "(*outbox)", pkg == "(*publishers)":
		return "asks the bus"
	case pkg == "os", pkg == "net":
		return "asks the system"
	}
	return ""
}

func TestApplying_actsOnNothing(t *testing.T) {
	engine := []parsed{checked(t, "./core/jetstream"), checked(t, "./core/jetstream/consumer")}
	for _, x := range []struct {
		roots []string
		may   map[string]string
		least int
		what  string
	}{
		{[]string{applying}, applyingMay, 100, "applying an operation reaches something that other servers, or a restart, may have otherwise: %s. Let the operation carry it, or say in applyingMay why it does not matter"},
		{ticking, tickingMay, 40, "a tick acts, or goes by something else than the time that it is given: %s. Let it be among what the tick asks for, or say in tickingMay why it does not matter"},
	} {
		found := map[string]bool{}
		reached := walk(t, x.roots, engine, func(at, what string) {
			key := at + " " + what
			found[key] = true
			if x.may[key] == "" {
				t.Errorf(x.what, key)
			}
		})
		t.Logf("%q reach %d functions", x.roots, reached)
		if reached < x.least {
			t.Errorf("%q reach %d functions: look for what they are called now", x.roots, reached)
		}
		for key := range x.may {
			if !found[key] {
				t.Errorf("excused for nothing: %s", key)
			}
		}
	}
}

// walk tells of everything in the functions that are reached in the engine from those
// given, and returns how many those are. A function that is only given away counts as
// called. "(T).*" are all methods of T.
func walk(t *testing.T, from []string, packages []parsed, tell func(at, what string)) int {
	t.Helper()
	type body struct {
		*ast.BlockStmt
		info *types.Info
	}
	bodies := map[string]body{}
	for _, p := range packages {
		for _, file := range p.files {
			for _, d := range file.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
					bodies[callName(p.info.Defs[fn.Name].(*types.Func))] = body{fn.Body, p.info}
				}
			}
		}
	}
	seen := map[string]bool{}
	var queue []string
	for _, f := range from {
		n := len(queue)
		if methods, all := strings.CutSuffix(f, "*"); all {
			for name := range bodies {
				if strings.HasPrefix(name, methods) {
					queue = append(queue, name)
				}
			}
			slices.Sort(queue[n:])
		} else {
			queue = append(queue, f)
		}
		if len(queue) == n {
			t.Fatalf("there is no %s", f)
		}
	}
	for _, f := range queue {
		seen[f] = true
	}
	for ; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		in := bodies[at]
		if in.info == nil {
			t.Fatalf("there is no %s", at)
		}
		ast.Inspect(in.BlockStmt, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				tell(at, "starts a goroutine")
			case *ast.RangeStmt:
				if _, is := in.info.TypeOf(n.X).Underlying().(*types.Map); is {
					tell(at, fmt.Sprintf("goes through %s in the order of a map", types.ExprString(n.X)))
				}
			case *ast.Ident:
				f, ok := in.info.Uses[n].(*types.Func)
				if !ok {
					break
				}
				name := callName(f)
				if why := actsOrDiffers(name); why != "" {
					tell(at, "calls "+name+", which "+why)
				} else if bodies[name].info != nil && !seen[name] {
					seen[name] = true
					queue = append(queue, name)
				}
			}
			return true
		})
	}
	return len(seen)
}

// callName is a function as "name", "(T).name" or "(*T).name" for those of the
// engine, with the last of its path for those of the packages below it, and with its
// package for others.
func callName(f *types.Func) string {
	name := strings.ReplaceAll(f.FullName(), module+"/core/jetstream.", "")
	return strings.ReplaceAll(name, module+"/core/jetstream/", "")
}

// parsed is a package with its types.
type parsed struct {
	files []*ast.File
	info  *types.Info
}

// checked reads a package. With sources it is made of these, and may
// import what the package imports.
func checked(t *testing.T, pkg string, sources ...string) parsed {
	t.Helper()
	root, err := build.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(build.Go(), "list", "-export", "-deps", "-json=ImportPath,Export,Dir,GoFiles", pkg)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", pkg, err)
	}
	type listing struct {
		ImportPath, Export, Dir string
		GoFiles                 []string
	}
	exports := map[string]string{}
	var last listing // the package behind all that it imports
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		last = listing{}
		if err := d.Decode(&last); err != nil {
			t.Fatal(err)
		}
		exports[last.ImportPath] = last.Export
	}
	if sources == nil {
		for _, name := range last.GoFiles {
			text, err := os.ReadFile(filepath.Join(last.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			sources = append(sources, string(text))
		}
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, text := range sources {
		f, err := parser.ParseFile(fset, "", text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}, Types: map[ast.Expr]types.TypeAndValue{}}
	c := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })}
	if _, err := c.Check(last.ImportPath, fset, files, info); err != nil {
		t.Fatal(err)
	}
	return parsed{files, info}
}

// The walk sees what is called far down, and what is only given away.
func TestApplying_theWalkItself(t *testing.T) {
	engine := checked(t, "./core/jetstream", `package jetstream
import "time"
type Log interface { Append() }
type stream struct { log Log; byName map[string]int }
func (s *stream) applyOne() { s.put() }
func (s *stream) put() {
	for range s.byName {}
	f := s.later
	go f()
}
func (s *stream) later() { s.log.Append() }
func (s *stream) elsewhere() { time.Sleep(1) }
`)
	var got []string
	n := walk(t, []string{applying}, []parsed{engine}, func(at, what string) { got = append(got, at+" "+what) })
	want := []string{
		"(*stream).put goes through s.byName in the order of a map", "(*stream).put starts a goroutine",
		"(*stream).later calls (Log).Append, which asks the log",
	}
	if n != 3 || !slices.Equal(got, want) {
		t.Errorf("%d functions, %q, want %q", n, got, want)
	}
}

func TestApplying_theRuleItself(t *testing.T) {
	for f, acts := range map[string]bool{
		"time.Now": true, "time.NewTimer": true, "time.Unix": false, "(time.Time).Sub": false,
		"math/rand/v2.IntN": true, "(*math/rand/v2.Rand).IntN": true, "crypto/rand.Read": true,
		"(Log).Append": true, "(*Engine).append": true, "(Bus).Subscribe": true, "(Publisher).Publish": true, "os.ReadFile": true,
		"(*stream).put": false, "(" + module + "/edgestore.Store).Append": false, "errors.Is": false,
	} {
		if why := actsOrDiffers(f); (why != "") != acts {
			t.Errorf("%s: %q", f, why)
		}
	}
}
