package mqtt

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

// scripted is a framer over given bytes.
func scripted(in []byte) *framer {
	return &framer{in: bufio.NewReaderSize(bytes.NewReader(in), readBytes), limit: 1 << 28, pool: new(sync.Pool)}
}

// tape is a connection that reads the same bytes as often as it is told, and
// swallows what is written.
type tape struct {
	once   []byte // read first
	loop   []byte
	rounds int
	at     int
	done   chan struct{} // closed when all was read
	closed chan struct{}
}

func newTape(once, loop []byte, rounds int) *tape {
	return &tape{once: once, loop: loop, rounds: rounds, done: make(chan struct{}), closed: make(chan struct{})}
}

func (t *tape) Read(p []byte) (int, error) {
	if len(t.once) > 0 {
		n := copy(p, t.once)
		t.once = t.once[n:]
		return n, nil
	}
	if t.rounds == 0 {
		close(t.done)
		<-t.closed
		return 0, io.EOF
	}
	n := copy(p, t.loop[t.at:])
	if t.at += n; t.at == len(t.loop) {
		t.at = 0
		t.rounds--
	}
	return n, nil
}

func (t *tape) Write(p []byte) (int, error)      { return len(p), nil }
func (t *tape) Close() error                     { return nil }
func (t *tape) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (t *tape) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (t *tape) SetDeadline(time.Time) error      { return nil }
func (t *tape) SetReadDeadline(time.Time) error  { return nil }
func (t *tape) SetWriteDeadline(time.Time) error { return nil }

var _ net.Conn = (*tape)(nil)
