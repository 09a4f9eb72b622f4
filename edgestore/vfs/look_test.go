package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestNames: each name is told once, whatever is in a folder and however much.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	if err := Names(dir, func(name string, _ bool) { t.Errorf("%q in an empty folder", name) }); err != nil {
		t.Fatal(err)
	}
	want := make(map[string]bool)
	for i := range 300 { // more than one call of the system gives
		want[fmt.Sprintf("%s-%d", strings.Repeat("n", i%200), i)] = true
	}
	for name := range want {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want["folder"] = false
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Symlink("folder", filepath.Join(dir, "link")) == nil { // not all systems have them
		want["link"] = false
	}
	got, told := make(map[string]bool), 0
	if err := Names(dir, func(name string, regular bool) { got[name] = regular; told++ }); err != nil {
		t.Fatal(err)
	}
	if told != len(want) || !reflect.DeepEqual(got, want) {
		t.Errorf("%d names: %v\nwant %v", told, got, want)
	}
	for _, name := range []string{"missing", "n-1"} {
		err := Names(filepath.Join(dir, name), func(string, bool) {})
		if err == nil || name == "missing" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLook(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, size, err := Look(path)
	if err != nil || size != 10 {
		t.Fatal(size, err)
	}
	defer f.Close()
	b := make([]byte, 4)
	if n, err := f.ReadAt(b, 3); n != 4 || err != nil || string(b) != "3456" {
		t.Error(n, err, string(b))
	}
	if n, err := f.ReadAt(b, 8); n != 2 || err != io.EOF || string(b[:n]) != "89" {
		t.Error(n, err, string(b))
	}
	if n, err := f.ReadAt(b, 10); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
	if n, err := f.ReadAt(nil, 3); n != 0 || err != nil {
		t.Error(n, err)
	}
	if _, _, err := Look(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, _, err := Look(dir); err == nil {
		t.Error("a folder is a file")
	}
}
