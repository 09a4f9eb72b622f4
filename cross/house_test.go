package cross

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frondmq/frond/cross/build"
)

// goFiles calls f for each Go file of the repository, both modules.
func goFiles(t *testing.T, f func(rel string, file *ast.File, fset *token.FileSet)) {
	t.Helper()
	root, err := build.Root()
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "dist") && name != root {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f(filepath.ToSlash(rel), file, fset)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Tests wait for a condition, never for a time.
func TestHouse_no_sleep_in_tests(t *testing.T) {
	goFiles(t, func(rel string, file *ast.File, fset *token.FileSet) {
		if !strings.HasSuffix(rel, "_test.go") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, is := n.(*ast.CallExpr); is && isOf(call.Fun, "synctest", "Test") {
				return false // in a bubble a sleep is an exact wait of fake time
			}
			if sel, is := n.(*ast.SelectorExpr); is && isOf(sel, "time", "Sleep") {
				t.Errorf("%s:%d: time.Sleep in a test: wait for the condition instead", rel, fset.Position(n.Pos()).Line)
			}
			return true
		})
	})
}

// What calls Lock through an interface keeps two methods of each struct that
// embeds a mutex in the binary: see core/cond.
func TestHouse_no_locker(t *testing.T) {
	goFiles(t, func(rel string, file *ast.File, fset *token.FileSet) {
		if strings.HasSuffix(rel, "_test.go") || strings.HasPrefix(rel, "cmd/interop/") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if sel, is := n.(*ast.SelectorExpr); is && (isOf(sel, "sync", "Cond") || isOf(sel, "sync", "NewCond") || isOf(sel, "sync", "Locker")) {
				t.Errorf("%s:%d: sync.%s has a lock of any type: use core/cond, or the type of the lock", rel, fset.Position(n.Pos()).Line, sel.Sel.Name)
			}
			return true
		})
	})
}

// isOf reports whether e is PKG.NAME.
func isOf(e ast.Expr, pkg, name string) bool {
	sel, is := e.(*ast.SelectorExpr)
	if !is || sel.Sel.Name != name {
		return false
	}
	x, is := sel.X.(*ast.Ident)
	return is && x.Name == pkg
}

// Every package says what it is for, in one place.
func TestHouse_package_docs(t *testing.T) {
	docs := map[string]int{}
	seen := map[string]bool{}
	goFiles(t, func(rel string, file *ast.File, _ *token.FileSet) {
		if strings.HasSuffix(rel, "_test.go") {
			return
		}
		dir := filepath.Dir(rel)
		seen[dir] = true
		if file.Doc != nil && len(strings.TrimSpace(file.Doc.Text())) > 40 {
			docs[dir]++
		}
	})
	for dir := range seen {
		switch {
		case docs[dir] == 0:
			t.Errorf("%s has no package comment: say in doc.go what it is for, what not, and where to start", dir)
		case docs[dir] > 1:
			t.Errorf("%s has %d package comments", dir, docs[dir])
		}
	}
}

// Wiring is an explicit list in cmd: no init in the product.
func TestHouse_no_init(t *testing.T) {
	goFiles(t, func(rel string, file *ast.File, _ *token.FileSet) {
		if strings.HasSuffix(rel, "_test.go") || strings.HasPrefix(rel, "cmd/interop/") {
			return
		}
		for _, d := range file.Decls {
			if f, is := d.(*ast.FuncDecl); is && f.Recv == nil && f.Name.Name == "init" && !generated(file) {
				t.Errorf("%s has an init function", rel)
			}
		}
	})
}

func generated(file *ast.File) bool { return ast.IsGenerated(file) }

// A file that starts something on the network in a test uses the loopback.
func TestHouse_listens_on_loopback(t *testing.T) {
	goFiles(t, func(rel string, file *ast.File, fset *token.FileSet) {
		if !strings.HasSuffix(rel, "_test.go") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, is := n.(*ast.CallExpr)
			if !is || len(call.Args) != 2 {
				return true
			}
			sel, is := call.Fun.(*ast.SelectorExpr)
			if !is || sel.Sel.Name != "Listen" {
				return true
			}
			if lit, is := call.Args[1].(*ast.BasicLit); is && (strings.HasPrefix(lit.Value, `":`) || strings.HasPrefix(lit.Value, `"0.0.0.0`)) {
				t.Errorf("%s:%d: listens on every interface", rel, fset.Position(n.Pos()).Line)
			}
			return true
		})
	})
}

// The product's own files are formatted and say the licence they are under
// once: in LICENSE, which the tarballs carry.
func TestHouse_has_licence_and_readme(t *testing.T) {
	root, err := build.Root()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"LICENSE": "Apache License", "README.md": "frond", "CHANGELOG.md": "## Unreleased", "CONTRIBUTING.md": "make test", "SECURITY.md": "Report",
		".github/workflows/ci.yml": ".ci/run",
	} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, want it to contain %q", name, err, want)
		}
	}
}
