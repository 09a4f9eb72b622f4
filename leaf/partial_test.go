package leaf

import (
	"strings"
	"testing"

	"github.com/frondmq/frond/core/inbound"
	"github.com/frondmq/frond/core/testkit"
)

// Messages that links send in part take their share of the memory and no more:
// those that sent them are closed, with a word, and who sends whole ones goes on.
func TestLink_messagesInPartAreBounded(t *testing.T) {
	const n, limit, size = 12, 2 << 20, 1_000_000
	hub := startHub(t, func(n *node) { n.Parts.Budget.SetLimit(limit) })
	sink, _ := hub.subscribe("whole", "")
	link := func() *raw {
		r := dialRaw(t, hub.addr())
		r.until("INFO ")
		r.send("CONNECT {}\r\n")
		r.until("LS+ ")
		return r
	}
	good := link()
	for range n {
		_, _ = link().c.Write([]byte("LMSG x 1000000\r\n" + strings.Repeat("x", size-100_000))) // it may be closed meanwhile
	}
	const stay = limit * 3 / 2 / size
	stale := func() (n int) {
		for _, c := range hub.Conns.Closed() {
			if c.Reason == "Stale Connection" {
				n++
			}
		}
		return n
	}
	testkit.Eventually(t, "what is too much is closed", func() bool { return stale() >= n-stay })
	if held := hub.Parts.Budget.Held(); held > limit*3/2 {
		t.Errorf("%d bytes are held, the limit is %d", held, limit)
	}
	if !hub.Log.Contains(inbound.ErrTooMuch.Error()) {
		t.Error("the log does not say why")
	}
	good.send("LMSG whole 50000\r\n" + strings.Repeat("y", 50_000) + "\r\nPING\r\n")
	good.until("PONG")
	if n := len(sink.got()); n != 1 {
		t.Errorf("%d of 1 arrived", n)
	}
}
