package interop

import (
	"fmt"
	"testing"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// TestMQTT_retained_over_a_link: where both sides of a leaf link have retained messages,
// what is published on one while the link is there is kept on both. nats-server on both
// sides does the same.
func TestMQTT_retained_over_a_link(t *testing.T) {
	for _, kinds := range [][2]peers.Kind{{peers.StockKind, peers.StockKind}, {peers.StockKind, peers.FrondKind}, {peers.FrondKind, peers.StockKind}, {peers.FrondKind, peers.FrondKind}} {
		for _, domains := range []bool{false, true} {
			t.Run(fmt.Sprintf("hub %s, edge %s, domains %v", kinds[0], kinds[1], domains), func(t *testing.T) {
				if kinds[0] == peers.StockKind && kinds[1] == peers.StockKind && !domains {
					t.Skip("nats-server closes the client: one domain has one JetStream")
				}
				if !tested(kinds[0]) || !tested(kinds[1]) {
					t.Skip("one of them is not among -servers")
				}
				t.Parallel()
				retainedOverLink(t, kinds[0], kinds[1], domains)
			})
		}
	}
}

func retainedOverLink(t *testing.T, hub, edge peers.Kind, domains bool) {
	hc, ec := peers.Config{Name: "hub", JetStream: true, MQTT: true, Leaf: true}, peers.Config{Name: "edge", JetStream: true, MQTT: true}
	if domains {
		hc.Domain, ec.Domain = "HUB", "EDGE"
	}
	p := pair{hub: start(t, hub, hc)}
	ec.Remotes = []string{"nats-leaf://" + p.hub.LeafAddr()}
	p.edge = start(t, edge, ec)
	p.linked(t)
	for _, s := range []*peers.Server{p.hub, p.edge} { // each has retained messages
		token(t, mqtt3(t, s, "first").Publish("first/"+s.Config.Name, 1, true, "x"))
	}
	for _, from := range []*peers.Server{p.hub, p.edge} {
		to := p.hub
		if from == p.hub {
			to = p.edge
		}
		topic := "state/" + from.Config.Name
		c, js := mqtt3(t, from, "dev"), stream(t, connect(t, to))
		eventually(t, step, func() error { // the link hears of the stream a moment later
			token(t, c.Publish(topic, 1, true, "on"))
			str, err := js.Stream(t.Context(), "$MQTT_rmsgs")
			if err == nil {
				_, err = str.GetLastMsgForSubject(t.Context(), "$MQTT.rmsgs.state."+from.Config.Name)
			}
			return err
		})
	}
	for _, s := range []*peers.Server{p.hub, p.edge} {
		eventually(t, step, func() error { // the stock server hears of it a moment later
			got, have := retainedInbox(t, client3(t, s.MQTTAddr(), nil), "state/#", 1), make(map[string]bool)
			for over := time.After(time.Second); ; {
				select {
				case m := <-got:
					have[m] = true
				case <-over:
					if len(have) != 2 || !have["state/hub 1 true on"] || !have["state/edge 1 true on"] {
						return fmt.Errorf("%s delivers %v", s.Config.Name, have)
					}
					return nil
				}
			}
		})
	}
}
