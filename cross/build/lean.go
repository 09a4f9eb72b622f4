package build

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// unused are files of modules that nothing in the product uses, and that cost it
// something all the same. Where something begins to use them, a build fails.
//
// The MQTT codec has the packets that its own tests compare with in a file that
// is no test's: a variable that each start makes, 72 KB of code on ARM and about
// as much memory. What nkeys reads credentials with, which core/auth does itself,
// brings the regular expressions, 150 KB with all their tables. MessagePack as
// JSON is in tables that each start makes, 71 KB with all that they name.
var unused = []string{
	"github.com/mochi-mqtt/server/v2/packets/tpackets.go",
	"github.com/nats-io/nkeys/creds_utils.go",
	"github.com/tinylib/msgp/msgp/json.go",
	"github.com/tinylib/msgp/msgp/json_bytes.go",
}

// edit is one change of a module's file, wherever old stands in it.
type edit struct{ file, old, new string }

// edits take out what nothing in the product uses but other code of the same file
// may call: the one method that writes MessagePack as JSON, and that a compressed
// stream may be told to be Snappy's, 35 KB of encoders. The option for that loses
// its name, so that a build fails where something begins to use it.
var edits = []edit{
	{"github.com/tinylib/msgp/msgp/read_bytes.go", "_, err := UnmarshalAsJSON(&buf, []byte(*r))", "err := ErrShortBytes"},
	{"github.com/klauspost/compress/s2/writer.go", "if w.snappy ", "if false "},
	{"github.com/klauspost/compress/s2/writer.go", "func WriterSnappyCompat()", "func _()"},
}

// lean copies the module in root, without its tests, to the folder to, with the
// modules that it needs beside it (vendor), but for the unused files. The go
// command has no way to leave out a file of the module cache.
//
// In the copy the module is called shortModule: each function has its whole name
// in the binary, for stack traces, which is 147 KB less on ARM.
func lean(root, to string) error {
	if err := os.CopyFS(to, sources{os.DirFS(root)}); err != nil {
		return fmt.Errorf("copy the module: %w", err)
	}
	if err := rename(to); err != nil {
		return fmt.Errorf("give the copy of the module its short name: %w", err)
	}
	cmd := exec.Command(Go(), "mod", "vendor")
	cmd.Dir = to
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("gather the modules: %w\n%s", err, out)
	}
	for _, name := range unused {
		if err := os.Remove(filepath.Join(to, "vendor", filepath.FromSlash(name))); err != nil {
			return fmt.Errorf("leave a file out of the build: %w", err)
		}
	}
	for _, e := range edits {
		if err := e.apply(filepath.Join(to, "vendor")); err != nil {
			return fmt.Errorf("leave a part of a file out of the build: %w", err)
		}
	}
	return nil
}

// apply changes the file in the folder; that old stands nowhere in it is an error,
// since then there is another release of the module to be looked at.
func (e edit) apply(dir string) error {
	name := filepath.Join(dir, filepath.FromSlash(e.file))
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	changed := strings.ReplaceAll(string(text), e.old, e.new)
	if changed == string(text) {
		return fmt.Errorf("%s: no %q", e.file, e.old)
	}
	return os.WriteFile(name, []byte(changed), 0o644)
}

// sources is what of a module's folder is compiled or embedded: no hidden
// folders, modules of their own, test data and tests.
type sources struct{ fs.FS }

func (s sources) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := fs.ReadDir(s.FS, name)
	if err != nil {
		return nil, err
	}
	some := all[:0]
	for _, e := range all {
		if e.IsDir() {
			if strings.HasPrefix(e.Name(), ".") || e.Name() == "testdata" {
				continue
			}
			switch _, err := fs.Stat(s.FS, path.Join(name, e.Name(), "go.mod")); {
			case err == nil:
				continue
			case !errors.Is(err, fs.ErrNotExist):
				return nil, err
			}
		} else if !e.Type().IsRegular() || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		some = append(some, e)
	}
	return some, nil
}

// rename has the module in dir called shortModule, in its go.mod and wherever one
// of its packages imports another.
func rename(dir string) error {
	cmd := exec.Command(Go(), "mod", "edit", "-module="+shortModule)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(name) != ".go" {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		renamed, err := renameImports(name, text)
		if err != nil {
			return err
		}
		return os.WriteFile(name, renamed, 0o644)
	})
}

// renameImports returns a source with imports of shortModule's packages. The
// lines stay what they were, and so do the places that stack traces name.
func renameImports(name string, text []byte) ([]byte, error) {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, name, text, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	long := `"` + module + "/"
	for _, spec := range slices.Backward(f.Imports) { // from the end: no place moves that is still needed
		if strings.HasPrefix(spec.Path.Value, long) {
			at := files.Position(spec.Path.Pos()).Offset
			text = slices.Replace(text, at, at+len(long), []byte(`"`+shortModule+"/")...)
		}
	}
	return text, nil
}

// short is the name that a package has in the copy.
func short(pkg string) string {
	if rest, ok := strings.CutPrefix(pkg, module); ok {
		return shortModule + rest
	}
	return pkg
}
