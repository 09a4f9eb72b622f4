package edgestore_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/frondmq/frond/edgestore"
)

// dumpAll checks a folder, and that a dump gives messages as they were stored
// and changes nothing.
func dumpAll(t *testing.T, dir string, st *stored) (*edgestore.Check, int) {
	t.Helper()
	before := readDir(t, dir)
	n, last := 0, uint64(0)
	c, err := edgestore.DumpStore(dir, func(m *edgestore.Msg) error {
		if !sameMsg(*m, st.msgs[m.Seq]) || m.Seq <= last {
			t.Fatalf("message %d is not what was stored", m.Seq)
		}
		n, last = n+1, m.Seq
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	after := readDir(t, dir)
	if len(after) != len(before) {
		t.Fatalf("%d files before, %d after", len(before), len(after))
	}
	for name, b := range before {
		if !bytes.Equal(b, after[name]) {
			t.Fatalf("%s has changed", name)
		}
	}
	return c, n
}

func TestCheckDumpRebuild(t *testing.T) {
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
	c, n := dumpAll(t, dir, &st)
	if !c.Sound() || c.Incarnation != 9 || n != len(st.live) || c.State.Msgs != uint64(n) || c.Applied != 4000 || len(c.Named) != 7 || len(c.Files) != len(good) {
		t.Fatalf("%d messages, %+v", n, c)
	}
	for _, f := range c.Files {
		if f.Err != nil || f.Format != 2 || f.Records == 0 {
			t.Fatalf("%+v", f)
		}
	}

	for name, change := range map[string]func(files map[string][]byte){
		"a flipped bit": func(files map[string][]byte) {
			b := bytes.Clone(files[head])
			for seq := st.last; ; seq-- { // in a message that is there
				if at := bytes.LastIndex(b, st.msgs[seq].Body); st.live[seq] && at > 0 {
					b[at] ^= 1
					break
				}
			}
			files[head] = b
		},
		"the records": func(files map[string][]byte) {
			files[head] = edgestore.BreakStates(files[head])
		},
		"the newest meta page": func(files map[string][]byte) {
			b := bytes.Clone(files[head])
			at := newestMeta(b)
			clear(b[at : at+4096])
			files[head] = b
		},
		"cut":        func(files map[string][]byte) { files[head] = files[head][:used(files[head])/2] },
		"a lost one": func(files map[string][]byte) { delete(files, names[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string][]byte{}
			for n, b := range good {
				files[n] = b
			}
			change(files)
			writeDir(t, dir, files)
			c, n := dumpAll(t, dir, &st)
			if c.Sound() {
				t.Fatalf("it is sound: %+v", c)
			}
			if n < 500 {
				t.Fatalf("%d messages, %+v", n, c)
			}
			r, err := edgestore.RebuildStore(dir)
			if err != nil {
				t.Fatal(err)
			}
			if !r.Sound() || r.State.Msgs != uint64(n) || r.Applied != c.Applied || len(r.Named) == 0 {
				t.Fatalf("rebuilt %+v, %d messages were there", r, n)
			}
			s := mustOpen(t, o)
			st.clone().verifyLost(t, s, r)
			checkCounts(t, s)
			s.Close()
		})
	}

	s := mustOpen(t, o)
	if _, err := edgestore.CheckStore(dir); !errors.Is(err, edgestore.ErrLocked) {
		t.Errorf("check of a store in use: %v", err)
	}
	if _, err := edgestore.RebuildStore(dir); !errors.Is(err, edgestore.ErrLocked) {
		t.Errorf("rebuild of a store in use: %v", err)
	}
	s.Close()
	if _, err := edgestore.CheckStore(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there was checked")
	}
	if c, err := edgestore.CheckStore(t.TempDir()); err != nil || len(c.Files) > 0 {
		t.Errorf("an empty folder: %+v, %v", c, err)
	}
	if _, err := edgestore.RebuildStore(t.TempDir()); err == nil {
		t.Error("an empty folder was rebuilt")
	}
}

// verifyLost: what a rebuilt store does not have it says is lost, up to where it
// goes.
func (st stored) verifyLost(t *testing.T, s edgestore.Store, c *edgestore.Check) {
	t.Helper()
	for seq := range st.live {
		if seq > c.State.LastSeq {
			continue
		}
		_, _, err := s.Load(seq, nil)
		if err != nil && !errors.Is(err, edgestore.ErrLost) {
			t.Fatalf("message %d: %v", seq, err)
		}
	}
}

func TestCheckTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.db")
	storedTable(t, path).Close()
	values, applied, err := edgestore.CheckTable(path)
	if err != nil || len(values) != 40 || applied != 100 || values[1].Key != "s/1" || string(values[1].Value) != "value 81" {
		t.Fatalf("%d values, applied %d, %v", len(values), applied, err)
	}
}
