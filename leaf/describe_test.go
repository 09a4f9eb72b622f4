package leaf

import (
	"net"
	"testing"
	"time"

	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/testkit"
)

// Counters that fall look like a restart to whoever draws them.
func TestDescribe_keeps_what_went_over_links_that_are_gone(t *testing.T) {
	hub := startHub(t, nil)
	spoke := startSpoke(t, hub.addr(), nil)
	counts := func() (v monitor.Varz) {
		hub.Conns.Count(&v)
		return v
	}
	sink, _ := hub.subscribe("a", "")
	testkit.Eventually(t, "interest at the spoke", func() bool { return spoke.send("a", "hello") > 0 })
	testkit.Eventually(t, "a message at the hub", func() bool { return len(sink.got()) > 0 })
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
	hub.Stop()
	testkit.Eventually(t, "the remote is not connected", func() bool { return !remote() })
	spoke.Stop()
	testkit.Eventually(t, "the link has gone", func() bool { return counts().Leafs == 0 })
	if got := counts(); got.InMsgs < before.InMsgs || got.InBytes < before.InBytes || got.InClientMsgs != 0 {
		t.Errorf("before %+v, then %+v", before, got)
	}
	if !hub.Log.Contains("kind=leafnode conn=1 remote=127.0.0.1:") {
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
		n.Opts.PingInterval, n.Opts.PingMax, n.Opts.Leaf.PingInterval, n.Opts.Leaf.PingMax = c.interval, c.max, c.leafInterval, c.leafMax
		if got := l.pingInterval(); got != c.wantInterval || l.pingMax() != c.wantMax {
			t.Errorf("%+v: %v, %d", c, got, l.pingMax())
		}
	}
}

func TestDescribe_links(t *testing.T) {
	hub := startHub(t, nil)
	spoke := startSpoke(t, hub.addr(), nil)
	_, sub := spoke.subscribe("b.>", "q")
	spoke.subscribe("a", "")
	leafs := func(n *node, subs bool) []*monitor.LeafInfo {
		d := &monitor.Description{WantLeafs: true, WantSubs: subs}
		n.m.Describe(d)
		return d.Leafs
	}
	testkit.Eventually(t, "both subjects at the hub, sorted", func() bool {
		l := leafs(hub, true)
		return len(l) == 1 && len(l[0].Subs) == 3 && l[0].Subs[1] == "a" && l[0].Subs[2] == "b.>" && l[0].Subscriptions == 3
	})
	l := leafs(hub, false)[0]
	if l.Name != "EDGE" || l.Spoke || l.Account != "$G" || l.IP != "127.0.0.1" || l.Port == 0 || l.Compression != "off" || l.Subs != nil {
		t.Errorf("%+v", l)
	}
	if l := leafs(spoke, false)[0]; l.Name != "HUB" || !l.Spoke || l.Port != hub.m.Addr().(*net.TCPAddr).Port {
		t.Errorf("%+v", l)
	}
	spoke.Acc.Unsubscribe(sub)
	testkit.Eventually(t, "one is gone", func() bool { return len(leafs(hub, true)[0].Subs) == 2 })
}
