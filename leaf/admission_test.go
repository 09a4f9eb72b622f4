package leaf

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/testkit"
)

func connectLine(name, cluster, domain, store, run string) string {
	return fmt.Sprintf(`CONNECT {"name":%q,"cluster":%q,"domain":%q,"jetstream":true,"server_id":%q,"remote_account":"$G","frond":{"store":%q}}`+"\r\n",
		name, cluster, domain, run, store)
}

// dialAs makes a link by hand; nothing answers its pings unless live.
func dialAs(t *testing.T, hub *node, line string, live bool) *raw {
	t.Helper()
	before := len(hub.m.Links())
	r := dialRaw(t, hub.addr())
	r.until("INFO ")
	r.send(line)
	r.until("INFO ")
	testkit.Eventually(t, "the link is there", func() bool { return len(hub.m.Links()) == before+1 })
	if live {
		go func() {
			for {
				s, err := r.r.ReadString('\n')
				if err != nil {
					return
				}
				if strings.HasPrefix(s, "PING") {
					_, _ = r.c.Write([]byte("PONG\r\n"))
				}
			}
		}()
	}
	return r
}

func (n *node) conflicts() []monitor.LeafConflict {
	d := &monitor.Description{WantLeafs: true}
	n.m.Describe(d)
	return d.LeafConflicts
}

func TestListener_clonedDataFolder(t *testing.T) {
	waiting := func(wait time.Duration) func(n *node) {
		return func(n *node) {
			n.m = New()
			n.m.aliveWait = wait
		}
	}

	t.Run("a copy is refused while the original runs", func(t *testing.T) {
		hub := startHub(t, waiting(time.Minute))
		dialAs(t, hub, connectLine("gw", "gw", "gw", "S1", "run1"), true)
		r := dialRaw(t, hub.addr())
		r.until("INFO ")
		r.send(connectLine("gw", "gw", "gw", "S1", "run2"))
		got := r.all("")
		for _, want := range []string{textClone, `"gw" at 127.0.0.1:`, "frond identity new --data", r.c.LocalAddr().String()} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in %q", want, got)
			}
		}
		if l := hub.m.Links(); len(l) != 1 || l[0].Port == r.c.LocalAddr().(*net.TCPAddr).Port {
			t.Errorf("left is %+v", l)
		}
		if !hub.Log.Contains(textClone) {
			t.Error("the hub's log does not tell")
		}
		if c := hub.conflicts(); len(c) != 1 || c[0].Outcome != monitor.LeafRefused || c[0].Name != "gw" ||
			c[0].Port != r.c.LocalAddr().(*net.TCPAddr).Port || !strings.Contains(c[0].Reason, textClone) {
			t.Errorf("leafz tells %+v", c)
		}
	})

	t.Run("a new run replaces a link that is dead", func(t *testing.T) {
		hub := startHub(t, waiting(50*time.Millisecond))
		old := dialAs(t, hub, connectLine("gw", "gw", "gw", "S1", "run1"), false)
		r := dialRaw(t, hub.addr())
		r.until("INFO ")
		r.send(connectLine("gw", "gw", "gw", "S1", "run2"))
		old.until("-ERR 'Duplicate Remote LeafNode Connection'")
		testkit.Eventually(t, "the new one is there", func() bool {
			l := hub.m.Links()
			return len(l) == 1 && l[0].Port == r.c.LocalAddr().(*net.TCPAddr).Port
		})
		if c := hub.conflicts(); len(c) != 1 || c[0].Outcome != monitor.LeafReplaced || c[0].Port != old.c.LocalAddr().(*net.TCPAddr).Port {
			t.Errorf("leafz tells %+v", c)
		}
	})

	t.Run("the same run may come back, other users and accounts do not count", func(t *testing.T) {
		hub := startHub(t, func(n *node) {
			waiting(time.Minute)(n)
			n.Auth = func(r *auth.Request) (*auth.Grant, error) {
				return &auth.Grant{Account: config.GlobalAccount, User: r.User}, nil
			}
		})
		dialAs(t, hub, connectLine("gw", "gw", "gw", "S1", "run1"), true)
		other := strings.Replace(connectLine("gw", "gw", "gw", "S1", "run1"), `"$G"`, `"OTHER"`, 1)
		dialAs(t, hub, other, true) // another remote of that server
		dialAs(t, hub, strings.Replace(connectLine("gw", "gw2", "gw", "S1", "run2"), "{", `{"user":"u",`, 1), true)
		if n := len(hub.m.Links()); n != 3 {
			t.Errorf("%d links", n)
		}
	})

	t.Run("the server that is refused says so and stays away", func(t *testing.T) {
		hub := startHub(t, waiting(time.Minute))
		startSpoke(t, hub.addr(), func(n *node, _ *config.Remote) { n.Store, n.ID, n.JSDomain = "S1", "Nrun1", "d" })
		testkit.Eventually(t, "first link", func() bool { return len(hub.m.Links()) == 1 })
		first := hub.m.Links()[0].ID
		clone := startSpoke(t, hub.addr(), func(n *node, _ *config.Remote) { n.Store, n.ID, n.JSDomain = "S1", "Nrun2", "d" })
		testkit.Eventually(t, "it says so", func() bool { return clone.Log.Contains("frond identity new") })
		if l := hub.m.Links(); len(l) != 1 || l[0].ID != first {
			t.Errorf("%+v", l)
		}
	})
}

