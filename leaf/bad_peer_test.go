package leaf

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/testkit"
)

func TestListener_maxSubscriptions(t *testing.T) {
	hub := startHub(t, func(n *node) { n.Opts.MaxSubs = 3 })
	r := dialRaw(t, hub.addr())
	r.until("INFO ")
	r.send("CONNECT {}\r\n")
	r.until("LS+ ")
	for i := range 4 {
		r.send(fmt.Sprintf("LS+ a%d\r\n", i))
	}
	r.until("-ERR 'maximum subscriptions exceeded'")
	r.send("LS- a0\r\nLS+ a4\r\nPING\r\n")
	r.until("PONG") // it stays connected
	for subj, want := range map[string]bool{"a0": false, "a1": true, "a3": false, "a4": true} {
		if got := hub.Acc.HasInterest(subj); got != want {
			t.Errorf("interest in %s: %v", subj, got)
		}
	}
}

func TestListener_invalidSubscriptionStays(t *testing.T) {
	hub := startHub(t, nil)
	r := dialRaw(t, hub.addr())
	r.until("INFO ")
	r.send("CONNECT {}\r\nLS+ a..b\r\n")
	r.until("-ERR 'Invalid Subscription'")
	r.send("PING\r\n")
	r.until("PONG")
}

func TestListener_interestGoesWithTheLink(t *testing.T) {
	hub := startHub(t, nil)
	before := hub.Acc.Subscriptions()
	r := dialRaw(t, hub.addr())
	r.until("INFO ")
	r.send("CONNECT {}\r\n")
	r.until("LS+ $LDS.")
	// Twice the same, a changed weight, an unknown one: one subscription each.
	r.send("LS+ a\r\nLS+ a\r\nLS+ q g 3\r\nLS+ q g 1\r\nLS- never\r\nLS- q h\r\nPING\r\n")
	r.until("PONG")
	if n := hub.m.Links()[0].Subscriptions; n != 2 {
		t.Errorf("%d subscriptions", n)
	}
	r.c.Close()
	testkit.Eventually(t, "all interest of the link is gone", func() bool {
		return len(hub.m.Links()) == 0 && hub.Acc.Subscriptions() == before+1 // its own mark against loops
	})
}

func TestListener_healthChecksAreNoErrors(t *testing.T) {
	hub := startHub(t, nil)
	r := dialRaw(t, hub.addr())
	r.until("INFO ")
	r.c.Close()
	hub.Stop()
	if hub.Log.Contains("refused") {
		t.Errorf("log:\n%s", hub.Log.String())
	}
}

// fakeHub answers one dialer once when is closed: hello, then what it sends
// after CONNECT. It gives
// everything that the dialer sent.
func fakeHub(t *testing.T, when <-chan struct{}, hello, after string) (addr string, got <-chan string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	lines := make(chan string, 100)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		<-when
		fmt.Fprintf(c, "INFO %s \r\n", hello)
		in := bufio.NewScanner(c)
		for in.Scan() {
			lines <- in.Text()
			if strings.HasPrefix(in.Text(), "CONNECT") {
				fmt.Fprint(c, after)
			}
		}
		close(lines)
	}()
	return ln.Addr().String(), lines
}

func TestRemote_hubOfOwnSpokesCluster(t *testing.T) {
	when := make(chan struct{})
	addr, got := fakeHub(t, when, `{"server_id":"X","client_id":3,"info_on_connect":true,"cluster":"C"}`,
		`INFO {"client_id":3,"connect_info":true,"info_on_connect":true} `+"\r\n")
	edge := startSpoke(t, addr, func(n *node, r *config.Remote) {
		n.Opts.Leaf.Port = -1
		r.FirstInfoTimeout = 20 * time.Second
	})
	spoke := dialRaw(t, edge.addr())
	spoke.until("INFO ")
	spoke.send(`CONNECT {"cluster":"C"}` + "\r\n")
	spoke.until("LS+ $LDS.")
	close(when)
	var lines []string
	for l := range got {
		lines = append(lines, l)
	}
	if s := strings.Join(lines, "\n"); !strings.Contains(s, `-ERR 'Loop detected for leafnode account="$G". Delaying attempt to reconnect for 30s'`) {
		t.Errorf("the hub got %s", s)
	}
}

func TestRemote_answersOfTheHub(t *testing.T) {
	const hello = `{"server_id":"X","client_id":3,"info_on_connect":true}`
	now := make(chan struct{})
	close(now)
	for _, c := range []struct{ name, hello, after, log string }{
		{"an error text", hello, "-ERR 'Authorization Violation'\r\n", "Authorization Violation"},
		{"bad JSON", hello, "INFO {\r\n", "INFO of the peer"},
		{"permissions that are no subjects", hello, `INFO {"client_id":3,"connect_info":true,"export":{"allow":["a..b"]}}` + "\r\n", "permissions from the hub"},
		{"the wrong door", hello, "MSG a 1 0\r\n\r\n", "where INFO was expected"},
		{"a cluster with a blank", `{"client_id":3,"info_on_connect":true,"cluster":"a b"}`, "", "contains a blank"},
		{"a reserved cluster", `{"client_id":3,"info_on_connect":true,"cluster":"_"}`, "", "is reserved"},
		{"a compression nobody knows", `{"client_id":3,"info_on_connect":true,"compression":"zip"}`, "", "unsupported route compression mode"},
		{"no JSON at all", "hello", "", "INFO of the peer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, _ := fakeHub(t, now, c.hello, c.after)
			edge := startSpoke(t, addr, func(_ *node, r *config.Remote) { r.Compression = config.DefaultLeafCompression() })
			testkit.Eventually(t, "it is in the log", func() bool { return edge.Log.Contains(c.log) })
		})
	}
}
