package core

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/bits"
	"os"
	"sync"
	"time"

	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/transport"
	"github.com/frondmq/frond/core/wire"
)

const (
	readBufferStart = 512
	readBufferMin   = 64
	readBufferMax   = 64 << 10
	// shrinkAfter short reads in a row the buffer is halved.
	shrinkAfter = 3

	// farewell bounds the time that a connection that ends is given to take
	// what is still to be said.
	farewell = 100 * time.Millisecond

	// A publisher waits a little for receivers that do not keep up.
	stallStep  = 2 * time.Millisecond
	stallTotal = 10 * time.Millisecond
)

// serve is the first goroutine of a connection: its beginning.
func (c *client) serve() {
	if err := c.open(); err != nil {
		c.finish(err, false)
		c.s.forget(c)
		return
	}
	c.work(true)
}

// work is the reader goroutine, up to a silence: then there is a new one. By
// false the silence is there already, which the next byte ends.
func (c *client) work(awake bool) {
	err := c.read(awake)
	if err == errRest {
		c.s.connections.Rested()
		go c.resume()
		return
	}
	c.end(err)
}

// resume waits for what ends a silence.
func (c *client) resume() {
	var one [1]byte
	b, ok, err := transport.FirstByte(c.conn)
	if ok && err == nil {
		one[0] = b
		err = c.input(one[:])
	}
	if err != nil {
		c.end(err)
		return
	}
	c.work(ok)
}

// end is the end of a connection that was opened.
func (c *client) end(err error) {
	c.finish(err, true)
	c.out.Wait()
	c.raw.Close()
	c.s.forget(c)
}

var errRest = errors.New("nothing came for a while")

// awake sets the moment to look whether anything comes still; by the zero time
// there is none. The deadline of an ending connection stays.
func (c *client) awake(until time.Time) error {
	c.raw.SetReadDeadline(until)
	if c.failed() {
		return io.EOF
	}
	return nil
}

// silent is called when that moment has come. It returns errRest when nothing
// has come since the last one.
func (c *client) silent(spoke bool) error {
	if c.failed() {
		return io.EOF
	}
	if spoke {
		return c.awake(time.Now().Add(transport.RestAfter))
	}
	if err := c.awake(time.Time{}); err != nil {
		return err
	}
	return errRest
}

// read parses what comes until the connection ends, or is silent.
func (c *client) read(awake bool) error {
	reads, size := &c.s.reads, readBufferMin
	if awake {
		size = readBufferStart
		if err := c.awake(time.Now().Add(transport.RestAfter)); err != nil {
			return err
		}
	}
	buf := reads.get(size)
	defer func() { reads.put(buf) }()
	short, spoke := 0, false
	for {
		n, err := c.conn.Read(buf)
		if n > 0 {
			if spoke = true; !awake {
				awake = true
				if err := c.awake(time.Now().Add(transport.RestAfter)); err != nil {
					return err
				}
			}
			if perr := c.input(buf[:n]); perr != nil {
				return perr
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if err = c.silent(spoke); err == nil {
				spoke = false
				continue
			}
		}
		if err != nil {
			return err
		}
		switch {
		case n == len(buf) && n < readBufferMax:
			reads.put(buf)
			buf = reads.get(2 * n)
			short = 0
		case n < len(buf)/2 && len(buf) > readBufferMin:
			if short++; short >= shrinkAfter {
				half := len(buf) / 2
				reads.put(buf)
				buf = reads.get(half)
				short = 0
			}
		default:
			short = 0
		}
	}
}

// readBuffers are what connections read into, by size: a power of two between
// the smallest and the largest. A connection whose traffic comes and goes
// changes its buffer often.
type readBuffers struct {
	pools [11]sync.Pool // of *[]byte
}

func (p *readBuffers) of(size int) *sync.Pool { return &p.pools[bits.Len(uint(size/readBufferMin))-1] }

func (p *readBuffers) get(size int) []byte {
	if b, ok := p.of(size).Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, size)
}

func (p *readBuffers) put(b []byte) { p.of(len(b)).Put(&b) }

// input handles one read buffer. Everything that it causes is flushed at its
// end.
func (c *client) input(b []byte) error {
	if now := c.s.current.Load(); now != c.set {
		c.set = now
		c.setLimits()
	}
	err := c.first(b)
	if err == nil {
		err = c.parser.Parse(b)
	}
	c.flush()
	return err
}

