//go:build unix

package vfs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// errQuota: the owner's share of the disk is used up.
const errQuota = syscall.EDQUOT

// errDiskFull is the same error as on other systems here.
const errDiskFull = syscall.ENOSPC

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// locks are the folder and the file.
type locks [2]*os.File

func (l locks) Close() error { return errors.Join(l[1].Close(), l[0].Close()) }

func lockFile(name string) (io.Closer, error) {
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	if err := flock(dir, name); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	if err := flock(f, name); err != nil {
		return nil, errors.Join(err, f.Close(), dir.Close())
	}
	return locks{dir, f}, nil
}

func flock(f *os.File, name string) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err {
		case nil:
			return nil
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return &os.PathError{Op: "lock", Path: name, Err: ErrLocked}
		default:
			return &os.PathError{Op: "lock", Path: name, Err: err}
		}
	}
}

// gone: the last name of a file was removed.
func gone(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 0
}
