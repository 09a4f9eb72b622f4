//go:build !linux

package vfs

import (
	"os"
	"syscall"
)

// Names calls f for each name in a folder, in no order, and says whether it is
// that of a regular file.
func Names(dir string, f func(name string, regular bool)) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		f(e.Name(), e.Type().IsRegular())
	}
	return err
}

// Glance is a regular file that is looked at for a moment, by one goroutine.
type Glance struct{ f *os.File }

// Look opens a file, and tells its size. What is no regular file is an error.
func Look(name string) (Glance, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return Glance{}, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "stat", Path: name, Err: syscall.EINVAL}
	}
	if err != nil {
		_ = f.Close()
		return Glance{}, 0, err
	}
	return Glance{f}, info.Size(), nil
}

// ReadAt fills p, as io.ReaderAt says.
func (g Glance) ReadAt(p []byte, off int64) (n int, err error) { return g.f.ReadAt(p, off) }

// Close is called once.
func (g Glance) Close() { _ = g.f.Close() }
