package leaf

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

// stockInfo is the first line of a hub that is no frond.
const stockInfo = `INFO {"server_id":"NSTOCK","server_name":"stock","proto":1,"headers":true,"max_payload":1048576,"client_id":7,` +
	`"nonce":"abcdefghijklmno","leafnode_urls":["127.0.0.1:1"],"connect_info":true,"info_on_connect":true}` + "\r\n"

// stockHub takes each connection as nats-server would, so far as a test needs.
type stockHub struct {
	ln net.Listener
}

type stockLink struct {
	*raw
	login map[string]any
}

func newStockHub(t *testing.T) *stockHub {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return &stockHub{ln: ln}
}

// accept takes the next connection as far as its login.
func (h *stockHub) accept(t *testing.T) *stockLink {
	t.Helper()
	_ = h.ln.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
	c, err := h.ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return logIn(t, c)
}

// logIn answers a dialer as far as its login.
func logIn(t *testing.T, c net.Conn) *stockLink {
	t.Helper()
	l := &stockLink{raw: &raw{t, c, bufio.NewReader(c)}}
	l.send(stockInfo)
	text, ok := strings.CutPrefix(l.until("CONNECT "), "CONNECT ")
	if err := json.Unmarshal([]byte(text), &l.login); !ok || err != nil {
		t.Fatalf("CONNECT %q: %v", text, err)
	}
	l.send(`INFO {"server_id":"NSTOCK","connect_info":true,"remote_account":"$G"}` + "\r\n")
	return l
}

// TestLifeline_login compares what a link says at its login to a stock hub, and
// its lifeline: the same user and account, but another name and id, as a hub
// takes a second link of one name for the first one come again; isolated, so
// that no interest of other edges is told to it; and nothing of what frond adds.
func TestLifeline_login(t *testing.T) {
	hub := newStockHub(t)
	edge := startSpoke(t, hub.ln.Addr().String(), func(n *node, r *config.Remote) {
		n.Acc, n.JSDomain, n.Store = account.New("PLANT"), "edge", "S"
		r.Account, r.DenyImports = "PLANT", []string{"secret"}
		r.URLs[0].User = url.UserPassword("u", "p")
	})
	first := hub.accept(t)
	testkit.Eventually(t, "linked", func() bool { return len(edge.m.snapshot()) == 1 })
	k := edge.m.snapshot()[0]
	if k.lifeline == nil {
		t.Fatal("there is none")
	}
	k.Deliver(nil, &wire.Msg{Subject: []byte("$JS.S.one"), Body: make([]byte, 100<<10), Feeds: true})
	k.Flush() // and its PING is never answered
	second := hub.accept(t)
	if name := second.login["name"]; first.login["name"] != "EDGE" || name != "EDGE-lifeline" {
		t.Errorf("names %v and %v", first.login["name"], name)
	}
	if id := second.login["server_id"]; id != lifelineID("NEDGE", "PLANT") {
		t.Errorf("id %v", id)
	}
	if first.login["isolate"] != nil || second.login["isolate"] != true {
		t.Errorf("isolated %v and %v", first.login["isolate"], second.login["isolate"])
	}
	for key, want := range map[string]any{"user": "u", "pass": "p", "remote_account": "PLANT", "headers": true} {
		if first.login[key] != want || second.login[key] != want {
			t.Errorf("%s: %v and %v, want %v", key, first.login[key], second.login[key], want)
		}
	}
	if first.login["frond"] == nil || second.login["frond"] != nil {
		t.Errorf("frond's own: %v and %v", first.login["frond"], second.login["frond"])
	}
	// It announces nothing: what comes behind the login is a heartbeat.
	if got := second.all("HMSG "); strings.Contains(got, "LS+") || !strings.HasPrefix(got, "HMSG $JS.S.one ") {
		t.Errorf("behind its login comes %q", got)
	}
}

// A remote that is to have one connection only has no lifeline.
func TestLifeline_switchedOff(t *testing.T) {
	for _, off := range []bool{false, true} {
		hub := newStockHub(t)
		edge := startSpoke(t, hub.ln.Addr().String(), func(_ *node, r *config.Remote) { r.NoHeartbeatConnection = off })
		hub.accept(t)
		testkit.Eventually(t, "linked", func() bool { return len(edge.m.snapshot()) == 1 })
		if got := edge.m.snapshot()[0].lifeline != nil; got == off {
			t.Errorf("no_heartbeat_connection: %v, and a lifeline: %v", off, got)
		}
	}
}

// A hub that says nothing, before the login or behind it, is given up in time.
func TestLifeline_loginIsBounded(t *testing.T) {
	for name, hub := range map[string]func(net.Conn){
		"no INFO": func(net.Conn) {},
		"no answer to CONNECT": func(c net.Conn) {
			_, _ = c.Write([]byte(stockInfo))
			_, _ = c.Read(make([]byte, 4096))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, "EDGE")
				m := New()
				m.services = n
				r, err := m.newRemote(&mustRemotes(t, `{url: "nats://127.0.0.1:1"}`)[0])
				if err != nil {
					t.Fatal(err)
				}
				here, there := net.Pipe()
				defer here.Close()
				go hub(there)
				begin := time.Now()
				if _, err := r.greetLifeline(here, r.config.URLs[0]); err == nil {
					t.Error("it is logged in")
				}
				there.Close()
				if d := time.Since(begin); d != lifelineTimeout {
					t.Errorf("given up after %v", d)
				}
			})
		})
	}
}

// A hub that stops reading the lifeline does not hold it up for ever.
func TestLifeline_stuckHeartbeatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSlowHub(t)
		var opens atomic.Int32
		first := make(chan time.Duration, 1)
		old := h.l.lifeline.dial
		here, there := net.Pipe() // nobody reads it
		defer there.Close()
		h.l.lifeline.dial = func(ctx context.Context) (*talk, error) {
			if opens.Add(1) > 1 {
				return old(ctx)
			}
			return newTalk(closeTold{here, first, h.begin}), nil
		}
		h.deliver("$JS.S.one", 60<<10, true)
		<-time.After(40 * time.Second)
		h.mu.Lock()
		beats := len(h.mu.beats["$JS.S.one"])
		h.mu.Unlock()
		select {
		case at := <-first:
			if at > lifelineAfter+lifelineTimeout+2*lifelineTick {
				t.Errorf("given up after %v", at)
			}
		default:
			t.Error("not given up")
		}
		if opens.Load() != 2 || beats == 0 {
			t.Errorf("opened %d times, %d heartbeats", opens.Load(), beats)
		}
		h.stop()
	})
}

// closeTold tells when it is closed.
type closeTold struct {
	net.Conn
	at    chan time.Duration // holds one
	begin time.Time
}

func (c closeTold) Close() error {
	select {
	case c.at <- time.Since(c.begin):
	default:
	}
	return c.Conn.Close()
}
