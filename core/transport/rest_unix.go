//go:build unix

package transport

import "syscall"

const canTry = true

// readSome reads from a socket that does not block.
func readSome(fd uintptr, b []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), b)
		if err != syscall.EINTR {
			return n, err
		}
	}
}
