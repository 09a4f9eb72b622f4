package interop

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// TestMQTT_retained_memory retains 100,000 topics, has a client read them all and
// another take them slowly, and prints what memory that took:
//
//	FROND_SOAK=1 go test -run retained_memory -v .
func TestMQTT_retained_memory(t *testing.T) {
	if os.Getenv("FROND_SOAK") == "" {
		t.Skip("a long test: FROND_SOAK=1 runs it")
	}
	const topics, most = 100_000, 24 << 20
	s := start(t, peers.FrondKind, mqttServer)
	dev := mqtt3(t, s, "dev")
	before := settledRssAnon(t, t.Context(), s.Pid())
	tokens := make([]mqtt.Token, 0, 1000)
	for i := range topics {
		tokens = append(tokens, dev.Publish(fmt.Sprintf("plant/line%d/sensor%d/value", i/1000, i), 1, true, fmt.Sprintf("%-64d", i)))
		if len(tokens) == cap(tokens) {
			for _, k := range tokens {
				token(t, k)
			}
			tokens = tokens[:0]
		}
	}
	stored := settledRssAnon(t, t.Context(), s.Pid())
	highest := stored
	look := func() { highest = max(highest, rssAnon(t, s.Pid())) }
	for _, pause := range []time.Duration{0, 200 * time.Microsecond} {
		var n atomic.Int64
		done := make(chan struct{})
		began := time.Now()
		c := client3(t, s.MQTTAddr(), nil)
		token(t, c.Subscribe("#", 1, func(mqtt.Client, mqtt.Message) {
			if pause > 0 {
				<-time.After(pause)
			}
			if n.Add(1) == topics {
				close(done)
			}
		}))
		tick, end := time.NewTicker(20*time.Millisecond), time.After(10*time.Minute)
		for reading := true; reading; {
			select {
			case <-tick.C:
				look()
			case <-done:
				reading = false
			case <-end:
				t.Fatalf("%d of %d came", n.Load(), topics)
			}
		}
		tick.Stop()
		t.Logf("with %v a message: %d topics in %v; RssAnon before %.1f MB, with all retained %.1f, the most while they were read %.1f",
			pause, topics, time.Since(began).Round(time.Millisecond), mb(before), mb(stored), mb(highest))
	}
	if highest-stored > most {
		t.Errorf("the subscriptions took %.1f MB, at most %.1f", mb(highest-stored), mb(most))
	}
}
