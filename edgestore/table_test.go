package edgestore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/frondmq/frond/edgestore"
)

func mustTable(t *testing.T, path string) *edgestore.Table {
	t.Helper()
	tab, err := edgestore.OpenTable(path)
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

// Any flipped bit must give the right values or an error, never others.
func TestTable_refusesDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue")
	tab := mustTable(t, path)
	for i := 0; i < 200; i++ {
		tab.Seal(edgestore.LSN(i+1), []edgestore.Aux{{Key: fmt.Sprintf("s/%d", i%40), Value: []byte(fmt.Sprintf("value %d", i))}})
		if i%20 == 19 {
			if err := tab.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := tableContent(t, tab, "")
	if err := tab.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i := 0; i < 600; i++ {
		bad := slices.Clone(good)
		at := i * 7919 % (len(bad) * 8)
		bad[at/8] ^= 1 << (at % 8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		tab, err := edgestore.OpenTable(path)
		if err != nil {
			if !errors.Is(err, edgestore.ErrCorrupt) {
				t.Fatalf("bit %d: %v", at, err)
			}
			refused++
			continue
		}
		got := tableContent(t, tab, "")
		applied := tab.Applied()
		tab.Close()
		// A damaged newest meta page leaves the flush before, whole.
		if applied == 200 && !slices.Equal(got, want) {
			t.Fatalf("bit %d: wrong values: %q", at, got)
		}
	}
	if refused == 0 {
		t.Fatal("no flip was refused: the test looks at nothing")
	}
}
