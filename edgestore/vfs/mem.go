package vfs

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// Mem is a file system in memory that remembers, beside what is written, what
// would survive a power cut. It is for tests.
type Mem struct {
	mu struct {
		sync.Mutex
		dirs     map[string]*memDir
		locks    map[string]bool
		capacity int64 // 0: endless
		used     int64
	}
}

// memDir is one folder: the names as they are, the names on disk, and the
// changes between the two in their order.
type memDir struct {
	now, disk map[string]*memInode
	pending   []memChange
	gone      bool // removed, until MkdirAll
}

// memChange is one change of a folder: a name goes, a name comes, or both.
type memChange struct {
	gone, name string // "": none
	inode      *memInode
}

func (c memChange) apply(names map[string]*memInode) {
	if c.gone != "" {
		delete(names, c.gone)
	}
	if c.name != "" {
		names[c.name] = c.inode
	}
}

// memInode is the content of a file as written and as synced. Dirty are the
// pages that a sync has to write: after a failed one, as with Linux, they are
// clean and not on disk.
type memInode struct {
	now, disk []byte
	dirty     []bool
}

// memPage is the unit of a page cache.
const memPage = 4096

func (i *memInode) markDirty(from, to int) {
	for last := (to - 1) / memPage; last >= len(i.dirty); {
		i.dirty = append(i.dirty, false)
	}
	for p := from / memPage; p*memPage < to; p++ {
		i.dirty[p] = true
	}
}

func (i *memInode) sync() {
	if grow := len(i.now) - len(i.disk); grow > 0 {
		i.disk = append(i.disk, make([]byte, grow)...)
	}
	for p, dirty := range i.dirty {
		if dirty {
			end := min((p+1)*memPage, len(i.now))
			copy(i.disk[p*memPage:end], i.now[p*memPage:end])
		}
	}
	clear(i.dirty)
}

type memFile struct {
	fs     *Mem
	name   string
	inode  *memInode
	closed bool // guarded by fs.mu
}

// NewMem makes an empty file system.
func NewMem() *Mem {
	m := &Mem{}
	m.mu.dirs = map[string]*memDir{}
	m.mu.locks = map[string]bool{}
	return m
}

// SetCapacity limits the bytes of all files together; 0 is no limit. Growing
// above it fails with ENOSPC; writing over what is there does not.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.capacity = bytes
}

// Used is how many bytes the files take.
func (m *Mem) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.used
}

// Crash returns the file system as it may look after a power cut at this
// moment: everything synced is there; of what was not, each sector survives
// with probability keep; of the changes of names that were not synced, some
// first ones (a file system keeps their order). The original goes on.
// Locks are gone.
func (m *Mem) Crash(rnd *rand.Rand, keep float64) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem()
	c.mu.capacity = m.mu.capacity
	copied := map[*memInode]*memInode{}
	for _, path := range sortedKeys(m.mu.dirs) {
		d := m.mu.dirs[path]
		names := map[string]*memInode{}
		for name, inode := range d.disk {
			names[name] = inode
		}
		done := 0
		for done < len(d.pending) && rnd.Float64() < keep {
			d.pending[done].apply(names)
			done++
		}
		cd := c.dirLocked(path)
		for _, name := range sortedKeys(names) {
			inode := names[name]
			if copied[inode] == nil {
				after := inode.crash(rnd, keep)
				copied[inode] = &memInode{now: after, disk: slices.Clone(after)}
				c.mu.used += int64(len(after))
			}
			cd.now[name], cd.disk[name] = copied[inode], copied[inode]
		}
	}
	return c
}

// Kill returns the file system as it is when the process dies at this moment
// and the machine goes on: everything written is there, and what was not synced
// may still be lost to a power cut. The original goes on, on its own. Locks are
// gone.
func (m *Mem) Kill() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem()
	c.mu.capacity, c.mu.used = m.mu.capacity, m.mu.used
	copied := map[*memInode]*memInode{nil: nil}
	clone := func(i *memInode) *memInode {
		if n, ok := copied[i]; ok {
			return n
		}
		n := &memInode{now: slices.Clone(i.now), disk: slices.Clone(i.disk), dirty: slices.Clone(i.dirty)}
		copied[i] = n
		return n
	}
	for path, d := range m.mu.dirs {
		cd := c.dirLocked(path)
		for name, inode := range d.now {
			cd.now[name] = clone(inode)
		}
		for name, inode := range d.disk {
			cd.disk[name] = clone(inode)
		}
		for _, ch := range d.pending {
			ch.inode = clone(ch.inode)
			cd.pending = append(cd.pending, ch)
		}
	}
	return c
}

