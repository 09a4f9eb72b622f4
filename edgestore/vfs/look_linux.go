package vfs

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Names calls f for each name in a folder, in no order, and says whether it is
// that of a regular file. It is os.ReadDir without what costs most of that when
// a folder has one file: a start looks into the folder of each stream.
func Names(dir string, f func(name string, regular bool)) error {
	fd, err := open(dir, syscall.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	var buf [4096]byte
	for {
		n, err := syscall.ReadDirent(fd, buf[:])
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return &os.PathError{Op: "readdirent", Path: dir, Err: err}
		case n <= 0:
			return nil
		}
		// getdents(2): inode, offset, length of the entry, type, name.
		const lengthAt, typeAt, nameAt = 16, 18, 19
		for b := buf[:n]; len(b) > nameAt; {
			length := int(binary.NativeEndian.Uint16(b[lengthAt:]))
			if length <= nameAt || length > len(b) {
				return &os.PathError{Op: "readdirent", Path: dir, Err: syscall.EBADMSG}
			}
			name, kind := b[nameAt:length], b[typeAt]
			if end := bytes.IndexByte(name, 0); end >= 0 {
				name = name[:end]
			}
			gone := binary.NativeEndian.Uint64(b) == 0
			b = b[length:]
			if gone || string(name) == "." || string(name) == ".." {
				continue
			}
			regular := kind == syscall.DT_REG
			if kind == syscall.DT_UNKNOWN { // not all file systems tell it here
				info, err := os.Lstat(filepath.Join(dir, string(name)))
				if os.IsNotExist(err) {
					continue
				} else if err != nil {
					return err
				}
				regular = info.Mode().IsRegular()
			}
			f(string(name), regular)
		}
	}
}

func open(name string, flags int) (fd int, err error) {
	for {
		fd, err = syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC|flags, 0)
		switch err {
		case nil:
			return fd, nil
		case syscall.EINTR:
		default:
			return -1, &os.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

// Glance is a regular file that is looked at for a moment, by one goroutine. It
// has nothing of an os.File that is for waiting and for forgetting to close it.
type Glance struct{ fd int }

// Look opens a file, and tells its size. What is no regular file is an error.
func Look(name string) (Glance, int64, error) {
	fd, err := open(name, 0)
	if err != nil {
		return Glance{}, 0, err
	}
	var st syscall.Stat_t
	for {
		if err = syscall.Fstat(fd, &st); err != syscall.EINTR {
			break
		}
	}
	if err == nil && st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		err = syscall.EINVAL
	}
	if err != nil {
		_ = syscall.Close(fd)
		return Glance{}, 0, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return Glance{fd}, st.Size, nil
}

// ReadAt fills p, as io.ReaderAt says.
func (g Glance) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m, err := syscall.Pread(g.fd, p[n:], off+int64(n))
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return n, err
		case m == 0:
			return n, io.EOF
		}
		n += m
	}
	return n, nil
}

// Close is called once.
func (g Glance) Close() { _ = syscall.Close(g.fd) }
