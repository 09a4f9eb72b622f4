package vfs

import (
	"io"
	"os"
	"syscall"
)

const (
	errQuota    = syscall.Errno(1295) // ERROR_DISK_QUOTA_EXCEEDED
	errDiskFull = syscall.Errno(112)  // ERROR_DISK_FULL

	errSharing = syscall.Errno(32) // ERROR_SHARING_VIOLATION
)

// syncDir does nothing: NTFS journals names by itself and offers no call for it.
func syncDir(string) error { return nil }

// gone: a file that is open can't be removed here.
func gone(*os.File) bool { return false }

// lockFile opens the file without sharing it.
func lockFile(name string) (io.Closer, error) {
	path, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(path, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if err == nil {
		return os.NewFile(uintptr(h), name), nil
	}
	if err == errSharing {
		err = ErrLocked
	}
	return nil, &os.PathError{Op: "lock", Path: name, Err: err}
}
