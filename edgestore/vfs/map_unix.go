//go:build unix && !aix && !solaris

package vfs

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
)

// mapping is shared memory of a file.
type mapping struct {
	name string
	b    []byte
}

var _ Mapper = osFile{}

func (f osFile) Map(n int) (Mapping, error) {
	b, err := syscall.Mmap(int(f.Fd()), 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, &os.PathError{Op: "map", Path: f.Name(), Err: err}
	}
	return &mapping{f.Name(), b}, nil
}

// errFault: the system has no page to write to.
var errFault = errors.New("page fault")

func (m *mapping) WriteAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off > int64(len(m.b)-len(p)) {
		return 0, &os.PathError{Op: "write", Path: m.name, Err: fmt.Errorf("%d bytes at %d are not in its first %d", len(p), off, len(m.b))}
	}
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		// Within its bounds nothing but a fault can happen. Its address tells nothing:
		// with 0, as qemu has it for ARM, Go calls it a nil pointer.
		if recover() != nil {
			n, err = 0, &os.PathError{Op: "write", Path: m.name, Err: errFault}
		}
	}()
	return copy(m.b[off:], p), nil
}

func (m *mapping) Close() error {
	b := m.b
	m.b = nil
	if err := syscall.Munmap(b); err != nil {
		return &os.PathError{Op: "unmap", Path: m.name, Err: err}
	}
	return nil
}
