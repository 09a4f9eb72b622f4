package journal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// What a start takes from the page cache of a process that died is durable from
// then on: the power may go right after, and a sync that failed in the life
// before has made the kernel forget what it had to write.
func TestJournal_aStartMakesDurableWhatItTook(t *testing.T) {
	mem := vfs.NewMem()
	faults := vfs.WithFaults(mem)
	j, _ := mustOpen(t, memOptions(faults))
	var c collector
	j.Start(c.apply)
	mustAppend(t, j, "record 1")
	mustSync(t, j)
	var mu sync.Mutex // who writes and who prepares segments call at the same time
	var died *vfs.Mem
	failed := false
	faults.SetHook(func(call vfs.Call) error {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case failed && died == nil:
			died = mem.Kill() // before the group is written elsewhere
		case call.Op == vfs.OpSync && call.Name == segmentName(1) && !failed:
			failed = true
			return errDisk
		}
		return nil
	})
	large := strings.Repeat("more pages than the mark behind it has ", 1000)
	mustAppend(t, j, large)
	mustSync(t, j)
	mustClose(t, j)
	if died == nil {
		t.Fatal("the process did not die")
	}
	j, _ = mustOpen(t, memOptions(died))
	if got := mustReplay(t, j, 0); len(got) != 2 || string(got[1].Data) != large {
		t.Fatalf("%d records were taken", len(got))
	}
	after := died.Crash(rand.New(rand.NewPCG(1, 1)), 0)
	mustClose(t, j)
	j, rec := mustOpen(t, memOptions(after))
	if got := mustReplay(t, j, 0); rec.Last != 2 || len(got) != 2 || string(got[1].Data) != large {
		t.Errorf("what a start had taken is lost with the power: %+v", rec)
	}
	mustClose(t, j)
}

// Sectors that an earlier boot left where a group of this one was torn must not
// be read as a part of it.
func TestJournal_takesNothingOfAnEarlierBootIntoATornGroup(t *testing.T) {
	mem := vfs.NewMem()
	o := memOptions(mem)
	o.BallastBytes = -1
	j, _ := mustOpen(t, o)
	tail := j.committer.active.tail
	// write puts a group of two records at off, as the boot does; the second
	// record begins at the sector cut.
	write := func(j *Journal, off, cut int64, first, second byte, sectors func(b []byte) []byte, at int64) {
		t.Helper()
		g := newGroup()
		for i, data := range [][]byte{
			bytes.Repeat([]byte{first}, int(cut-off)-frameHeader-recordHeader), bytes.Repeat([]byte{second}, 2000),
		} {
			r := edgestore.Record{Incarnation: 1}
			g.add(edgestore.LSN(i+1), j.boot, &r, recordBytes(&r, len(data)), nil, nil, [][]byte{data})
		}
		g.finish()
		g.seal(j.committer.active.seed, j.boot, 0)
		if _, err := j.committer.active.file.WriteAt(sectors(g.buf), at); err != nil {
			t.Fatal(err)
		}
	}
	// The first boot's group is written whole, and stands a sector before that of
	// the second, which writes its mark there first.
	cut := tail + 2*sector
	write(j, tail, cut, 'a', 'b', func(b []byte) []byte { return b }, tail)
	died := mem.Kill()
	mustClose(t, j)
	// The power takes the frame header with it, so that the log ends before it.
	died.Corrupt(testDir+"/"+segmentName(1), func(b []byte) { clear(b[tail:][:sector]) })
	o.FS = died
	j, rec := mustOpen(t, o)
	if rec.Last != 0 || j.committer.active.tail != tail+sector {
		t.Fatalf("second boot: %+v, tail %d", rec, j.committer.active.tail)
	}
	// Of this group only the first sector reaches the disk.
	write(j, tail+sector, cut, 'A', 'B', func(b []byte) []byte { return b[:sector] }, tail+sector)
	died = died.Kill()
	mustClose(t, j)
	o.FS = died
	j, rec = mustOpen(t, o)
	if got := mustReplay(t, j, 0); rec.Last != 0 || len(got) > 0 {
		t.Errorf("a torn group was completed from an earlier boot: %+v, %d records", rec, len(got))
	}
	mustClose(t, j)
}

