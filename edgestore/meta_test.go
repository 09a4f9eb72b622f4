package edgestore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

// zeroPage fills a page of a file with zeros.
func zeroPage(t *testing.T, path string, page int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		clear(b[page*4096:][:4096])
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// One of the two meta pages of a file is damaged, whichever and whatever file of the
// store: nothing is lost, the open tells it, and the next one has nothing to tell,
// before and behind the next commit. A look from outside tells it too, and writes
// nothing.
func TestFileStore_eitherMetaPage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	blobs := new(edgestoretest.Blobs)
	o := edgestore.FileOptions{Dir: dir, Incarnation: 9, MaxFileBytes: 128 << 10, Blobs: blobs}
	st := build(t, o, 3000)
	good := readDir(t, dir)
	if len(good) < 2 {
		t.Fatalf("%d files", len(good))
	}
	for name := range good {
		for page := range 2 {
			what := fmt.Sprintf("page %d of %s", page, name)
			writeDir(t, dir, good)
			path := filepath.Join(dir, name)
			zeroPage(t, path, page)
			if c, err := edgestore.CheckStore(dir); err != nil || c.Sound() {
				t.Errorf("%s: a look finds nothing: %+v, %v", what, c, err)
			}
			s := mustOpen(t, o)
			met := opened(s)
			if met.Salvaged == nil && !slices.Equal(met.Mended, []string{path}) || len(met.Missing) > 0 {
				t.Errorf("%s: told %+v", what, met)
			}
			for round := range 2 { // before and behind a commit
				if lost := st.verify(t, s); lost > 0 || len(s.Damage()) > 0 {
					t.Errorf("%s, round %d: %d messages lost, %v", what, round, lost, s.Damage())
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if c, err := edgestore.CheckStore(dir); err != nil || !c.Sound() {
					t.Errorf("%s, round %d: it was not mended: %+v, %v", what, round, c, err)
				}
				s = mustOpen(t, o)
				if met := opened(s); met.Salvaged != nil || len(met.Mended) > 0 {
					t.Errorf("%s, round %d: told again: %+v", what, round, met)
				}
				s.Seal(s.Applied()+1, edgestore.Chain{}, []edgestore.Aux{{Key: "c/8", Value: []byte(what)}})
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The same of a table: whichever of its pages it was, all values are there, it is
// told once, and the table goes on.
func TestTable_eitherMetaPage(t *testing.T) {
	for page := range 2 {
		path := filepath.Join(t.TempDir(), "catalogue.db")
		made := storedTable(t, path)
		want := tableContent(t, made, "")
		made.Close()
		again := mustTable(t, path)
		if _, told := again.Salvaged(); told {
			t.Fatal("nothing was damaged, and something is told")
		}
		again.Close()
		zeroPage(t, path, page)
		if _, _, err := edgestore.CheckTable(path); err == nil || !strings.Contains(err.Error(), "meta pages") {
			t.Errorf("page %d: a look finds nothing: %v", page, err)
		}
		tab := mustTable(t, path)
		if s, told := tab.Salvaged(); !told || !s.Exact || s.Old || s.Values != len(want) {
			t.Errorf("page %d: told %v, %+v", page, told, s)
		}
		for round := range uint64(2) {
			if got := tableContent(t, tab, ""); !slices.Equal(got, want) {
				t.Errorf("page %d: %q, want %q", page, got, want)
			}
			tab.Close()
			if _, _, err := edgestore.CheckTable(path); err != nil {
				t.Errorf("page %d, round %d: it was not mended: %v", page, round, err)
			}
			tab = mustTable(t, path)
			if s, told := tab.Salvaged(); told {
				t.Errorf("page %d, round %d: told again: %+v", page, round, s)
			}
			tab.Seal(edgestore.LSN(200+round), nil)
			if err := tab.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		tab.Close()
	}
}

// A file of a store that is gone is told by the open, with what only it had; when
// that is booked nothing is told any more.
func TestFileStore_missingFileIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	blobs := new(edgestoretest.Blobs)
	o := edgestore.FileOptions{Dir: dir, Incarnation: 9, MaxFileBytes: 128 << 10, Blobs: blobs}
	st := build(t, o, 3000)
	path := filepath.Join(dir, "00000002.chunks")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, o)
	if met := opened(s); met.Salvaged != nil || !slices.Equal(met.Missing, []string{path}) {
		t.Errorf("told %+v", met)
	}
	found := s.Found()
	if len(found) == 0 {
		t.Fatal("nothing is found lost")
	}
	if lost := st.verify(t, s); lost == 0 || !slices.Equal(s.Found(), found) {
		t.Errorf("the open found %v; all was read: %v, %d lost", found, s.Found(), lost)
	}
	bookAll(t, s)
	checkCounts(t, s)
	s.Seal(s.Applied()+1, edgestore.Chain{}, nil)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	if met := opened(s); len(met.Missing) > 0 || len(s.Found()) > 0 {
		t.Errorf("told again: %+v, %v", met, s.Found())
	}
}