func (i *memInode) crash(rnd *rand.Rand, keep float64) []byte {
	after := slices.Clone(i.disk)
	if len(i.now) > len(after) && rnd.Float64() < keep {
		after = append(after, make([]byte, len(i.now)-len(after))...)
	}
	for off := 0; off < len(after) && off < len(i.now); off += Sector {
		end := min(off+Sector, len(after), len(i.now))
		if !bytes.Equal(after[off:end], i.now[off:end]) && rnd.Float64() < keep {
			copy(after[off:end], i.now[off:end])
		}
	}
	return after
}

// Corrupt lets f change the bytes of a file in place, in memory and on disk:
// bit rot. What was not synced stays so.
func (m *Mem) Corrupt(name string, f func(content []byte)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	inode := m.dirLocked(filepath.Dir(name)).now[filepath.Base(name)]
	if inode == nil {
		return &os.PathError{Op: "corrupt", Path: name, Err: os.ErrNotExist}
	}
	before := slices.Clone(inode.now)
	f(inode.now)
	for i := range inode.disk {
		if i < len(before) && before[i] != inode.now[i] {
			inode.disk[i] = inode.now[i]
		}
	}
	return nil
}

// Flip flips one bit of a file.
func (m *Mem) Flip(name string, bit int64) error {
	return m.Corrupt(name, func(b []byte) { b[bit/8] ^= 1 << (bit % 8) })
}

// ZeroPage clears the page of 4096 bytes that holds the byte at off.
func (m *Mem) ZeroPage(name string, off int64) error {
	return m.Corrupt(name, func(b []byte) {
		at := off &^ (memPage - 1)
		clear(b[at:min(at+memPage, int64(len(b)))])
	})
}

// Truncate cuts a file, in memory and on disk.
func (m *Mem) Truncate(name string, size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	inode := m.dirLocked(filepath.Dir(name)).now[filepath.Base(name)]
	if inode == nil {
		return &os.PathError{Op: "truncate", Path: name, Err: os.ErrNotExist}
	}
	if size < int64(len(inode.now)) {
		m.mu.used -= int64(len(inode.now)) - size
		inode.now = inode.now[:size:size]
	}
	inode.disk = inode.disk[:min(size, int64(len(inode.disk)))]
	inode.dirty = inode.dirty[:min(len(inode.dirty), int(size+memPage-1)/memPage)]
	return nil
}

// Drop removes a file, in memory and on disk.
func (m *Mem) Drop(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base := m.dirLocked(filepath.Dir(name)), filepath.Base(name)
	inode := d.now[base]
	if inode == nil {
		return &os.PathError{Op: "remove", Path: name, Err: os.ErrNotExist}
	}
	m.mu.used -= int64(len(inode.now))
	for _, c := range d.pending {
		c.apply(d.disk)
	}
	d.pending = nil
	delete(d.now, base)
	delete(d.disk, base)
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (m *Mem) dirLocked(path string) *memDir {
	d := m.mu.dirs[path]
	if d == nil {
		d = &memDir{now: map[string]*memInode{}, disk: map[string]*memInode{}}
		m.mu.dirs[path] = d
	}
	return d
}

// changeLocked does a change now and remembers it for the disk.
func (d *memDir) changeLocked(c memChange) {
	c.apply(d.now)
	d.pending = append(d.pending, c)
}

func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base := m.dirLocked(filepath.Dir(name)), filepath.Base(name)
	if d.gone {
		return nil, &os.PathError{Op: "create", Path: name, Err: os.ErrNotExist}
	}
	if old := d.now[base]; old != nil {
		m.mu.used -= int64(len(old.now))
	}
	inode := &memInode{}
	d.changeLocked(memChange{name: base, inode: inode})
	return &memFile{fs: m, name: name, inode: inode}, nil
}

func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	inode := m.dirLocked(filepath.Dir(name)).now[filepath.Base(name)]
	if inode == nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	return &memFile{fs: m, name: name, inode: inode}, nil
}

