package transport

import (
	"errors"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// fakeListener accepts what a test puts into next.
type fakeListener struct {
	next   chan net.Conn // nil is an accept that fails
	closed chan struct{}
}

func newFakeListener() *fakeListener {
	return &fakeListener{make(chan net.Conn), make(chan struct{})}
}

func (l *fakeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.next:
		if c == nil {
			return nil, errors.New("too many open files")
		}
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *fakeListener) Close() error   { close(l.closed); return nil }
func (l *fakeListener) Addr() net.Addr { return &net.TCPAddr{} }

// numbered is a connection with a descriptor of the test's choice.
type numbered struct {
	net.Conn
	fd     uintptr
	closed bool
}

func (c *numbered) Close() error                          { c.closed = true; return nil }
func (c *numbered) SyscallConn() (syscall.RawConn, error) { return rawNumber{c.fd}, nil }

// rawNumber is the part of a socket that tells its descriptor.
type rawNumber struct{ fd uintptr }

func (r rawNumber) Control(f func(fd uintptr)) error { f(r.fd); return nil }
func (rawNumber) Read(func(fd uintptr) bool) error   { return errors.ErrUnsupported }
func (rawNumber) Write(func(fd uintptr) bool) error  { return errors.ErrUnsupported }

// The bound is the first descriptor that is kept for files.
func TestListener_boundIsTheFirstThatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeListener()
		l := NewListener(fake)
		l.bound = 100
		var accepted []net.Conn
		l.Run(slog.New(slog.DiscardHandler), "client", func(c net.Conn) { accepted = append(accepted, c) })
		last, first := &numbered{fd: 99}, &numbered{fd: 100}
		fake.next <- last
		fake.next <- first
		l.Close()
		if len(accepted) != 1 || accepted[0] != net.Conn(last) || last.closed || !first.closed {
			t.Errorf("%d accepted; 99 closed: %v, 100 closed: %v", len(accepted), last.closed, first.closed)
		}
	})
}

// Behind accepts that fail the pauses grow, one that works ends that, and nobody
// who closes the port waits for one.
func TestListener_pausesWhileItCanNotAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeListener()
		l := NewListener(fake)
		l.Run(slog.New(slog.DiscardHandler), "client", func(net.Conn) {})
		took := func(c net.Conn) time.Duration {
			begin := time.Now()
			fake.next <- c
			return time.Since(begin)
		}
		took(nil)
		for want := acceptPauseMin; want < acceptPauseMax; want *= 2 {
			if d := took(nil); d != want {
				t.Errorf("a pause of %v, want %v", d, want)
			}
		}
		for range 3 {
			if d := took(nil); d != acceptPauseMax {
				t.Errorf("a long pause of %v, want %v", d, acceptPauseMax)
			}
		}
		took(&numbered{})
		took(nil)
		if d := took(nil); d != acceptPauseMin {
			t.Errorf("behind a connection a pause of %v, want %v", d, acceptPauseMin)
		}
		begin := time.Now()
		l.Close()
		if d := time.Since(begin); d != 0 {
			t.Errorf("closing took %v", d)
		}
	})
}

// Whoever has closed the port ends what connections use: none is being let in
// any more.
func TestListener_closeWaitsForWhoIsLetIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeListener()
		l := NewListener(fake)
		goOn, closed := make(chan struct{}), false
		l.Run(slog.New(slog.DiscardHandler), "client", func(net.Conn) { <-goOn })
		fake.next <- &numbered{}
		go func() { l.Close(); closed = true }()
		synctest.Wait()
		if closed {
			t.Error("closed while a connection is let in")
		}
		close(goOn)
		synctest.Wait()
		if !closed {
			t.Error("not closed")
		}
	})
}
