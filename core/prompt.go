package core

import (
	"net"
	"syscall"
)

// prompt writes small things to a socket at once, on the goroutine that
// has them, and never waits: what the socket does not take is left for the
// writer goroutine. It saves a request two wake-ups of writers.
type prompt struct {
	raw syscall.RawConn // nil where there is none: TLS, other systems
	try func(fd uintptr) bool
	buf []byte // what is being tried
	n   int    // how much of it was taken
}

// promptBytes is the most that is written that way. More is better written by
// the writer, which runs beside the one who produces it.
const promptBytes = 8 << 10

func newPrompt(c net.Conn) *prompt {
	t, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return nil
	}
	p := &prompt{raw: raw}
	p.try = func(fd uintptr) bool {
		p.n = writeSome(fd, p.buf)
		return true // do not wait until the socket takes more
	}
	return p
}

// write returns how many bytes of b the socket took.
func (p *prompt) write(b []byte) int {
	p.buf, p.n = b, 0
	if err := p.raw.Write(p.try); err != nil {
		p.n = 0 // closed: the writer finds out
	}
	p.buf = nil
	return p.n
}
