package cross

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

var looksLikeJSON = regexp.MustCompile(`[{,]\s*"[a-z_]+"\s*:`)

// jsonInTests are the test files of the engine that have strings with JSON, with the
// number of those strings.
var jsonInTests = map[string]int{
	"consumer_test.go":  1, // the configurations of stories, which are JSON, become requests
	"law_again_test.go": 1, // what an acknowledgement says is JSON on the wire
	"twins_ops_test.go": 1, // likewise
}

// The engine knows no JSON, so its files have none in their strings. Its tests write
// configurations and requests as testkit.JSON reads them.
func TestHouse_noJSONInStringsOfTheEngine(t *testing.T) {
	files, err := filepath.Glob("../core/jetstream/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range files {
		found := jsonStrings(t, name)
		if want := jsonInTests[filepath.Base(name)]; len(found) != want {
			t.Errorf("%s: %d strings with JSON, %d expected; tests write it as testkit.JSON reads it", name, len(found), want)
			for _, at := range found {
				t.Log(at)
			}
		}
	}
}

// jsonStrings tells where a Go file has JSON in a string.
func jsonStrings(t *testing.T, name string) (found []token.Position) {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if x, ok := n.(*ast.BasicLit); ok && x.Kind == token.STRING {
			if s, err := strconv.Unquote(x.Value); err == nil && looksLikeJSON.MatchString(s) {
				found = append(found, set.Position(x.Pos()))
			}
		}
		return true
	})
	return found
}
