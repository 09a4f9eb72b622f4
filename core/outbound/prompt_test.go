package outbound

import (
	"bytes"
	"net"
	"sync"
	"testing"
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