func TestListener_duplicateDomain(t *testing.T) {
	first := connectLine("a", "a", "edge", "S1", "run1")
	for _, c := range []struct {
		name, second  string
		refused, told bool // refused only with unique_domains
	}{
		{"another frond", connectLine("b", "b", "edge", "S2", "run2"), true, true},
		{"another of the same name", connectLine("a", "a", "edge", "S2", "run2"), true, true},
		{"a stock server", connectLine("b", "b", "edge", "", "run2"), false, true},
		{"one of the same cluster", connectLine("b", "a", "edge", "S2", "run2"), false, false},
		{"another domain", connectLine("b", "b", "edge2", "S2", "run2"), false, false},
		{"no JetStream", strings.Replace(connectLine("b", "b", "edge", "S2", "run2"), "true", "false", 1), false, false},
	} {
		for _, unique := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, unique_domains %v", c.name, unique), func(t *testing.T) {
				hub := startHub(t, func(n *node) { n.Opts.Leaf.UniqueDomains = unique })
				dialAs(t, hub, first, true)
				if unique && c.refused {
					r := dialRaw(t, hub.addr())
					r.until("INFO ")
					r.send(c.second)
					if got := r.all(""); !strings.Contains(got, textDomain+` edge: "a" at 127.0.0.1:`) {
						t.Errorf("told %q", got)
					}
				} else {
					dialAs(t, hub, c.second, true)
					if shares := hub.m.Links()[1].SharesDomain; strings.HasPrefix(shares, `"a" at `) != c.told {
						t.Errorf("leafz says %q", shares)
					}
				}
				testkit.Eventually(t, "both are in the log", func() bool { return hub.Log.Contains("conn=2") })
				if hub.Log.Contains(textDomain) != c.told {
					t.Errorf("told in the log: %v, want %v", !c.told, c.told)
				}
			})
		}
	}
}

// A link that waits for another one's sign of life ends with the server.
func TestListener_stopsWhileALinkIsInDoubt(t *testing.T) {
	hub := startHub(t, func(n *node) {
		n.m = New()
		n.m.aliveWait = time.Hour
	})
	dialAs(t, hub, connectLine("gw", "gw", "gw", "S1", "run1"), false)
	r := dialRaw(t, hub.addr())
	r.until("INFO ")
	r.send(connectLine("gw", "gw", "gw", "S1", "run2"))
	r.until("INFO ")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := hub.m.Stop(ctx); err != nil {
		t.Error(err)
	}
}
