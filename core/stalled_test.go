package core

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/wire"
)

// What is kept for a client that reads nothing is at most a tenth more than
// max_pending, whatever the size of messages; nothing is kept once it is cut off.
func TestClient_takesItsLimit(t *testing.T) {
	const limit = 4 << 20
	for _, size := range []int{10, 600, 3000, 5000, 17_000, 33_000, 70_000, 1 << 20} {
		ours, _ := tcpPair(t)
		pool := &outbound.Pool{}
		c := &client{}
		c.out = outbound.New(&outbound.Kind{Pool: pool, Limit: limit, Deadline: time.Minute}, ours, c)
		m := &wire.Msg{Subject: []byte("a.b.c"), Header: []byte("NATS/1.0\r\nA: b\r\n\r\n"), Body: make([]byte, size)}
		var err error
		taken := 0
		for err == nil {
			err = c.appendMsg(m, "1")
			taken = max(taken, c.out.Pending())
			if held := pool.Budget.Held(); held > limit*11/10 {
				t.Fatalf("messages of %d: %d bytes are held", size, held)
			}
		}
		if !errors.Is(err, outbound.ErrSlowPending) || taken < limit*9/10-size {
			t.Errorf("messages of %d: %v after %d bytes", size, err, taken)
		}
		if held := pool.Budget.Held(); held != 0 {
			t.Errorf("messages of %d: %d bytes are held for nobody", size, held)
		}
	}
}

// Large messages come out as they went in, across chunks.
func TestClient_largeMessages(t *testing.T) {
	ours, theirs := tcpPair(t)
	pool := &outbound.Pool{}
	out := outbound.New(&outbound.Kind{Pool: pool, Limit: 64 << 20, Deadline: time.Minute}, ours, &client{})
	var want []byte
	for size := 1; size < 300_000; size = size*3 + 1 {
		m := &wire.Msg{Subject: []byte("a"), Reply: []byte("r"), Header: []byte("NATS/1.0\r\nA: b\r\n\r\n"), Body: make([]byte, size)}
		for i := range m.Body {
			m.Body[i] = byte(i * size)
		}
		for _, headers := range []bool{true, false} {
			want = wire.AppendMsg(want, m, []byte("1"), headers)
			out.Lock()
			messageLocked(out, m, "1", headers, len(m.Body)+len(m.Header)+100)
			out.Unlock()
		}
	}
	out.End(time.Minute, nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(theirs, got); err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("the bytes differ")
	}
	out.Wait()
	if held := pool.Budget.Held(); held != 0 {
		t.Errorf("%d bytes are held for nobody", held)
	}
}

// tcpPair is both ends of a connection over the loopback interface.
func tcpPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}
