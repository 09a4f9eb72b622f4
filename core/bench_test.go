package core_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/servertest"
)

const benchBody = 128

var noDeadline time.Time

// drain reads everything a subscriber gets and says when n bytes have come.
func drain(c net.Conn, n int64, done chan<- error) {
	_, err := io.CopyN(io.Discard, c, n)
	done <- err
}

// benchSub is a subscriber that was let in; nothing more is to be read.
func benchSub(b *testing.B, s *core.Server) net.Conn {
	b.Helper()
	c := connect(b, s, "")
	c.send("SUB bench 1\r\n")
	c.barrier()
	return c.Conn
}

// publish sends b.N messages in big writes and waits until the server has
// handled them.
func benchPublish(b *testing.B, s *core.Server, n int) {
	c := connect(b, s, "")
	msg := []byte(fmt.Sprintf("PUB bench %d\r\n%s\r\n", benchBody, bytes.Repeat([]byte("x"), benchBody)))
	const batch = 200
	burst := bytes.Repeat(msg, batch)
	b.SetBytes(benchBody)
	b.ReportAllocs()
	b.ResetTimer()
	w := bufio.NewWriterSize(c.Conn, 64<<10)
	for left := n; left > 0; left -= batch {
		if left < batch {
			burst = burst[:left*len(msg)]
		}
		if _, err := w.Write(burst); err != nil {
			b.Fatal(err)
		}
	}
	w.Flush()
	c.SetReadDeadline(noDeadline)
	io.WriteString(c.Conn, "PING\r\n")
	for l := ""; l != "PONG\r\n"; { // the server sends a PING of its own
		var err error
		if l, err = c.r.ReadString('\n'); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPub(b *testing.B) {
	s := servertest.Start(b)
	benchPublish(b, s, b.N)
}

func BenchmarkPubSub(b *testing.B) {
	for _, subs := range []int{1, 10} {
		b.Run(fmt.Sprintf("1-%d", subs), func(b *testing.B) {
			s := servertest.Start(b)
			done := make(chan error, subs)
			size := int64(len(fmt.Sprintf("MSG bench 1 %d\r\n", benchBody))+benchBody+2) * int64(b.N)
			for range subs {
				go drain(benchSub(b, s), size, done)
			}
			benchPublish(b, s, b.N)
			for range subs {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*subs)/b.Elapsed().Seconds(), "delivered/s")
		})
	}
}

func BenchmarkRequest(b *testing.B) {
	s := servertest.Start(b)
	svc := connect(b, s, "")
	svc.send("SUB svc 1\r\n")
	svc.barrier()
	go func() {
		svc.SetReadDeadline(noDeadline)
		for {
			if _, err := svc.r.ReadSlice('\n'); err != nil {
				return
			}
			if _, err := svc.r.ReadSlice('\n'); err != nil {
				return
			}
			io.WriteString(svc.Conn, "PUB in 0\r\n\r\n")
		}
	}()
	c := connect(b, s, "")
	c.send("SUB in 1\r\n")
	c.barrier()
	c.SetReadDeadline(noDeadline)
	b.ReportAllocs()
	for b.Loop() {
		io.WriteString(c.Conn, "PUB svc in 0\r\n\r\n")
		for range 2 {
			if _, err := c.r.ReadSlice('\n'); err != nil {
				b.Fatal(err)
			}
		}
	}
}