// A write that never reached the disk leaves there what an earlier boot wrote. A
// read passes over that: what is behind it is found, and nothing is taken from it.
func TestJournal_readsPastWhatAnEarlierBootLeft(t *testing.T) {
	mem := vfs.NewMem()
	o := memOptions(mem)
	o.CacheBytes = -1
	j, _ := mustOpen(t, o)
	data := bytes.Repeat([]byte{'x'}, 8*sector)
	stale := newGroup()
	r := edgestore.Record{Incarnation: 1}
	stale.add(1, j.boot, &r, recordBytes(&r, len(data)), nil, nil, [][]byte{data})
	stale.finish()
	stale.seal(j.committer.active.seed, j.boot, 0)
	mustClose(t, j)

	j, _ = mustOpen(t, o)
	var c collector
	j.Start(c.apply)
	for _, s := range []string{"one", "two", "three"} {
		mustAppend(t, j, s)
		mustSync(t, j) // each is a group of its own
	}
	testkit.Eventually(t, "all are applied", func() bool { return len(c.all()) == 3 })
	all := c.all()
	// The old frame stands where the second one should, and reaches beyond the
	// third.
	at := all[1].At.Offset &^ (sector - 1)
	if all[2].At.Offset > at+8*sector || all[2].At.Offset < at+sector {
		t.Fatalf("the records are at %+v and %+v", all[1].At, all[2].At)
	}
	if _, err := j.committer.active.file.WriteAt(stale.buf[:sector], at); err != nil {
		t.Fatal(err)
	}
	for _, e := range []edgestore.Entry{all[0], all[2]} {
		if b, err := j.Read(e.At, nil); err != nil || string(b) != string(e.Data) {
			t.Errorf("LSN %d: %q, %v", e.LSN, b, err)
		}
	}
	if b, err := j.Read(all[1].At, nil); !errors.Is(err, edgestore.ErrCorrupt) {
		t.Errorf("what is not there was read: %q, %v", b, err)
	}
	mustClose(t, j)
}

// Release gives back a segment when its last record was released, not before.
func TestJournal_releasesASegmentWithItsLastRecord(t *testing.T) {
	j, _ := mustOpen(t, memOptions(vfs.NewMem()))
	var c collector
	j.Start(c.apply)
	var last edgestore.Entry // of the first segment
	for j.Stats().Segments < 2 {
		mustAppend(t, j, string(make([]byte, 5000)))
		mustSync(t, j)
		all := c.all()
		if e := all[len(all)-1]; e.At.Segment == 1 {
			last = e
		}
	}
	j.Release(last.LSN - 1)
	if n := j.Stats().Segments; n != 2 || j.First() != 1 {
		t.Errorf("one record before its last, of 2 segments %d are left; the first record is %d", n, j.First())
	}
	j.Release(last.LSN)
	if n := j.Stats().Segments; n != 1 || j.First() != last.LSN+1 {
		t.Errorf("with its last record, %d segments are left; the first record is %d", n, j.First())
	}
	mustClose(t, j)
}

// What was released before a start is no loss after it; a segment that went
// without being released is one.
func TestJournal_knowsWhatWasReleased(t *testing.T) {
	mem := vfs.NewMem()
	o := memOptions(mem)
	o.KeepFree, o.BallastBytes = 1, -1
	j, _ := mustOpen(t, o)
	var c collector
	j.Start(c.apply)
	n := 0
	for j.Stats().Rolls < 6 {
		mustAppend(t, j, string(make([]byte, 5000)))
		mustSync(t, j)
		if n++; j.Stats().Segments > 3 {
			j.Release(edgestore.LSN(n - 24))
		}
	}
	first := j.First()
	live := j.shelf.snapshot()
	mustClose(t, j)
	j, rec := mustOpen(t, o)
	if got := mustReplay(t, j, 0); len(j.Damage()) > 0 || len(got) < n-int(first) || first == 1 {
		t.Errorf("of %d records, released below %d, %d came back, damage %v", n, first, len(got), j.Damage())
	}
	mustClose(t, j)
	for _, s := range live {
		if err := mem.Remove(s.path); err != nil {
			t.Fatal(err)
		}
	}
	j, rec = mustOpen(t, o)
	if int(rec.Last) != n {
		t.Errorf("without its segments: %+v", rec)
	}
	mustReplay(t, j, 0)
	if d := j.Damage(); len(d) != 1 || d[0] != (Lost{first, edgestore.LSN(n)}) || rec.Missing.Last != edgestore.LSN(n) {
		t.Errorf("without its segments: damage %v, %+v; the first record was %d", d, rec, first)
	}
	mustClose(t, j)
}

// The half of a copy that GiveUp was stopped over takes no room for good.
func TestJournal_aStartRemovesHalfACopyOfASegment(t *testing.T) {
	mem := vfs.NewMem()
	o := memOptions(mem)
	half, other := segmentName(7)+".tmp", "notes.tmp"
	for _, name := range []string{half, other} {
		f, err := mem.Create(filepath.Join(o.Dir, name))
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	j, _ := mustOpen(t, o)
	mustClose(t, j)
	names, err := mem.List(o.Dir)
	if err != nil || slices.Contains(names, half) || !slices.Contains(names, other) {
		t.Errorf("left %q, %v", names, err)
	}
}
