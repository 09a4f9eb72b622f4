package edgestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
	"github.com/frondmq/frond/edgestore/vfs"
)

// Writes, syncs and renames fail now and then, and the process dies (what it
// wrote is there) or the power is cut (only what was synced is). What the store
// said to have applied is there afterwards, and the rest can be applied again.
func TestFileStore_failedWrites(t *testing.T) {
	failures, crashes := map[string]int{}, 0
	for _, v := range fileVariants {
		for seed := uint64(1); seed <= 2; seed++ {
			t.Run(v.name, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(*seedFlag+seed, 5))
				armed, at := false, ""
				fail := func(place string) error {
					if armed && rnd.IntN(3) == 0 {
						armed, at = false, place
						failures[place]++
						return &os.PathError{Op: "sync", Path: place, Err: syscall.EIO}
					}
					return nil
				}
				blobs := new(edgestoretest.Blobs)
				o := v.o
				o.Dir, o.Incarnation, o.Blobs, o.Invariants = filepath.Join(t.TempDir(), "s"), seed, blobs, true
				told := 0
				o.WriteFailed = func(error) { told++ }
				o.BeforeWrite = func(place string) error {
					if rnd.IntN(2) == 0 {
						return nil
					}
					return fail("before " + place)
				}
				o.AfterWrite = fail
				o.Disk = &faultyDisk{fail: fail}
				s := mustOpen(t, o)
				synced := readDir(t, o.Dir)
				edgestoretest.Random(t, edgestoretest.RandomOptions{
					Seed: *seedFlag + seed, Steps: rounds(400, 1000), Store: s, Blobs: blobs,
					Fail: func(r *rand.Rand) { armed = r.IntN(2) == 0 },
					Flushed: func() {
						armed = false
						synced = readDir(t, o.Dir)
					},
					Crash: func(t testing.TB) edgestore.Store {
						armed = false
						if at != "" {
							crashes++
							if told == 0 {
								t.Fatalf("nobody was told of a failure at %s", at)
							}
						}
						at, told = "", 0
						s.Close()
						if rnd.IntN(2) == 0 {
							writeDir(t, o.Dir, synced)
						}
						s = mustOpen(t, o)
						return s
					},
				})
			})
		}
	}
	t.Logf("failures %v, %d crashes after one", failures, crashes)
	if len(failures) < 5 || crashes < 4 {
		t.Error("too little was tried")
	}
}

// faultyDisk fails renames and syncs of folders.
type faultyDisk struct {
	vfs.OS
	fail func(place string) error
	log  []string
}

func (d *faultyDisk) Rename(from, to string) error {
	d.log = append(d.log, "rename to "+filepath.Base(to))
	if err := d.fail("rename"); err != nil {
		return err
	}
	return d.OS.Rename(from, to)
}

func (d *faultyDisk) SyncDir(dir string) error {
	d.log = append(d.log, "sync "+filepath.Base(dir))
	if err := d.fail("folder"); err != nil {
		return err
	}
	return d.OS.SyncDir(dir)
}

func (d *faultyDisk) Remove(name string) error {
	d.log = append(d.log, "remove "+filepath.Base(name))
	return d.OS.Remove(name)
}

// filler appends messages of 1,000 bytes.
type filler struct {
	t     testing.TB
	s     edgestore.Store
	blobs *edgestoretest.Blobs
	last  uint64
}

