package jetstream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

func mustConsumer(t testing.TB, b *testBus, stream, name, config string) {
	t.Helper()
	b.call(t, "CONSUMER.CREATE."+stream+"."+name, consumerRequest(stream, jsonOf(t, config)), nil)
}

// consumerRequest is the one that creates a consumer of that configuration.
func consumerRequest(stream, config string) string {
	return fmt.Sprintf(`{"stream_name":%q,"config":%s}`, stream, config)
}

// The server's name of a consumer without one is not a part of its
// configuration.
func TestConsumer_ephemeralWithoutName(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, "name=S subjects=[s.>] storage=memory")
	var made, again struct {
		Name   string         `json:"name"`
		Config map[string]any `json:"config"`
	}
	b.call(t, "CONSUMER.CREATE.S", "stream_name=S config={ack_policy=explicit}", &made)
	b.call(t, "CONSUMER.INFO.S."+made.Name, "", &again)
	if made.Name == "" || made.Config["name"] != nil || again.Name != made.Name || again.Config["name"] != nil {
		t.Errorf("made %+v, then %+v", made, again)
	}
	b.publish(t, "s.a", "x")
	if m := b.pull(t, "S."+made.Name, "1").next(); m.Shown != "s.a" {
		t.Errorf("got %+v", m)
	}
	b.call(t, "CONSUMER.DELETE.S."+made.Name, "", nil)
}

// pull asks for messages and gives the inbox of the answers.
func (b *testBus) pull(t testing.TB, consumer, body string) *inbox {
	t.Helper()
	b.mu.Lock()
	b.next++
	reply := fmt.Sprintf("_PULL.%d", b.next)
	b.mu.Unlock()
	in := b.inbox(t, reply)
	if n := b.route(&wire.Msg{Subject: []byte(nextPrefix + consumer), Reply: []byte(reply), Body: []byte(jsonOf(t, body))}); n == 0 {
		t.Fatalf("nobody takes pulls for %s", consumer)
	}
	return in
}

// ackTail is an ack subject without the time.
func ackTail(m testMsg) string {
	p := strings.Split(m.Reply, ".")
	if len(p) != 9 {
		return m.Reply
	}
	return strings.Join(append(p[2:7:7], p[8]), ".")
}

type consumerAnswer struct {
	Delivered struct {
		Consumer uint64 `json:"consumer_seq"`
		Stream   uint64 `json:"stream_seq"`
	} `json:"delivered"`
	AckFloor struct {
		Consumer uint64 `json:"consumer_seq"`
		Stream   uint64 `json:"stream_seq"`
	} `json:"ack_floor"`
	NumAckPending  int    `json:"num_ack_pending"`
	NumRedelivered int    `json:"num_redelivered"`
	NumWaiting     int    `json:"num_waiting"`
	NumPending     uint64 `json:"num_pending"`
	PushBound      bool   `json:"push_bound"`
	Paused         bool   `json:"paused"`
}

func (b *testBus) consumer(t testing.TB, stream, name string) (a consumerAnswer) {
	t.Helper()
	b.call(t, "CONSUMER.INFO."+stream+"."+name, "", &a)
	return a
}

func TestConsumer_waitingPullGetsNewMessages(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, "name=S subjects=[s.>] storage=memory")
	mustConsumer(t, b, "S", "c", "durable_name=c ack_policy=explicit filter_subject=s.b")
	in := b.pull(t, "S.c", "100")
	for i := range 100 {
		b.publish(t, "s.a", "")
		b.publish(t, "s.b", fmt.Sprint(i))
	}
	for i := range 100 {
		if m := in.next(); m.Body != fmt.Sprint(i) {
			t.Fatalf("message %d: %+v", i, m)
		}
	}
	if a := b.consumer(t, "S", "c"); a.NumPending != 0 || a.NumAckPending != 100 {
		t.Errorf("%+v", a)
	}
}

// eventually waits for a condition that its line tells.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	testkit.Eventually(t, "the condition of this line", ok)
}
