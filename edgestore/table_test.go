package edgestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

func mustTable(t *testing.T, path string) *edgestore.Table {
	t.Helper()
	tab, err := edgestore.OpenTableFile(edgestore.TableOptions{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tab.Close() })
	return tab
}

func tableContent(t *testing.T, tab *edgestore.Table, prefix string) (out []string) {
	t.Helper()
	err := tab.Each(prefix, func(k string, v []byte) error { out = append(out, k+"="+string(v)); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTable_keepsWhatWasFlushed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "catalogue")
	tab := mustTable(t, path)
	tab.Seal(3, []edgestore.Aux{{Key: "s/A", Value: []byte("1")}, {Key: "s/B", Value: []byte("2")}, {Key: "", Value: []byte{}}})
	if got := tableContent(t, tab, ""); len(got) != 0 || tab.Applied() != 0 {
		t.Fatalf("before the flush: %q, applied %d", got, tab.Applied())
	}
	if err := tab.Flush(); err != nil {
		t.Fatal(err)
	}
	tab.Seal(5, []edgestore.Aux{{Key: "s/A"}, {Key: "s/C", Value: []byte("3")}})
	tab.Seal(6, []edgestore.Aux{{Key: "s/C", Value: []byte("4")}})
	if err := tab.Flush(); err != nil {
		t.Fatal(err)
	}
	tab.Seal(9, []edgestore.Aux{{Key: "s/lost", Value: []byte("x")}})
	if err := tab.Close(); err != nil {
		t.Fatal(err)
	}
	tab = mustTable(t, path)
	if got := tableContent(t, tab, "s/"); !slices.Equal(got, []string{"s/B=2", "s/C=4"}) {
		t.Fatalf("after reopening: %q", got)
	}
	if got := tableContent(t, tab, ""); len(got) != 3 || tab.Applied() != 6 {
		t.Fatalf("after reopening: %q, applied %d", got, tab.Applied())
	}
}

// damagedTable makes a table of 40 values in 10 flushes and returns its file and
// what is in it.
func damagedTable(t *testing.T, path string) (good []byte, want []string) {
	t.Helper()
	tab := mustTable(t, path)
	for i := 0; i < 200; i++ {
		tab.Seal(edgestore.LSN(i+1), []edgestore.Aux{{Key: fmt.Sprintf("s/%d", i%40), Value: []byte(fmt.Sprintf("value %d", i))}})
		if i%20 == 19 {
			if err := tab.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	want = tableContent(t, tab, "")
	if err := tab.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return good, want
}

// checkTable opens a damaged table: it never goes back, and every value is right
// or one that the report calls doubtful, or missing when the report says so.
func checkTable(t *testing.T, path, what string, want []string) edgestore.TableSalvage {
	t.Helper()
	tab, err := edgestore.OpenTableFile(edgestore.TableOptions{Path: path})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer tab.Close()
	report, salvaged := tab.Salvaged()
	if !salvaged {
		report.Exact = true
	} else if _, err := os.Stat(report.Aside); err != nil || !errors.Is(report.Cause, edgestore.ErrCorrupt) {
		t.Fatalf("%s: %+v, %v", what, report, err)
	}
	got := tableContent(t, tab, "")
	if tab.Applied() != 200 {
		t.Fatalf("%s: applied %d", what, tab.Applied())
	}
	if report.Exact && !slices.Equal(got, want) {
		t.Fatalf("%s: %q", what, got)
	}
	for _, kv := range got {
		key, _, _ := strings.Cut(kv, "=")
		if !slices.Contains(want, kv) && !slices.Contains(report.Doubtful, key) {
			t.Fatalf("%s: %q, which nobody doubts: %+v", what, kv, report)
		}
	}
	// It goes on, and what it says now it says again.
	tab.Seal(300, []edgestore.Aux{{Key: "new", Value: []byte("value")}})
	if err := tab.Flush(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	got = tableContent(t, tab, "")
	tab.Close()
	again := mustTable(t, path)
	if _, salvaged := again.Salvaged(); salvaged || !slices.Equal(tableContent(t, again, ""), got) || again.Applied() != 300 {
		t.Fatalf("%s: after a restart %q", what, tableContent(t, again, ""))
	}
	again.Close()
	for n := 1; os.Remove(fmt.Sprintf("%s.damaged-%d", path, n)) == nil; n++ {
	}
	return report
}

// Any flipped bit must give the right values, or say which are not.
func TestTable_flippedBits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue")
	good, want := damagedTable(t, path)
	exact, inexact := 0, 0
	tries := rounds(150, 600)
	for i := range tries {
		bad := slices.Clone(good)
		at := i * 31 * 7919 % (len(bad) * 8)
		if i%2 == 0 { // where something is
			for at = (at + 8) % (len(bad) * 8); bad[at/8] == 0; at = (at + 8) % (len(bad) * 8) {
			}
		}
		bad[at/8] ^= 1 << (at % 8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		report := checkTable(t, path, fmt.Sprintf("bit %d", at), want)
		switch {
		case report.Cause == nil:
		case report.Exact:
			exact++
		default:
			inexact++
		}
	}
	t.Logf("%d flips: %d salvaged whole, %d in part", tries, exact, inexact)
	if exact == 0 || inexact == 0 {
		t.Error("the test looks at nothing")
	}
}

// A page of the table that is zero, one after the other, and the newest commit
// when its meta page is lost.
func TestTable_zeroedPages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue")
	good, want := damagedTable(t, path)
	pages := 0
	for p := 0; p+4096 <= len(good); p += 4096 {
		if bytes.Count(good[p:p+4096], []byte{0}) == 4096 {
			continue
		}
		pages++
		bad := slices.Clone(good)
		clear(bad[p : p+4096])
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if newestMeta(good) == p {
			if report := checkTable(t, path, "newest meta page", want); report.Cause == nil || !report.Exact {
				t.Fatalf("without the newest meta page: %+v", report)
			}
			continue
		}
		tab, err := edgestore.OpenTableFile(edgestore.TableOptions{Path: path})
		if errors.Is(err, edgestore.ErrCorrupt) {
			continue // the one page with the values and the state
		}
		if err != nil {
			t.Fatal(err)
		}
		report, salvaged := tab.Salvaged()
		if got := tableContent(t, tab, ""); (!salvaged || report.Exact) && !slices.Equal(got, want) {
			t.Fatalf("page %d: %+v, %q", p/4096, report, got)
		}
		tab.Close()
		os.Remove(report.Aside)
	}
	if pages < 5 {
		t.Errorf("only %d pages", pages)
	}
}

// What is no table is an error that names it, and stays as it is until somebody
// sets it aside.
func TestTable_noTable(t *testing.T) {
	for name, content := range map[string][]byte{"empty": {}, "garbage": bytes.Repeat([]byte("garbage "), 5000), "short": []byte("x")} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "catalogue.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := edgestore.OpenTableFile(edgestore.TableOptions{Path: path}); !errors.Is(err, edgestore.ErrCorrupt) || !strings.Contains(err.Error(), path) {
					t.Fatalf("open: %v", err)
				}
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
				t.Fatalf("the file has changed: %v", err)
			}
			aside, err := edgestore.SetAside(vfs.OS{}, path)
			if err != nil || aside != path+".damaged-1" {
				t.Fatalf("set aside as %q, %v", aside, err)
			}
			if tab := mustTable(t, path); tab.Applied() != 0 {
				t.Fatalf("applied %d", tab.Applied())
			}
			if got, err := os.ReadFile(aside); err != nil || !bytes.Equal(got, content) {
				t.Fatalf("the file set aside has changed: %v", err)
			}
		})
	}
	t.Run("folder", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "catalogue.db")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := edgestore.OpenTableFile(edgestore.TableOptions{Path: path}); !errors.Is(err, edgestore.ErrCorrupt) {
			t.Fatalf("open: %v", err)
		}
	})
}

