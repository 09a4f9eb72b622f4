package jetstream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core/wire"
)

// What a leader had that is no leader any more, each by itself.

// running are twins that both run, the first for the second time as the follower.
func running(t *testing.T, f func(t *testing.T, x *twins)) {
	synctest.Test(t, func(t *testing.T) {
		x := bareTwins(t, 11)
		x.short = true
		mustStream(t, x.w.b, "name=LOSSY subjects=[LOSSY.>]")
		mustConsumer(t, x.w.b, twinLossy, "wait", "durable_name=wait ack_policy=explicit filter_subject=LOSSY.never")
		x.change()
		x.change()
		x.settle()
		f(t, x)
		x.settle()
		x.compare()
		x.changed()
	})
}

// hold has the log commit nothing from the first operation of a kind on, until the
// next election.
func (x *twins) hold(kind uint8) {
	x.g.mu.Lock()
	x.g.holds = kind
	x.g.mu.Unlock()
}

// What a consumer delivered and the log does not have is delivered again, whoever
// leads, and in the numbers that the log goes on with.
func TestLead_consumerGoesBackToItsLog(t *testing.T) {
	running(t, func(t *testing.T, x *twins) {
		mustStream(t, x.w.b, "name=S subjects=[s]")
		mustConsumer(t, x.w.b, "S", "c", "durable_name=c ack_policy=explicit ack_wait=1h")
		for i := range 5 {
			x.put("s", fmt.Sprint(i))
		}
		take := func(want string) {
			t.Helper()
			in := x.w.b.pull(t, "S.c", "batch=1 no_wait")
			defer in.stop()
			if got := shortReply(in.next().Reply); got != want {
				t.Errorf("delivered %s, want %s", got, want)
			}
		}
		take("S.c.1.1.1")
		x.settle()
		x.hold(opConsumerDelta)
		take("S.c.1.2.2")
		take("S.c.1.3.3")
		first := x.lead
		x.handOver(false)
		x.settle()
		x.compare() // the one that was ahead is back
		take("S.c.1.2.2")
		x.settle()
		x.handOver(false)
		if x.lead != first {
			t.Fatal("the other one leads")
		}
		take("S.c.1.3.3")
	})
}

// A consumer in memory that a new leader forgot is there again when the log never
// had its deletion.
func TestLead_forgottenComesBack(t *testing.T) {
	running(t, func(t *testing.T, x *twins) {
		mustStream(t, x.w.b, "name=I subjects=[i] retention=interest")
		mustConsumer(t, x.w.b, "I", "v", "name=v ack_policy=explicit mem_storage")
		x.settle()
		there := func(n *twin) bool { return n.e.account("A").stream("I").member("v") != nil }
		was, next := x.lead, x.follow
		x.g.mu.Lock()
		x.g.holdsNext = opConsumerDelete
		x.g.mu.Unlock()
		x.handOver(false)
		if there(next) || !there(was) {
			t.Fatal("the new leader has it, or the follower has not")
		}
		s := next.e.account("A").stream("I")
		x.wait("its deletion is not appended", s.logForgotten)
		x.handOver(true)
		if !there(next) || there(was) { // now the other one has forgotten it
			t.Error("it is gone, and the log has it")
		}
		x.settle()
		x.compare()
		if there(next) || there(was) {
			t.Error("its deletion is in the log, and it is there")
		}
	})
}

// A consumer that no log knows ends with the lead.
func TestLead_volatileEnds(t *testing.T) {
	running(t, func(t *testing.T, x *twins) {
		mustStream(t, x.w.b, "name=S subjects=[s]")
		mustConsumer(t, x.w.b, "S", "v", "name=v ack_policy=none mem_storage deliver_subject=push.v")
		was := x.lead
		in := was.bus.inbox(t, "push.v")
		defer in.stop()
		x.put("s", "1")
		in.next()
		x.change()
		x.put("s", "2")
		in.none()
		op := consumerCreate{"w", 1, []byte(jsonOf(t, "name=w ack_policy=none mem_storage")), 0}
		if _, err := was.e.account("A").stream("S").applyVolatile(opConsumerCreate, op.append(nil)); err != errNotAvailable {
			t.Errorf("a follower that is to make one says %v", err)
		}
		x.change()
		in.none()
		if m := x.stream("S").member("v"); m != nil {
			t.Error("it is there again")
		}
	})
}

