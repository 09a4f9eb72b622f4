package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// PortError is a port or a Unix socket that could not be opened.
type PortError struct {
	Option string // that sets it: "port", "http_port", "leafnodes.port", "mqtt.port" and so on
	Addr   string // "unix:PATH" of a Unix socket
	Err    error
}

func (e *PortError) Error() string {
	what := "port "
	if strings.HasPrefix(e.Addr, unixPrefix) {
		what = ""
	}
	return fmt.Sprintf("listening on %s%s (option %s): %v", what, e.Addr, e.Option, e.Err)
}

// Unwrap is the system's error.
func (e *PortError) Unwrap() error { return e.Err }

// Listener is an open port and, once Run was called, the goroutine that accepts
// on it. Its methods are safe for concurrent use.
type Listener struct {
	net.Listener
	host   string
	bound  uint64 // no connection gets a descriptor from here on; 0: none
	done   sync.WaitGroup
	closed chan struct{}
	once   sync.Once
}

// Listen opens a port, on which nobody is let in before Run. Port -1 picks a
// free one. option is what the configuration calls it. Every error is a
// *PortError.
func Listen(option, host string, port int) (*Listener, error) {
	addr := net.JoinHostPort(host, strconv.Itoa(max(port, 0)))
	nl, err := net.Listen("tcp", addr)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // which says all that Addr does not
		}
		return nil, &PortError{Option: option, Addr: addr, Err: err}
	}
	l := NewListener(nl)
	l.host = host
	return l, nil
}

// NewListener accepts on a socket that somebody else has opened.
func NewListener(nl net.Listener) *Listener {
	return &Listener{Listener: nl, bound: forConnections(Descriptors()), closed: make(chan struct{})}
}

// Favor lets this port have of the descriptors that are kept from others: whoever
// asks how a server is that has no more of them must be answered. The caller
// holds no more connections of it than most, or than the number that comes back
// if that is less. Call it before Run.
func (l *Listener) Favor(most int) int {
	l.bound = 0
	return favored(most, Descriptors())
}

// favored leaves half of what is spare to files.
func favored(most int, limit uint64) int {
	if limit == 0 {
		return most
	}
	return max(1, min(most, int(spare(limit))/2))
}

// Run begins to accept. accepted is called for each connection, on the accepting
// goroutine, and must not block. What keeps the port from accepting (descriptors
// or memory, which others may give back) is logged with the kind of peer that
// waits there, and tried again. The last descriptors are not for connections:
// without them no stream could be made, and no file be opened.
func (l *Listener) Run(log *slog.Logger, kind string, accepted func(net.Conn)) {
	l.done.Go(func() { l.accept(log.With("kind", kind), accepted) })
}

var errKeptForFiles = errors.New("the last file descriptors are kept for files: too many connections for this process's limit")

// forConnections is the lowest descriptor that no connection gets, of a process
// that may have limit of them; 0 for no bound. A system gives the lowest that is
// free, so one at the bound tells how few are left.
func forConnections(limit uint64) uint64 {
	if limit == 0 {
		return 0
	}
	return limit - min(uint64(StoreFiles(limit))+spare(limit), limit/2)
}

// spare are kept beside the files of streams, for those of the journal, for files
// that are being made and for who asks how the server is.
func spare(limit uint64) uint64 { return min(limit/8, 64) }

// StoreFiles is how many files of streams may be open at once in a process that
// may have limit descriptors, 0 for not known: few of them, for most are there for
// connections. No connection gets what is theirs, else a stream could not be read
// while many are connected. Each file is mapped, and a 32-bit machine has little
// room for that.
func StoreFiles(limit uint64) int {
	most := 1024
	if strconv.IntSize == 32 {
		most = 12
	}
	if limit == 0 {
		return min(256, most)
	}
	return max(8, int(min(limit/8, uint64(most))))
}

// descriptor is the number of a connection's socket, 0 when it has none.
func descriptor(c net.Conn) (n uint64) {
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { n = uint64(fd) })
		}
	}
	return n
}

// Pauses after an accept that failed.
const (
	acceptPauseMin = 10 * time.Millisecond
	acceptPauseMax = time.Second
)

func (l *Listener) accept(log *slog.Logger, accepted func(net.Conn)) {
	pause := acceptPauseMin
	for {
		c, err := l.Accept()
		if err == nil && l.bound > 0 && descriptor(c) >= l.bound {
			c.Close()
			err = errKeptForFiles
		}
		switch {
		case err == nil:
			pause = acceptPauseMin
			accepted(c)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			log.Error("Accept failed, trying again", "listen", l.Addr().String(), "err", err)
			select {
			case <-time.After(pause):
			case <-l.closed:
			}
			if err != errKeptForFiles { // who is behind it may be let in
				pause = min(2*pause, acceptPauseMax)
			}
		}
	}
}

// Close closes the port and waits for the goroutine: accepted is not called any
// more.
func (l *Listener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		err = l.Listener.Close()
	})
	l.done.Wait()
	return err
}

// Port is the one that was opened, 0 for a Unix socket.
func (l *Listener) Port() int { return int(AddrPort(l.Addr()).Port()) }

// Announced is the address as a log tells it: with the host as it was
// configured, for which scripts wait. The system would say "[::]" for "0.0.0.0".
// A Unix socket is "unix:PATH".
func (l *Listener) Announced() string {
	if l.Addr().Network() == "unix" {
		return l.Addr().String()
	}
	return net.JoinHostPort(l.host, strconv.Itoa(l.Port()))
}

// AddrPort is a TCP address, an IPv4 one always as such.
func AddrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return ap
}
