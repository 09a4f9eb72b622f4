package core

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/frondmq/frond/core/wire"
)

// What is kept for a client that reads nothing is at most a tenth more than
// max_pending, whatever the size of messages; nothing is kept once it is cut off.
func TestOutbound_takesItsLimit(t *testing.T) {
	const limit = 4 << 20
	for _, size := range []int{10, 600, 3000, 5000, 17_000, 33_000, 70_000, 1 << 20} {
		ours, _ := tcpPair(t)
		pool := &chunks{}
		out := newOutbound(ours, pool, limit, time.Minute, false)
		m := &wire.Msg{Subject: []byte("a.b.c"), Header: []byte("NATS/1.0\r\nA: b\r\n\r\n"), Body: make([]byte, size)}
		var err error
		for err == nil {
			err = out.appendMsg(m, []byte("1"))
			if held := pool.budget.Held(); held > limit*11/10 {
				t.Fatalf("messages of %d: %d bytes are held", size, held)
			}
		}
		if !errors.Is(err, errSlowPending) || out.pendingBytes() < limit*9/10-int64(size) {
			t.Errorf("messages of %d: %v after %d bytes", size, err, out.pendingBytes())
		}
		if err := out.run(); err != errSlowPending {
			t.Error(err)
		}
		if held := pool.budget.Held(); held != 0 {
			t.Errorf("messages of %d: %d bytes are held for nobody", size, held)
		}
	}
}

// Large messages come out as they went in, across chunks.
func TestOutbound_largeMessages(t *testing.T) {
	ours, theirs := tcpPair(t)
	pool := &chunks{}
	out := newOutbound(ours, pool, 64<<20, time.Minute, false)
	var want []byte
	for size := 1; size < 300_000; size = size*3 + 1 {
		m := &wire.Msg{Subject: []byte("a"), Reply: []byte("r"), Header: []byte("NATS/1.0\r\nA: b\r\n\r\n"), Body: make([]byte, size)}
		for i := range m.Body {
			m.Body[i] = byte(i * size)
		}
		for _, headers := range []bool{true, false} {
			want = wire.AppendMsg(want, m, []byte("1"), headers)
			out.mu.Lock()
			out.messageLocked(m, []byte("1"), headers, len(m.Body)+len(m.Header)+100)
			out.mu.Unlock()
		}
	}
	out.mu.Lock()
	out.mu.ending = true
	out.mu.Unlock()
	done := make(chan error, 1)
	go func() { done <- out.run() }()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(theirs, got); err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("the bytes differ")
	}
	if err := <-done; err != nil || pool.budget.Held() != 0 {
		t.Errorf("%v, %d bytes are held for nobody", err, pool.budget.Held())
	}
}

func TestBudget(t *testing.T) {
	b := NewBudget(1000)
	for _, c := range []struct {
		held          int
		little, much  int64
		little2, full bool
	}{
		{1000, smallShare + 1, fairShare + 1, false, false},
		{1001, smallShare + 1, fairShare + 1, false, true},
		{1501, smallShare, smallShare + 1, false, true},
	} {
		b.Take(c.held)
		if b.Full(c.little) != c.little2 || b.Full(c.much) != c.full {
			t.Errorf("%d held: %v for %d, %v for %d", c.held, b.Full(c.little), c.little, b.Full(c.much), c.much)
		}
		b.Give(c.held)
	}
	b.Take(1 << 40)
	if b.Full(0) || NewBudget(0).Full(1<<40) {
		t.Error("a client with nothing waiting, or no budget")
	}
}

// pendingBytes is the number of bytes not yet written.
func (b *outbound) pendingBytes() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.pending
}
