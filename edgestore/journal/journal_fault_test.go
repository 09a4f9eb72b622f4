package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// errDisk is what a dying disk says.
var errDisk = syscall.EIO

// told counts what the journal told its operator.
type told struct {
	syncFailed, stalled, resumed, full, roomy, damaged atomic.Int32
	unprepared, prepared, readFailed, folderGone       atomic.Int32
}

func (n *told) events() Events {
	return Events{
		SyncFailed: func(string, error) { n.syncFailed.Add(1) },
		Stalled:    func(error) { n.stalled.Add(1) },
		Resumed:    func() { n.resumed.Add(1) },
		Full:       func(error) { n.full.Add(1) },
		Roomy:      func() { n.roomy.Add(1) },
		Damaged:    func(Lost) { n.damaged.Add(1) },
		Unprepared: func(error) { n.unprepared.Add(1) },
		Prepared:   func() { n.prepared.Add(1) },
		ReadFailed: func(string, error) { n.readFailed.Add(1) },
		FolderGone: func(string, error) { n.folderGone.Add(1) },
	}
}

// checkInOrder checks that the entries are what numbered appends gave.
func checkInOrder(t *testing.T, entries []edgestore.Entry, n int) {
	t.Helper()
	if len(entries) != n {
		t.Fatalf("%d entries, want %d", len(entries), n)
	}
	for i, e := range entries {
		if want := fmt.Sprint("record ", i+1); string(e.Data) != want || int(e.LSN) != i+1 {
			t.Fatalf("entry %d is LSN %d, %q", i+1, e.LSN, e.Data)
		}
	}
}

func TestJournal_neverTrustsAFileAfterAFailedSync(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpSync, vfs.OpWrite} {
		t.Run(string(op), func(t *testing.T) {
			mem := vfs.NewMem()
			faults := vfs.WithFaults(mem)
			o := memOptions(faults)
			var n told
			o.Events = n.events()
			j, _ := mustOpen(t, o)
			var c collector
			j.Start(c.apply)
			mustAppend(t, j, "record 1")
			mustSync(t, j)
			first := segmentName(1)
			fail := vfs.FailNth(op, first, 1, 1, errDisk)
			var failed, touched atomic.Bool
			faults.SetHook(func(call vfs.Call) error {
				if call.Name != first || call.Op != vfs.OpSync && call.Op != vfs.OpWrite {
					return nil
				}
				if failed.Load() {
					touched.Store(true)
				}
				err := fail(call)
				if err != nil {
					failed.Store(true)
				}
				return err
			})
			for i := 2; i <= 10; i++ {
				mustAppend(t, j, fmt.Sprint("record ", i))
				j.Kick()
			}
			mustSync(t, j)
			checkInOrder(t, c.all(), 10)
			if n.syncFailed.Load() != 1 || n.stalled.Load() != 0 {
				t.Errorf("told: %d failed syncs, %d stalls", n.syncFailed.Load(), n.stalled.Load())
			}
			after := mem.Crash(rand.New(rand.NewPCG(1, 1)), 0)
			mustClose(t, j)
			if touched.Load() {
				t.Error("the file was used after its sync had failed")
			}
			j, rec := mustOpen(t, memOptions(after))
			if rec.Last != 10 {
				t.Errorf("recovered %+v", rec)
			}
			checkInOrder(t, mustReplay(t, j, 0), 10)
			if d := j.Damage(); len(d) > 0 {
				t.Errorf("damage %v", d)
			}
			mustClose(t, j)
		})
	}
}

