package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that never ends, or that is none, is an error with its place.
func TestParseFile_strangeFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	large := write("large.conf", "")
	if err := os.Truncate(large, maxFileBytes+1); err != nil {
		t.Fatal(err)
	}
	const noFile, tooLarge, missing = "it is no regular file", "it is larger than 16777216 bytes", "no such file"
	for _, x := range []struct{ name, included, itself string }{
		{os.DevNull, noFile, ""},
		{"/dev/zero", noFile, tooLarge},
		{dir, noFile, noFile},
		{large, tooLarge, tooLarge},
		{dir + "/no", missing, missing},
	} {
		if _, err := os.Stat(x.name); err != nil && x.name == "/dev/zero" {
			continue // not on this system
		}
		name, want := x.name, x.included
		path := write("a.conf", fmt.Sprintf("port: 4222\ninclude %q\n", name))
		if _, _, err := ParseFile(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "a.conf:2") {
			t.Errorf("include %s: %v, want %q and the place", name, err, want)
		}
		if _, _, err := ParseFile(name); (err == nil) != (x.itself == "") || err != nil && !strings.Contains(err.Error(), x.itself) {
			t.Errorf("%s itself: %v, want %q", name, err, x.itself)
		}
	}
	if _, _, err := ParseFile(write("b.conf", fmt.Sprintf("include %q\n", write("c.conf", "port: 4222\n")))); err != nil {
		t.Errorf("a regular file: %v", err)
	}
}

// Files that include each other's next twice are few and never end.
func TestParseTree_includesAreBounded(t *testing.T) {
	read := 0
	src := Source{ReadFile: func(path string) ([]byte, error) {
		read++
		name := filepath.Base(path)
		if len(name) > 20 { // or the bound of the nesting would be met first
			return []byte("c: 1\n"), nil
		}
		return fmt.Appendf(nil, "a { include %sx }\nb { include %sx }\n", name, name), nil
	}}
	_, err := ParseTree("x", []byte("include xx\n"), src)
	if err == nil || !strings.Contains(err.Error(), "the configuration includes more than 10000 files") {
		t.Errorf("after %d files: %.300v", read, err)
	}
}
