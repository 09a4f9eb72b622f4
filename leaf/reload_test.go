package leaf

import (
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

func TestVerify_refusesWhatNeedsARestart(t *testing.T) {
	parse := func(text string) *config.Options {
		o, _, err := config.Parse("a.conf", []byte(text), config.Source{})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	m := New()
	from := parse("leafnodes { port: 7422 }")
	to := parse("port: 4333\nleafnodes {\n  port: 7423\n  ping_interval: 5s, compression: s2_fast, authorization { user: u, password: p }\n  remotes [ {url: \"nats://hub\"} ]\n}")
	if err := m.Verify(from, to); err == nil || err.Error() != "a.conf:3:3: config reload not supported for leafnodes.port: old=7422, new=7423" {
		t.Errorf("got %v", err)
	}
	to.Leaf.Port = 7422
	if err := m.Verify(from, to); err != nil {
		t.Errorf("what is live: %v", err)
	}
	to.Leaf.TLS = &config.TLS{CertFile: "none", KeyFile: "none"}
	if err := m.Verify(nil, to); err == nil || !strings.Contains(err.Error(), "X509") {
		t.Errorf("without a certificate: %v", err)
	}
}

// linked is the one link of n to a server of that name, or nil.
func (n *node) linked(name string) *link {
	all := n.m.snapshot()
	if len(all) == 1 && all[0].peer.name == name && all[0].end.Load() == nil {
		return all[0]
	}
	return nil
}

// Remotes that are new are dialed, those that are gone are left, one that says
// something else is linked anew, and all others keep their links.
func TestCommit_followsTheRemotes(t *testing.T) {
	one := startHub(t, func(n *node) { n.Name = "ONE" })
	two := startHub(t, func(n *node) { n.Name = "TWO" })
	edge := startSpoke(t, one.addr(), nil)
	testkit.Eventually(t, "one is linked", func() bool { return edge.linked("ONE") != nil })
	first := edge.linked("ONE")
	must := func(change func(r []config.Remote) []config.Remote) {
		t.Helper()
		if err := edge.Reload(func(o *config.Options) {
			o.Leaf.Remotes = change(append([]config.Remote(nil), o.Leaf.Remotes...))
		}); err != nil {
			t.Fatal(err)
		}
	}
	must(func(r []config.Remote) []config.Remote {
		r[0].Pos = config.Position{File: "other.conf", Line: 7}
		return r
	})
	if edge.linked("ONE") != first {
		t.Error("a remote that is where it was and says the same was linked anew")
	}
	must(func(r []config.Remote) []config.Remote { r[0].DenyExports = []string{"secret"}; return r })
	testkit.Eventually(t, "it is linked anew", func() bool { k := edge.linked("ONE"); return k != nil && k != first })
	if reason := edge.Conns.Closed()[0].Reason; reason != wire.ReasonClientClosed.String() {
		t.Errorf("the first link was closed for %q", reason)
	}
	u, err := url.Parse("nats-leaf://" + two.addr())
	if err != nil {
		t.Fatal(err)
	}
	must(func(r []config.Remote) []config.Remote { r[0].URLs = []*url.URL{u}; return r })
	testkit.Eventually(t, "two is linked and one is not", func() bool { return edge.linked("TWO") != nil && len(one.m.snapshot()) == 0 })
	must(func(r []config.Remote) []config.Remote { r[0].Disabled = true; return r })
	testkit.Eventually(t, "nobody is linked", func() bool { return len(edge.m.snapshot()) == 0 && len(two.m.snapshot()) == 0 })
	must(func(r []config.Remote) []config.Remote { r[0].Disabled = false; return r })
	testkit.Eventually(t, "two is linked again", func() bool { return edge.linked("TWO") != nil })
	// An account that is not there is found before anything changes.
	if err := edge.Reload(func(o *config.Options) {
		o.Leaf.Remotes = []config.Remote{{URLs: []*url.URL{u}, Account: "none", Pos: config.Position{File: "a.conf", Line: 3, Col: 1}}}
	}); err == nil || !strings.Contains(err.Error(), `a.conf:3:1: cannot find local account "none"`) {
		t.Errorf("got %v", err)
	}
	if edge.linked("TWO") == nil {
		t.Error("the link is gone")
	}
	must(func([]config.Remote) []config.Remote { return nil })
	testkit.Eventually(t, "nobody is linked", func() bool { return len(edge.m.snapshot()) == 0 && len(two.m.snapshot()) == 0 })
}

// A spoke whose user is gone is ended, and is not let in by who let it in before.
func TestCommit_endsWhoseUserIsGone(t *testing.T) {
	var gone atomic.Bool
	hub := startHub(t, func(n *node) {
		n.Left = func(g *auth.Grant) (*auth.Grant, bool) { return g, !gone.Load() }
	})
	edge := startSpoke(t, hub.addr(), nil)
	testkit.Eventually(t, "it is linked", func() bool { return edge.linked("HUB") != nil && hub.linked("EDGE") != nil })
	if err := hub.Reload(func(*config.Options) {}); err != nil {
		t.Fatal(err)
	}
	if hub.linked("EDGE") == nil {
		t.Error("the link of a user who is still there has ended")
	}
	gone.Store(true)
	if err := hub.Reload(func(*config.Options) {}); err != nil {
		t.Fatal(err)
	}
	// The second time it is its own goroutine that finds out.
	testkit.Eventually(t, "it was ended twice", func() bool {
		n := 0
		for _, c := range hub.Conns.Closed() {
			if c.Reason == wire.ReasonAuthFailure.String() {
				n++
			}
		}
		return n >= 2
	})
	testkit.Eventually(t, "it was told", func() bool { return edge.Log.Contains("Authorization Violation") })
	gone.Store(false)
	testkit.Eventually(t, "it is linked again", func() bool { return edge.linked("HUB") != nil })
}
