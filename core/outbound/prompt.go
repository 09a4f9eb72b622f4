package outbound

import (
	"net"
	"syscall"
)

// promptBytes is the most that is written at once. More is better written by the
// writer, which runs beside the one who produces it.
const promptBytes = 8 << 10

// attempt writes small things to a socket at once, on the goroutine that has
// them, and never waits: what the socket does not take is left for the writer.
// It saves a request two wake-ups of writers.
type attempt struct {
	try func(fd uintptr) bool // for RawConn; made once
	buf []byte                // what is being tried
	n   int                   // how much of it was taken
}

// rawOf is the socket of c, nil where nothing can be tried: TLS, pipes, other
// systems.
func rawOf(c net.Conn) syscall.RawConn {
	s, ok := c.(syscall.Conn)
	if !ok || !canTry {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// try returns how many bytes of b the socket took.
func (p *Pool) try(raw syscall.RawConn, b []byte) int {
	a, ok := p.attempts.Get().(*attempt)
	if !ok {
		a = new(attempt)
		a.try = func(fd uintptr) bool {
			a.n = writeSome(fd, a.buf)
			return true // do not wait until the socket takes more
		}
	}
	a.buf, a.n = b, 0
	n := 0
	if err := raw.Write(a.try); err == nil { // else closed: the writer finds out
		n = a.n
	}
	a.buf = nil
	p.attempts.Put(a)
	return n
}
