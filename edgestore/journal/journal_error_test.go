package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// readCounter fails reads by their number.
type readCounter struct {
	mu      sync.Mutex
	nth     int // the read that fails
	forGood bool
	seen    int
	failed  *vfs.Call // the one that failed
	changes []string  // what was changed
}

func (r *readCounter) hook(c vfs.Call) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch c.Op {
	case vfs.OpRead:
		r.seen++
		if r.seen == r.nth {
			r.failed = &c
		}
		if r.seen == r.nth || r.forGood && r.failed != nil && *r.failed == c {
			return &os.PathError{Op: "read", Path: c.Name, Err: errDisk}
		}
	case vfs.OpWrite, vfs.OpCreate, vfs.OpRename, vfs.OpRemove, vfs.OpSync:
		r.changes = append(r.changes, c.String())
	}
	return nil
}

// A read that fails once changes nothing but what is told; one that goes on
// failing ends the start or the replay with the disk's error, and nothing was
// written, nothing called damaged: without the fault everything is there.
func TestJournal_aReadErrorIsNoDamage(t *testing.T) {
	states, _ := buildKilled(t)
	k := states[0]
	for _, forGood := range []bool{false, true} {
		failedIn := map[string]int{}
		for nth := 1; ; nth++ {
			var done bool
			synctest.Test(t, func(t *testing.T) { // the waits between tries take no time
				mem := k.mem.Kill()
				faults := vfs.WithFaults(mem)
				r := &readCounter{nth: nth, forGood: forGood}
				faults.SetHook(r.hook)
				o := memOptions(faults)
				o.BallastBytes = -1
				var n told
				o.Events = n.events()
				j, rec, err := Open(o)
				where := "open"
				var entries int
				if err == nil {
					where = "replay"
					r.mu.Lock()
					r.changes = nil
					r.mu.Unlock()
					err = j.Replay(0, replayer{entry: func(*edgestore.Entry) error { entries++; return nil }})
					if len(j.Damage()) > 0 || rec.Missing != (Lost{}) || int(rec.Last) != len(k.appended) {
						t.Errorf("read %d fails: %+v, damage %v", nth, rec, j.Damage())
					}
				}
				done = r.failed == nil
				switch {
				case done:
				case !forGood && (err != nil || entries != len(k.appended)):
					t.Errorf("read %d fails once: %d entries, %v", nth, entries, err)
				case forGood && !errors.Is(err, errDisk):
					t.Errorf("read %d fails for good: %d entries, %v", nth, entries, err)
				case forGood && (errors.Is(err, edgestore.ErrCorrupt) || len(r.changes) > 0):
					t.Errorf("read %d fails for good: %v, and before it %q", nth, err, r.changes)
				case n.readFailed.Load() == 0:
					t.Errorf("read %d fails and nobody was told", nth)
				default:
					failedIn[where]++
				}
				if err == nil || where == "replay" {
					mustClose(t, j)
				}
				if forGood {
					c := k.copyOf(k.what, func(c *killed) { c.mem = mem.Kill() })
					if v, err := c.check(); err != nil || v != (verdict{}) {
						t.Errorf("after read %d had failed: %+v, %v", nth, v, err)
					}
				}
			})
			if done || t.Failed() {
				break
			}
		}
		if failedIn["replay"] < 2 || forGood && failedIn["open"] < 5 {
			t.Errorf("for good %v: failed in %v: the test shows less than it should", forGood, failedIn)
		}
	}
}

