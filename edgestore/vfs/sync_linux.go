package vfs

import (
	"os"
	"syscall"
)

// syncData is fdatasync: the journal overwrites allocated blocks, so that no
// metadata has to reach the disk with them.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
		return nil
	}
}
