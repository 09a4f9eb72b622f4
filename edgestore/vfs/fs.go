package vfs

import (
	"errors"
	"io"
	"syscall"
)

// Sector is the unit that a disk writes whole or not at all.
const Sector = 512

// ErrLocked is returned by Lock when somebody else holds it.
var ErrLocked = errors.New("locked by another process")

// FS is a file system. Names are paths with the separators of the system.
type FS interface {
	// Create makes an empty file for reading and writing, truncating what was there.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// Rename replaces newName if it exists. It is durable after SyncDir.
	Rename(oldName, newName string) error
	// Link gives a file another name, which must not be taken, beside the one it
	// has. It is durable after SyncDir; not every file system can.
	Link(oldName, newName string) error
	Remove(name string) error
	// List names the files of dir in ascending order.
	List(dir string) ([]string, error)
	// MkdirAll makes dir and what is missing above it, durably.
	MkdirAll(dir string) error
	// SyncDir makes creations, renames and removals in dir durable.
	SyncDir(dir string) error
	// Lock takes the file name as a lock of this process until it is closed
	// or the process ends. The error is of class ErrLocked when it is taken.
	// Where a file that is open can be removed its folder is locked too, so
	// that removing the file lets nobody in.
	Lock(name string) (io.Closer, error)
	// Free is how many bytes may still be written below dir; negative when
	// the system does not tell.
	Free(dir string) (int64, error)
}

// File is an open file. ReadAt and WriteAt may be called concurrently.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the bytes written so far durable, and the length of the
	// file, but not its name.
	Sync() error
	Size() (int64, error)
	// Gone tells that the file has no name any more, as far as the system knows:
	// what is written to it is lost when it is closed.
	Gone() bool
}

// Mapper is a file that can be written as memory; not every file can.
type Mapper interface {
	// Map gives the first n bytes of the file, which must have them.
	Map(n int) (Mapping, error)
}

// Mapping is a part of a file in memory. What is written to it is in the file
// at once, for whoever reads it and when this process is killed, at the cost of
// no system call; it reaches the disk when the system likes, or with Sync of
// the file. A kill in the middle of a write leaves a part of it. It is used by
// one goroutine.
type Mapping interface {
	// WriteAt fails where the file was cut or the disk has no room or fails.
	io.WriterAt
	io.Closer
}

// IsNoSpace tells whether err means that the disk (or the quota) is full.
func IsNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, errQuota) || errors.Is(err, errDiskFull)
}

// zeros is never written to, so it takes no memory: the kernel shows its page
// of zeros there.
var zeros [256 << 10]byte

// Zero writes zeros to f from offset from up to offset to, and makes them
// durable step by step: one large sync would hold up everybody else's.
func Zero(f File, from, to int64, step int) error {
	if step <= 0 || step > len(zeros) {
		step = len(zeros)
	}
	for from < to {
		n := min(int64(step), to-from)
		if _, err := f.WriteAt(zeros[:n], from); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		from += n
	}
	return nil
}
