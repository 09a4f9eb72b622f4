package vfs

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// each runs a test on every implementation.
func each(t *testing.T, f func(t *testing.T, fs FS, dir string)) {
	t.Run("OS", func(t *testing.T) { f(t, OS{}, filepath.Join(t.TempDir(), "a", "b")) })
	t.Run("Mem", func(t *testing.T) { f(t, NewMem(), filepath.Join("a", "b")) })
	t.Run("Faults", func(t *testing.T) { f(t, WithFaults(NewMem()), filepath.Join("a", "b")) })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustWrite(t testing.TB, f File, s string, off int64) {
	t.Helper()
	_, err := f.WriteAt([]byte(s), off)
	must(t, err)
}

func TestFS_behavesAlike(t *testing.T) {
	each(t, func(t *testing.T, fs FS, dir string) {
		must(t, fs.MkdirAll(dir))
		must(t, fs.MkdirAll(dir))
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		if _, err := fs.Open(a); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("open what is not there: %v", err)
		}
		f, err := fs.Create(a)
		must(t, err)
		mustWrite(t, f, "hello", 3)
		must(t, f.Sync())
		if n, err := f.Size(); n != 8 || err != nil {
			t.Errorf("size %d, %v", n, err)
		}
		buf := make([]byte, 8)
		if n, err := f.ReadAt(buf, 0); n != 8 || string(buf) != "\x00\x00\x00hello" {
			t.Errorf("read %q, %v", buf[:n], err)
		}
		if n, err := f.ReadAt(buf, 6); n != 2 || err != io.EOF {
			t.Errorf("read behind the end: %d, %v", n, err)
		}
		must(t, Zero(f, 0, 1000, 300))
		if n, _ := f.Size(); n != 1000 {
			t.Errorf("size %d after zeroing", n)
		}
		must(t, f.Close())
		if _, err := f.WriteAt(buf, 0); !errors.Is(err, os.ErrClosed) {
			t.Errorf("write after close: %v", err)
		}
		must(t, fs.Rename(a, b))
		must(t, fs.SyncDir(dir))
		names, err := fs.List(dir)
		if must(t, err); !slices.Equal(names, []string{"b"}) {
			t.Errorf("names %q", names)
		}
		f, err = fs.Open(b)
		must(t, err)
		must(t, f.Close())
		f, err = fs.Create(b)
		must(t, err)
		if n, _ := f.Size(); n != 0 {
			t.Errorf("size %d after creating anew", n)
		}
		must(t, f.Close())
		other, c := filepath.Join(dir, "other"), filepath.Join(dir, "other", "c")
		must(t, fs.MkdirAll(other))
		must(t, fs.Link(b, c))
		if err := fs.Link(b, c); !errors.Is(err, os.ErrExist) {
			t.Errorf("link to a name that is taken: %v", err)
		}
		if err := fs.Link(a, filepath.Join(other, "d")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("link of what is not there: %v", err)
		}
		must(t, fs.Remove(b))
		f, err = fs.Open(c)
		must(t, err)
		must(t, f.Close())
		if err := fs.Remove(b); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("remove twice: %v", err)
		}
		lock, err := fs.Lock(a)
		must(t, err)
		if _, err := fs.Lock(a); !errors.Is(err, ErrLocked) {
			t.Errorf("lock twice: %v", err)
		}
		must(t, lock.Close())
		lock, err = fs.Lock(a)
		must(t, err)
		must(t, lock.Close())
		if free, err := fs.Free(dir); err != nil || free == 0 {
			t.Errorf("free %d, %v", free, err)
		}
	})
}

func TestOS_syncsTheFolderAboveEachOneThatItMakes(t *testing.T) {
	top := t.TempDir()
	var synced []string
	note := func(dir string) error {
		synced = append(synced, dir)
		return nil
	}
	must(t, mkdirAll(filepath.Join(top, "a", "b", "c"), note))
	want := []string{top, filepath.Join(top, "a"), filepath.Join(top, "a", "b")}
	if !slices.Equal(synced, want) {
		t.Errorf("synced %q, want %q", synced, want)
	}
	synced = nil
	must(t, mkdirAll(filepath.Join(top, "a", "b"), note))
	if len(synced) > 0 {
		t.Errorf("synced %q for a folder that is there", synced)
	}
	if err := mkdirAll(filepath.Join(top, "x", "y"), func(string) error { return syscall.EIO }); !errors.Is(err, syscall.EIO) {
		t.Errorf("a failed sync came back as %v", err)
	}
}