// Draining meets a disk that fails to read: the error is the disk's, not that
// of a damaged record, and the record is there when the disk reads again.
func TestJournal_drainingMeetsAReadError(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			mem := vfs.NewMem()
			faults := vfs.WithFaults(mem)
			o := memOptions(faults)
			o.CacheBytes = -1
			var n told
			o.Events = n.events()
			j, _ := mustOpen(t, o)
			var c collector
			j.Start(c.apply)
			for i := range 50 {
				mustAppend(t, j, fmt.Sprint("record ", i+1, strings.Repeat("x", 2000)))
			}
			mustSync(t, j)
			if restarted {
				mustClose(t, j)
				j, _ = mustOpen(t, o)
			}
			fails := 1 << 30
			faults.SetHook(func(call vfs.Call) error {
				if _, ok := parseSegmentName(call.Name); ok && call.Op == vfs.OpRead && fails > 0 {
					fails--
					return errDisk
				}
				return nil
			})
			for _, e := range c.all() {
				if _, err := j.Read(e.At, nil); !errors.Is(err, errDisk) || errors.Is(err, edgestore.ErrCorrupt) {
					t.Fatalf("LSN %d: %v", e.LSN, err)
				}
			}
			if n.readFailed.Load() == 0 || n.damaged.Load() > 0 {
				t.Errorf("told %d failed reads, %d damages", n.readFailed.Load(), n.damaged.Load())
			}
			fails = 1
			for _, e := range c.all() {
				if b, err := j.Read(e.At, nil); err != nil || string(b) != string(e.Data) {
					t.Fatalf("LSN %d after the disk reads again: %v", e.LSN, err)
				}
			}
			mustClose(t, j)
		})
	}
}

func TestJournal_locksItsFolder(t *testing.T) {
	for name, o := range map[string]Options{
		"on disk":   {Dir: t.TempDir(), SegmentBytes: minSegment},
		"in memory": memOptions(vfs.NewMem()),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first, _ := mustOpen(t, o)
				began := time.Now()
				_, _, err := Open(o)
				if !errors.Is(err, edgestore.ErrLocked) || !strings.Contains(err.Error(), o.Dir) {
					t.Errorf("second open: %v", err)
				}
				if waited := time.Since(began); waited < 5*time.Second || waited > 6*time.Second {
					t.Errorf("second open: refused after %v", waited)
				}
				// The other process ends while a start waits.
				time.AfterFunc(3*time.Second, func() { mustClose(t, first) })
				j, _ := mustOpen(t, o)
				mustClose(t, j)
			})
		})
	}
}

// Whoever removes the lock file lets no second server in.
func TestJournal_staysLockedWithoutItsLockFile(t *testing.T) {
	o := Options{Dir: t.TempDir(), SegmentBytes: minSegment, LockWait: -1}
	j, _ := mustOpen(t, o)
	if err := os.Remove(filepath.Join(o.Dir, "lock")); err != nil {
		t.Skip("an open file can't be removed here: ", err)
	}
	if second, _, err := Open(o); !errors.Is(err, edgestore.ErrLocked) {
		t.Errorf("second open: %v", err)
		if err == nil {
			mustClose(t, second)
		}
	}
	mustClose(t, j)
}

// Only a full disk is called full.
func TestJournal_tellsWhyThereIsNoOtherSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := vfs.WithFaults(vfs.NewMem())
		o := memOptions(faults)
		var n told
		o.Events = n.events()
		var why error
		o.Events.Unprepared = func(err error) { why = err; n.unprepared.Add(1) }
		j, _ := mustOpen(t, o)
		faults.SetHook(func(c vfs.Call) error {
			if c.Op == vfs.OpCreate {
				return errDisk
			}
			return nil
		})
		var c collector
		j.Start(c.apply)
		synctest.Wait()
		var err error
		count := 0
		for err == nil {
			if _, err = j.Append(&edgestore.Record{}, nil, nil, make([]byte, 1000)); err == nil {
				mustSync(t, j)
				count++
			}
		}
		if !errors.Is(err, errDisk) || errors.Is(err, edgestore.ErrDiskFull) || !strings.Contains(err.Error(), "can't make another segment") {
			t.Errorf("append: %v", err)
		}
		if count < 20 {
			t.Errorf("refused after %d records, with most of the segment free", count)
		}
		if _, err := j.AppendReserved(&edgestore.Record{}, nil, nil); err != nil {
			t.Errorf("reserved append: %v", err)
		}
		if n.full.Load() != 0 || n.unprepared.Load() != 1 || !errors.Is(why, errDisk) || j.Stats().Full {
			t.Errorf("told: full %d times, unprepared %d times with %v", n.full.Load(), n.unprepared.Load(), why)
		}
		faults.SetHook(nil)
		<-time.After(2 * retryEvery)
		synctest.Wait()
		if n.prepared.Load() != 1 || n.roomy.Load() != 0 {
			t.Errorf("told: prepared %d times, roomy %d times", n.prepared.Load(), n.roomy.Load())
		}
		if _, err := j.Append(&edgestore.Record{}, nil, nil); err != nil {
			t.Errorf("append after that: %v", err)
		}
		mustSync(t, j)
		mustClose(t, j)
	})
}