func (f *filler) add(n int) {
	f.t.Helper()
	for range n {
		f.last++
		m := edgestore.Msg{Seq: f.last, Time: int64(f.last), Subject: fmt.Sprint("s.", f.last%7), Body: bytes.Repeat([]byte{byte(f.last)}, 1000)}
		if err := f.s.Append(&m, f.blobs.Add(&m)); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *filler) flush() error {
	f.s.Seal(edgestore.LSN(f.last), edgestore.Chain{}, nil)
	return f.s.Flush()
}

func (f *filler) mustFlush() {
	f.t.Helper()
	if err := f.flush(); err != nil {
		f.t.Fatal(err)
	}
}

// A new file counts when its name is on the disk: before, the power may take it
// away, and the file before it must be there with all that it needs.
func TestFileStore_nameOfANewFile(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	var fails error
	disk := &faultyDisk{fail: func(place string) error {
		if place == "folder" {
			return fails
		}
		return nil
	}}
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs, MaxFileBytes: 200 << 10, Disk: disk}
	f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
	if !slices.Equal(disk.log, []string{"rename to 00000001.chunks", "sync s"}) {
		t.Fatalf("making the first file: %q", disk.log)
	}
	f.add(300)
	f.mustFlush()
	durable := readDir(t, o.Dir)
	disk.log, fails = nil, syscall.EIO
	f.add(10)
	if _, err := f.s.Compact(290); err != nil {
		t.Fatal(err)
	}
	if err := f.flush(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("flush: %v", err)
	}
	if !slices.Equal(disk.log, []string{"rename to 00000002.chunks", "sync s"}) {
		t.Fatalf("beginning a file: %q", disk.log)
	}
	if f.s.Applied() != 300 {
		t.Fatalf("applied %d: the name of the file may not be on the disk", f.s.Applied())
	}
	if st := f.s.State(); st.Msgs != 21 {
		t.Fatalf("state %+v", st)
	}
	after := readDir(t, o.Dir)
	for name := range durable {
		if after[name] == nil {
			t.Fatalf("%s is gone, and the power may be cut", name)
		}
	}
	fails = nil
	f.add(1)
	f.mustFlush()
	if f.s.Applied() != 311 {
		t.Fatalf("applied %d", f.s.Applied())
	}
	f.s.Close()
	// The process died before the next flush: the file is taken, and written
	// again under a name that is synced.
	writeDir(t, o.Dir, after)
	disk.log = nil
	s := mustOpen(t, o)
	if s.Applied() != 310 || s.State().Msgs != 21 || !slices.Contains(disk.log, "sync s") {
		t.Fatalf("applied %d, %+v, %q", s.Applied(), s.State(), disk.log)
	}
	s.Close()
	// The power was cut.
	writeDir(t, o.Dir, durable)
	s = mustOpen(t, o)
	if s.Applied() != 300 || s.State().Msgs != 300 {
		t.Fatalf("applied %d, %+v", s.Applied(), s.State())
	}
	checkCounts(t, s)
}

// The commit that the newest meta page stands for is found when that page is
// damaged: what it holds the journal has given up.
func TestFileStore_newestMetaPageDamaged(t *testing.T) {
	for _, damage := range []string{"bit", "zero"} {
		t.Run(damage, func(t *testing.T) {
			blobs := new(edgestoretest.Blobs)
			o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs}
			f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
			for range 3 {
				f.add(100)
				f.mustFlush()
			}
			f.s.Close()
			name := "00000001.chunks"
			files := readDir(t, o.Dir)
			newest := newestMeta(files[name])
			if damage == "bit" {
				files[name][newest+16+50] ^= 4
			} else {
				clear(files[name][newest : newest+4096])
			}
			writeDir(t, o.Dir, files)
			s := mustOpen(t, o)
			if st := s.State(); s.Applied() != 300 || st.Msgs != 300 || len(s.Damage()) > 0 {
				t.Fatalf("applied %d, %+v, damage %v", s.Applied(), st, s.Damage())
			}
			checkCounts(t, s)
			if op := s.(interface{ Opening() edgestore.Opening }).Opening(); op.Salvaged == nil || len(op.Aside) != 1 {
				t.Fatalf("the open tells %+v", op)
			}
		})
	}
}

// newestMeta is where the newer of the two meta pages of a bbolt file begins.
func newestMeta(b []byte) int {
	tx := func(at int) uint64 {
		var n uint64
		for i := 7; i >= 0; i-- {
			n = n<<8 | uint64(b[at+16+48+i])
		}
		return n
	}
	if tx(4096) > tx(0) {
		return 4096
	}
	return 0
}

