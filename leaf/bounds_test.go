package leaf

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

func TestLink_sendsNothingThatThePeerDoesNotTake(t *testing.T) {
	hub := startHub(t, func(n *node) { n.Opts.MaxPayload = 100_000 })
	line := wire.LinkLine(hub.Opts.MaxControlLine)

	t.Run("a frond that told its bounds", func(t *testing.T) {
		edge := startSpoke(t, hub.addr(), nil)
		at, _ := hub.subscribe("up.>", "")
		testkit.Eventually(t, "interest", func() bool { return edge.Acc.HasInterest("up.a") })
		for _, m := range []*wire.Msg{
			{Subject: []byte("up.big"), Body: make([]byte, maxFromLink(hub.Opts)+1)},
			{Subject: []byte("up." + strings.Repeat("x", line))},
			{Subject: []byte("up.r"), Reply: []byte(strings.Repeat("x", line))},
		} {
			if n := edge.publish(m); n != 0 || m.Unfit == "" {
				t.Errorf("%.10s: %d took it, unfit %q", m.Subject, n, m.Unfit)
			}
		}
		most := strings.Repeat("x", maxFromLink(hub.Opts))
		edge.send("up.most", most)
		edge.subscribe(strings.Repeat("x", line), "") // nor interest
		edge.send("up.end", "")
		testkit.Eventually(t, "what may is there", func() bool { return len(at.got()) == 2 })
		if got := at.got(); got[0] != "up.most "+most || got[1] != "up.end " {
			t.Errorf("got %.20q", got)
		}
		if l := edge.m.Links(); len(l) != 1 || l[0].Unfit != 3 || l[0].Dropped != 0 {
			t.Errorf("%+v", l)
		}
		if n := strings.Count(edge.Log.String(), "connection created"); n != 1 {
			t.Errorf("%d links", n)
		}
		if !edge.Log.Contains("can not cross") {
			t.Error("nobody is told")
		}
	})
}

// Older servers do not tell what they take. One that cuts the link because of a
// message is not sent it again.
func TestLink_learnsWhatThePeerTakes(t *testing.T) {
	hub := startHub(t, nil)
	refusals := []string{"Maximum Payload Violation", "maximum control line exceeded"}
	for i, m := range []*wire.Msg{
		{Subject: []byte("down.x"), Body: make([]byte, 5000)},
		{Subject: []byte("down." + strings.Repeat("x", 3000))},
	} {
		t.Run(refusals[i], func(t *testing.T) {
			for attempt := range 2 {
				r := dialRaw(t, hub.addr())
				r.until("INFO ")
				r.send(fmt.Sprintf("CONNECT {\"name\":\"old%d\"}\r\nLS+ down.>\r\nPING\r\n", i))
				r.until("PONG")
				c := *m
				if n := hub.publish(&c); n != 1-attempt || (c.Unfit != "") != (attempt == 1) {
					t.Errorf("attempt %d: %d took it, unfit %q", attempt, n, c.Unfit)
				}
				if attempt == 1 {
					hub.send("down.small", "")
					r.until("LMSG down.small")
				} else {
					r.until("LMSG down.x")
					r.send("-ERR '" + refusals[i] + "'\r\n")
				}
				r.c.Close()
				testkit.Eventually(t, "the link ends", func() bool { return !hub.Acc.HasInterest("down.x") })
			}
		})
	}
}

// Also when as many peers are remembered as ever are, one of them is believed
// that takes less than it seemed: else the same message cuts it for ever.
func TestBounds_ofAPeerThatIsKnownGoLower(t *testing.T) {
	m := &Module{}
	m.mu.learned = map[string]bounds{}
	for i := range maxLearned {
		m.mu.learned[fmt.Sprint(i)] = bounds{payload: 1000}
	}
	for _, peer := range []string{"7", "a new one"} {
		l := &link{m: m, log: slog.New(slog.DiscardHandler)}
		l.peer.name = peer
		l.longest.payload.Store(500)
		l.learnBound("Maximum Payload Violation")
	}
	if got := m.boundsOf("7", nil, 0); got.payload != 499 {
		t.Errorf("bounds %+v", got)
	}
	if n := len(m.mu.learned); n != maxLearned {
		t.Errorf("%d peers are remembered", n)
	}
}
