package cross

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var looksLikeJSON = regexp.MustCompile(`[{,]\s*"[a-z_]+"\s*:`)

// The engine knows no JSON, so its files have none in their strings; tests are another
// matter.
func TestHouse_noJSONInStringsOfTheEngine(t *testing.T) {
	files, err := filepath.Glob("../core/jetstream/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if x, ok := n.(*ast.BasicLit); ok && x.Kind == token.STRING {
				if s, err := strconv.Unquote(x.Value); err == nil && looksLikeJSON.MatchString(s) {
					t.Errorf("%s: JSON in a string", set.Position(x.Pos()))
				}
			}
			return true
		})
	}
}
