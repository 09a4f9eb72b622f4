package leaf

import (
	"testing"

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
	spoke.stop()
	eventually(t, "the link has gone", func() bool { return counts().Leafs == 0 })
	if got := counts(); got.InMsgs < before.InMsgs || got.InBytes < before.InBytes || got.InClientMsgs != 0 {
		t.Errorf("before %+v, then %+v", before, got)
	}
	if !hub.logs.contains("kind=leafnode conn=1 remote=127.0.0.1:") {
		t.Error("the link's lines do not say who it is")
	}
}
