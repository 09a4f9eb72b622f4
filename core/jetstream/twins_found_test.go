package jetstream

import (
	"context"
	"testing"
)

// What the twins found, each by itself.

// A drain writes down where a consumer stands, also when it moved only over
// messages that are for others. What it does from there on is logged relative to
// that, so that a restart passes over no message.
func TestConsumer_goesOnBehindADrainThatFoundASkip(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s.>]")
	mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit filter_subject=s.mine")
	take := func(want string) (reply string) {
		t.Helper()
		in := x.b.pull(t, "S.c", "batch=1 no_wait")
		defer in.stop()
		m := in.next()
		if m.Body != want {
			t.Fatalf("got %q, %q, want %q", m.Header, m.Body, want)
		}
		return m.Reply
	}
	x.put("S", "s.mine", text(0))
	x.b.request(t, take(text(0)), "", "")
	for range 5 {
		x.put("S", "s.others", "x")
	}
	in := x.b.pull(t, "S.c", "batch=1 no_wait") // looks at all of them
	in.next()
	in.stop()
	x.drain()
	for i := range 20 {
		x.put("S", "s.mine", text(1+i))
	}
	x.b.request(t, take(text(1)), "", "")
	if err := x.e.journal.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	x.kill()
	x.start()
	take(text(2))
	if i := x.b.consumer(t, "S", "c"); i.NumPending != 18 || i.NumAckPending != 1 {
		t.Errorf("%+v", i)
	}
}

// A consumer that was not logged has, when its existence is logged after all, the
// id that everybody gives it who applies that.
func TestConsumer_loggedLaterHasTheIDOfItsOperation(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	mustConsumer(t, x.b, "S", "v", "name=v ack_policy=explicit mem_storage")
	s := x.e.account("A").stream("S")
	if m := s.member("v"); m.id < firstVolatile {
		t.Fatalf("the consumer is logged, as %d", m.id)
	}
	x.b.call(t, "STREAM.UPDATE.S", "name=S subjects=[s] retention=interest", nil)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if m := s.consumers.byName["v"]; m.id >= firstVolatile || s.consumers.byID[m.id] != m || len(s.consumers.byID) != 1 {
		t.Errorf("id %d, by id %v", m.id, s.consumers.byID)
	}
}
