package jetstream

import (
	"testing"

	"github.com/frondmq/frond/core/wire"
)

// What is half done when the lead is lost, and must not go on in a later term.

// refuseAll has the log take nothing, or all again.
func (x *twins) refuseAll(yes bool) {
	x.g.mu.Lock()
	defer x.g.mu.Unlock()
	if x.g.refuse = 0; yes {
		x.g.refuse = 1
	}
}

// there waits until something is so of a consumer, which nobody works on meanwhile.
func (x *twins) there(m *member, not string, ok func() bool) {
	x.t.Helper()
	x.wait(not, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return ok()
	})
}

// A request that came in and that the consumer has not looked at is ended like one
// that waits.
func TestLead_requestThatNobodyLookedAt(t *testing.T) {
	running(t, func(t *testing.T, x *twins) {
		m := x.stream(twinLossy).member("wait")
		in := x.w.b.inbox(t, "_WAIT.box")
		defer in.stop()
		m.box.put(inputPull, &wire.Msg{Subject: []byte(nextPrefix + twinLossy + ".wait"), Reply: []byte(in.subject), Body: []byte(jsonOf(t, "batch=1 expires=1h"))})
		x.handOver(false)
		if got := in.next().Header; len(got) < 32 || got[:32] != "NATS/1.0 409 Leadership Change\r\n" {
			t.Errorf("it heard %q", got)
		}
	})
}

// What comes in late, for one that follows, is not there when it leads: whoever
// asked was told, and asked the other one.
func TestLead_whatCameInWhileItFollowed(t *testing.T) {
	running(t, func(t *testing.T, x *twins) {
		m := x.follow.e.account("A").stream(twinLossy).member("wait")
		in := x.follow.bus.inbox(t, "_WAIT.late")
		defer in.stop()
		m.box.put(inputPull, &wire.Msg{Subject: []byte(nextPrefix + twinLossy + ".wait"), Reply: []byte(in.subject), Body: []byte(jsonOf(t, "batch=1 expires=1h"))})
		x.handOver(false)
		x.settle()
		if n := x.stream(twinLossy).member("wait").Info().NumWaiting; n != 0 {
			t.Errorf("%d requests wait", n)
		}
	})
}

// A double acknowledgement that the log did not take is answered by nobody, in
// whichever term.
func TestLead_answerOfAnEarlierTerm(t *testing.T) {
	running(t, func(t *testing.T, x *twins) {
		mustStream(t, x.w.b, "name=S subjects=[s]")
		mustConsumer(t, x.w.b, "S", "c", "durable_name=c ack_policy=explicit ack_wait=1h")
		x.put("s", "1")
		x.put("s", "2")
		pull := func() string {
			in := x.w.b.pull(t, "S.c", "batch=1 no_wait")
			defer in.stop()
			return in.next().Reply
		}
		reply := pull()
		x.settle()
		first, m := x.lead, x.stream("S").member("c")
		x.refuseAll(true)
		told := x.w.b.ask(t, reply, "+ACK")
		x.there(m, "the acknowledgement does not arrive", func() bool { return len(m.deltas.answers) > 0 })
		x.refuseAll(false)
		x.handOver(false)
		x.handOver(false)
		if x.lead != first {
			t.Fatal("the other one leads")
		}
		pull()
		x.settle()
		told.none()
		if n := m.Info().NumAckPending; n != 2 {
			t.Errorf("%d messages wait for an acknowledgement, and the log has none", n)
		}
	})
}

// What a consumer of a work queue was done with, and the log does not say so, is not
// released when its server leads again.
func TestLead_releaseOfAnEarlierTerm(t *testing.T) {
	running(t, func(t *testing.T, x *twins) {
		mustStream(t, x.w.b, "name=S subjects=[s] retention=workqueue")
		mustConsumer(t, x.w.b, "S", "c", "durable_name=c ack_policy=explicit ack_wait=1h")
		x.put("s", "1")
		in := x.w.b.pull(t, "S.c", "batch=1 no_wait")
		defer in.stop()
		reply := in.next().Reply
		x.settle()
		m := x.stream("S").member("c")
		m.box.put(inputAck, &wire.Msg{Subject: []byte(reply), Body: []byte("+ACK")})
		m.enter(new(publishers)) // as a worker that comes no further
		n := len(m.acked)
		m.mu.Unlock()
		if n != 1 {
			t.Fatalf("%d messages are acknowledged", n)
		}
		x.handOver(false)
		x.handOver(false)
		m.e.work.schedule(m)
		x.settle()
		if st := x.stream("S").state(); st.Msgs != 1 {
			t.Errorf("%d messages are left", st.Msgs)
		}
	})
}
