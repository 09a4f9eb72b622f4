package leaf

import (
	"strings"
	"testing"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/testkit"
)

// streamSink captures as a stream does.
type streamSink struct{ listenerSink }

func (*streamSink) Role() account.Role { return account.RoleInternal }

func TestRemote_tellsOfStreamsThatStoreWhatItBrings(t *testing.T) {
	hub := startHub(t, nil)
	var edge *node
	capture := func(subj string) {
		if err := edge.Acc.Subscribe(&account.Sub{Subject: subj, Sink: &streamSink{}}); err != nil {
			t.Fatal(err)
		}
	}
	g := newGate(t, hub.addr())
	startSpoke(t, g.ln.Addr().String(), func(n *node, r *config.Remote) {
		edge = n
		r.DenyImports = []string{"kept.>"}
		capture("before")
		capture("kept.a")
		capture("$JS.API.X")
	})
	testkit.Eventually(t, "the link", func() bool { return len(hub.m.Links()) == 1 && hub.Acc.HasInterest("before") })
	capture("after")
	edge.subscribe("device", "") // no stream
	testkit.Eventually(t, "interest", func() bool { return hub.Acc.HasInterest("device") })
	g.cut()
	testkit.Eventually(t, "gone", func() bool { return !hub.Acc.HasInterest("device") })
	testkit.Eventually(t, "back", func() bool { return hub.Acc.HasInterest("device") })
	for subj, want := range map[string]int{"before": 1, "after": 1, "kept.a": 0, "$JS.API.X": 0, "device": 0} {
		if n := strings.Count(edge.Log.String(), "subject="+subj+" hub="); n != want {
			t.Errorf("%s: told %d times, want %d", subj, n, want)
		}
	}
}
