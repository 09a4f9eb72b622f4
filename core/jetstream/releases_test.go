package jetstream

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore/vfs"
)

// Who settles waits for those that began before, and keeps nobody waiting.
func TestReleases_waitHoldsNobodyUp(t *testing.T) {
	var r releases
	r.wait()
	first := r.begin()
	done := make(chan struct{})
	go func() {
		r.wait()
		close(done)
	}()
	testkit.Eventually(t, "it waits", r.waiting)
	second := r.begin()
	third := r.begin()
	r.end(third)
	select {
	case <-done:
		t.Error("what began before has not ended")
	default:
	}
	r.end(first)
	select {
	case <-done:
	case <-time.After(testTimeout):
		t.Fatal("it waits for what began later")
	}
	r.end(second)
	if r.waiting() || len(r.open) != 0 {
		t.Errorf("%+v is left", r.open)
	}
}

// What all consumers have done with is not read to know whether it may go.
func TestRetention_readsOnlyWhatSubjectsDecide(t *testing.T) {
	e, b := newTestEngine(t)
	mustStream(t, b, "name=S subjects=[s] storage=memory retention=interest")
	var failing atomic.Bool
	s := e.account("A").stream("S")
	s.mu.Lock()
	s.store = flakyReads{s.store, &failing}
	s.mu.Unlock()
	for _, name := range []string{"one", "two"} {
		mustConsumer(t, b, "S", name, "durable_name="+name+" filter_subject=s ack_policy=explicit")
	}
	b.publish(t, "s", "")
	in := b.inbox(t, "in")
	b.send(nextPrefix+"S.one", "in", "1")
	b.send(nextPrefix+"S.two", "in", "1")
	one, two := in.next().Reply, in.next().Reply
	b.send(one, "", "")
	b.call(t, "STREAM.INFO.S", "", nil) // the other one still has it
	failing.Store(true)
	b.send(two, "", "")
	testkit.Eventually(t, "the message goes", func() bool { return s.store.Index().Msgs == 0 })
	if s.sweepAgain.Load() {
		t.Error("something was put off")
	}
}

// Whether a message that there is no room for is stored already is looked for on the
// disk, which holds up nobody else of the stream.
func TestStuck_knownIDs(t *testing.T) {
	x := manyIDs(t)
	d := new(stuckDisk)
	faults := vfs.WithFaults(vfs.OS{})
	x.e.cfg.idDisk = faults
	for i := range 60 {
		x.id(i)
	}
	x.drain()
	s := x.e.account("A").stream("S")
	if len(s.dedup.runs) == 0 {
		t.Fatal("all ids are in memory")
	}
	faults.SetHook(func(c vfs.Call) error {
		if c.Op == vfs.OpRead {
			d.wait()
		}
		return nil
	})
	free := d.stick()
	defer free()
	known := make(chan bool, 1)
	go func() {
		known <- s.answerKnown(s.view.Load(), &wire.Msg{Subject: []byte("s"), Header: []byte(header("Nats-Msg-Id", "id-3"))})
	}()
	testkit.Eventually(t, "the disk is stuck", d.stuck)
	testkit.Eventually(t, "the stream is free", func() bool {
		if !s.mu.TryLock() {
			return false
		}
		s.mu.Unlock()
		return true
	})
	free()
	if !<-known {
		t.Error("what is stored is not known")
	}
}
