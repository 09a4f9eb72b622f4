//go:build !linux

package leaf

import (
	"net"
	"time"
)

// tune does nothing where the kernel has no such options: pings alone find a
// dead path then.
func tune(net.Conn, int, time.Duration) {}
