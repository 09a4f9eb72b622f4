package websocket

import (
	"bufio"
	"context"
	"errors"
	"fmt"
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
// with a socket. One that passes within a frame, or between two parts of a message,
// holds only when it was set to a time that was over already, which is how a connection
// is ended; else what is missing is waited for, a minute at most from one byte to the
// next.
type Conn struct {
	net.Conn // the socket, or TLS on it
	base     *base
	br       *bufio.Reader // what the library reads from
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
			_, err := c.br.Peek(1)
			if err != nil {
				return 0, err
			}
			c.base.inside, c.base.since = true, time.Now()
			if done, err := c.control(); err != nil {
				return 0, c.failure(err)
			} else if done {
				c.base.inside = false
				continue
			}
			if _, c.message, err = c.ws.Reader(context.Background()); err != nil {
				return 0, c.failure(err)
			}
		}
		n, err := c.message.Read(p)
		switch {
		case errors.Is(err, io.EOF):
			c.message, c.base.inside = nil, false
			if n == 0 {
				continue
			}
		case err != nil:
			return n, c.failure(err)
		}
		return n, nil
	}
}

// The kinds of control frames, and the sizes of what is in front of what they hold
// (RFC 6455, sections 5.2 and 5.5).
const (
	finalPing  = 0x80 | 0x9
	finalPong  = 0x80 | 0xa
	headerSize = 2 + 4
	isMasked   = 0x80
	maxControl = 125
)

// control answers a PING, and passes over a PONG, that comes between two messages.
// Behind one of these the library would wait for the next message, whatever deadline
// there is. Close frames, and what is none of them, are left to it.
func (c *Conn) control() (done bool, err error) {
	h, err := c.br.Peek(2)
	if err != nil {
		return false, err
	}
	n := int(h[1]) &^ isMasked
	if h[0] != finalPing && h[0] != finalPong || h[1]&isMasked == 0 || n > maxControl {
		return false, nil
	}
	f, err := c.br.Peek(headerSize + n)
	if err != nil {
		return false, err
	}
	if f[0] == finalPing {
		mask, pong := f[2:headerSize], append(make([]byte, 0, 2+maxControl), finalPong, byte(n))
		for i, b := range f[headerSize:] {
			pong = append(pong, b^mask[i%4])
		}
		if _, err := c.base.out.control(pong); err != nil {
			return false, err
		}
	}
	_, err = c.br.Discard(headerSize + n)
	return true, err
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

// restOfMessage is how long nothing may come of a message that has begun, for who has
// set a deadline that he does not watch here.
const restOfMessage = time.Minute

var errRest = fmt.Errorf("nothing came of the rest of a message for %v", restOfMessage)

// base is the connection as the library has it.
type base struct {
	net.Conn
	// Of who reads.
	left   int       // bytes that a request may have still; 0: there is none
	inside bool      // a message is being read
	since  time.Time // when something of it came
	over   bool      // nothing is read any more
	failed error     // the last error of a read within a message
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
		if !b.inside { // nothing is lost by it
			return n, err
		}
		if n > 0 {
			b.since = time.Now()
		}
		if n == 0 && !b.hard.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
			end := b.since.Add(restOfMessage)
			if !time.Now().Before(end) {
				err = errRest
			} else {
				b.Conn.SetReadDeadline(end)
				if b.hard.Load() { // set in between
					b.Conn.SetReadDeadline(time.Unix(1, 0))
				}
				continue
			}
		}
		b.failed = err
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