func (m *Mem) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if filepath.Dir(oldName) != filepath.Dir(newName) {
		return fmt.Errorf("rename %s to %s: not in one folder", oldName, newName)
	}
	d, from, to := m.dirLocked(filepath.Dir(oldName)), filepath.Base(oldName), filepath.Base(newName)
	inode := d.now[from]
	if inode == nil {
		return &os.PathError{Op: "rename", Path: oldName, Err: os.ErrNotExist}
	}
	if old := d.now[to]; old != nil && old != inode {
		m.mu.used -= int64(len(old.now))
	}
	d.changeLocked(memChange{gone: from, name: to, inode: inode})
	return nil
}

// Link counts the room of the file once for each of its names.
func (m *Mem) Link(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	inode := m.dirLocked(filepath.Dir(oldName)).now[filepath.Base(oldName)]
	d, base := m.dirLocked(filepath.Dir(newName)), filepath.Base(newName)
	switch {
	case inode == nil || d.gone:
		return &os.PathError{Op: "link", Path: oldName, Err: os.ErrNotExist}
	case d.now[base] != nil:
		return &os.PathError{Op: "link", Path: newName, Err: os.ErrExist}
	}
	m.mu.used += int64(len(inode.now))
	d.changeLocked(memChange{name: base, inode: inode})
	return nil
}

func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base := m.dirLocked(filepath.Dir(name)), filepath.Base(name)
	inode := d.now[base]
	if inode == nil {
		return &os.PathError{Op: "remove", Path: name, Err: os.ErrNotExist}
	}
	m.mu.used -= int64(len(inode.now))
	d.changeLocked(memChange{gone: base})
	return nil
}

func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirLocked(filepath.Clean(dir))
	if d.gone {
		return nil, &os.PathError{Op: "open", Path: dir, Err: os.ErrNotExist}
	}
	return sortedKeys(d.now), nil
}

func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirLocked(filepath.Clean(dir)).gone = false
	return nil
}

// RemoveAll removes a folder and its files, also from the disk, under those who
// use it. Nothing can be made in it until MkdirAll.
func (m *Mem) RemoveAll(dir string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirLocked(filepath.Clean(dir))
	for _, inode := range d.now {
		m.mu.used -= int64(len(inode.now))
	}
	*d = memDir{now: map[string]*memInode{}, disk: map[string]*memInode{}, gone: true}
}

func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirLocked(filepath.Clean(dir))
	for _, c := range d.pending {
		c.apply(d.disk)
	}
	d.pending = nil
	return nil
}

type memLock struct {
	fs   *Mem
	name string
}

func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.locks[name] {
		return nil, &os.PathError{Op: "lock", Path: name, Err: ErrLocked}
	}
	m.mu.locks[name] = true
	return &memLock{m, name}, nil
}

func (l *memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.mu.locks, l.name)
	return nil
}

func (m *Mem) Free(string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.capacity == 0 {
		return 1 << 40, nil
	}
	return max(m.mu.capacity-m.mu.used, 0), nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return 0, &os.PathError{Op: "read", Path: f.name, Err: os.ErrClosed}
	}
	if off >= int64(len(f.inode.now)) {
		return 0, io.EOF
	}
	n := copy(p, f.inode.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return 0, &os.PathError{Op: "write", Path: f.name, Err: os.ErrClosed}
	}
	if grow := off + int64(len(p)) - int64(len(f.inode.now)); grow > 0 {
		if f.fs.mu.capacity > 0 && f.fs.mu.used+grow > f.fs.mu.capacity {
			return 0, &os.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
		}
		f.fs.mu.used += grow
		f.inode.now = append(f.inode.now, make([]byte, grow)...)
	}
	if len(p) > 0 {
		f.inode.markDirty(int(off), int(off)+len(p))
	}
	return copy(f.inode.now[off:], p), nil
}

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return &os.PathError{Op: "sync", Path: f.name, Err: os.ErrClosed}
	}
	f.inode.sync()
	return nil
}

// failSync does what a failed sync leaves behind: nothing more is on disk, and
// the next sync will not put it there.
func (f *memFile) failSync() {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	clear(f.inode.dirty)
}

func (f *memFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.inode.now)), nil
}

func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return &os.PathError{Op: "close", Path: f.name, Err: os.ErrClosed}
	}
	f.closed = true
	return nil
}

func (f *memFile) Gone() bool {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	for _, d := range f.fs.mu.dirs {
		for _, inode := range d.now {
			if inode == f.inode {
				return false
			}
		}
	}
	return true
}
