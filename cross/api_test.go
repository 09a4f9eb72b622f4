package cross

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/frondmq/frond/cross/build"
)

// promised are the packages that other programs may import.
var promised = []string{"core", "core/config", "core/servertest"}

// unpromised is in the first paragraph of every other package's documentation:
// Go lets everybody import them.
const unpromised = "changes without notice"

// What other programs use is in api.txt, so that nobody changes it in passing.
func TestAPI_is_the_list(t *testing.T) {
	var got []string
	goFiles(t, func(rel string, file *ast.File, _ *token.FileSet) {
		if dir := path.Dir(rel); slices.Contains(promised, dir) && !strings.HasSuffix(rel, "_test.go") {
			for _, name := range exported(file) {
				got = append(got, dir+" "+name)
			}
		}
	})
	slices.Sort(got)
	got = slices.Compact(got) // a name may be in a file for each system
	root, err := build.Root()
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(root, "cross", "api.txt")
	if *rewrite {
		if err := os.WriteFile(list, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(b)), "\n")
	for _, name := range got {
		if !slices.Contains(want, name) {
			t.Errorf("%s is new, and will be used by other programs; if it shall be: go test ./cross -rewrite", name)
		}
	}
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("%s is gone, and programs that use it break; if they must: go test ./cross -rewrite, and a line in CHANGELOG.md", name)
		}
	}
}

// exported are the names of a file that begin with a capital, with the methods
// and fields behind those of types.
func exported(file *ast.File) []string {
	var names []string
	add := func(of string, ids ...*ast.Ident) {
		for _, id := range ids {
			if id.IsExported() {
				names = append(names, of+id.Name)
			}
		}
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				add("func ", d.Name)
			} else if of := receiver(d.Recv.List[0].Type); ast.IsExported(of) {
				add("func "+of+".", d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.ValueSpec:
					add(d.Tok.String()+" ", s.Names...)
				case *ast.TypeSpec:
					add("type ", s.Name)
					for _, f := range fields(s) {
						add("field "+s.Name.Name+".", f.Names...)
					}
				}
			}
		}
	}
	return names
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	panic(fmt.Sprintf("a method of %T", e))
}

// fields are those of a struct, and the methods of an interface.
func fields(s *ast.TypeSpec) []*ast.Field {
	if !s.Name.IsExported() {
		return nil
	}
	switch t := s.Type.(type) {
	case *ast.StructType:
		return t.Fields.List
	case *ast.InterfaceType:
		return t.Methods.List
	}
	return nil
}

// Every other package says that it is no promise.
func TestAPI_the_rest_is_no_promise(t *testing.T) {
	n := 0
	goFiles(t, func(rel string, file *ast.File, _ *token.FileSet) {
		room := roomOf(module + "/" + path.Dir(rel))
		switch {
		case room == "", room == "cross", room == "cmd/frond", room == "firmware", slices.Contains(promised, path.Dir(rel)), file.Doc == nil,
			strings.HasSuffix(rel, "_test.go"):
			return
		}
		n++
		first, _, _ := strings.Cut(file.Doc.Text(), "\n\n")
		if !strings.Contains(strings.ReplaceAll(first, "\n", " "), unpromised) {
			t.Errorf("%s: the first paragraph does not say that the package %s", rel, unpromised)
		}
	})
	if n < 12 {
		t.Errorf("%d packages", n)
	}
}