func TestJournal_stallsWhileTheDiskRefuses(t *testing.T) {
	mem := vfs.NewMem()
	faults := vfs.WithFaults(mem)
	o := memOptions(faults)
	var n told
	o.Events = n.events()
	j, _ := mustOpen(t, o)
	var c collector
	j.Start(c.apply)
	mustAppend(t, j, "record 1")
	mustSync(t, j)

	faults.SetHook(func(call vfs.Call) error {
		if call.Op == vfs.OpSync {
			return errDisk
		}
		return nil
	})
	mustAppend(t, j, "record 2")
	if err := j.Sync(context.Background()); !errors.Is(err, errDisk) {
		t.Fatalf("sync on a broken disk: %v", err)
	}
	if _, err := j.Append(&edgestore.Record{}, nil, nil); !errors.Is(err, errDisk) {
		t.Fatalf("append on a broken disk: %v", err)
	}
	if !j.Stats().Stalled || n.stalled.Load() != 1 {
		t.Error("not told that it stalled")
	}
	checkInOrder(t, c.all(), 1)

	faults.SetHook(nil)
	// Segments are prepared by another goroutine, which may come a little later.
	testkit.Eventually(t, "the journal resumes", func() bool { return n.resumed.Load() == 1 && j.shelf.unprepared.Load() == nil })
	for i := 3; i <= 5; i++ {
		mustAppend(t, j, fmt.Sprint("record ", i))
	}
	mustSync(t, j)
	checkInOrder(t, c.all(), 5)
	after := mem.Crash(rand.New(rand.NewPCG(1, 1)), 0)
	mustClose(t, j)
	j, _ = mustOpen(t, memOptions(after))
	checkInOrder(t, mustReplay(t, j, 0), 5)
	mustClose(t, j)
}

func TestJournal_closeTellsWhatTheDiskRefused(t *testing.T) {
	faults := vfs.WithFaults(vfs.NewMem())
	j, _ := mustOpen(t, memOptions(faults))
	var c, lost collector
	j.Lost(lost.apply)
	j.Start(c.apply)
	mustAppend(t, j, "record 1")
	mustSync(t, j)
	faults.SetHook(func(call vfs.Call) error {
		if call.Op == vfs.OpSync {
			return errDisk
		}
		return nil
	})
	for i, text := range []string{"lost", "too"} {
		if _, err := j.Append(&edgestore.Record{}, []byte("side"), i, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	j.Kick()
	err := j.Close()
	if !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "2 records, none of them acknowledged") {
		t.Errorf("close: %v", err)
	}
	checkInOrder(t, c.all(), 1)
	for i, want := range []string{"lost", "too"} {
		if all := lost.all(); len(all) != 2 || string(all[i].Data) != want || all[i].Token != i || string(all[i].Side) != "side" {
			t.Fatalf("told as lost: %+v", all)
		}
	}
}

func TestJournal_keepsAReserveOnAFullDisk(t *testing.T) {
	for _, how := range []string{"released", "grown"} {
		t.Run(how, func(t *testing.T) {
			mem := vfs.NewMem()
			o := memOptions(mem)
			mem.SetCapacity(6 * minSegment)
			var n told
			o.Events = n.events()
			j, _ := mustOpen(t, o)
			var c collector
			j.Start(c.apply)
			testkit.Eventually(t, "ballast", func() bool {
				j.shelf.mu.Lock()
				defer j.shelf.mu.Unlock()
				return j.shelf.mu.ballast
			})
			count := 0
			add := func(f func(*edgestore.Record, []byte, any, ...[]byte) (edgestore.LSN, error)) error {
				_, err := f(&edgestore.Record{}, nil, nil, fmt.Appendf(nil, "record %d", count+1))
				if err == nil {
					count++
				}
				return err
			}
			var err error
			for err == nil {
				if err = add(j.Append); err == nil && count%100 == 0 {
					mustSync(t, j)
				}
			}
			if !errors.Is(err, edgestore.ErrDiskFull) {
				t.Fatalf("append on a full disk: %v", err)
			}
			testkit.Eventually(t, "the word that it is full", func() bool { return n.full.Load() == 1 && j.Stats().Full })
			names, _ := mem.List(testDir)
			for _, name := range names {
				if name == ballastName {
					t.Error("the ballast was not dropped")
				}
			}
			if free, _ := mem.Free(testDir); free < minSegment/2 {
				t.Errorf("only %d bytes left for the stores to drain into", free)
			}
			for range 500 {
				if err := add(j.AppendReserved); err != nil {
					t.Fatalf("reserved append: %v", err)
				}
				if count%50 == 0 {
					mustSync(t, j)
				}
			}
			mustSync(t, j)
			if n.stalled.Load() != 0 {
				t.Error("it stalled")
			}
			if err := add(j.Append); !errors.Is(err, edgestore.ErrDiskFull) {
				t.Errorf("append with the reserve in use: %v", err)
			}
			if how == "grown" {
				mem.SetCapacity(20 * minSegment)
			} else {
				j.Release(edgestore.LSN(count))
			}
			testkit.Eventually(t, "room", func() bool { return n.roomy.Load() == 1 })
			if err := add(j.Append); err != nil {
				t.Errorf("append with room again: %v", err)
			}
			mustSync(t, j)
			checkInOrder(t, c.all(), count)
			mustClose(t, j)
		})
	}
}

func TestJournal_opensOnAFullDisk(t *testing.T) {
	for _, active := range []string{"with room in the active segment", "with a full one"} {
		t.Run(active, func(t *testing.T) {
			mem := vfs.NewMem()
			o := memOptions(mem)
			j, _ := mustOpen(t, o)
			var c collector
			j.Start(c.apply)
			testkit.Eventually(t, "ballast", func() bool {
				j.shelf.mu.Lock()
				defer j.shelf.mu.Unlock()
				return j.shelf.mu.ballast
			})
			n := 20
			if active == "with a full one" {
				n = 4
			}
			for i := range n {
				// Four fill a segment to the last sector but two.
				mustAppend(t, j, strings.Repeat("x", 29*sector-100)+fmt.Sprint(i%10))
				mustSync(t, j)
			}
			mustClose(t, j)
			mem.SetCapacity(mem.Used())
			for boot := range 3 {
				j, rec := mustOpen(t, o)
				if int(rec.Boot) != boot+2 || int(rec.Last) != n {
					t.Errorf("recovered %+v", rec)
				}
				j.Start(c.apply)
				n++
				if _, err := j.AppendReserved(&edgestore.Record{}, nil, nil, []byte("small")); err != nil {
					t.Error(err)
				}
				mustSync(t, j)
				mustClose(t, j)
			}
		})
	}
}

func TestJournal_waitsQuietlyForSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		mem.SetCapacity(minSegment + 2*metaSize) // no second segment, no reserve
		faults := vfs.WithFaults(mem)
		o := memOptions(faults)
		o.BallastBytes = -1
		var n told
		o.Events = n.events()
		j, _ := mustOpen(t, o)
		var c collector
		j.Start(c.apply)
		synctest.Wait()
		count := 0
		for n.stalled.Load() == 0 {
			data := fmt.Appendf(nil, "record %d", count+1)
			if _, err := j.AppendReserved(&edgestore.Record{}, nil, nil, data); err != nil {
				t.Fatal(err)
			}
			count++
			j.Kick()
			synctest.Wait()
		}
		if _, err := j.AppendReserved(&edgestore.Record{}, nil, nil); !errors.Is(err, edgestore.ErrDiskFull) {
			t.Errorf("append while it stalls for want of room: %v", err)
		}
		var calls atomic.Int32
		faults.SetHook(func(vfs.Call) error { calls.Add(1); return nil })
		<-time.After(time.Minute)
		if calls.Load() > 300 {
			t.Errorf("%d calls in a minute of waiting", calls.Load())
		}
		if len(c.all()) != count-1 {
			t.Errorf("%d applied, %d fitted", len(c.all()), count-1)
		}
		mem.SetCapacity(10 * minSegment)
		<-time.After(10 * time.Second)
		synctest.Wait()
		if n.resumed.Load() != 1 || n.roomy.Load() != 1 {
			t.Errorf("resumed %d times, roomy %d times", n.resumed.Load(), n.roomy.Load())
		}
		checkInOrder(t, c.all(), count)
		mustClose(t, j)
	})
}

