package leaf

import (
	"net"
	"syscall"
	"time"
)

const (
	tcpUserTimeout  = 18 // TCP_USER_TIMEOUT
	tcpNotSentLowat = 25 // TCP_NOTSENT_LOWAT
)

// tune bounds what the kernel takes from us before it has sent it, so that a
// ping does not stand behind seconds of bulk data on a slow link, and makes a
// path that has died end the connection. Best effort: the link works without.
func tune(c net.Conn, unsent int, dead time.Duration) {
	tc, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tc.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, unsent)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(dead.Milliseconds()))
	})
}
