package websocket

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"nhooyr.io/websocket"
)

// Conn is a WebSocket as a stream of bytes: what is written is one binary message,
// and what is read is what lies in messages, of whatever type, one behind the other.
// One goroutine reads, one writes; the other methods may be called by anyone.
//
// A deadline that passes while nothing comes is an error that leaves all as it is, as
// with a socket. One that passes within a frame holds only when it was set to a time
// that was over already, which is how a connection is ended; else the rest of the
// frame is waited for.
type Conn struct {
	net.Conn // the socket, or TLS on it
	base     *base
	br       interface{ Peek(int) ([]byte, error) } // what the library reads from
	ws       *websocket.Conn
	message  io.Reader // that is being read; nil between two
	said     bool      // a close frame was sent: what comes is not looked at any more
}

// NetConn is the connection underneath.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Read is part of net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		if c.said {
			return c.Conn.Read(p)
		}
		if c.message == nil {
			// Between two messages a deadline loses nothing.
			c.base.inside = false
			_, err := c.br.Peek(1)
			c.base.inside = true
			if err != nil {
				return 0, err
			}
			if _, c.message, err = c.ws.Reader(context.Background()); err != nil {
				return 0, c.failure(err)
			}
		}
		n, err := c.message.Read(p)
		switch {
		case errors.Is(err, io.EOF):
			c.message = nil
			if n == 0 {
				continue
			}
		case err != nil:
			return n, c.failure(err)
		}
		return n, nil
	}
}

// failure is how a socket would say it. When the other side has closed, or has broken
// the protocol of frames, the library has answered with a close frame.
func (c *Conn) failure(err error) error {
	if c.base.failed != nil {
		return c.base.failed
	}
	c.said = true
	if websocket.CloseStatus(err) != -1 {
		return io.EOF
	}
	return &FrameError{err}
}

// FrameError says that the other side broke the protocol of frames.
type FrameError struct{ Err error }

func (e *FrameError) Error() string { return "WebSocket: " + e.Err.Error() }

// Unwrap is what the library found.
func (e *FrameError) Unwrap() error { return e.Err }

// Write is part of net.Conn. What fails leaves nothing that could go on.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.base.out.message(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetDeadline is part of net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.base.ends(t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline is part of net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.base.ends(t)
	return c.Conn.SetReadDeadline(t)
}

// maxReason is what a close frame has room for (RFC 6455, section 5.5).
const maxReason = 123

// Goodbye sends a close frame, for which it takes no longer than wait. It is for the
// goroutine that reads, when nobody writes any more. The other side may have much on
// its way to here: who does not want it to lose the frame reads on and throws away
// what comes.
func (c *Conn) Goodbye(code int, reason string, wait time.Duration) {
	if c.said {
		return
	}
	c.said = true
	if len(reason) > maxReason {
		cut := maxReason - len("...")
		for cut > 0 && !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut] + "..."
	}
	c.Conn.SetWriteDeadline(time.Now().Add(wait))
	c.base.over = true // the library would wait for an answer
	c.ws.Close(websocket.StatusCode(code), reason)
}

// Close is part of net.Conn. It says nothing to the other side.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.ws.CloseNow() // whoever reads or writes leaves at once
	return err
}

// base is the connection as the library has it.
type base struct {
	net.Conn
	// Of who reads.
	left   int   // bytes that a request may have still; 0: there is none
	inside bool  // a frame is being read
	over   bool  // nothing is read any more
	failed error // the last error of a read
	hard   atomic.Bool

	out writer
}

// ends notes a deadline by which the connection is ended.
func (b *base) ends(t time.Time) {
	if !t.IsZero() && !t.After(time.Now()) {
		b.hard.Store(true)
	}
}

func (b *base) Read(p []byte) (int, error) {
	if b.over {
		return 0, io.EOF
	}
	if b.left != 0 {
		return b.request(p)
	}
	for {
		n, err := b.Conn.Read(p)
		if n == 0 && b.inside && !b.hard.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
			b.Conn.SetReadDeadline(time.Time{})
			if b.hard.Load() { // set in between
				b.Conn.SetReadDeadline(time.Unix(1, 0))
			}
			continue
		}
		if b.inside { // between two messages nothing is lost by it
			b.failed = err
		}
		return n, err
	}
}

// request reads of the request. left is below zero when that is too long.
func (b *base) request(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	n, err := b.Conn.Read(p)
	if b.left -= n; b.left == 0 {
		b.left = -1
	}
	b.failed = err
	return n, err
}

func (b *base) Write(p []byte) (int, error) { return b.out.control(p) }

// Close does nothing: whose the connection is closes it.
func (b *base) Close() error { return nil }