func TestJournal_isBusyAboveItsBudget(t *testing.T) {
	faults := vfs.WithFaults(vfs.NewMem())
	o := memOptions(faults)
	o.StagedBytes = 1000
	j, _ := mustOpen(t, o)
	var c collector
	j.Start(c.apply)
	testkit.Eventually(t, "the reserve", func() bool {
		j.shelf.mu.Lock()
		defer j.shelf.mu.Unlock()
		return j.shelf.mu.reserve
	})
	hold := make(chan struct{})
	faults.SetHook(func(call vfs.Call) error {
		if call.Op == vfs.OpSync && call.Name == segmentName(1) {
			<-hold
		}
		return nil
	})
	n := 0
	var err error
	for err == nil {
		_, err = j.Append(&edgestore.Record{}, nil, nil, fmt.Appendf(nil, "record %d", n+1))
		if err == nil {
			n++
			j.Kick()
		}
	}
	if !errors.Is(err, edgestore.ErrBusy) {
		t.Fatalf("append above the budget: %v", err)
	}
	if _, err = j.AppendReserved(&edgestore.Record{}, nil, nil, fmt.Appendf(nil, "record %d", n+1)); err != nil {
		t.Fatalf("reserved append above the budget: %v", err)
	}
	n++
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := j.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("sync: %v", err)
	}
	close(hold)
	mustSync(t, j)
	checkInOrder(t, c.all(), n)
	again := make(chan struct{})
	faults.SetHook(func(call vfs.Call) error {
		if call.Op == vfs.OpSync {
			<-again
		}
		return nil
	})
	if _, err := j.Append(&edgestore.Record{}, nil, nil); err != nil {
		t.Errorf("append after that: %v", err)
	}
	big := make([]byte, minSegment)
	if _, err := j.Append(&edgestore.Record{}, nil, nil, big); !errors.Is(err, ErrTooLarge) {
		t.Errorf("append of a segment: %v", err)
	}
	if _, err := j.Append(&edgestore.Record{}, nil, nil, big[:minSegment-segmentHeader-1000]); !errors.Is(err, edgestore.ErrBusy) {
		t.Errorf("append of a large record behind a small one: %v", err)
	}
	close(again)
	mustSync(t, j)
	if _, err := j.Append(&edgestore.Record{}, nil, nil, big[:minSegment-segmentHeader-1000]); err != nil {
		t.Errorf("append of a large record alone: %v", err)
	}
	mustClose(t, j)
}

