package leaf

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

var modes = []string{config.CompressOff, config.CompressAuto, config.CompressFast, config.CompressBetter, config.CompressBest}

func TestLink_carriesMessagesBothWays(t *testing.T) {
	for _, mode := range modes {
		t.Run("compression "+mode, func(t *testing.T) {
			compression := config.DefaultLeafCompression()
			compression.Mode = mode
			hub := startHub(t, func(n *node) { n.Opts.Leaf.Compression = compression })
			edge := startSpoke(t, hub.addr(), func(_ *node, r *config.Remote) { r.Compression = compression })
			atHub, _ := hub.subscribe("up.>", "")
			atEdge, _ := edge.subscribe("down.*", "")
			testkit.Eventually(t, "interest has crossed", func() bool {
				return edge.Acc.HasInterest("up.a") && hub.Acc.HasInterest("down.a")
			})

			big := strings.Repeat("0123456789", 20_000)
			edge.send("up.a", "hello")
			edge.send("up.big", big)
			hub.publish(&wire.Msg{Subject: []byte("down.x"), Reply: []byte("r.1"),
				Header: []byte("NATS/1.0\r\nA: b\r\n\r\n"), Body: []byte("do")})

			testkit.Eventually(t, "all arrived", func() bool { return len(atHub.got()) == 2 && len(atEdge.got()) == 1 })
			if got := atHub.got(); got[0] != "up.a hello" || got[1] != "up.big "+big {
				t.Errorf("hub got %.60q", got)
			}
			if got := atEdge.got()[0]; got != `down.x do <r.1 "NATS/1.0\r\nA: b\r\n\r\n"` {
				t.Errorf("edge got %s", got)
			}
			links := hub.m.Links()
			if len(links) != 1 || links[0].Name != "EDGE" || links[0].Spoke || compresses(mode) != strings.HasPrefix(links[0].Compression, "s2_") {
				t.Errorf("hub shows %+v", links)
			}
		})
	}
}

func TestLink_interest(t *testing.T) {
	hub := startHub(t, nil)
	edge := startSpoke(t, hub.addr(), nil)
	subs := func(a *account.Account) int64 { return a.Subscriptions() }
	testkit.Eventually(t, "both loop subjects are known", func() bool { return subs(hub.Acc) == 2 && subs(edge.Acc) == 2 })

	t.Run("many subscriptions on one subject are one", func(t *testing.T) {
		_, one := edge.subscribe("a", "")
		_, two := edge.subscribe("a", "")
		testkit.Eventually(t, "hub knows a", func() bool { return hub.Acc.HasInterest("a") })
		edge.Acc.Unsubscribe(one)
		edge.subscribe("fence.1", "")
		testkit.Eventually(t, "fence", func() bool { return hub.Acc.HasInterest("fence.1") })
		if !hub.Acc.HasInterest("a") {
			t.Error("interest went with the first of two")
		}
		edge.Acc.Unsubscribe(two)
		testkit.Eventually(t, "hub forgets a", func() bool { return !hub.Acc.HasInterest("a") })
	})

	t.Run("a queue group gets each message once, and the hub's own members go first", func(t *testing.T) {
		far1, _ := edge.subscribe("q", "g")
		far2, _ := edge.subscribe("q", "g")
		testkit.Eventually(t, "hub knows the group", func() bool { return hub.Acc.HasInterest("q") })
		for i := range 10 {
			hub.send("q", fmt.Sprint(i))
		}
		testkit.Eventually(t, "ten arrived", func() bool { return len(far1.got())+len(far2.got()) == 10 })
		near, _ := hub.subscribe("q", "g")
		for i := range 10 {
			hub.send("q", fmt.Sprint(i))
		}
		if n := len(near.got()); n != 10 {
			t.Errorf("the hub's own member got %d of 10", n)
		}
		if n := len(far1.got()) + len(far2.got()); n != 10 {
			t.Errorf("the edge got %d more", n-10)
		}
	})

	t.Run("no interest, no responders", func(t *testing.T) {
		if n := edge.send("nobody", ""); n != 0 {
			t.Errorf("delivered to %d", n)
		}
	})
}

func TestLink_shownSubjectCrosses(t *testing.T) {
	hub := startHub(t, nil)
	edge := startSpoke(t, hub.addr(), nil)
	at, _ := hub.subscribe("$JS.S.abc", "")
	testkit.Eventually(t, "interest", func() bool { return edge.Acc.HasInterest("$JS.S.abc") })
	edge.publish(&wire.Msg{Subject: []byte("$JS.S.abc"), Shown: []byte("ev.x@y"),
		Reply: []byte("$JS.ACK.S.C.1.2.3.4.5"), Body: []byte("b")})
	testkit.Eventually(t, "arrived", func() bool { return len(at.got()) == 1 })
	if got := at.got()[0]; got != "ev.x@y b <$JS.ACK.S.C.1.2.3.4.5" {
		t.Error(got)
	}
}

