package leaf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/testkit"
)

// A hub that fetches from many edges tells each of them only where it waits for
// what that one sends.
func TestLink_tellsWhoIsWaitingOnlyWhereItLeads(t *testing.T) {
	from := func(n *node, domain, subj string) *account.Sub {
		s := &account.Sub{Subject: subj, Domain: domain, Sink: &listenerSink{}}
		if err := n.Acc.Subscribe(s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, c := range []struct{ announces, want string }{
		{"", "any"},
		{"$JS.a.API.CONSUMER.>", "any a"},
		{"$JS.b.API.CONSUMER.CREATE.S", "any b"},
		{"$JS.>", "any a b"},
		{"$JS.*.API.>", "any a b"},
		{">", "any a b"},
		{"*.x", "any a b"},
		{"plant.>", "any"},
	} {
		t.Run(c.announces, func(t *testing.T) {
			hub := startHub(t, nil)
			from(hub, "a", "wait.a")
			from(hub, "b", "wait.b")
			from(hub, "b", "gone").End()
			from(hub, "", "wait.any")
			r := dialRaw(t, hub.addr())
			r.until("INFO ")
			r.send("CONNECT {}\r\n")
			r.until("LS+ $LDS.") // the list has begun: what follows comes behind it
			if c.announces != "" {
				r.send("LS+ " + c.announces + "\r\n")
			}
			r.send("LS+ fence\r\n")
			testkit.Eventually(t, "the peer's interest", func() bool { return hub.Acc.HasInterest("fence") })
			late := from(hub, "a", "late.a")
			late.End()
			hub.subscribe("end", "")
			told := r.all("LS+ end")
			for _, d := range []string{"a", "b"} {
				want := strings.Contains(c.want, " "+d)
				if got := strings.Contains(told, "LS+ wait."+d+"\r\n"); got != want {
					t.Errorf("told of %s: %v, want %v", d, got, want)
				}
			}
			if got, want := strings.Contains(told, "LS+ late.a\r\nLS- late.a\r\n"), strings.Contains(c.want, " a"); got != want {
				t.Errorf("told of a later one: %v, want %v", got, want)
			}
			if strings.Contains(told, "gone") {
				t.Error("told of what had ended")
			}
		})
	}

	t.Run("many sources cost an edge nothing", func(t *testing.T) {
		hub := startHub(t, nil)
		for i := range 500 {
			from(hub, fmt.Sprintf("edge%d", i), fmt.Sprintf("$JS.S.%08d", i))
			from(hub, fmt.Sprintf("edge%d", i), fmt.Sprintf("$JSC.R.%08d.*", i))
		}
		r := dialRaw(t, hub.addr())
		told := r.all("INFO ")
		r.send("CONNECT {\"domain\":\"edge7\"}\r\nLS+ $JS.edge7.API.CONSUMER.>\r\n")
		testkit.Eventually(t, "the link", func() bool { return hub.Acc.HasInterest("$JS.edge7.API.CONSUMER.CREATE.EDGE") })
		hub.subscribe("end", "")
		told += r.all("LS+ end")
		if !strings.Contains(told, "LS+ $JS.S.00000007\r\n") || !strings.Contains(told, "LS+ $JSC.R.00000007.*\r\n") || len(told) > 2000 {
			t.Errorf("%d bytes: %.300s", len(told), told)
		}
	})
}