func TestJournal_refusesWhatItDoesNotKnow(t *testing.T) {
	build := func(t *testing.T) *vfs.Mem {
		mem := vfs.NewMem()
		j, _ := mustOpen(t, memOptions(mem))
		mustClose(t, j)
		return mem
	}
	refused := func(t *testing.T, mem *vfs.Mem, words string) {
		_, _, err := Open(memOptions(mem))
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("open: %v, want %q", err, words)
		}
	}
	t.Run("a segment of a newer format", func(t *testing.T) {
		mem := build(t)
		mem.Corrupt(testDir+"/"+segmentName(1), func(b []byte) {
			h, _ := getSegmentInfo(b)
			h.format = Format + 1
			putSegmentInfo(b, h)
		})
		refused(t, mem, "use the newer program")
	})
	t.Run("a folder of a newer format", func(t *testing.T) {
		mem := build(t)
		mem.Corrupt(testDir+"/"+metaName, func(b []byte) {
			m, _ := parseMeta(b)
			m.format = Format + 1
			copy(b, m.bytes())
		})
		refused(t, mem, "use the newer program")
	})
	t.Run("a segment of another journal", func(t *testing.T) {
		mem := build(t)
		mem.Corrupt(testDir+"/"+segmentName(1), func(b []byte) {
			h, _ := getSegmentInfo(b)
			h.id++
			putSegmentInfo(b, h)
		})
		refused(t, mem, "belongs to another journal")
	})
	t.Run("no folder", func(t *testing.T) {
		if _, _, err := Open(Options{}); err == nil {
			t.Error("opened without a folder")
		}
	})
}

func TestJournal_survivesTheLossOfItsIdFile(t *testing.T) {
	mem := vfs.NewMem()
	o := memOptions(mem)
	o.Rand = strings.NewReader("12345678")
	j, _ := mustOpen(t, o)
	var c collector
	j.Start(c.apply)
	mustAppend(t, j, "record 1")
	mustClose(t, j)
	if err := mem.Remove(testDir + "/" + metaName); err != nil {
		t.Fatal(err)
	}
	j, rec := mustOpen(t, memOptions(mem))
	if rec.Boot != 2 || rec.Last != 1 || !rec.Remade {
		t.Errorf("recovered %+v", rec)
	}
	checkInOrder(t, mustReplay(t, j, 0), 1)
	mustClose(t, j)
}