func TestLink_reconnects(t *testing.T) {
	hub := startHub(t, nil)
	g := newGate(t, hub.addr())
	edge := startSpoke(t, g.ln.Addr().String(), nil)
	at, _ := hub.subscribe("a", "")
	for round := range 3 {
		testkit.Eventually(t, "interest", func() bool { return edge.Acc.HasInterest("a") })
		before := len(at.got())
		edge.send("a", fmt.Sprint(round))
		testkit.Eventually(t, "arrived", func() bool { return len(at.got()) == before+1 })
		g.setShut(true)
		g.cut()
		testkit.Eventually(t, "the edge notices", func() bool { return !edge.Acc.HasInterest("a") })
		g.setShut(false)
	}
}

// A link that an operator ends comes back, whichever side it was ended on.
func TestLink_kicked(t *testing.T) {
	hub := startHub(t, nil)
	edge := startSpoke(t, hub.addr(), nil)
	for _, n := range []*node{hub, edge} {
		testkit.Eventually(t, "link", func() bool { return len(hub.m.Links()) == 1 && len(edge.m.Links()) == 1 && len(n.Conns.Open()) == 1 })
		id := n.Conns.Open()[0].ConnID()
		if err := n.Conns.Kick(id); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, "another link", func() bool {
			l := n.m.Links()
			return len(l) == 1 && l[0].ID != id
		})
		closed := n.Conns.Closed()
		if c := closed[len(closed)-1]; c.Cid != id || c.Reason != "Kicked" {
			t.Errorf("%s: closed %+v", n.Name, c)
		}
	}
}

// A link that was lost is dialed at once, however long the pauses are that the
// configuration asks for.
func TestLink_redialsAtOnce(t *testing.T) {
	hub := startHub(t, nil)
	g := newGate(t, hub.addr())
	edge := startSpoke(t, g.ln.Addr().String(), func(_ *node, r *config.Remote) { r.ReconnectInterval = time.Hour })
	testkit.Eventually(t, "first link", func() bool { return len(edge.m.Links()) == 1 })
	first := edge.m.Links()[0].ID
	g.cut()
	testkit.Eventually(t, "another link", func() bool {
		l := edge.m.Links()
		return len(l) == 1 && l[0].ID != first
	})
}

func TestLink_newConnectionReplacesDeadOne(t *testing.T) {
	hub := startHub(t, nil)
	startSpoke(t, hub.addr(), nil)
	testkit.Eventually(t, "first link", func() bool { return len(hub.m.Links()) == 1 })
	first := hub.m.Links()[0].ID
	// The same server again, as after a restart that the hub has not noticed.
	startSpoke(t, hub.addr(), func(_ *node, r *config.Remote) { r.ReconnectInterval = time.Hour })
	testkit.Eventually(t, "one link, a new one", func() bool {
		l := hub.m.Links()
		return len(l) == 1 && l[0].ID != first
	})
	testkit.Eventually(t, "the reason is in the log", func() bool { return hub.Log.Contains("Duplicate Remote LeafNode Connection") })
}

// Two servers of one name at a hub that can't tell them apart: the one that is
// replaced says what to do, and stays away as long as configured.
func TestLink_replacedByAnother(t *testing.T) {
	hub := startHub(t, nil)
	slow := func(_ *node, r *config.Remote) { r.ReconnectInterval = time.Hour }
	first := startSpoke(t, hub.addr(), slow)
	testkit.Eventually(t, "first link", func() bool { return len(hub.m.Links()) == 1 && len(first.m.Links()) == 1 })
	l := first.m.snapshot()[0]
	startSpoke(t, hub.addr(), slow)
	testkit.Eventually(t, "what to do is told", func() bool {
		return first.Log.Contains("frond identity new --data DIR") && first.Log.Contains("name=EDGE")
	})
	<-l.over
	if !l.replaced {
		t.Error("the pause is not told of it")
	}
}

func TestLink_loopIsFound(t *testing.T) {
	hub := startHub(t, nil)
	edge := newNode(t, "EDGE")
	edge.Opts.Leaf.Port = -1
	edge.start()
	// Two links between the same two accounts, dialed from both sides.
	back := startSpoke(t, edge.addr(), func(n *node, r *config.Remote) { n.Name, n.Acc = "HUB2", hub.Acc })
	third := startSpoke(t, hub.addr(), func(n *node, r *config.Remote) { n.Name, n.Acc = "EDGE2", edge.Acc })
	_ = back
	testkit.Eventually(t, "a loop is logged", func() bool {
		for _, n := range []*node{hub, edge, back, third} {
			if n.Log.Contains("Loop detected") {
				return true
			}
		}
		return false
	})
}

