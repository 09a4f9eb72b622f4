package interop

import (
	"fmt"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// TestMQTT_kept_over_a_link: a kept session is on one side of a leaf link, and its
// client away or not; who publishes is on the other side. All comes, once and in order,
// also when the server with the session is killed with -9.
func TestMQTT_kept_over_a_link(t *testing.T) {
	for _, domains := range []bool{false, true} {
		for _, side := range []string{"hub", "edge"} {
			t.Run(fmt.Sprintf("domains %v, session at the %s", domains, side), func(t *testing.T) {
				keptOverLink(t, domains, side == "edge")
			})
		}
	}
}

func keptOverLink(t *testing.T, domains, atEdge bool) {
	if !tested(peers.FrondKind) {
		t.Skip("frond is not among -servers")
	}
	t.Parallel()
	hc, ec := peers.Config{Name: "hub", JetStream: true, MQTT: true, Leaf: true}, peers.Config{Name: "edge", JetStream: true, MQTT: true}
	if domains {
		hc.Domain, ec.Domain = "HUB", "EDGE"
	}
	p := pair{hub: start(t, peers.FrondKind, hc)}
	ec.Remotes = []string{"nats-leaf://" + p.hub.LeafAddr()}
	p.edge = start(t, peers.FrondKind, ec)
	p.linked(t)
	here, there := p.hub, p.edge
	if atEdge {
		here, there = there, here
	}
	// Both sides have sessions that take it: what one keeps is nothing to the other.
	other := client3(t, there.MQTTAddr(), func(o *mqtt.ClientOptions) { o.SetClientID("reader").SetCleanSession(false) })
	token(t, other.Subscribe("plant/+", 1, nil))
	other.Disconnect(250)

	const all = 3 * 500
	r := newKeptReader(t)
	c := r.connect(t, here)
	token(t, c.Subscribe("plant/#", 1, nil))
	token(t, c.Subscribe("plant/line", 1, nil))
	pub := client3(t, there.MQTTAddr(), func(o *mqtt.ClientOptions) { o.SetClientID("pub") })
	publish := func(from int) {
		for i := from; i < from+all/3; i++ {
			token(t, pub.Publish("plant/line", byte(1+i%2), false, fmt.Sprintf("%06d", i)))
		}
	}
	// The interest of who is connected is there when that of the session is.
	eventually(t, step, func() error {
		token(t, pub.Publish("plant/first", 0, false, "first"))
		select {
		case line := <-r.came:
			r.first[line] = true
			return nil
		default:
			return fmt.Errorf("no interest yet")
		}
	})
	publish(0)
	r.wait(t, all/3+1)
	c.Disconnect(250)
	publish(all / 3) // while it is away
	stored(t, here, 2*all/3)
	here.Kill()
	restart(t, here)
	p.linked(t)
	publish(2 * all / 3) // no client was there since the start
	stored(t, here, all)
	r.connect(t, here)
	r.wait(t, all+1)
	eachComes(t, r, all)
	// And so it is on the side of the publisher.
	q := newKeptReader(t)
	q.connect(t, there)
	q.wait(t, all)
	if again := eachComes(t, q, all); again > 0 {
		t.Errorf("%d came again", again)
	}
	for _, s := range []*peers.Server{here, there} {
		if n := stored(t, s, all); n != all {
			t.Errorf("%d of %d messages were stored", n, all)
		}
	}
}

// stored waits until a server has kept so many messages for its sessions.
func stored(t *testing.T, s *peers.Server, n int) (last int) {
	t.Helper()
	js := must[jetstream.JetStream](t)(jetstream.New(connect(t, s)))
	eventually(t, step, func() error {
		stream, err := js.Stream(t.Context(), "$MQTT_msgs")
		if err != nil {
			return err
		}
		if last = int(stream.CachedInfo().State.LastSeq); last < n {
			return fmt.Errorf("%d of %d are stored", last, n)
		}
		return nil
	})
	return last
}

// eachComes looks whether all came in order, and returns how many came again. (What a
// client had not acknowledged when it went comes again.)
func eachComes(t *testing.T, r *keptReader, all int) (again int) {
	t.Helper()
	<-time.After(time.Second) // for what would come twice
	next := 0
	for _, line := range r.lines(t) {
		switch want := fmt.Sprintf("%06d", next); {
		case line == "first":
		case line == want:
			next++
		case line < want:
			again++
		default:
			t.Fatalf("%s came, want %s", line, want)
		}
	}
	if next != all {
		t.Errorf("%d of %d came", next, all)
	}
	return again
}
