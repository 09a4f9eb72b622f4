package outbound

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestBuffer_keepsTheOrder has several goroutines append, write at once and
// wake the writer, on a socket that is full most of the time. Each goroutine's
// bytes must come out whole and in order.
func TestBuffer_keepsTheOrder(t *testing.T) {
	const writers, lines = 4, 3000
	ours, theirs := tcpPair(t)
	ours.(*net.TCPConn).SetWriteBuffer(32 << 10)
	theirs.(*net.TCPConn).SetReadBuffer(32 << 10)
	o := newOwner()
	out := New(kind(64<<20), ours, o)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range lines {
				// "w" and 1 to 600 times the number of the line, in one append.
				line := append([]byte{byte('a' + w)}, bytes.Repeat([]byte{byte('0' + i%10)}, 1+i*7%600)...)
				if err := out.Append(append(line, '\n')); err != nil {
					t.Error(err)
					return
				}
				if i%3 == 0 {
					out.Wake()
				} else {
					out.WriteNow()
				}
			}
		}()
	}
	want := 0
	for i := range lines {
		want += writers * (1 + 1 + i*7%600 + 1)
	}
	got := make([]byte, want)
	theirs.SetReadDeadline(time.Now().Add(time.Minute))
	// Small reads keep the socket full.
	for n := 0; n < want; {
		k, err := theirs.Read(got[n:min(n+1500, want)])
		if err != nil {
			t.Fatalf("after %d of %d bytes: %v", n, want, err)
		}
		n += k
	}
	wg.Wait()
	out.End(time.Minute, nil)
	out.Wait()
	if err := o.err(); err != nil {
		t.Errorf("writer: %v", err)
	}
	var next [writers]int
	for line := range bytes.Lines(got) {
		w := int(line[0] - 'a')
		i := next[w]
		next[w]++
		if want := bytes.Repeat([]byte{byte('0' + i%10)}, 1+i*7%600); !bytes.Equal(line[1:len(line)-1], want) {
			t.Fatalf("writer %d, line %d: %.60q", w, i, line)
		}
	}
	for w, n := range next {
		if n != lines {
			t.Errorf("writer %d: %d of %d lines", w, n, lines)
		}
	}
	if out.Pending() != 0 {
		t.Errorf("%d bytes pending", out.Pending())
	}
}

// heldSocket is a socket on which a write at once ends when the test says so.
type heldSocket struct {
	syscall.RawConn
	writes atomic.Int32
	ends   chan struct{}
	to     *os.File // takes it; nil: nobody does
}

func (s *heldSocket) Write(f func(uintptr) bool) error {
	s.writes.Add(1)
	<-s.ends
	if s.to == nil {
		return net.ErrClosed
	}
	f(s.to.Fd())
	return nil
}

// While somebody writes at once nobody else writes, and who waits for the end waits
// for that too; there is a writer already, or none.
func TestBuffer_oneWritesAtATime(t *testing.T) {
	for _, writer := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			b := New(kind(1<<20), here, newOwner())
			held := &heldSocket{ends: make(chan struct{})}
			b.raw = held
			var got []byte
			go func() { got, _ = io.ReadAll(there) }()
			want := "abcd"
			if writer {
				want = "xabcd"
				b.Append([]byte("x"))
				b.Wake()
				synctest.Wait()
			}
			b.Append([]byte("a"))
			go b.WriteNow()
			synctest.Wait()
			b.Append([]byte("b"))
			go b.WriteNow()
			synctest.Wait()
			b.Append([]byte("c"))
			b.Wake()
			b.End(time.Minute, []byte("d"))
			over := false
			go func() {
				b.Wait()
				over = true
			}()
			synctest.Wait()
			if held.writes.Load() != 1 || over || b.writing() != writer {
				t.Errorf("%d write at once, over %v, a writer %v", held.writes.Load(), over, b.writing())
			}
			close(held.ends)
			synctest.Wait()
			here.Close()
			synctest.Wait()
			if !over || string(got) != want {
				t.Errorf("over %v, %q arrived", over, got)
			}
		})
	}
}

// A writer that is to rest writes what has come in the meantime first.
func TestBuffer_tiredWriterWritesWhatCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		b := New(kind(1<<20), here, newOwner())
		buf := make([]byte, 9)
		b.Append([]byte("a"))
		b.Wake()
		there.Read(buf)
		synctest.Wait()
		b.Lock()
		b.mu.writer.tired = true
		b.WriteLocked([]byte("b"))
		b.wakeLocked()
		b.Unlock()
		there.SetReadDeadline(time.Now().Add(time.Minute))
		if n, err := there.Read(buf); string(buf[:n]) != "b" || err != nil {
			t.Errorf("%q, %v", buf[:n], err)
		}
		b.End(time.Second, nil)
		b.Wait()
	})
}

// A writer that is told to end while somebody writes at once ends behind that.
func TestBuffer_endsBehindWhoWrites(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		b := New(kind(1<<20), here, newOwner())
		held := &heldSocket{ends: make(chan struct{}), to: w}
		b.raw = held
		b.Append([]byte("a"))
		b.Wake()
		there.Read(make([]byte, 9))
		synctest.Wait()
		b.Append([]byte("b"))
		go b.WriteNow()
		synctest.Wait()
		b.End(time.Minute, nil)
		synctest.Wait()
		close(held.ends)
		synctest.Wait()
		if b.writing() || b.Pending() != 0 {
			t.Fatalf("a writer %v, %d bytes wait", b.writing(), b.Pending())
		}
		b.Wait()
	})
}
