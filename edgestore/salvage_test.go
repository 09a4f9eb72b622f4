package edgestore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

func opened(s edgestore.Store) edgestore.Opening {
	return s.(interface{ Opening() edgestore.Opening }).Opening()
}

func values(t *testing.T, s edgestore.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := s.Aux("", func(key string, value []byte) error { all[key] = string(value); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// A power cut before the end of a commit, and damage of what was there before it:
// what is salvaged is the commit that counts, without anything of the next.
func TestFileStore_salvageWithoutTheNextCommit(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs}
	f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
	commit := func(value string) {
		t.Helper()
		f.s.Seal(edgestore.LSN(f.last), edgestore.Chain{}, []edgestore.Aux{{Key: "c", Value: []byte(value)}})
		if err := f.s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	lose := func(n uint64) {
		t.Helper()
		if _, err := f.s.Lose(f.last+1, f.last+n); err != nil {
			t.Fatal(err)
		}
		f.last += n
		f.add(1)
	}
	f.add(100)
	lose(3)
	commit("v0")
	lose(2)
	for seq := uint64(10); seq < 15; seq++ {
		if _, _, err := f.s.Remove(seq); err != nil {
			t.Fatal(err)
		}
	}
	commit("v1")
	want := see(f.s)
	name := filepath.Join(o.Dir, "00000001.chunks")
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(20); seq < 60; seq++ { // most of two chunks, which are packed
		if _, _, err := f.s.Remove(seq); err != nil {
			t.Fatal(err)
		}
	}
	lose(4)
	commit("v2")
	f.s.Close()
	after, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	copy(after, before[:2*4096]) // the meta pages
	if err := os.WriteFile(name, after, 0o600); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, o)
	want.same(t, "without damage", see(s))
	s.Close()
	if err := os.WriteFile(name, after, 0o600); err != nil {
		t.Fatal(err)
	}
	if edgestore.DamageRecords(t, name, 's') == 0 {
		t.Fatal("no subjects")
	}
	s = mustOpen(t, o)
	if opened(s).Salvaged == nil {
		t.Fatal("nothing was salvaged")
	}
	want.same(t, "salvaged", see(s))
	checkCounts(t, s)
	if v := values(t, s); v["c"] != "v1" {
		t.Errorf("values %q", v)
	}
}

// A record that is whole and another than the one that was written is noticed.
func TestFileStore_anotherRecord(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs}
	f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
	f.add(10)
	f.s.Seal(10, edgestore.Chain{}, []edgestore.Aux{{Key: "c", Value: []byte("(the value)")}})
	if err := f.s.Flush(); err != nil {
		t.Fatal(err)
	}
	f.s.Close()
	files := readDir(t, o.Dir)
	for name, b := range files {
		files[name] = edgestore.ChangeRecords(b, func(r []byte) {
			if i := bytes.Index(r, []byte("(the value)")); i >= 0 {
				r[i+1] = 'T'
			}
		})
	}
	writeDir(t, o.Dir, files)
	if s := mustOpen(t, o); opened(s).Salvaged == nil || s.State().Msgs != 10 {
		t.Errorf("%+v, %+v", opened(s), s.State())
	}
}

// Two seals before a flush are one: what each of them has is written, the newer
// where both have something.
func TestFileStore_twoSeals(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs}
	f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
	f.add(200)
	f.last += 1 << 16 // so that there are two pages of gaps
	f.add(10)
	f.mustFlush()
	chunks := edgestore.Chunks(f.s)
	aux := func(value string, keys ...string) (list []edgestore.Aux) {
		for _, k := range keys {
			list = append(list, edgestore.Aux{Key: k, Value: []byte(value)})
		}
		return list
	}
	if _, _, err := f.s.Remove(190); err != nil {
		t.Fatal(err)
	}
	if _, err := f.s.Compact(100); err != nil {
		t.Fatal(err)
	}
	if _, err := f.s.Lose(f.last+1, f.last+3); err != nil {
		t.Fatal(err)
	}
	f.last += 3
	f.s.Seal(edgestore.LSN(f.last), edgestore.Chain{}, aux("first", "a", "b"))
	f.add(3)
	if _, _, err := f.s.Remove(f.last - 1); err != nil {
		t.Fatal(err)
	}
	f.s.Seal(edgestore.LSN(f.last), edgestore.Chain{}, aux("second", "b", "c"))
	want := see(f.s)
	if err := f.s.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := edgestore.Chunks(f.s); got > chunks/2+2 {
		t.Errorf("%d chunks before half of their messages were compacted, %d behind that", chunks, got)
	}
	f.s.Close()
	s := mustOpen(t, o)
	if opened(s).Salvaged != nil {
		t.Error(opened(s).Salvaged)
	}
	want.same(t, "after a restart", see(s))
	checkCounts(t, s)
	if v := values(t, s); v["a"] != "first" || v["b"] != "second" || v["c"] != "second" {
		t.Errorf("values %q", v)
	}
}

// The chunk of a message that was removed while it was written goes with the next
// flush.
func TestFileStore_removedWhileWritten(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	s := mustOpen(t, edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs})
	for seq := uint64(1); seq <= 5; seq++ { // a chunk each
		m := edgestore.Msg{Seq: seq, Time: int64(seq), Subject: "s", Body: bytes.Repeat([]byte("x"), 40<<10)}
		if err := s.Append(&m, blobs.Add(&m)); err != nil {
			t.Fatal(err)
		}
	}
	s.Seal(5, edgestore.Chain{}, nil)
	if _, err := s.Compact(3); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{5, 3} {
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if rows, chunks := edgestore.ChunkRows(t, s), edgestore.Chunks(s); rows != want || chunks != want {
			t.Errorf("flush %d: %d rows and %d chunks, want %d", i+1, rows, chunks, want)
		}
		s.Seal(6, edgestore.Chain{}, nil)
	}
}

// The new names of damaged files are durable, and no file is set aside over
// another; so is that a deleted store is gone.
func TestSetAside_durable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	disk := &faultyDisk{fail: func(string) error { return nil }}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x")
	for i, want := range []string{"x.damaged-1", "x.damaged-2"} {
		disk.log = nil
		if err := os.WriteFile(path, []byte{byte(i)}, 0o600); err != nil {
			t.Fatal(err)
		}
		to, err := edgestore.SetAside(disk, path)
		if err != nil || filepath.Base(to) != want || !slices.Equal(disk.log, []string{"rename to " + want, "sync s"}) {
			t.Errorf("%s, %v, %q", to, err, disk.log)
		}
		if b, err := os.ReadFile(to); err != nil || len(b) != 1 || b[0] != byte(i) {
			t.Errorf("%s: %q, %v", to, b, err)
		}
	}
	parent := t.TempDir()
	s := mustOpen(t, edgestore.FileOptions{Dir: filepath.Join(parent, "t"), Incarnation: 7, Blobs: new(edgestoretest.Blobs), Disk: disk})
	disk.log = nil
	if err := s.Delete(); err != nil || !slices.Contains(disk.log, "sync "+filepath.Base(parent)) {
		t.Errorf("%v, %q", err, disk.log)
	}
}
