package leaf

import (
	"fmt"
	"strings"
	"testing"
)

// An edge announces the subjects of its domain and those of its streams. A hub
// that isolates its edges tells none of them of the others', so that a link
// costs the same however many there are.
func TestListener_isolatedEdgesHearNothingOfEachOther(t *testing.T) {
	const edges, most = 40, 2000
	for _, isolate := range []bool{true, false} {
		t.Run(fmt.Sprintf("isolated %v", isolate), func(t *testing.T) {
			hub := startHub(t, func(n *node) {
				n.JSDomain = "hub"
				n.Opts.Leaf.Isolate = isolate
			})
			hub.subscribe("orders", "")
			for i := range edges {
				r := dialRaw(t, hub.addr())
				r.until("INFO ")
				r.send(fmt.Sprintf("CONNECT {\"name\":\"edge%d\",\"domain\":\"edge%d\"}\r\n", i, i))
				for _, what := range []string{"INFO", "STREAM.>", "CONSUMER.>", "DIRECT.>", "META.>", "SERVER.>", "ACCOUNT.>", "$KV.>", "$OBJ.>"} {
					r.send(fmt.Sprintf("LS+ $JS.edge%d.API.%s\r\n", i, what))
				}
				r.send("PING\r\n")
				r.until("PONG")
			}
			r := dialRaw(t, hub.addr())
			r.until("INFO ")
			r.send("CONNECT {\"name\":\"last\",\"domain\":\"last\"}\r\n")
			// Answered once the first list is queued: what is wanted later comes
			// behind it.
			r.send("PING\r\n")
			told := r.all("PONG")
			hub.subscribe("fence", "")
			told += r.all("LS+ fence")
			if !strings.Contains(told, "LS+ orders\r\n") {
				t.Error("what the hub itself wants was not told")
			}
			if others := strings.Contains(told, "edge1.API"); others == isolate || isolate && len(told) > most {
				t.Errorf("after %d others an edge was sent %d bytes, their interest among them: %v", edges, len(told), others)
			}
		})
	}
}
