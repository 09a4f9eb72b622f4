package jetstream

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frondmq/frond/edgestore/journal"
	"github.com/frondmq/frond/edgestore/vfs"
)

// chaosDisk is the disk of a chaos run: the journal on a file system in memory,
// the stores and the catalogue in a folder. A picture of it can be taken at any
// moment, as a crash would leave it, and then be damaged.
type chaosDisk struct {
	t      testing.TB
	rnd    *rand.Rand
	mem    *vfs.Mem
	faults *vfs.Faults
	// idFaults are those of the files of message ids.
	idFaults *vfs.Faults
	still    *stillFS
	dir      string
	stores   *storeFaults
	clock    chaosClock
}

// chaosClock is the real time, which the test can move on.
type chaosClock struct{ ahead atomic.Int64 }

func (c *chaosClock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func newChaosDisk(t testing.TB, rnd *rand.Rand) *chaosDisk {
	d := &chaosDisk{t: t, rnd: rnd, mem: vfs.NewMem(), dir: t.TempDir()}
	d.wrap()
	return d
}

func (d *chaosDisk) wrap() {
	d.stores = newStoreFaults(d.dir)
	d.faults = vfs.WithFaults(d.mem)
	d.still = &stillFS{FS: d.faults}
	d.idFaults = vfs.WithFaults(vfs.OS{})
}

func (d *chaosDisk) config() Config {
	c := testConfig(d.t)
	c.Dir = d.dir
	c.Journal = journal.Options{FS: d.still, Dir: "journal", SegmentBytes: 64 << 10, BallastBytes: -1}
	c.DrainBytes = 1 << 40 // when the test says so
	c.idBytes, c.idsWake, c.idsMost, c.idDisk = 400, 1<<30, 1<<30, d.idFaults
	c.Now = d.clock.Now
	c.fill()
	at := c
	c.backend = chaosBackend{diskBackend{&at}, d.stores}
	return c
}

// crashKind is how the run ends.
type crashKind uint8

const (
	// processKilled: everything written is there, synced or not.
	processKilled crashKind = iota
	// powerCut: of what was not synced, some sectors are there.
	powerCut
	crashKinds
)

func (k crashKind) String() string { return [...]string{"process killed", "power cut"}[k] }

// crash ends the engine and leaves the disk as it was when crash was called.
// bare tells whether the last synced group was not followed by any write, and
// tail where that group lies. Nothing may be draining.
func (d *chaosDisk) crash(e *Engine, kind crashKind) (tail chaosTail) {
	d.t.Helper()
	keep := 1.0
	if kind == powerCut {
		keep = d.rnd.Float64() * 0.9
	}
	// A flush that is under way writes to real files, which can't be held still;
	// a half done one is an operation of the test.
	e.drain.cancel()
	<-e.drain.stopped
	var mem *vfs.Mem
	d.still.hold(func() {
		mem = d.mem.Crash(d.rnd, keep)
		tail = d.still.tailLocked()
	})
	// What the power cut did to the frames behind the group is not looked at:
	// they may be gone.
	tail.bare = tail.bare || kind == powerCut
	dir := d.t.TempDir()
	copyTree(d.t, d.dir, dir)
	if kind == powerCut {
		d.stores.unsynced(d.t, d.rnd, dir)
	}
	d.faults.SetHook(nil)
	d.idFaults.SetHook(nil)
	d.stores.arm(nil)
	if err := e.Close(); err != nil {
		d.t.Logf("close behind the crash: %v", err)
	}
	os.RemoveAll(d.dir)
	d.mem, d.dir = mem, dir
	d.wrap()
	return tail
}

// chaosTail is where the newest synced group of the journal lies.
type chaosTail struct {
	file     string // base name
	from, to int64
	// bare: no later frame is known to be on the disk.
	bare bool
}

// holds tells whether lo..hi of a file touches the group.
func (c *chaosTail) holds(file string, lo, hi int64) bool {
	return file == c.file && lo < c.to && hi > c.from
}

// stillFS writes down the writes to segments, and can be held still.
type stillFS struct {
	vfs.FS
	mu sync.RWMutex // held for reading by every call that changes something

	note struct {
		sync.Mutex
		open   chaosTail // written, not synced
		group  chaosTail // synced last
		behind bool      // something was written after that sync
	}
}

func (s *stillFS) hold(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *stillFS) tailLocked() chaosTail {
	s.note.Lock()
	defer s.note.Unlock()
	t := s.note.group
	t.bare = !s.note.behind
	return t
}

func (s *stillFS) wrote(name string, off int64, n int) {
	if !strings.HasSuffix(name, ".seg") || off == 0 {
		return
	}
	s.note.Lock()
	defer s.note.Unlock()
	s.note.behind = true
	if s.note.open.file != name || s.note.open.from != off {
		s.note.open = chaosTail{file: name, from: off}
	}
	s.note.open.to = off + int64(n)
}

func (s *stillFS) synced(name string) {
	s.note.Lock()
	defer s.note.Unlock()
	if s.note.open.file == name {
		s.note.group, s.note.behind = s.note.open, false
	}
}

func (s *stillFS) Create(name string) (vfs.File, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f, err := s.FS.Create(name)
	return s.file(name, f, err)
}

func (s *stillFS) Open(name string) (vfs.File, error) {
	f, err := s.FS.Open(name)
	return s.file(name, f, err)
}

func (s *stillFS) file(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &stillFile{File: f, fs: s, name: filepath.Base(name)}, nil
}

func (s *stillFS) Rename(from, to string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.FS.Rename(from, to)
}

func (s *stillFS) Remove(name string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.FS.Remove(name)
}

func (s *stillFS) SyncDir(dir string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.FS.SyncDir(dir)
}

type stillFile struct {
	vfs.File
	fs   *stillFS
	name string
}

func (f *stillFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	n, err := f.File.WriteAt(b, off)
	if err == nil {
		f.fs.wrote(f.name, off, n)
	}
	return n, err
}

// Map implements vfs.Mapper where the file below does.
func (f *stillFile) Map(n int) (vfs.Mapping, error) {
	m, ok := f.File.(vfs.Mapper)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	mapped, err := m.Map(n)
	if err != nil {
		return nil, err
	}
	return &stillMapping{Mapping: mapped, fs: f.fs}, nil
}

type stillMapping struct {
	vfs.Mapping
	fs *stillFS
}

func (m *stillMapping) WriteAt(b []byte, off int64) (int, error) {
	m.fs.mu.RLock()
	defer m.fs.mu.RUnlock()
	return m.Mapping.WriteAt(b, off)
}

func (f *stillFile) Sync() error {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	err := f.File.Sync()
	if err == nil {
		f.fs.synced(f.name)
	}
	return err
}

// journalFiles names what the journal has on the disk, base names, sorted.
func (d *chaosDisk) journalFiles(match string) []string {
	names, err := d.mem.List("journal")
	if err != nil {
		d.t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(n string) bool {
		ok, _ := filepath.Match(match, n)
		return !ok
	})
}

// storeFiles names the files of the stores and the catalogue.
func (d *chaosDisk) storeFiles(match string) []string {
	var names []string
	err := filepath.WalkDir(d.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ok, _ := filepath.Match(match, e.Name()); ok && !e.IsDir() {
			names = append(names, path)
		}
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return names
}
