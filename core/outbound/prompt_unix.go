//go:build unix

package outbound

import "syscall"

const canTry = true

// writeSome writes to a socket that does not block. An error is for the next
// ordinary write to find.
func writeSome(fd uintptr, b []byte) int {
	for {
		n, err := syscall.Write(int(fd), b)
		if err == syscall.EINTR {
			continue
		}
		return max(n, 0)
	}
}