func TestLink_permissions(t *testing.T) {
	perms, err := subject.NewPermissions(
		&subject.Rules{Allow: []string{"a.>"}, Deny: []string{"a.secret"}},
		&subject.Rules{Allow: []string{"b.>", "_INBOX.>"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	grant := func(r *auth.Request) (*auth.Grant, error) {
		if r.User != "u" || r.Password != "p" {
			return nil, fmt.Errorf("%w: wrong user", auth.ErrDenied)
		}
		return &auth.Grant{Account: config.GlobalAccount, User: "u", Permissions: perms}, nil
	}
	hub := startHub(t, func(n *node) { n.Auth = grant })
	edge := startSpoke(t, "u:p@"+hub.addr(), nil)
	atHub, _ := hub.subscribe(">", "")
	atEdge, _ := edge.subscribe("*.*", "")
	edge.subscribe("c.x", "") // outside: never announced
	// Each side has told of its wildcard and of its loop subject, not of c.x.
	testkit.Eventually(t, "interest", func() bool {
		h, e := hub.m.Links(), edge.m.Links()
		return len(h) == 1 && len(e) == 1 && h[0].Subscriptions == 2 && e[0].Subscriptions == 2
	})
	edge.send("a.secret", "1")
	edge.send("c.y", "2")
	edge.send("a.x", "3")
	hub.send("c.x", "4")
	hub.send("b.x", "5")
	has := func(list []string, s string) bool { return strings.Contains(strings.Join(list, "|"), s) }
	testkit.Eventually(t, "allowed ones arrive", func() bool { return has(atHub.got(), "a.x 3") && has(atEdge.got(), "b.x 5") })
	if has(atHub.got(), "a.secret") || has(atHub.got(), "c.y") || has(atEdge.got(), "c.x") {
		t.Errorf("denied ones crossed: %q %q", atHub.got(), atEdge.got())
	}

	t.Run("wrong password is refused", func(t *testing.T) {
		bad := startSpoke(t, "u:x@"+hub.addr(), func(n *node, r *config.Remote) { n.Name = "BAD" })
		testkit.Eventually(t, "refused", func() bool { return bad.Log.Contains("Authorization Violation") })
	})
}

func TestLink_jetStreamAPIStaysAtHome(t *testing.T) {
	hub := startHub(t, func(n *node) { n.JSDomain = "hub" })
	edge := startSpoke(t, hub.addr(), func(n *node, _ *config.Remote) { n.JSDomain = "edge" })
	for _, n := range []*node{hub, edge} {
		n.subscribe("$JS.API.>", "")
		n.subscribe("$JS."+n.JSDomain+".API.>", "")
		n.subscribe("$KV.>", "")
		n.subscribe("fence."+n.JSDomain, "")
	}
	testkit.Eventually(t, "interest crossed", func() bool {
		return edge.Acc.HasInterest("fence.hub") && hub.Acc.HasInterest("fence.edge")
	})
	if !edge.Acc.HasInterest("$JS.hub.API.INFO") || !hub.Acc.HasInterest("$JS.edge.API.INFO") {
		t.Error("the domains do not reach each other")
	}
	for _, l := range hub.m.snapshot() {
		for subj, want := range map[string]bool{
			"$JS.API.INFO": false, "$KV.b.k": false, "$JS.hub.API.INFO": false,
			"$JS.edge.API.INFO": true, "$JS.FC.s.c.x": true, "$O.b.C.1": true,
		} {
			if got := l.rules.sends([]byte(subj)); got != want {
				t.Errorf("hub sends %s: %v", subj, got)
			}
		}
	}
}

// raw is a peer that speaks the protocol by hand.
type raw struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func dialRaw(t *testing.T, addr string) *raw {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &raw{t, c, bufio.NewReader(c)}
}

func (r *raw) send(s string) {
	if _, err := r.c.Write([]byte(s)); err != nil {
		r.t.Fatal(err)
	}
}

// until reads lines until one begins with prefix and returns that one; "" is
// the end of the stream, for which it returns all.
func (r *raw) until(prefix string) string {
	r.t.Helper()
	all := r.all(prefix)
	if prefix == "" {
		return all
	}
	return all[strings.LastIndexByte(all[:len(all)-1], '\n')+1:]
}

// all is until, with the lines in front.
func (r *raw) all(prefix string) string {
	r.t.Helper()
	var seen []string
	for {
		s, err := r.r.ReadString('\n')
		if err != nil {
			if prefix == "" {
				return strings.Join(seen, "")
			}
			r.t.Fatalf("%v before %q; got %q", err, prefix, seen)
		}
		seen = append(seen, s)
		if prefix != "" && strings.HasPrefix(s, prefix) {
			return strings.Join(seen, "")
		}
	}
}

func TestListener_infoForOldLeafs(t *testing.T) {
	hub := startHub(t, func(n *node) { n.JSDomain = "hub" })
	r := dialRaw(t, hub.addr())
	var i map[string]any
	if err := json.Unmarshal([]byte(strings.TrimPrefix(r.until("INFO "), "INFO ")), &i); err != nil {
		t.Fatal(err)
	}
	if i["client_id"] == nil || i["client_id"] == 0.0 || len(i["leafnode_urls"].([]any)) != 1 ||
		len(i["nonce"].(string)) != 15 || i["info_on_connect"] != true || i["proto"] != 3.0 || i["domain"] != "hub" {
		t.Errorf("INFO %v", i)
	}
	r.send("CONNECT {}\r\n")
	if s := r.until("INFO "); !strings.Contains(s, `"connect_info":true`) || strings.Contains(s, "nonce") {
		t.Error(s)
	}
	r.until("LS+ $LDS.")
	r.send("PING\r\n")
	r.until("PONG")
}

func TestListener_refuses(t *testing.T) {
	perms, err := subject.NewPermissions(&subject.Rules{Allow: []string{"a"}}, &subject.Rules{Allow: []string{"b"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	hub := startHub(t, func(n *node) {
		n.Opts.Leaf.MinVersion = "2.10.0"
		n.Opts.Leaf.Compression = config.DefaultLeafCompression()
		n.Auth = func(r *auth.Request) (*auth.Grant, error) {
			if r.User == "bad" {
				return nil, errNo
			}
			return &auth.Grant{Account: config.GlobalAccount, Permissions: perms}, nil
		}
		n.Opts.Leaf.Auth.Timeout = 30 * time.Second
	})
	const ok = `CONNECT {"version":"2.12.0"}` + "\r\n"
	for _, c := range []struct{ name, send, want string }{
		{"interest before CONNECT", "LS+ a\r\n", "Authorization Violation"},
		{"wrong user", `CONNECT {"user":"bad"}` + "\r\n", "Authorization Violation"},
		{"a client", `CONNECT {"lang":"go","version":"2.12.0"}` + "\r\n", "attempted to connect to leaf node port"},
		{"a cluster with a blank", `CONNECT {"cluster":"a b"}` + "\r\n", "cluster name cannot contain spaces"},
		{"a gateway", `CONNECT {"gateway":"G","version":"2.12.0"}` + "\r\n", `Rejecting connection from gateway "G" on the leafnode port`},
		{"an old version", `CONNECT {"version":"2.9.25"}` + "\r\n", `connection rejected since minimum version required is "2.10.0"`},
		{"unknown compression", `INFO {"compression":"zip"}` + "\r\n", `unsupported route compression mode "zip"`},
		{"literal interest outside", ok + "LS+ c\r\n", `Permissions Violation for Subscription to "c"`},
		{"a message outside", ok + "LMSG c 0\r\n\r\n", `Permissions Violation for Publish to "c"`},
		{"too large a message", ok + "LMSG a 9999999\r\n", "Maximum Payload Violation"},
		{"a client's verb", ok + "MSG a 1 0\r\n\r\n", "Unknown Protocol Operation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := dialRaw(t, hub.addr())
			r.until("INFO ")
			r.send(c.send)
			if got := r.until(""); !strings.Contains(got, "-ERR '"+c.want+"'") {
				t.Errorf("got %q", got)
			}
		})
	}
	t.Run("nobody who does not speak", func(t *testing.T) {
		hub := startHub(t, func(n *node) { n.Opts.Leaf.Auth.Timeout = 50 * time.Millisecond })
		r := dialRaw(t, hub.addr())
		if got := r.until(""); !strings.Contains(got, "-ERR 'Authentication Timeout'") {
			t.Errorf("got %q", got)
		}
	})
}

func TestRemote_refusesOtherPorts(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			// A client port: no leafnode URLs.
			_, _ = c.Write([]byte(`INFO {"server_id":"X","client_id":3}` + " \r\n"))
			c.Close()
		}
	}()
	edge := startSpoke(t, ln.Addr().String(), nil)
	testkit.Eventually(t, "it says so", func() bool { return edge.Log.Contains("wrong port") })
}

func TestLink_staleConnectionIsCut(t *testing.T) {
	hub := startHub(t, func(n *node) { n.Opts.PingInterval = 20 * time.Millisecond })
	r := dialRaw(t, hub.addr())
	r.until("INFO ")
	r.send("CONNECT {}\r\n")
	if got := r.until(""); !strings.Contains(got, "-ERR 'Stale Connection'") {
		t.Errorf("got %q", got)
	}
}
