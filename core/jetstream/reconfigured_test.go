package jetstream

import (
	"fmt"
	"testing"
)

// A deliver subject that changes while messages wait for their acknowledgement
// sends them again. A recovery finds the change and what came of it as two
// operations, and must do it once.
func TestConsumer_movedThenCrashed(t *testing.T) {
	for _, limit := range []int{-1, 1} {
		d := newDevice(t, 51)
		e, b := d.open()
		mustStream(t, b, "name=S subjects=[s]")
		config := func(to string) string {
			return fmt.Sprintf("durable_name=c ack_policy=explicit max_deliver=%d deliver_subject=%s", limit, to)
		}
		old := b.inbox(t, "d1")
		mustConsumer(t, b, "S", "c", config("d1"))
		for i := range 3 {
			b.publish(t, "s", fmt.Sprint(i))
		}
		for range 3 {
			old.next()
		}
		old.stop()
		in := b.inbox(t, "d2")
		mustConsumer(t, b, "S", "c", config("d2"))
		if limit < 0 {
			for range 3 {
				b.request(t, in.next().Reply, "", "") // acknowledged durably
			}
		}
		eventually(t, func() bool { return b.consumer(t, "S", "c").NumAckPending == 0 })
		b.publish(t, "s", "3") // which makes what was before durable too
		b.request(t, in.next().Reply, "", "")
		d.crash(e, 1)
		e, b = d.open()
		in = b.inbox(t, "d2")
		b.publish(t, "s", "4")
		if m := in.next(); m.Body != "4" {
			t.Errorf("max_deliver %d: got %q", limit, m.Body)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}