// The folder is removed while the server runs: nothing is acknowledged from
// then on, appends are refused, and somebody is told.
func TestJournal_noticesThatItsFolderIsGone(t *testing.T) {
	mem := vfs.NewMem()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		o      Options
		remove func()
	}{
		"in memory": {memOptions(mem), func() { mem.RemoveAll(testDir) }},
		"on disk": {Options{Dir: filepath.Join(dir, "j"), SegmentBytes: minSegment}, func() {
			if err := os.RemoveAll(filepath.Join(dir, "j")); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var n told
			c.o.Events = n.events()
			var where string
			c.o.Events.FolderGone = func(folder string, err error) { where = folder; n.folderGone.Add(1) }
			j, _ := mustOpen(t, c.o)
			j.committer.lookEvery = 0
			var got collector
			j.Start(got.apply)
			mustAppend(t, j, "record 1")
			mustSync(t, j)
			testkit.Eventually(t, "the keeper", func() bool { // else it makes files while they are removed
				s := j.shelf
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.mu.next != nil && s.mu.reserve && s.mu.ballast
			})
			c.remove()
			if _, err := os.Stat(dir); err != nil {
				t.Fatal(err)
			}
			mustAppend(t, j, "never acknowledged")
			if err := j.Sync(context.Background()); err == nil || !strings.Contains(err.Error(), "does not take anything") {
				t.Errorf("sync: %v", err)
			}
			if _, err := j.Append(&edgestore.Record{}, nil, nil); err == nil {
				t.Error("append is taken")
			}
			if n.folderGone.Load() != 1 || where != c.o.Dir {
				t.Errorf("told %d times, of %q", n.folderGone.Load(), where)
			}
			if err := j.Close(); err == nil || !strings.Contains(err.Error(), "1 records, none of them acknowledged") {
				t.Errorf("close: %v", err)
			}
			checkInOrder(t, got.all(), 1)
		})
	}
}

// By default the journal does not look after each group, but soon.
func TestJournal_noticesBeforeLongThatItsFolderIsGone(t *testing.T) {
	mem := vfs.NewMem()
	j, _ := mustOpen(t, memOptions(mem))
	var got collector
	j.Start(got.apply)
	mustAppend(t, j, "record 1")
	mustSync(t, j)
	mem.RemoveAll(testDir)
	began := time.Now()
	testkit.Eventually(t, "a refusal", func() bool {
		if _, err := j.Append(&edgestore.Record{}, nil, nil); err != nil {
			return true
		}
		return j.Sync(context.Background()) != nil
	})
	if took := time.Since(began); took > lookEvery+time.Second {
		t.Errorf("after %v", took)
	}
	if err := j.Close(); err == nil {
		t.Error("close says nothing")
	}
}

// One file that is removed under the journal is like one that fails: what is
// written from then on goes to another.
func TestJournal_noticesThatItsSegmentIsGone(t *testing.T) {
	mem := vfs.NewMem()
	o := memOptions(mem)
	var n told
	o.Events = n.events()
	j, _ := mustOpen(t, o)
	j.committer.lookEvery = 0
	var c collector
	j.Start(c.apply)
	mustAppend(t, j, "record 1")
	mustSync(t, j)
	if err := mem.Remove(filepath.Join(testDir, segmentName(1))); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, j, "record 2")
	mustSync(t, j)
	if n.syncFailed.Load() != 1 || n.stalled.Load() != 0 || n.folderGone.Load() != 0 {
		t.Errorf("told: %d failed syncs, %d stalls, %d folders", n.syncFailed.Load(), n.stalled.Load(), n.folderGone.Load())
	}
	checkInOrder(t, c.all(), 2)
	died := mem.Kill()
	mustClose(t, j)
	j, rec := mustOpen(t, memOptions(died))
	got, _ := story(t, j)
	if !slices.Equal(got, []string{"hole 1-1", "2"}) || rec.Last != 2 {
		t.Errorf("after a kill: %v, %+v", got, rec)
	}
	mustClose(t, j)
}
