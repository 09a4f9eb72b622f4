package interop

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// TestLeafz compares what both servers tell of the same link to the same stock
// peer, byte by byte but for what differs from run to run.
func TestLeafz(t *testing.T) {
	t.Parallel()
	if !tested(peers.StockKind) || !tested(peers.FrondKind) {
		t.Skip("it takes both")
	}
	told := make(map[peers.Kind]string)
	for _, kind := range []peers.Kind{peers.StockKind, peers.FrondKind} {
		told[kind] = leafz(t, kind)
	}
	if told[peers.FrondKind] != told[peers.StockKind] {
		t.Errorf("frond:\n%s\nstock:\n%s", told[peers.FrondKind], told[peers.StockKind])
	}
}

func leafz(t *testing.T, kind peers.Kind) string {
	acceptor := start(t, kind, peers.Config{Name: "middle", Leaf: true, HTTP: true})
	edge := start(t, peers.StockKind, peers.Config{Name: "edge", Remotes: []string{"nats-leaf://" + acceptor.LeafAddr()}})
	c, here := connect(t, edge), connect(t, acceptor)
	sub := must[*nats.Subscription](t)(here.SubscribeSync("up.>"))
	ok(t, here.Flush())
	must[*nats.Subscription](t)(c.QueueSubscribe("work.*", "g", func(*nats.Msg) {}))
	must[*nats.Subscription](t)(c.SubscribeSync("plain"))
	ok(t, c.Flush())
	var got strings.Builder
	eventually(t, step, func() error {
		ok(t, c.Publish("up.x", []byte("12345")))
		_, err := sub.NextMsg(step / 20)
		return err
	})
	for _, address := range []string{"/leafz", "/leafz?subs=1", "/leafz?acc=$G&subs=0", "/leafz?acc=B", "/leafz?subs=detail"} {
		eventually(t, step, func() error { // until the round trip was measured and all is announced
			body := page(t, "http://"+acceptor.HTTPAddr()+address)
			if strings.Contains(body, `"leafs": [`+"\n") && (!strings.Contains(body, `"rtt"`) || strings.Contains(address, "subs=1") && !strings.Contains(body, "plain")) {
				return fmt.Errorf("%s", body)
			}
			fmt.Fprintf(&got, "%s\n%s\n", address, masked(body))
			return nil
		})
	}
	return got.String()
}

func page(t *testing.T, address string) string {
	t.Helper()
	r := must[*http.Response](t)(http.Get(address))
	defer r.Body.Close()
	b := must[[]byte](t)(io.ReadAll(r.Body))
	return fmt.Sprintf("%d %s %s\n%s", r.StatusCode, r.Header.Get("Content-Type"), r.Header.Get("Access-Control-Allow-Origin"), b)
}

var (
	changing = regexp.MustCompile(`("(?:server_id|now|rtt)": )"[^"]+"|("(?:id|port|in_msgs|in_bytes)": )\d+`)
	listOf   = regexp.MustCompile(`(?s)("subscriptions_list": \[\n)(.*?)(\n +\])`)
	ownMark  = regexp.MustCompile(`\$LDS\.\w{22}`)
)

// masked is an answer without what differs from run to run. nats-server lists
// subscriptions in no order.
func masked(body string) string {
	body = ownMark.ReplaceAllString(changing.ReplaceAllString(body, "${1}${2}#"), "$$LDS.#")
	return listOf.ReplaceAllStringFunc(body, func(s string) string {
		m := listOf.FindStringSubmatch(s)
		lines := strings.Split(m[2], "\n")
		for i := range lines {
			lines[i] = strings.TrimSuffix(lines[i], ",")
		}
		slices.Sort(lines)
		return m[1] + strings.Join(lines, ",\n") + m[3]
	})
}
