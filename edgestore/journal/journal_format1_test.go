package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// loadFolder copies a stored folder into a file system in memory.
func loadFolder(t *testing.T, from string) *vfs.Mem {
	t.Helper()
	mem := vfs.NewMem()
	names, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(from, n.Name()))
		if err != nil {
			t.Fatal(err)
		}
		f, err := mem.Create(testDir + "/" + n.Name())
		if err == nil {
			_, err = f.WriteAt(b, 0)
		}
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := mem.SyncDir(testDir); err != nil {
		t.Fatal(err)
	}
	return mem
}

// storedRecord is record n of the stored folders; its length is free.
func storedRecord(n int, size int) []byte {
	d := fmt.Appendf(nil, "record %d ", n)
	for len(d) < size {
		d = append(d, byte('a'+len(d)%26))
	}
	return d
}

// testdata/format1 was written by the last program that wrote format 1, and
// left without an orderly end: 42 records in a first life, 20 in a second one.
func TestJournal_readsFormat1AndGoesOnInItsOwn(t *testing.T) {
	mem := loadFolder(t, filepath.Join("testdata", "format1"))
	check := func(got []edgestore.Entry, j *Journal) {
		t.Helper()
		if len(got) < 62 {
			t.Fatalf("%d of 62 records", len(got))
		}
		for i := range got[:62] {
			n := i + 1
			want := edgestore.Record{
				LSN: edgestore.LSN(n), Kind: uint8(n), Incarnation: uint64(i % 3),
				Stamp: edgestore.Stamp{
					Boot: 1, Mono: int64(n) * 1000, Wall: 1_700_000_000_000_000_000 + int64(n), Synced: n%2 == 0,
				},
				Data: storedRecord(n, 10+i),
			}
			switch {
			case n == 41:
				want.Group, want.Index, want.Term, want.Incarnation = 9, 8, 7, 5
				want.Data = storedRecord(n, 300)
			case n == 42:
				want.Stamp.Boot, want.Incarnation = 7, 5
				want.Data = storedRecord(n, 40_000)
			case n > 42:
				want.Stamp.Boot, want.Incarnation = 2, uint64((n-43)%3)
				want.Data = storedRecord(n, 2000)
			}
			checkRecord(t, &got[i].Record, &want)
			if b, err := j.Read(got[i].At, nil); err != nil || string(b) != string(want.Data) {
				t.Errorf("read LSN %d: %v", n, err)
			}
		}
	}
	j, rec := mustOpen(t, memOptions(mem))
	if rec.Format != 1 || rec.Boot != 3 || rec.Last != 62 {
		t.Errorf("recovered %+v", rec)
	}
	check(mustReplay(t, j, 0), j)
	var c collector
	j.Start(c.apply)
	chain := &edgestore.Chain{}
	if _, err := j.Append(&edgestore.Record{Incarnation: 1, Chain: chain}, nil, nil, []byte("new")); err != nil {
		t.Fatal(err)
	}
	mustSync(t, j)
	if at := c.all()[0].At; at.Segment <= 3 {
		t.Errorf("a record of the new format is in segment %d, of the old one", at.Segment)
	}
	mustClose(t, j)

	j, rec = mustOpen(t, memOptions(mem))
	if rec.Format != Format || rec.Last != 63 { // told once, though the old segments are still there
		t.Errorf("after going on: %+v", rec)
	}
	all := mustReplay(t, j, 0)
	check(all, j)
	if len(all) != 63 || string(all[62].Data) != "new" || all[62].Seat != 1 {
		t.Errorf("the new record came back as %+v", all[62:])
	}
	if d := j.Damage(); len(d) > 0 {
		t.Errorf("damage %v", d)
	}
	mustClose(t, j)
}

// testdata/format2 was written by the first program that wrote format 2, and
// left by a kill in its second life: each with 9 records of three streams and of
// the catalogue, some of them written twice.
func TestJournal_readsItsFormatAsItWasFirstWritten(t *testing.T) {
	mem := loadFolder(t, filepath.Join("testdata", "format2"))
	s := &storyteller{t: t, mem: mem}
	for boot := range uint32(2) {
		for _, size := range []int{10, 0, 100, 2000, 50, 9000, 7000, 100, 20} {
			r := s.next(size)
			r.Chain.Next(&r)
			r.LSN, r.Chain, r.Stamp.Boot = edgestore.LSN(len(s.appended)+1), nil, boot+1
			s.appended = append(s.appended, r)
		}
	}
	k := &killed{mem: mem, appended: s.appended, promised: 18}
	if v, err := k.copyOf("", func(*killed) {}).check(); err != nil || v != (verdict{}) {
		t.Errorf("%+v, %v", v, err)
	}
	j, rec := mustOpen(t, memOptions(mem))
	if rec.Format != 2 || len(rec.Mended) > 0 || rec.Boot != 3 || rec.Last != 18 || len(rec.Heads) != 4 || rec.HeadsSince != 1 {
		t.Errorf("recovered %+v", rec)
	}
	mustClose(t, j)
	hurt := k.copyOf("", func(c *killed) {
		c.corrupt(t, segmentName(1), func(b []byte) { clear(b[2*pageBytes:][:pageBytes]) })
	})
	if v, err := hurt.check(); err != nil || v.lost == 0 {
		t.Errorf("with a page of zeros: %+v, %v", v, err)
	}
}
