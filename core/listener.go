package core

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// listener is an open door: a socket and the goroutine that accepts on it.
type listener struct {
	net.Listener
	done sync.WaitGroup
}

// listen opens a socket; nobody is let in before run. Port -1 picks a free
// port.
func listen(host string, port int) (*listener, error) {
	if port < 0 {
		port = 0
	}
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	nl, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening on port: %s, %q", addr, err)
	}
	return &listener{Listener: nl}, nil
}

// ListenAddr is how an open door is announced: with the host as it was
// configured, for which scripts wait in the log. The system would say "[::]" for
// "0.0.0.0".
func ListenAddr(host string, a net.Addr) string {
	return net.JoinHostPort(host, strconv.Itoa(int(addrPort(a).Port())))
}

// run opens the door. accepted is called for each connection, on the accepting
// goroutine, and must not block.
func (l *listener) run(log *slog.Logger, kind string, accepted func(net.Conn)) {
	l.done.Go(func() { Accept(l, log, kind, accepted) })
}

// Pauses after an accept that failed for want of descriptors or memory.
const (
	acceptPauseMin = 10 * time.Millisecond
	acceptPauseMax = time.Second
)

// Accept takes connections until ln is closed. accepted must not block. What
// keeps it from accepting (descriptors or memory, which others may give back)
// is logged, and tried again.
func Accept(ln net.Listener, log *slog.Logger, kind string, accepted func(net.Conn)) {
	pause := acceptPauseMin
	for {
		c, err := ln.Accept()
		switch {
		case err == nil:
			pause = acceptPauseMin
			accepted(c)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			log.With(peerKind, kind).Error("Accept failed, trying again", "listen", ln.Addr().String(), "err", err)
			time.Sleep(pause)
			pause = min(2*pause, acceptPauseMax)
		}
	}
}

// close shuts the door and waits for the goroutine.
func (l *listener) close() {
	l.Listener.Close()
	l.done.Wait()
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return ap
}