// A table in a file of which a write failed goes on in a new one. Nothing counts
// as applied before it is synced, under a name that is.
func TestTable_failedWrites(t *testing.T) {
	for _, at := range []string{"write", "sync", "folder"} {
		t.Run(at, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "d", "catalogue")
			var fail string
			told := 0
			when := func(place string) func(string) error {
				return func(p string) error {
					if fail == place || fail == p {
						return syscall.EIO
					}
					return nil
				}
			}
			o := edgestore.TableOptions{Path: path, BeforeWrite: when("write"), AfterWrite: when("sync"),
				Disk: &faultyDisk{fail: when("-")}, WriteFailed: func(error) { told++ }}
			tab, err := edgestore.OpenTableFile(o)
			if err != nil {
				t.Fatal(err)
			}
			put := func(lsn edgestore.LSN, key string) error {
				tab.Seal(lsn, []edgestore.Aux{{Key: key, Value: []byte(key)}})
				return tab.Flush()
			}
			if err := put(1, "a"); err != nil {
				t.Fatal(err)
			}
			durable := readDir(t, filepath.Dir(path))
			if fail = at; at == "folder" {
				fail = "sync"
			}
			for range 2 {
				if err := put(2, "b"); !errors.Is(err, syscall.EIO) || tab.Applied() != 1 {
					t.Fatalf("flush: %v, applied %d", err, tab.Applied())
				}
				fail = at
			}
			if told != 2 {
				t.Fatalf("told %d times", told)
			}
			after := readDir(t, filepath.Dir(path))
			fail = ""
			if err := put(3, "c"); err != nil || tab.Applied() != 3 {
				t.Fatalf("flush: %v, applied %d", err, tab.Applied())
			}
			if got := tableContent(t, tab, ""); !slices.Equal(got, []string{"a=a", "b=b", "c=c"}) {
				t.Fatalf("%q", got)
			}
			tab.Close()
			for name, files := range map[string]map[string][]byte{"power": durable, "kill": after, "end": readDir(t, filepath.Dir(path))} {
				writeDir(t, filepath.Dir(path), files)
				tab := mustTable(t, path)
				if n := len(tableContent(t, tab, "")); n != int(tab.Applied()) {
					t.Fatalf("%s: %d values, applied %d", name, n, tab.Applied())
				}
				tab.Close()
				if _, err := os.Stat(path + ".unsure"); err == nil {
					t.Fatalf("%s: the mark of the failed write is still there", name)
				}
			}
		})
	}
}