// Without the small file it is not known what was released but from the segments:
// what lies before the first of them, and what their headers say. A file that was
// read when its time came stands longer than younger ones, and what was in those
// is no loss either.
func TestJournal_knowsWhatWasReleasedWithoutItsIdFile(t *testing.T) {
	for _, reading := range []bool{false, true} {
		mem := vfs.NewMem()
		j, _ := mustOpen(t, memOptions(mem)) // when nothing is read the headers are older ones, and say nothing
		var c collector
		j.Start(c.apply)
		mustAppend(t, j, "record 1")
		mustSync(t, j)
		var read *segment
		if reading {
			read = j.shelf.acquire(1)
		}
		const n = 300
		for i := range n {
			mustAppend(t, j, strings.Repeat(fmt.Sprintf("%4d", i), 1000))
			mustSync(t, j)
			j.Release(edgestore.LSN(i))
		}
		died := mem.Kill()
		if reading {
			j.shelf.doneReading(read)
		}
		mustClose(t, j)
		if f, err := died.Open(testDir + "/" + segmentName(1)); (err == nil) != reading {
			t.Fatalf("the first segment, read %v: %v", reading, err)
		} else if err == nil {
			f.Close()
		}
		if err := died.Remove(testDir + "/" + metaName); err != nil {
			t.Fatal(err)
		}
		names, err := died.List(testDir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if _, ok := parseSegmentName(name); ok && !reading {
				died.Corrupt(testDir+"/"+name, func(b []byte) { clear(b[headerRelease:][:releaseBytes]) })
			}
		}
		for start := range 2 {
			j, rec := mustOpen(t, memOptions(died))
			got := mustReplay(t, j, 0)
			if d := j.Damage(); len(d) != 0 || rec.Remade != (start == 0) || rec.Last != n+1 || got[len(got)-1].LSN != n+1 {
				t.Errorf("reading %v, start %d: lost %v, %+v", reading, start, d, rec)
			}
			mustClose(t, j)
		}
	}
}

func TestJournal_recyclesReleasedSegments(t *testing.T) {
	mem := vfs.NewMem()
	faults := vfs.WithFaults(mem)
	var created atomic.Int32
	faults.SetHook(func(c vfs.Call) error {
		if c.Op == vfs.OpCreate && c.Name == freshName {
			created.Add(1)
		}
		return nil
	})
	o := memOptions(faults)
	o.CacheBytes = -1
	j, _ := mustOpen(t, o)
	var c collector
	j.Start(c.apply)
	var old edgestore.Location
	for i := range 300 {
		mustAppend(t, j, strings.Repeat(fmt.Sprintf("%4d", i), 1000))
		mustSync(t, j)
		all := c.all()
		if i == 0 {
			old = all[0].At
		}
		// The store below is a few records behind.
		j.Release(edgestore.LSN(max(0, i-20)))
	}
	st := j.Stats()
	if st.Rolls < 15 {
		t.Errorf("only %d segments were begun", st.Rolls)
	}
	// The active one, the next, the reserve, the ballast, those kept free, and
	// those that are not released yet.
	if n := created.Load(); n > 10 {
		t.Errorf("%d files were made for %d segments", n, st.Rolls)
	}
	if _, err := j.Read(old, nil); !errors.Is(err, edgestore.ErrNotFound) {
		t.Errorf("read what was released: %v", err)
	}
	if first := j.First(); first < 250 || first > 281 {
		t.Errorf("the oldest is %d", first)
	}
	mustClose(t, j)
	j, rec := mustOpen(t, memOptions(mem))
	if rec.Last != 300 || rec.First > 281 {
		t.Errorf("recovered %+v", rec)
	}
	if n := len(mustReplay(t, j, 280)); n != 20 {
		t.Errorf("%d of 20 came back", n)
	}
	mustClose(t, j)
}

func TestJournal_raisesItsLSN(t *testing.T) {
	mem := vfs.NewMem()
	o := memOptions(mem)
	j, _ := mustOpen(t, o)
	var c collector
	j.Start(c.apply)
	mustAppend(t, j, "before")
	mustClose(t, j)
	j, _ = mustOpen(t, o)
	if err := j.Raise(1000); err != nil {
		t.Fatal(err)
	}
	if err := j.Raise(10); err != nil { // lower: nothing to do
		t.Fatal(err)
	}
	j.Start(c.apply)
	if lsn := mustAppend(t, j, "behind"); lsn != 1001 {
		t.Errorf("LSN %d after raising to 1000", lsn)
	}
	mustSync(t, j)
	mustClose(t, j)
	j, rec := mustOpen(t, o)
	if rec.Last != 1001 {
		t.Errorf("recovered %+v", rec)
	}
	if got := mustReplay(t, j, 0); len(got) != 2 || got[1].LSN != 1001 {
		t.Errorf("replayed %v", got)
	}
	if d := j.Damage(); len(d) != 0 {
		t.Errorf("what was never written is no damage: %v", d)
	}
	mustClose(t, j)
}

