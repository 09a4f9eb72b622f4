package vfs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// OS is the file system of the machine.
type OS struct{}

type osFile struct{ *os.File }

func (OS) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (OS) Open(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (OS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

func (OS) Link(oldName, newName string) error { return os.Link(oldName, newName) }

func (OS) Remove(name string) error { return os.Remove(name) }

func (OS) MkdirAll(dir string) error { return mkdirAll(dir, syncDir) }

// mkdirAll syncs the folder above each one that it makes: a file that was
// synced is lost all the same if the way to it is.
func mkdirAll(dir string, sync func(dir string) error) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := mkdirAll(parent, sync); err != nil {
			return err
		}
	}
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrExist) {
		var info os.FileInfo
		if info, err = os.Stat(dir); err == nil && !info.IsDir() {
			err = &os.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
	}
	if err != nil {
		return err
	}
	return sync(parent)
}

func (OS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (OS) SyncDir(dir string) error { return syncDir(dir) }

func (OS) Lock(name string) (io.Closer, error) { return lockFile(name) }

func (OS) Free(dir string) (int64, error) { return freeBytes(dir) }

func (f osFile) Sync() error { return syncData(f.File) }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f osFile) Gone() bool { return gone(f.File) }