// What is removed after a seal was there at the seal: a restart goes back to
// that, and removes it again.
func TestFileStore_removedAfterTheSeal(t *testing.T) {
	for name, remove := range map[string]func(s edgestore.Store) error{
		"remove":  func(s edgestore.Store) error { _, _, err := s.Remove(50); return err },
		"purge":   func(s edgestore.Store) error { _, err := s.Purge("s.1", 0, 0); return err },
		"compact": func(s edgestore.Store) error { _, err := s.Compact(60); return err },
		"all":     func(s edgestore.Store) error { _, err := s.Purge("", 0, 0); return err },
	} {
		t.Run(name, func(t *testing.T) {
			blobs := new(edgestoretest.Blobs)
			o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs}
			f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
			f.add(100)
			f.s.Seal(100, edgestore.Chain{}, nil)
			if err := remove(f.s); err != nil {
				t.Fatal(err)
			}
			want := f.s.State()
			if err := f.s.Flush(); err != nil {
				t.Fatal(err)
			}
			if got := f.s.State(); got != want {
				t.Fatalf("after the flush %+v, before %+v", got, want)
			}
			f.s.Close()
			s := mustOpen(t, o)
			if st := s.State(); st.Msgs != 100 || s.Applied() != 100 {
				t.Fatalf("applied %d, %+v", s.Applied(), st)
			}
			checkCounts(t, s)
			if err := remove(s); err != nil {
				t.Fatal(err)
			}
			if got := s.State(); got != want {
				t.Fatalf("applied again %+v, want %+v", got, want)
			}
		})
	}
}

// What a flush that failed for want of room has left behind goes with the next,
// or with the next open.
func TestFileStore_orphansGo(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			blobs := new(edgestoretest.Blobs)
			full := false
			o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs, TxBytes: 8 << 10,
				BeforeWrite: func(place string) error {
					if full && place == "commit" {
						return syscall.ENOSPC
					}
					return nil
				}}
			f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
			f.add(40)
			f.mustFlush()
			full = true
			f.add(200)
			if err := f.flush(); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("flush: %v", err)
			}
			full = false
			if rows := edgestore.ChunkRows(t, f.s); rows < 5 {
				t.Fatalf("only %d rows: nothing was left behind", rows)
			}
			if restart {
				f.s.Close()
				f.s = mustOpen(t, o)
				if got, want := edgestore.ChunkRows(t, f.s), edgestore.Chunks(f.s); got != want {
					t.Fatalf("%d rows for %d chunks after the open", got, want)
				}
				return
			}
			if _, err := f.s.Compact(200); err != nil {
				t.Fatal(err)
			}
			f.mustFlush()
			if got, want := edgestore.ChunkRows(t, f.s), edgestore.Chunks(f.s); got != want {
				t.Fatalf("%d rows for %d chunks after the flush", got, want)
			}
		})
	}
}

// A store in a file of which a commit failed goes on in a new one, and says so.
func TestFileStore_goesOnInANewFile(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	var fail error
	var told []error
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs,
		AfterWrite:  func(string) error { return fail },
		WriteFailed: func(err error) { told = append(told, err) }}
	f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
	f.add(100)
	f.mustFlush()
	fail = &os.PathError{Op: "fdatasync", Path: "x", Err: syscall.EIO}
	f.add(100)
	if err := f.flush(); !errors.Is(err, syscall.EIO) || f.s.Applied() != 100 {
		t.Fatalf("flush: %v, applied %d", err, f.s.Applied())
	}
	before, err := os.ReadFile(filepath.Join(o.Dir, "00000001.chunks"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.flush(); err == nil {
		t.Fatal("a flush on a disk that fails succeeded")
	}
	after, err := os.ReadFile(filepath.Join(o.Dir, "00000001.chunks"))
	if err != nil || !bytes.Equal(before, after) {
		t.Fatalf("the file of the failed sync was written again: %v", err)
	}
	fail = nil
	f.add(5)
	f.mustFlush()
	if f.s.Applied() != 205 || len(told) != 2 || !strings.Contains(told[0].Error(), o.Dir) {
		t.Fatalf("applied %d, told %q", f.s.Applied(), told)
	}
	checkCounts(t, f.s)
	f.s.Close()
	s := mustOpen(t, o)
	if s.Applied() != 205 || s.State().Msgs != 205 {
		t.Fatalf("applied %d, %+v", s.Applied(), s.State())
	}
	checkCounts(t, s)
}
