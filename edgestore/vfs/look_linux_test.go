package vfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLook_leavesNothingOpen: a start looks at very many folders and files, found
// or not.
func TestLook_leavesNothingOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, path, filepath.Join(dir, "missing")} {
		_ = Names(name, func(string, bool) {})
		if f, _, err := Look(name); err == nil {
			f.Close()
		}
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	for _, f := range open {
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(to, dir) {
			t.Errorf("%s is open", to)
		}
	}
}
