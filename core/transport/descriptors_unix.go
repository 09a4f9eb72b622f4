//go:build unix

package transport

import "syscall"

// Descriptors is how many files and sockets this process may open; 0 when the
// system does not say. The runtime has raised it as far as it may.
func Descriptors() uint64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return uint64(l.Cur)
}