func TestFaults_aFailedSyncIsNotMadeGoodByTheNext(t *testing.T) {
	m := NewMem()
	faults := WithFaults(m)
	f, err := faults.Create("d/f")
	must(t, err)
	mustWrite(t, f, "old", 0)
	mustWrite(t, f, "old", memPage)
	must(t, f.Sync())
	must(t, m.SyncDir("d"))
	mustWrite(t, f, "new", 0)
	faults.SetHook(FailNth(OpSync, "f", 1, 1, syscall.EIO))
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	mustWrite(t, f, "new", memPage)
	must(t, f.Sync())
	b := make([]byte, memPage+3)
	read := func(fs FS) string {
		f, err := fs.Open("d/f")
		must(t, err)
		_, err = f.ReadAt(b, 0)
		must(t, err)
		return string(b[:3]) + " " + string(b[memPage:])
	}
	if got := read(m); got != "new new" {
		t.Errorf("in the page cache: %s", got)
	}
	if got := read(m.Crash(rand.New(rand.NewPCG(1, 1)), 0)); got != "old new" {
		t.Errorf("on disk: %s", got)
	}
}

func TestMem_damage(t *testing.T) {
	m := NewMem()
	f, err := m.Create("d/f")
	must(t, err)
	mustWrite(t, f, string(bytes.Repeat([]byte{0xff}, 3*memPage)), 0)
	must(t, f.Sync())
	must(t, m.SyncDir("d"))
	must(t, m.Flip("d/f", 8*5+3))
	must(t, m.ZeroPage("d/f", memPage+7))
	must(t, m.Truncate("d/f", 2*memPage+1))
	for what, m := range map[string]*Mem{"now": m, "on disk": m.Crash(rand.New(rand.NewPCG(1, 1)), 0)} {
		f, err := m.Open("d/f")
		must(t, err)
		b := make([]byte, 3*memPage)
		n, _ := f.ReadAt(b, 0)
		if n != 2*memPage+1 || b[5] != 0xf7 || b[4] != 0xff || b[memPage-1] != 0xff || b[memPage] != 0 || b[2*memPage-1] != 0 || b[2*memPage] != 0xff {
			t.Errorf("%s: %d bytes, %x %x", what, n, b[4:6], b[2*memPage-1:n])
		}
		if f.Gone() {
			t.Errorf("%s: gone", what)
		}
		must(t, m.Drop("d/f"))
		if names, _ := m.Crash(rand.New(rand.NewPCG(1, 1)), 0).List("d"); len(names) > 0 || !f.Gone() || m.Used() != 0 {
			t.Errorf("%s: left after the file was dropped: %q, %d bytes", what, names, m.Used())
		}
		m.RemoveAll("d")
		if _, err := m.Create("d/g"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: create in a folder that is gone: %v", what, err)
		}
		must(t, m.MkdirAll("d"))
		_, err = m.Create("d/g")
		must(t, err)
	}
}

func TestMem_kill(t *testing.T) {
	m := NewMem()
	f, err := m.Create("d/f")
	must(t, err)
	mustWrite(t, f, "synced", 0)
	must(t, f.Sync())
	must(t, m.SyncDir("d"))
	mustWrite(t, f, "SYNC", 0)
	_, err = m.Create("d/new")
	must(t, err)
	must(t, m.Rename("d/f", "d/g"))
	died := m.Kill()
	mustWrite(t, f, "later", 0)
	must(t, f.Sync())
	content := func(m *Mem, name string) string {
		f, err := m.Open(name)
		must(t, err)
		b := make([]byte, 6)
		_, err = f.ReadAt(b, 0)
		must(t, err)
		return string(b)
	}
	if names, _ := died.List("d"); !slices.Equal(names, []string{"g", "new"}) || content(died, "d/g") != "SYNCed" {
		t.Errorf("after the process died: %q, %q", names, content(died, "d/g"))
	}
	must(t, died.Corrupt("d/g", func(b []byte) { b[5] = '!' }))
	after := died.Crash(rand.New(rand.NewPCG(1, 1)), 0)
	if names, _ := after.List("d"); !slices.Equal(names, []string{"f"}) || content(after, "d/f") != "synce!" {
		t.Errorf("after the power went: %q, %q", names, content(after, "d/f"))
	}
}

