package leaf

import (
	"testing"
	"time"

	"github.com/frondmq/frond/core/monitor"
)

// Counters that fall look like a restart to whoever draws them.
func TestDescribe_keeps_what_went_over_links_that_are_gone(t *testing.T) {
	hub := startHub(t, nil)
	spoke := startSpoke(t, hub.addr(), nil)
	counts := func() monitor.Counts {
		d := &monitor.Description{}
		hub.m.Describe(d)
		return d.Counts
	}
	sink, _ := hub.subscribe("a", "")
	eventually(t, "interest at the spoke", func() bool { return spoke.send("a", "hello") > 0 })
	eventually(t, "a message at the hub", func() bool { return len(sink.got()) > 0 })
	before := counts()
	if before.InMsgs == 0 {
		t.Fatalf("no message counted: %+v", before)
	}
	remote := func() bool {
		d := &monitor.Description{}
		spoke.m.Describe(d)
		return len(d.Leaf.Remotes) == 1 && d.Leaf.Remotes[0].Connected
	}
	if !remote() {
		t.Error("the spoke does not say that its remote is connected")
	}
	hub.stop()
	eventually(t, "the remote is not connected", func() bool { return !remote() })
	spoke.stop()
	eventually(t, "the link has gone", func() bool { return counts().Leafs == 0 })
	if got := counts(); got.InMsgs < before.InMsgs || got.InBytes < before.InBytes || got.InClientMsgs != 0 {
		t.Errorf("before %+v, then %+v", before, got)
	}
	if !hub.logs.contains("kind=leafnode conn=1 remote=127.0.0.1:") {
		t.Error("the link's lines do not say who it is")
	}
}

func TestLink_pingsAsConfigured(t *testing.T) {
	n := newNode(t, "n")
	l := &link{m: &Module{services: n}}
	for _, c := range []struct {
		interval, leafInterval time.Duration
		max, leafMax           int
		wantInterval           time.Duration
		wantMax                int
	}{
		{2 * time.Minute, 0, 2, 0, deadPath / 3, 2},
		{time.Second, 0, 2, 0, time.Second, 2},
		{2 * time.Minute, time.Minute, 2, 0, time.Minute, 2},
		{2 * time.Minute, 0, 2, 8, deadPath / 9, 8},
		{time.Minute, time.Second, 2, 3, time.Second, 3},
	} {
		n.opts.PingInterval, n.opts.PingMax, n.opts.Leaf.PingInterval, n.opts.Leaf.PingMax = c.interval, c.max, c.leafInterval, c.leafMax
		if got := l.pingInterval(); got != c.wantInterval || l.pingMax() != c.wantMax {
			t.Errorf("%+v: %v, %d", c, got, l.pingMax())
		}
	}
}
