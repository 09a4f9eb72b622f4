package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// RestAfter is how long a connection has been silent, at least, when its reader
// rests: it gives its buffer back, and goes on in a new goroutine, whose stack is
// as small as it was in the beginning. To do so behind each message would cost
// more than the message.
const RestAfter = time.Second

// FirstByte waits for the next byte of a connection without a buffer. ok is false,
// and nothing was read, where that can not be done: TLS, pipes, other systems. The
// deadline of c holds; errors are those of its Read.
func FirstByte(c net.Conn) (b byte, ok bool, err error) {
	s, ok := c.(syscall.Conn)
	if !ok || !canTry {
		return 0, false, nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, true, err
	}
	w := &waiting{}
	if err := raw.Read(w.try); err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			op.Op = "read"
		}
		return 0, true, err
	}
	switch {
	case w.err != nil:
		return 0, true, &net.OpError{
			Op: "read", Net: c.RemoteAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", w.err),
		}
	case w.n == 0:
		return 0, true, io.EOF
	}
	return w.b[0], true, nil
}

type waiting struct {
	b   [1]byte
	n   int
	err error
}

// try reports whether the wait is over.
func (w *waiting) try(fd uintptr) bool {
	w.n, w.err = readSome(fd, w.b[:])
	return w.err != syscall.EAGAIN
}