// flush wakes every writer that this read buffer gave something to.
func (c *client) flush() {
	if c.origin != nil {
		c.origin.Flush()
	}
	if c.spoke {
		c.spoke = false
		c.out.WriteNow()
	}
	c.removeUsed()
	if c.in.msgs > 0 {
		c.stats.inMsgs.Add(c.in.msgs)
		c.stats.inBytes.Add(c.in.bytes)
		c.in.msgs, c.in.bytes = 0, 0
	}
	if c.active {
		c.active = false
		c.stats.lastActive.Store(Ticks(time.Now()))
	}
	if c.origin == nil {
		return
	}
	if gates := c.origin.Gates(); len(gates) > 0 {
		c.stall(gates)
	}
}

// stall is Stall, counted.
func (c *client) stall(gates []<-chan struct{}) {
	c.stats.stalls.Add(1)
	c.s.stalls.Add(1)
	Stall(gates)
}

// Stall waits a little for receivers whose buffers are nearly full, each of gates
// being closed when one has room, so that a fast publisher does not have them cut
// off at once.
func Stall(gates []<-chan struct{}) {
	step := time.NewTimer(stallStep)
	defer step.Stop()
	end := time.Now().Add(stallTotal)
	for _, g := range gates {
		select {
		case <-g:
		case now := <-step.C:
			if !now.Before(end) {
				return
			}
			step.Reset(stallStep)
		}
	}
}

// WriteFailed is part of outbound.Owner.
func (c *client) WriteFailed(err error) {
	switch {
	case errors.Is(err, outbound.ErrSlowDeadline):
		c.cut(wire.ReasonSlowDeadline)
	case errors.Is(err, outbound.ErrSlowPending):
		c.cut(wire.ReasonSlowPending)
	default:
		c.cut(wire.ReasonWriteError)
	}
}

// finish says goodbye: the reason is settled, the text of an error is sent,
// subscriptions are gone, and the writer is told to end.
func (c *client) finish(err error, opened bool) {
	text := c.settle(err)
	c.parser.Drop()
	c.unsubscribeAll()
	c.exit() // whoever sees the end may come again
	if !opened {
		c.raw.Close()
		return
	}
	if text != "" {
		c.sayErr(text)
	}
	c.out.End(farewell, nil)
	if c.web != nil {
		c.out.Wait()
		Goodbye(c.raw, c.reason())
	}
	if text != "" {
		c.linger()
	}
}

// settle decides why the connection ended and returns the text that the peer
// is owed.
func (c *client) settle(err error) string {
	reason, text := wire.ReasonReadError, ""
	var perr *wire.Error
	switch {
	case errors.As(err, &perr):
		reason, text = perr.Reason, perr.Text
	case errors.Is(err, io.EOF):
		reason = wire.ReasonClientClosed
	}
	c.life.Lock()
	defer c.life.Unlock()
	if c.life.reason == wire.ReasonUnknown {
		c.life.reason, c.life.text = reason, text
	}
	if c.life.timer != nil {
		c.life.timer.Stop()
	}
	return c.life.text
}

// linger reads on for a moment after an error was said. Closing a socket with
// unread input resets it, and the peer would lose the error.
func (c *client) linger() {
	c.raw.SetReadDeadline(time.Now().Add(farewell))
	if t, ok := c.raw.(interface{ CloseWrite() error }); ok {
		c.out.Wait()
		t.CloseWrite()
	}
	io.CopyN(io.Discard, c.raw, 1<<20)
}

// logEnd tells of connections that did not end by themselves.
func (c *client) logEnd(reason string) {
	level, what := slog.LevelError, "Client connection closed: "+reason
	switch c.reason() {
	case wire.ReasonKicked:
		level = slog.LevelInfo
	case wire.ReasonClientClosed, wire.ReasonReadError, wire.ReasonWriteError, wire.ReasonServerShutdown, wire.ReasonUnknown:
		c.s.debug(c, what)
		return
	case wire.ReasonSlowPending, wire.ReasonSlowDeadline, wire.ReasonStale:
		level = slog.LevelWarn
	case wire.ReasonAuthFailure:
		what = "authentication error"
	}
	why := c.why
	if why == "" {
		c.life.Lock()
		if why = c.life.why; why == "" {
			why = c.life.text
		}
		c.life.Unlock()
	}
	l := c.log()
	if why != "" {
		l = l.With("err", why)
	}
	l.Log(context.Background(), level, what)
}
