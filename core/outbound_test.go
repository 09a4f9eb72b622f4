package core

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// A wake-up that finds nothing must go on waiting: if take returned, the writer
// would free the socket that someone else is writing to.
func TestOutbound_emptyWakeUp(t *testing.T) {
	ours, _ := tcpPair(t)
	out := newOutbound(ours, &chunks{}, 1<<20, time.Minute, false)
	out.mu.Lock()
	out.mu.flush = true // asked for, but taken by writeNow meanwhile
	out.mu.Unlock()
	got := make(chan int, 1)
	go func() {
		out.take()
		out.mu.Lock()
		got <- len(out.spare)
		out.mu.Unlock()
	}()
	seen := false
	for !seen { // until take has looked once
		out.mu.Lock()
		seen = !out.mu.flush
		out.mu.Unlock()
	}
	out.append("x")
	out.wakeWriter()
	if n := <-got; n != 1 {
		t.Errorf("take returned with %d chunks", n)
	}
}

// slowConn takes so many bytes a write and then lets its deadline pass.
type slowConn struct {
	net.Conn
	takes []int
	got   []byte
}

func (c *slowConn) SetWriteDeadline(time.Time) error { return nil }

func (c *slowConn) Write(b []byte) (int, error) {
	n := len(b)
	if len(c.takes) > 0 {
		n, c.takes = min(n, c.takes[0]), c.takes[1:]
	}
	c.got = append(c.got, b[:n]...)
	if n < len(b) {
		return n, os.ErrDeadlineExceeded
	}
	return n, nil
}

func TestOutbound_writeTimeout(t *testing.T) {
	for _, test := range []struct {
		name  string
		retry bool
		takes []int
		got   string
		err   error
	}{
		{"closes", false, []int{3}, "abc", errSlowDeadline},
		{"goes on as long as something is taken", true, []int{3, 1, 1}, "abcdefgh", nil},
		{"closes when nothing is", true, []int{3, 0}, "abc", errSlowDeadline},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &slowConn{takes: test.takes}
			out := newOutbound(c, &chunks{}, 1<<20, time.Second, test.retry)
			if err := out.append("abcdefgh"); err != nil {
				t.Fatal(err)
			}
			out.mu.ending = true
			if err := out.run(); err != test.err || string(c.got) != test.got {
				t.Errorf("wrote %q, %v; want %q, %v", c.got, err, test.got, test.err)
			}
		})
	}
}

// What writeNow writes lets publishers on too.
func TestOutbound_gateOpensWithTheNextWrite(t *testing.T) {
	ours, _ := tcpPair(t)
	out := newOutbound(ours, &chunks{}, 100, time.Minute, false)
	if out.prompt == nil {
		t.Skip("nothing is written at once here")
	}
	if err := out.append(strings.Repeat("x", 90)); err != nil {
		t.Fatal(err)
	}
	gate := out.closedGate()
	if gate == nil {
		t.Fatal("nearly full, but the gate is open")
	}
	out.writeNow()
	select {
	case <-gate:
	default:
		t.Error("the gate is still closed")
	}
	if out.closedGate() != nil {
		t.Error("there is a gate")
	}
}
