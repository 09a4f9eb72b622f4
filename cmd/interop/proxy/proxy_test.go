package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// echo is a server that sends back each line it reads.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return ln.Addr().String()
}

func start(t *testing.T) *Proxy {
	t.Helper()
	p, err := New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

type client struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, p *Proxy) *client {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{c, bufio.NewReader(c)}
}

// refused: the reset comes while dialling or right after it.
func refused(t *testing.T, p *Proxy) {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	(&client{c, bufio.NewReader(c)}).ended(t)
}

func (c *client) send(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// line reads one line; within bounds the wait.
func (c *client) line(within time.Duration) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	s, err := c.r.ReadString('\n')
	return strings.TrimSpace(s), err
}

func (c *client) expect(t *testing.T, want string) {
	t.Helper()
	if got, err := c.line(10 * time.Second); err != nil || got != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

func (c *client) silent(t *testing.T) {
	t.Helper()
	var ne net.Error
	if got, err := c.line(60 * time.Millisecond); !errors.As(err, &ne) || !ne.Timeout() {
		t.Fatalf("got %q, %v; want silence", got, err)
	}
}

func (c *client) ended(t *testing.T) {
	t.Helper()
	if got, err := c.line(10 * time.Second); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %q, %v; want a reset", got, err)
	}
}

func TestProxy_passes_and_counts(t *testing.T) {
	p := start(t)
	c := dial(t, p)
	c.send(t, "hello")
	c.expect(t, "hello")
	if got := p.Counters(); got.Up != 6 || got.Down != 6 || got.Dials != 1 || got.Tries != 1 {
		t.Fatalf("counters %+v", got)
	}
	// An orderly end of one side reaches the other.
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.line(10 * time.Second); err != io.EOF {
		t.Fatalf("after close: %v, want EOF", err)
	}
}

func TestProxy_cut_resets_live_connections_and_lets_new_ones_in(t *testing.T) {
	p := start(t)
	c := dial(t, p)
	c.send(t, "a")
	c.expect(t, "a")
	if n := p.Cut(); n != 1 {
		t.Fatalf("cut %d links, want 1", n)
	}
	c.ended(t)
	c = dial(t, p)
	c.send(t, "b")
	c.expect(t, "b")
}

func TestProxy_refuse_resets_new_connections(t *testing.T) {
	p := start(t)
	old := dial(t, p)
	old.send(t, "a")
	old.expect(t, "a")
	p.Set(Refuse)
	refused(t, p)
	old.send(t, "still")
	old.expect(t, "still")
	p.Set(Pass)
	c := dial(t, p)
	c.send(t, "b")
	c.expect(t, "b")
	if got := p.Counters(); got.Tries != 3 || got.Dials != 2 {
		t.Fatalf("counters %+v", got)
	}
}

func TestProxy_stall_moves_nothing_until_it_passes_again(t *testing.T) {
	p := start(t)
	c := dial(t, p)
	c.send(t, "a")
	c.expect(t, "a")
	p.Set(Stall)
	c.send(t, "b")
	c.silent(t)
	late := dial(t, p) // is taken, reaches nobody
	late.send(t, "c")
	late.silent(t)
	p.Set(Pass)
	c.expect(t, "b")
	late.expect(t, "c")
}

func TestProxy_half_open_moves_one_direction(t *testing.T) {
	p := start(t)
	c := dial(t, p)
	c.send(t, "a")
	c.expect(t, "a")
	p.Set(StallDown)
	before := p.Counters()
	c.send(t, "b")
	c.silent(t)
	if got := p.Counters(); got.Up != before.Up+2 || got.Down != before.Down {
		t.Fatalf("counters %+v after %+v: up must move, down must not", got, before)
	}
	p.Set(StallUp)
	c.expect(t, "b")
	c.send(t, "c")
	c.silent(t)
	if got := p.Counters(); got.Up != before.Up+2 {
		t.Fatalf("counters %+v: up moved", got)
	}
}

func TestProxy_strand_kills_old_sockets_silently(t *testing.T) {
	p := start(t)
	old := dial(t, p)
	old.send(t, "a")
	old.expect(t, "a")
	p.Strand()
	old.send(t, "b")
	old.silent(t)
	c := dial(t, p)
	c.send(t, "c")
	c.expect(t, "c")
}

func TestProxy_throttle_spaces_bytes(t *testing.T) {
	p := start(t)
	p.Throttle(20_000)
	c := dial(t, p)
	begin := time.Now()
	// 4,000 bytes at 20,000 B/s each way: never faster than 0.2 s.
	c.send(t, strings.Repeat("x", 3_999))
	if _, err := c.line(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 195*time.Millisecond {
		t.Fatalf("took %v, too fast for the throttle", took)
	}
}

func TestProxy_latency_delays_both_directions(t *testing.T) {
	p := start(t)
	c := dial(t, p)
	c.send(t, "warm")
	c.expect(t, "warm")
	p.Latency(50 * time.Millisecond)
	begin := time.Now()
	c.send(t, "b")
	c.expect(t, "b")
	if took := time.Since(begin); took < 100*time.Millisecond {
		t.Fatalf("round trip took %v, want at least 100ms", took)
	}
}
