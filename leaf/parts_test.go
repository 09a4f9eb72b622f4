package leaf

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/wire"
)

func TestModule_announcesTheConfiguredHost(t *testing.T) {
	n := startHub(t, func(n *node) { n.Opts.Leaf.Host = "localhost" })
	want := fmt.Sprintf("leafnode connections on localhost:%d", n.m.Addr().(*net.TCPAddr).Port)
	if log := n.Log.String(); !strings.Contains(log, want) {
		t.Errorf("no %s in\n%s", want, log)
	}
}

func TestNegotiate(t *testing.T) {
	const auto, off, accept, none = config.CompressAuto, config.CompressOff, config.CompressAccept, config.CompressNotSupported
	for _, c := range []struct{ own, peer, want string }{
		{auto, "", none}, {auto, none, none}, {none, auto, none},
		{auto, off, off}, {off, auto, off}, {accept, off, off},
		{accept, accept, off}, {auto, accept, auto}, {"s2_best", accept, "s2_best"},
		{accept, auto, "s2_fast"}, {accept, "s2_best", "s2_best"}, {"s2_fast", "s2_better", "s2_fast"},
	} {
		if got, err := negotiate(c.own, c.peer); err != nil || got != c.want && !(c.own == off && !compresses(got)) {
			t.Errorf("own %s, peer %s: got %s, %v", c.own, c.peer, got, err)
		}
	}
	if _, err := negotiate(auto, "zip"); err == nil {
		t.Error("an unknown mode was accepted")
	}
}

func TestLevelFor(t *testing.T) {
	c := config.DefaultLeafCompression()
	for rtt, want := range map[time.Duration]string{
		time.Millisecond: compressUncompressed, 20 * time.Millisecond: "s2_fast",
		80 * time.Millisecond: "s2_better", time.Second: "s2_best",
	} {
		if got := levelFor(c, config.CompressAuto, rtt); got != want {
			t.Errorf("%v: %s", rtt, got)
		}
	}
	if got := levelFor(c, config.CompressFast, time.Second); got != "s2_fast" {
		t.Error(got)
	}
}

func TestOlderThan(t *testing.T) {
	for _, c := range []struct {
		v, limit string
		want     bool
	}{{"2.9.25", "2.10.0", true}, {"2.10.0", "2.10.0", false}, {"2.12.1-beta", "2.12.0", false}, {"", "2.8.0", true}, {"v3.0.0", "2.8.0", false}} {
		if got := olderThan(c.v, c.limit); got != c.want {
			t.Errorf("%q older than %q: %v", c.v, c.limit, got)
		}
	}
}

func TestPending_urgentLinesOvertakeBetweenWholeLines(t *testing.T) {
	o := newTaker(t, 1<<20)
	body := strings.Repeat("x", 5000)
	for range 4 {
		o.message(&wire.Msg{Subject: []byte("a"), Body: []byte(body)}, true)
	}
	o.overtake("PING\r\n")
	line := "LMSG a 5000\r\n" + body + "\r\n"
	if got := o.next(chunkBytes); !got.urgent || !slices.Equal(got.parts, []string{"PING\r\n", line + line}) {
		t.Errorf("%d parts, the first is %.20q", len(got.parts), got.parts[0])
	}
	if got := o.next(chunkBytes); !slices.Equal(got.parts, []string{line + line}) {
		t.Errorf("%d parts behind them", len(got.parts))
	}
}

func TestPending_bounded(t *testing.T) {
	o := newTaker(t, 1000)
	m := &wire.Msg{Subject: []byte("a"), Body: make([]byte, 600)}
	if !o.message(m, true) || !o.message(m, true) || o.message(m, true) {
		t.Error("the limit does not hold")
	}
	o.line(func(b []byte) []byte { return append(b, "LS+ x\r\n"...) })
	var all string
	for got := o.next(1 << 20); got.parts != nil; got = o.next(1 << 20) {
		all += strings.Join(got.parts, "")
	}
	if !strings.HasSuffix(all, "LS+ x\r\n") || o.droppedMsgs() != 1 {
		t.Error("interest was dropped, or the loss was not counted")
	}
}