func TestMem_crash(t *testing.T) {
	sectors := func(s string) []byte { return bytes.Repeat([]byte(s), 10*Sector) }
	build := func(t *testing.T) (*Mem, File) {
		m := NewMem()
		f, err := m.Create("d/f")
		must(t, err)
		mustWrite(t, f, string(sectors("a")), 0)
		must(t, f.Sync())
		must(t, m.SyncDir("d"))
		return m, f
	}
	read := func(t *testing.T, m *Mem, name string) []byte {
		f, err := m.Open(name)
		must(t, err)
		n, _ := f.Size()
		b := make([]byte, n)
		if n > 0 {
			_, err = f.ReadAt(b, 0)
			must(t, err)
		}
		return b
	}
	t.Run("what was synced stays", func(t *testing.T) {
		m, f := build(t)
		mustWrite(t, f, string(sectors("b")), 0)
		after := m.Crash(rand.New(rand.NewPCG(1, 1)), 0)
		if !bytes.Equal(read(t, after, "d/f"), sectors("a")) {
			t.Error("an unsynced write survived with probability 0")
		}
		after = m.Crash(rand.New(rand.NewPCG(1, 1)), 1)
		if !bytes.Equal(read(t, after, "d/f"), sectors("b")) {
			t.Error("an unsynced write did not survive with probability 1")
		}
	})
	t.Run("what was not synced is torn at sectors", func(t *testing.T) {
		m, f := build(t)
		mustWrite(t, f, string(sectors("b")), 0)
		b := read(t, m.Crash(rand.New(rand.NewPCG(1, 1)), 0.5), "d/f")
		as := 0
		for at := 0; at < len(b); at += Sector {
			s := b[at:][:Sector]
			if !bytes.Equal(s, sectors("a")[:Sector]) && !bytes.Equal(s, sectors("b")[:Sector]) {
				t.Fatal("torn within a sector")
			}
			if s[0] == 'a' {
				as++
			}
		}
		if as == 0 || as == 10 {
			t.Errorf("%d of 10 sectors are old", as)
		}
	})
	t.Run("names need a sync of their folder", func(t *testing.T) {
		m, _ := build(t)
		_, err := m.Create("d/g")
		must(t, err)
		must(t, m.Rename("d/f", "d/h"))
		after := m.Crash(rand.New(rand.NewPCG(1, 1)), 0)
		if names, _ := after.List("d"); !slices.Equal(names, []string{"f"}) {
			t.Errorf("names %q", names)
		}
		must(t, m.SyncDir("d"))
		after = m.Crash(rand.New(rand.NewPCG(1, 1)), 0)
		if names, _ := after.List("d"); !slices.Equal(names, []string{"g", "h"}) {
			t.Errorf("names %q", names)
		}
	})
	t.Run("the original goes on", func(t *testing.T) {
		m, f := build(t)
		after := m.Crash(rand.New(rand.NewPCG(1, 1)), 1)
		mustWrite(t, f, "x", 0)
		must(t, f.Sync())
		if read(t, after, "d/f")[0] != 'a' {
			t.Error("the copy changed")
		}
	})
}

func TestMem_capacity(t *testing.T) {
	m := NewMem()
	m.SetCapacity(1000)
	f, err := m.Create("d/f")
	must(t, err)
	must(t, Zero(f, 0, 1000, 100))
	if _, err := f.WriteAt([]byte("x"), 1000); !IsNoSpace(err) {
		t.Errorf("write above the capacity: %v", err)
	}
	mustWrite(t, f, "overwritten", 500)
	must(t, m.Rename("d/f", "d/g"))
	if m.Used() != 1000 {
		t.Errorf("%d used", m.Used())
	}
	must(t, m.Remove("d/g"))
	if free, _ := m.Free("d"); free != 1000 {
		t.Errorf("%d free after the file is gone", free)
	}
}

func TestFaults_failTheNthCall(t *testing.T) {
	fs := WithFaults(NewMem())
	fs.SetHook(FailNth(OpWrite, "*.seg", 2, 2, syscall.EIO))
	f, err := fs.Create("d/1.seg")
	must(t, err)
	for i, want := range []error{nil, syscall.EIO, syscall.EIO, nil} {
		if _, err := f.WriteAt([]byte{byte(i)}, int64(i)); !errors.Is(err, want) {
			t.Errorf("write %d: %v, want %v", i+1, err, want)
		}
	}
	if n, _ := f.Size(); n != 4 {
		t.Errorf("size %d", n)
	}
	b := make([]byte, 4)
	if _, err := f.ReadAt(b, 0); err != nil || !bytes.Equal(b, []byte{0, 0, 0, 3}) {
		t.Errorf("what failed was written: %v, %v", b, err)
	}
}

// What is written to a mapping is in the file for those who read it; where the
// file was cut it is refused.
func TestOS_mapsAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	f, err := OS{}.Create(name)
	must(t, err)
	defer f.Close()
	mustWrite(t, f, string(bytes.Repeat([]byte{'a'}, 64<<10)), 0)
	mapper, ok := f.(Mapper)
	if !ok {
		t.Skipf("%s can't map files", runtime.GOOS)
	}
	m, err := mapper.Map(64 << 10)
	must(t, err)
	_, err = m.WriteAt([]byte("xyz"), 5000)
	must(t, err)
	got, err := os.ReadFile(name)
	must(t, err)
	if len(got) != 64<<10 || string(got[4999:5004]) != "axyza" {
		t.Errorf("%d bytes, %q", len(got), got[4999:5004])
	}
	for _, off := range []int64{64<<10 - 2, math.MaxInt64 - 1, -1} {
		if _, err := m.WriteAt([]byte("xyz"), off); err == nil || !strings.Contains(err.Error(), "are not in its first 65536") {
			t.Errorf("a write at %d: %v", off, err)
		}
	}
	must(t, os.Truncate(name, 0))
	if _, err := m.WriteAt([]byte("xyz"), 5000); err == nil || !strings.Contains(err.Error(), "page fault") {
		t.Errorf("a write where the file was cut: %v", err)
	}
	if debug.SetPanicOnFault(false) {
		t.Error("a fault elsewhere in this goroutine is no crash any more")
	}
	must(t, m.Close())
}
