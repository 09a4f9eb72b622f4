package core_test

import (
	"io"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/testkit"
)

// Messages that come in part take their share of the memory and no more: those
// that sent them are closed, and who sends whole ones goes on.
func TestServer_messagesInPartAreBounded(t *testing.T) {
	s := servertest.Start(t, configured(t, "max_memory: 1GB\nping_interval: 1h"))
	parts := &s.Modules().Inbound().Budget
	const n, limit, size = 24, 4 << 20, 1_000_000
	if l := parts.Limit(); l <= 0 || l > 1<<27 {
		t.Errorf("messages in part may hold %d bytes of 1 GB", l)
	}
	parts.SetLimit(limit)
	good := connect(t, s, "")
	good.send("SUB whole 1\r\n")
	for i := range n {
		c := connect(t, s, `,"headers":true`)
		head := "PUB x 1000000\r\n"
		if i%2 > 0 {
			head = "HPUB x 12 1000000\r\nNATS/1.0\r\n\r\n"
		}
		_, _ = io.WriteString(c, head+strings.Repeat("x", size-100_000)) // it may be closed meanwhile
	}
	// As many as fit into one and a half times the limit stay.
	const stay = limit * 3 / 2 / size
	stale := func() (n int) {
		for _, c := range s.Modules().Connections().Closed() {
			if c.Reason == "Stale Connection" {
				n++
			}
		}
		return n
	}
	testkit.Eventually(t, "what is too much is closed", func() bool { return stale() >= n-stay })
	if held := parts.Held(); held > limit*3/2 {
		t.Errorf("%d bytes are held, the limit is %d", held, limit)
	}
	good.send("PUB whole 50000\r\n" + strings.Repeat("y", 50_000) + "\r\n")
	good.expect("MSG whole 1 50000")
	if l := good.line(); len(l) != 50_000 {
		t.Errorf("%d bytes arrive of 50,000", len(l))
	}
	if stale() == n {
		t.Error("nobody stays, though some fit")
	}
}

// What is held goes with who sent it.
func TestServer_messagesInPartEndWithTheConnection(t *testing.T) {
	s := servertest.Start(t)
	parts := &s.Modules().Inbound().Budget
	c := connect(t, s, "")
	c.send("PUB x 200000\r\n" + strings.Repeat("x", 150_000))
	testkit.Eventually(t, "it is counted", func() bool { return parts.Held() >= 150_000 })
	c.Close()
	testkit.Eventually(t, "it is gone", func() bool { return parts.Held() == 0 })
	whole := connect(t, s, "")
	whole.send("PUB x 200000\r\n" + strings.Repeat("x", 200_000) + "\r\n")
	whole.barrier()
	if n := parts.Held(); n != 0 {
		t.Errorf("%d bytes are held of a message that is whole", n)
	}
}

// Who is closed is told with the words of nats-server for a peer that says
// nothing, which clients know.
func TestServer_messageInPartIsTold(t *testing.T) {
	s := servertest.Start(t)
	s.Modules().Inbound().Budget.SetLimit(50_000)
	c := connect(t, s, "")
	c.send("PUB x 200000\r\n" + strings.Repeat("x", 150_000))
	if got := c.rest(); got != "-ERR 'Stale Connection'\r\n" {
		t.Errorf("told %q", got)
	}
}
