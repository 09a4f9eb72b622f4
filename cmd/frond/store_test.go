package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
	"github.com/frondmq/frond/edgestore/vfs"
)

// frond store says what is in the folders of streams and what is damaged, dumps
// what can be read, and makes new files of it.
func TestStore_command(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "jetstream", "streams", "7")
	blobs := new(edgestoretest.Blobs)
	s, err := edgestore.OpenFileStore(edgestore.FileOptions{Dir: dir, Incarnation: 7, Blobs: blobs})
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= 200; seq++ {
		m := edgestore.Msg{Seq: seq, Time: int64(seq), Subject: "s", Body: fmt.Appendf(nil, "body %d, %0400d", seq, seq)}
		if err := s.Append(&m, blobs.Add(&m)); err != nil {
			t.Fatal(err)
		}
	}
	s.Seal(200, edgestore.Chain{}, nil)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	call := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := run(append([]string{"store"}, args...), &out, &errs)
		return code, out.String(), errs.String()
	}
	expect := func(code int, want string, args ...string) {
		t.Helper()
		if got, out, errs := call(args...); got != code || !strings.Contains(out+errs, want) {
			t.Errorf("store %q: exit %d: %q %q, want %d with %q", args, got, out, errs, code, want)
		}
	}
	expect(0, "Usage: frond store")
	expect(1, "check, dump, rebuild, giveup, format", "mend", root)
	expect(1, "it takes check, dump, rebuild, giveup or format, and a folder", "check")
	expect(1, "neither a data folder nor", "check", t.TempDir())
	expect(1, "in use by another process", "check", root)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	expect(0, "incarnation 7: 200 messages", "check", root)
	expect(0, "incarnation 7: 200 messages", "check", dir)
	expect(0, "files can be read: nothing is given up", "giveup", root)
	expect(0, "format 2; this program writes formats up to 2", "format", root)
	expect(1, `"x" is no number`, "format", "x", root)
	journal := filepath.Join(storesRoot(t, root), "journal")
	if err := os.MkdirAll(journal, 0o700); err != nil {
		t.Fatal(err)
	}
	held, err := vfs.OS{}.Lock(filepath.Join(journal, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	expect(1, "a server runs on it", "giveup", root)
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := call("dump", root); code != 0 || strings.Count(out, "\n") != 200 || !strings.Contains(errs, "200 messages") {
		t.Errorf("dump: exit %d, %d lines, %q", code, strings.Count(out, "\n"), errs)
	}
	path := filepath.Join(dir, "00000001.chunks")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.Index(b, []byte("body 100,"))] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(1, "cannot be read: ", "check", root)
	if code, out, _ := call("dump", root); code != 1 || strings.Contains(out, `"seq":100,`) || strings.Count(out, "\n") < 100 {
		t.Errorf("dump of what is damaged: exit %d, %d lines", code, strings.Count(out, "\n"))
	}
	expect(0, "lost before: ", "rebuild", root)
	expect(0, "lost before: ", "check", root)
	if _, err := os.Stat(path + ".damaged-1"); err != nil {
		t.Error(err)
	}
}

// storesRoot is the folder below a data folder that has the streams.
func storesRoot(t *testing.T, dir string) string {
	t.Helper()
	root, _, err := storesIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	return root
}