func TestJournal_readsWhileItIsWritten(t *testing.T) {
	for name, bytes := range map[string]int64{"from memory": 1 << 20, "from the file": -1} {
		t.Run(name, func(t *testing.T) {
			o := memOptions(vfs.NewMem())
			o.CacheBytes = bytes
			j, _ := mustOpen(t, o)
			read := make(chan edgestore.Entry, 10_000)
			j.Start(func(entries []edgestore.Entry) {
				for _, e := range entries {
					e.Data = append([]byte(nil), e.Data...)
					read <- e
				}
			})
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					var buf []byte
					for e := range read {
						b, err := j.Read(e.At, buf)
						if err != nil || string(b) != string(e.Data) {
							t.Errorf("LSN %d: %v", e.LSN, err)
						}
						part := e.At
						part.Offset += int64(part.Length / 3)
						part.Length /= 2
						if b, err = j.Read(part, buf); err != nil || string(b) != string(e.Data[e.At.Length/3:][:part.Length]) {
							t.Errorf("part of LSN %d: %v", e.LSN, err)
						}
						buf = b
					}
				})
			}
			rnd := rand.New(rand.NewPCG(5, 5))
			for i := range 1000 {
				if _, err := j.Append(&edgestore.Record{}, nil, nil, randomData(rnd)); err != nil {
					t.Fatal(err)
				}
				if i%7 == 0 {
					j.Kick()
				}
			}
			mustSync(t, j)
			close(read)
			wg.Wait()
			mustClose(t, j)
		})
	}
}

// On a disk that is shared with what drains it, the journal leaves room for
// that, and goes on by itself once it was drained; reserved records always pass.
func TestJournal_leavesRoomToDrain(t *testing.T) {
	mem := vfs.NewMem()
	const capacity = 40 * minSegment
	mem.SetCapacity(capacity)
	o := memOptions(mem)
	o.SegmentBytes, o.SharedDisk, o.StagedBytes = minSegment, true, minSegment/2
	var n told
	o.Events = n.events()
	j, _ := mustOpen(t, o)
	var c collector
	j.Start(c.apply)
	body := make([]byte, 1000)
	last := edgestore.LSN(0)
	fill := func(want error) {
		t.Helper()
		for {
			lsn, err := j.Append(&edgestore.Record{}, nil, nil, body)
			if err != nil {
				if !errors.Is(err, want) {
					t.Fatalf("refused with %v, want %v", err, want)
				}
				break
			}
			if last = lsn; lsn%20 == 0 {
				mustSync(t, j)
			}
		}
		mustSync(t, j)
		for range 20 {
			lsn, err := j.AppendReserved(&edgestore.Record{}, nil, nil, body)
			if err != nil {
				t.Fatalf("reserved append: %v", err)
			}
			last = lsn
			mustSync(t, j)
		}
	}
	resume := func() {
		t.Helper()
		testkit.Eventually(t, "room", func() bool {
			lsn, err := j.Append(&edgestore.Record{}, nil, nil, body)
			if err == nil {
				last = lsn
			}
			return err == nil
		})
		mustSync(t, j)
	}
	fill(edgestore.ErrBusy)
	live := j.Stats().UnreleasedBytes
	// The ballast is room too, and what was reserved may have taken a segment.
	if free, _ := mem.Free(testDir); free+2*minSegment < live || live < 8*minSegment {
		t.Errorf("%d bytes are free to drain %d into, of %d", free, live, capacity)
	}
	if n.full.Load() != 0 {
		t.Error("it says that the disk is full, and it is behind only")
	}
	j.Release(last)
	resume()
	// A smaller disk would keep it in the belief that it is behind.
	testkit.Eventually(t, "no longer behind", func() bool { return !j.shelf.behind.Load() })

	mem.SetCapacity(mem.Used() + 4*minSegment)
	fill(edgestore.ErrDiskFull)
	testkit.Eventually(t, "the word that it is full", func() bool { return n.full.Load() == 1 })
	mem.SetCapacity(capacity)
	testkit.Eventually(t, "the word that there is room", func() bool { return n.roomy.Load() == 1 })
	resume()
	mustClose(t, j)
}
