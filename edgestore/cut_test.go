package edgestore_test

import (
	"path/filepath"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

// A file that ends too early is noticed when it opens, wherever it was cut: what
// has gone is missing then, and what comes next is written.
func TestFileStore_cutAnywhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	blobs := new(edgestoretest.Blobs)
	o := edgestore.FileOptions{Dir: dir, Incarnation: 9, SetAside: true, Blobs: blobs}
	f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
	for range 12 { // so that pages are used again, and the newest are not the last
		f.add(25)
		f.mustFlush()
	}
	if err := f.s.Close(); err != nil {
		t.Fatal(err)
	}
	good := readDir(t, dir)
	const file = "00000001.chunks"
	end := used(good[file])
	for i := 59; i < 64; i++ {
		writeDir(t, dir, map[string][]byte{file: good[file][:end*i/64]})
		s, err := edgestore.OpenFileStore(o)
		if err != nil {
			t.Fatalf("cut at %d of 64: %v", i, err)
		}
		if told := opening(s); len(told.Aside) == 0 {
			t.Errorf("cut at %d of 64: told %+v", i, told)
		}
		if _, err := s.Lose(1, f.last); err != nil {
			t.Fatal(err)
		}
		checkCounts(t, s)
		g := &filler{t: t, s: s, blobs: blobs, last: f.last}
		g.add(100)
		if err := g.flush(); err != nil {
			t.Errorf("cut at %d of 64: %v", i, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("cut at %d of 64: %v", i, err)
		}
	}
}
