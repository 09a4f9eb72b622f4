package edgestore_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

var storeFlag = flag.String("store", "", "write a folder of the present format here")

const storedMessages = 1000

func storedOptions(dir string) edgestore.FileOptions {
	return edgestore.FileOptions{Dir: dir, Incarnation: 9, MaxFileBytes: 128 << 10, Compression: true}
}

// storedTable is what the stored catalogues hold.
func storedTable(t *testing.T, path string) *edgestore.Table {
	tab := mustTable(t, path)
	for i := range 100 {
		tab.Seal(edgestore.LSN(i+1), []edgestore.Aux{{Key: fmt.Sprintf("s/%d", i%40), Value: []byte(fmt.Sprintf("value %d", i))}})
		if i%20 == 19 {
			if err := tab.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return tab
}

func TestStoredFormat(t *testing.T) {
	if *storeFlag == "" {
		t.Skip("for a new format only: -store=testdata/formatN")
	}
	dir := filepath.Join(t.TempDir(), "s")
	build(t, storedOptions(dir), storedMessages)
	storedTable(t, filepath.Join(dir, "catalogue.db")).Close()
	if err := os.MkdirAll(*storeFlag, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range readDir(t, dir) {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, _ = w.Write(b[:max((used(b)+4095)&^4095, 4*4096)])
		w.Close()
		if err := os.WriteFile(filepath.Join(*storeFlag, name+".gz"), z.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Folders that programs of each format have written are read, and written on.
func TestFormats(t *testing.T) {
	if bigEndian() {
		t.Skip("the folders were written on a little-endian machine: see TestOtherByteOrder")
	}
	fresh := filepath.Join(t.TempDir(), "fresh")
	st := build(t, storedOptions(fresh), storedMessages)
	want := mustOpen(t, storedOptions(fresh)).State()
	tab := storedTable(t, filepath.Join(t.TempDir(), "catalogue.db"))
	wantTable := tableContent(t, tab, "")
	for _, format := range []string{"format1", "format2"} {
		t.Run(format, func(t *testing.T) {
			dir := unpack(t, filepath.Join("testdata", format))
			path := filepath.Join(dir, "catalogue.db")
			tab := mustTable(t, path)
			if got := tableContent(t, tab, ""); !slices.Equal(got, wantTable) || tab.Applied() != 100 {
				t.Fatalf("table: applied %d, %q", tab.Applied(), got)
			}
			tab.Seal(101, []edgestore.Aux{{Key: "s/1"}})
			if err := tab.Flush(); err != nil {
				t.Fatal(err)
			}
			tab.Close()
			if got := tableContent(t, mustTable(t, path), ""); len(got) != len(wantTable)-1 {
				t.Fatalf("table after a flush: %q", got)
			}

			o := storedOptions(filepath.Join(dir, "s"))
			blobs := new(edgestoretest.Blobs)
			o.Blobs, o.Invariants = blobs, true
			s := mustOpen(t, o)
			if s.Applied() != storedMessages || s.State() != want || opening(s).Salvaged != nil || len(opening(s).Mended) > 0 {
				t.Fatalf("applied %d, %+v, want %+v", s.Applied(), s.State(), want)
			}
			if lost := st.verify(t, s); lost > 0 {
				t.Fatalf("%d messages lost", lost)
			}
			checkCounts(t, s)
			n := 0
			if err := s.Aux("c/", func(string, []byte) error { n++; return nil }); err != nil || n == 0 {
				t.Fatalf("%d named values, %v", n, err)
			}
			f := &filler{t: t, s: s, blobs: blobs, last: st.last}
			f.add(50)
			if _, err := s.Lose(f.last+1, f.last+5); err != nil {
				t.Fatal(err)
			}
			f.last += 5
			f.mustFlush()
			f.add(300)
			f.mustFlush()
			for seq := uint64(1); seq < 500; seq += 3 {
				if _, _, err := s.Remove(seq); err != nil {
					t.Fatal(err)
				}
				delete(st.live, seq)
			}
			f.last++
			if _, err := s.Lose(f.last, f.last); err != nil {
				t.Fatal(err)
			}
			f.mustFlush()
			now := s.State()
			s.Close()
			s = mustOpen(t, o)
			if s.State() != now || len(s.Damage()) != 2 {
				t.Fatalf("after a restart %+v, before %+v, damage %v", s.State(), now, s.Damage())
			}
			checkCounts(t, s)
		})
	}
}

// unpack makes a folder of the stored one: the catalogue, and the store in s.
func unpack(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "s"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range readDir(t, from) {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		name = strings.TrimSuffix(name, ".gz")
		if strings.HasSuffix(name, ".chunks") {
			name = filepath.Join("s", name)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What a newer program has written is refused, not taken for damage, and stays
// as it is.
func TestNewerFormat(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	o := edgestore.FileOptions{Dir: dir, Incarnation: 9}
	build(t, o, 100)
	path := filepath.Join(t.TempDir(), "catalogue.db")
	storedTable(t, path).Close()
	for _, change := range []func(b []byte){
		func(b []byte) { b[4] = 3 },
		func(b []byte) { b[40] = 1 },
	} {
		for _, name := range []string{filepath.Join(dir, "00000001.chunks"), path} {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			newer := edgestore.ChangeRecords(b, change)
			if err := os.WriteFile(name, newer, 0o600); err != nil {
				t.Fatal(err)
			}
			if name == path {
				_, err = edgestore.OpenTableFile(edgestore.TableOptions{Path: name})
			} else {
				_, err = edgestore.OpenFileStore(o)
			}
			if !errors.Is(err, edgestore.ErrFormat) || errors.Is(err, edgestore.ErrCorrupt) {
				t.Fatalf("%s: %v", name, err)
			}
			if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, newer) {
				t.Fatalf("%s has changed: %v", name, err)
			}
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func bigEndian() bool { return binary.NativeEndian.Uint16([]byte{0, 1}) == 1 }

// bbolt's pages are in the byte order of the machine that wrote them. One of
// the other order refuses them in words and leaves them as they are: taken for
// damage, they would be set aside and lose what is in no record.
func TestOtherByteOrder(t *testing.T) {
	var dir string
	if bigEndian() {
		dir = unpack(t, filepath.Join("testdata", "format2"))
	} else {
		dir = t.TempDir()
		build(t, storedOptions(filepath.Join(dir, "s")), 100)
		storedTable(t, filepath.Join(dir, "catalogue.db")).Close()
		for _, name := range []string{filepath.Join("s", "00000001.chunks"), "catalogue.db"} {
			name = filepath.Join(dir, name)
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, page := range []int{0, 4096} {
				slices.Reverse(b[page+16 : page+20]) // bbolt's magic number
			}
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := readDir(t, filepath.Join(dir, "s"))
	_, errStore := edgestore.OpenFileStore(storedOptions(filepath.Join(dir, "s")))
	_, errTable := edgestore.OpenTableFile(edgestore.TableOptions{Path: filepath.Join(dir, "catalogue.db")})
	_, errCheck := edgestore.CheckStore(filepath.Join(dir, "s"))
	for _, err := range []error{errStore, errTable, errCheck} {
		if !errors.Is(err, edgestore.ErrFormat) || errors.Is(err, edgestore.ErrCorrupt) || !strings.Contains(fmt.Sprint(err), "other byte order") {
			t.Errorf("%v", err)
		}
	}
	if after := readDir(t, filepath.Join(dir, "s")); !maps.EqualFunc(before, after, bytes.Equal) {
		t.Error("the folder has changed")
	}
}
