package edgestore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

func opening(s edgestore.Store) edgestore.Opening {
	return s.(interface{ Opening() edgestore.Opening }).Opening()
}

// Whatever lies in the folder of a store, an open gives what is left of it and
// says so, or an error that names the file, and removes nothing that it cannot
// read.
func TestFileStore_strangeFolders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	o := edgestore.FileOptions{Dir: dir, Incarnation: 9, MaxFileBytes: 256 << 10}
	st := build(t, o, 4000)
	good := readDir(t, dir)
	var names []string
	for n := range good {
		names = append(names, n)
	}
	slices.Sort(names)
	head := names[len(names)-1]
	if len(names) < 2 {
		t.Fatal("only one file")
	}
	one := filepath.Join(t.TempDir(), "one")
	o1 := edgestore.FileOptions{Dir: one, Incarnation: 9}
	st1 := build(t, o1, 1000)
	goodOne := readDir(t, one)
	garbage := bytes.Repeat([]byte("garbage\n"), 20_000)

	for _, c := range []struct {
		name   string
		one    bool // the store of one file
		change func(files map[string][]byte)
		mkdir  string
		// least is how many messages there must be at least; -1: an error.
		least  int
		strays int
		aside  bool // the head is kept under another name
	}{
		{name: "head of 0 bytes", change: func(f map[string][]byte) { f[head] = nil }, least: 1000, aside: true},
		{name: "head of garbage", change: func(f map[string][]byte) { f[head] = garbage }, least: 1000, aside: true},
		{name: "head cut to half", change: func(f map[string][]byte) { f[head] = f[head][:used(f[head])/2] }, least: 1000, aside: true},
		{name: "head missing", change: func(f map[string][]byte) { delete(f, head) }, least: 1000},
		{name: "head is a folder", change: func(f map[string][]byte) { delete(f, head) }, mkdir: head, least: 1000, strays: 1},
		{name: "old file of 0 bytes", change: func(f map[string][]byte) { f[names[0]] = nil }, least: 500},
		{name: "old file of garbage", change: func(f map[string][]byte) { f[names[0]] = garbage }, least: 500},
		{name: "stray files", change: func(f map[string][]byte) { f["old.chunks"], f["notes"], f["1.chunks"] = garbage, garbage, nil }, least: 2400, strays: 3},
		{name: "a file of another number", change: func(f map[string][]byte) { f["00000099.chunks"] = nil }, least: 2400, aside: true},
		{name: "the only file of 0 bytes", one: true, change: func(f map[string][]byte) { f["00000001.chunks"] = nil }, least: -1, aside: true},
		{name: "the only file of garbage", one: true, change: func(f map[string][]byte) { f["00000001.chunks"] = garbage }, least: -1, aside: true},
		{name: "the only file cut to half", one: true, change: func(f map[string][]byte) { f["00000001.chunks"] = f["00000001.chunks"][:used(f["00000001.chunks"])/2] }, least: 1, aside: true},
		{name: "the only file is a folder", one: true, change: func(f map[string][]byte) { delete(f, "00000001.chunks") }, mkdir: "00000001.chunks", least: 0, strays: 1},
		{name: "no file", one: true, change: func(f map[string][]byte) { clear(f) }, least: 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, st, files := o, st, map[string][]byte{}
			from := good
			if c.one {
				o, st, from = o1, st1, goodOne
			}
			for n, b := range from {
				files[n] = b
			}
			c.change(files)
			writeDir(t, o.Dir, files)
			if c.mkdir != "" {
				if err := os.Mkdir(filepath.Join(o.Dir, c.mkdir), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			blobs := new(edgestoretest.Blobs)
			o.Blobs = blobs
			s, err := edgestore.OpenFileStore(o)
			if c.least < 0 {
				if !errors.Is(err, edgestore.ErrCorrupt) || !strings.Contains(err.Error(), "00000001.chunks") {
					t.Fatalf("open: %v", err)
				}
				if got := readDir(t, o.Dir); !bytes.Equal(got["00000001.chunks"], files["00000001.chunks"]) {
					t.Fatal("the file has changed")
				}
				o.SetAside = true
				s, err = edgestore.OpenFileStore(o)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			told := opening(s)
			if len(told.Strays) != c.strays || (len(told.Aside) > 0) != c.aside {
				t.Fatalf("told %+v", told)
			}
			for _, path := range told.Aside {
				name, _, _ := strings.Cut(filepath.Base(path), ".damaged")
				if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, files[name]) {
					t.Fatalf("%s is not what was there: %v", path, err)
				}
			}
			if c.mkdir == "" {
				for name := range files {
					if strings.HasPrefix(name, "0") {
						continue
					}
					if got, err := os.ReadFile(filepath.Join(o.Dir, name)); err != nil || !bytes.Equal(got, files[name]) {
						t.Fatalf("the stray file %s has changed: %v", name, err)
					}
				}
			}
			if n := s.State().Msgs; int(n) < c.least {
				t.Fatalf("%d messages, told %+v", n, told)
			}
			// What is there is right, and the stream goes on behind what it had.
			n := uint64(0)
			for at := uint64(1); ; n++ {
				m, _, err := s.LoadNext(nil, at, nil)
				if err != nil {
					break
				}
				if !sameMsg(m, st.msgs[m.Seq]) {
					t.Fatalf("message %d is not what was stored", m.Seq)
				}
				at = m.Seq + 1
			}
			if lost, err := s.Lose(1, st.last); err != nil || s.State().LastSeq != st.last || n == 0 && lost != st.last {
				t.Fatalf("lose: %d, %v, %+v", lost, err, s.State())
			}
			checkCounts(t, s)
			f := &filler{t: t, s: s, blobs: blobs, last: st.last}
			f.add(10)
			f.mustFlush()
			want := s.State()
			s.Close()
			s = mustOpen(t, o)
			if got := s.State(); got != want {
				t.Fatalf("after a restart %+v, before %+v", got, want)
			}
			checkCounts(t, s)
			if err := s.Delete(); err != nil {
				t.Fatal(err)
			}
			for name := range readDir2(t, o.Dir) {
				if strings.Contains(name, ".chunks") && strings.HasPrefix(name, "0") && name != c.mkdir {
					t.Fatalf("%s is there after the store was deleted", name)
				}
			}
		})
	}
}

// used is how much of a file is in use.
func used(b []byte) int { return len(bytes.TrimRight(b, "\x00")) }

func readDir2(t *testing.T, dir string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		out[e.Name()] = true
	}
	return out
}
