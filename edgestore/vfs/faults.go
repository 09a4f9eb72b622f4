package vfs

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"
)

// Op is a kind of call.
type Op string

// The calls that can be made to fail or be written down.
const (
	OpCreate  Op = "create"
	OpOpen    Op = "open"
	OpRename  Op = "rename"
	OpLink    Op = "link"
	OpRemove  Op = "remove"
	OpSyncDir Op = "syncdir"
	OpLock    Op = "lock"
	OpRead    Op = "read"
	OpWrite   Op = "write"
	OpSync    Op = "sync"
	OpClose   Op = "close"
)

// Call is one call of a file system, before it is done.
type Call struct {
	Op   Op
	Name string // base name of the file or folder
	To   string // of a rename or link
	Off  int64  // of a read or write
	Len  int
}

func (c Call) String() string {
	switch c.Op {
	case OpRename, OpLink:
		return fmt.Sprintf("%s %s %s", c.Op, c.Name, c.To)
	case OpRead, OpWrite:
		return fmt.Sprintf("%s %s %d+%d", c.Op, c.Name, c.Off, c.Len)
	}
	return fmt.Sprintf("%s %s", c.Op, c.Name)
}

// Faults is a file system whose calls go through a hook first. An error of the
// hook is the result of the call, which then is not done. Where Mem is below, a
// sync that fails leaves what Linux leaves: a later sync that succeeds does not
// write what this one did not.
type Faults struct {
	FS
	mu struct {
		sync.Mutex
		hook func(Call) error
	}
}

// WithFaults wraps fs; SetHook arms it.
func WithFaults(fs FS) *Faults { return &Faults{FS: fs} }

// SetHook replaces the hook; nil lets everything pass. The hook is called from
// any goroutine and must not call the file system.
func (f *Faults) SetHook(hook func(Call) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.hook = hook
}

// ForGood is a count for FailNth: the call that fails does not stop failing.
const ForGood = math.MaxInt32

// FailNth is a hook that fails the nth (from 1) and the following count-1
// calls of kind op on files whose base name matches pattern (see
// path/filepath.Match).
func FailNth(op Op, pattern string, nth, count int, err error) func(Call) error {
	var mu sync.Mutex
	seen := 0
	return func(c Call) error {
		if c.Op != op {
			return nil
		}
		if ok, _ := filepath.Match(pattern, c.Name); !ok {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		seen++
		if seen < nth || seen-nth >= count {
			return nil
		}
		return &os.PathError{Op: string(op), Path: c.Name, Err: err}
	}
}

func (f *Faults) check(op Op, name string) error {
	return f.checkCall(Call{Op: op, Name: filepath.Base(name)})
}

func (f *Faults) checkCall(c Call) error {
	f.mu.Lock()
	hook := f.mu.hook
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(c)
}

func (f *Faults) Create(name string) (File, error) {
	if err := f.check(OpCreate, name); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name)
	return f.wrap(name, file, err)
}

func (f *Faults) Open(name string) (File, error) {
	if err := f.check(OpOpen, name); err != nil {
		return nil, err
	}
	file, err := f.FS.Open(name)
	return f.wrap(name, file, err)
}

func (f *Faults) wrap(name string, file File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return &faultFile{File: file, fs: f, name: name}, nil
}

func (f *Faults) Rename(oldName, newName string) error {
	c := Call{Op: OpRename, Name: filepath.Base(oldName), To: filepath.Base(newName)}
	if err := f.checkCall(c); err != nil {
		return err
	}
	return f.FS.Rename(oldName, newName)
}

func (f *Faults) Link(oldName, newName string) error {
	c := Call{Op: OpLink, Name: filepath.Base(oldName), To: filepath.Base(newName)}
	if err := f.checkCall(c); err != nil {
		return err
	}
	return f.FS.Link(oldName, newName)
}

func (f *Faults) Remove(name string) error {
	if err := f.check(OpRemove, name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *Faults) SyncDir(dir string) error {
	if err := f.check(OpSyncDir, dir); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

func (f *Faults) Lock(name string) (io.Closer, error) {
	if err := f.check(OpLock, name); err != nil {
		return nil, err
	}
	return f.FS.Lock(name)
}

type faultFile struct {
	File
	fs   *Faults
	name string
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.checkCall(Call{Op: OpRead, Name: filepath.Base(f.name), Off: off, Len: len(p)}); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.checkCall(Call{Op: OpWrite, Name: filepath.Base(f.name), Off: off, Len: len(p)}); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *faultFile) Sync() error {
	if err := f.fs.check(OpSync, f.name); err != nil {
		if m, ok := f.File.(*memFile); ok {
			m.failSync()
		}
		return err
	}
	return f.File.Sync()
}

func (f *faultFile) Close() error {
	if err := f.fs.check(OpClose, f.name); err != nil {
		return err
	}
	return f.File.Close()
}