// TestTable_newFileOfADamagedOne: a table of which a write failed is written anew
// from its file. A row that the tree has lost is found in the pages; without it
// there is no new file, and nothing counts as applied.
func TestTable_newFileOfADamagedOne(t *testing.T) {
	for _, lost := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "d", "catalogue")
		fail := false
		o := edgestore.TableOptions{Path: path, BeforeWrite: func(string) error {
			if fail {
				return syscall.EIO
			}
			return nil
		}}
		tab, err := edgestore.OpenTableFile(o)
		if err != nil {
			t.Fatal(err)
		}
		defer tab.Close()
		put := func(lsn edgestore.LSN, key string) error {
			tab.Seal(lsn, []edgestore.Aux{{Key: key, Value: []byte("value of " + key)}})
			return tab.Flush()
		}
		for i, key := range []string{"a", "b", "c"} {
			if err := put(edgestore.LSN(i+1), key); err != nil {
				t.Fatal(err)
			}
		}
		fail = true
		if err := put(4, "d"); !errors.Is(err, syscall.EIO) {
			t.Fatalf("a write that fails: %v", err)
		}
		fail = false
		// Each flush wrote the page of all rows anew: the newest place of "b" goes,
		// or all of them.
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		row, places := []byte("value of b"), 0
		newest := -1
		for at := bytes.Index(b, row); at >= 0; {
			if places++; bytes.Contains(b[at&^4095:][:4096], []byte("value of c")) {
				newest = at
			}
			if lost {
				b[at] ^= 1
			}
			next := bytes.Index(b[at+1:], row)
			if next < 0 {
				break
			}
			at += 1 + next
		}
		if newest < 0 || places < 2 {
			t.Fatalf("%d places, newest %d", places, newest)
		}
		if !lost {
			b[newest] ^= 1
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt(b, 0)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		err = put(5, "e")
		if lost {
			if !errors.Is(err, edgestore.ErrCorrupt) || tab.Applied() != 3 {
				t.Fatalf("without a row: %v, applied %d", err, tab.Applied())
			}
			continue
		}
		if err != nil || tab.Applied() != 5 {
			t.Fatalf("flush: %v, applied %d", err, tab.Applied())
		}
		if got := tableContent(t, tab, ""); len(got) != 5 || got[1] != "b=value of b" {
			t.Fatalf("%q", got)
		}
	}
}

// TestTable_releasedValues: who asks after the values were let go of gets them
// from the file.
func TestTable_releasedValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d", "catalogue")
	tab := mustTable(t, path)
	tab.Seal(1, []edgestore.Aux{{Key: "x/a", Value: []byte("1")}, {Key: "x/b", Value: []byte{}}, {Key: "y", Value: []byte("2")}})
	if err := tab.Flush(); err != nil {
		t.Fatal(err)
	}
	tab.Close()
	tab = mustTable(t, path)
	defer tab.Close()
	before := tableContent(t, tab, "x/")
	tab.Release()
	if after := tableContent(t, tab, "x/"); !slices.Equal(before, after) || len(after) != 2 {
		t.Fatalf("%q, before %q", after, before)
	}
	names := tab.Names("x/")
	slices.Sort(names)
	if !slices.Equal(names, []string{"x/a", "x/b"}) {
		t.Fatalf("%q", names)
	}
}