// Message ids are known for as long as the stream says, whoever leads: the time
// that each of the leaders has run for before does not count, and what passes under
// each of them does.
func TestLead_idsLiveByTheLine(t *testing.T) {
	running(t, func(t *testing.T, x *twins) {
		mustStream(t, x.w.b, "name=D subjects=[d] duplicate_window=30m")
		pass := func(d time.Duration) {
			x.w.d.clock.ahead.Add(int64(d))
			x.w.e.ticks()
			x.settle()
		}
		put := func(dup bool) {
			t.Helper()
			if a := x.w.b.publish(t, "d", "x", hdrMsgID, "id"); a.Duplicate != dup || a.Error != nil {
				t.Errorf("%+v, want a duplicate %v", a, dup)
			}
		}
		pass(time.Hour)
		put(false)
		for range 3 { // each has run for an hour at least
			x.change()
			put(true)
			pass(5 * time.Minute)
		}
		x.settle()
		x.compare()
		x.change()
		pass(20 * time.Minute)
		put(false)
		boots := make(map[uint32]bool)
		for _, en := range x.g.entries {
			if boots[en.Stamp.Boot] = true; uint64(en.Stamp.Boot) != en.Term {
				t.Fatalf("operation %d of term %d says boot %d", en.Index, en.Term, en.Stamp.Boot)
			}
		}
		if len(boots) < 6 {
			t.Errorf("boots %v", boots)
		}
	})
}

// What others do not share goes by the clock of its own server, whatever the line
// of the log that begins anew with each lead.
func TestLead_streamsInMemoryHaveTheirOwnLine(t *testing.T) {
	running(t, func(t *testing.T, x *twins) {
		mustStream(t, x.w.b, "name=M subjects=[m] storage=memory max_age=1h")
		mustConsumer(t, x.w.b, "M", "c", "durable_name=c ack_policy=explicit ack_wait=1m")
		x.put("m", "1")
		n := x.lead
		in := n.bus.pull(t, "M.c", "batch=5 expires=1h")
		defer in.stop()
		in.next()
		delivered := time.Now()
		x.handOver(false)
		<-time.After(25 * time.Second) // of which the log knows nothing
		x.handOver(false)
		if x.lead != n {
			t.Fatal("the other one leads")
		}
		n.e.ticks()
		<-time.After(30 * time.Second)
		in.none()
		if st := n.e.account("A").stream("M").state(); st.Msgs != 1 {
			t.Errorf("%d messages are left", st.Msgs)
		}
		if m, after := in.next(), time.Since(delivered); m.Body != "1" || after > 62*time.Second {
			t.Errorf("got %+v after %v", m, after)
		}
	})
}

// What is still under way when the lead ends is appended to no later term.
func TestLead_lateAppendIsRefused(t *testing.T) {
	running(t, func(t *testing.T, x *twins) {
		s := x.stream(twinLossy)
		rec := s.record(opShift, false)
		x.change()
		x.change()
		if err := x.w.e.append(s.log(), true, &rec, nil, nil); err == nil {
			t.Error("an operation of an earlier term is taken")
		}
		r := &testReceipt{stored: make(chan string, 1)}
		x.follow.e.account("A").stream(twinLossy).ingest(&wire.Msg{Subject: []byte("LOSSY.l"), Reply: []byte("nobody"), Receipt: r})
		if got := <-r.stored; got != "LOSSY 0 error 10008" {
			t.Errorf("a follower says %s", got)
		}
	})
}
