package jetstream

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

// flakyReads is a store whose reads fail while failing is set.
type flakyReads struct {
	edgestore.Store
	failing *atomic.Bool
}

func (f flakyReads) Hot() edgestore.Reads {
	if f.failing.Load() {
		return edgestoretest.Cold{}
	}
	return f.Store.Hot()
}

var errFlaky = errors.New("input/output error")

func (f flakyReads) LoadNext(filters []string, start uint64, buf []byte) (edgestore.Msg, []byte, error) {
	if f.failing.Load() && start > 1 {
		return edgestore.Msg{}, buf, errFlaky
	}
	return f.Store.LoadNext(filters, start, buf)
}

func (f flakyReads) Load(seq uint64, buf []byte) (edgestore.Msg, []byte, error) {
	if f.failing.Load() {
		return edgestore.Msg{}, buf, errFlaky
	}
	return f.Store.Load(seq, buf)
}

// flakySteps is flakyReads, and what operations read fails too.
type flakySteps struct{ flakyReads }

func (f flakySteps) Describe(from uint64) (edgestore.Removal, bool, error) {
	if f.failing.Load() {
		return edgestore.Removal{}, false, errFlaky
	}
	return f.Store.Describe(from)
}

// A read that fails neither drops what somebody needs nor keeps for ever what
// nobody does; it is told, and tried again.
func TestRetention_readsThatFail(t *testing.T) {
	var log testkit.Log
	e, b := newTestEngine(t, func(c *Config) { c.Logger = log.Logger() })
	var failing atomic.Bool
	flaky := func(config string) *stream {
		mustStream(t, b, config)
		s := e.account("A").stream("S")
		s.mu.Lock()
		s.store = flakyReads{s.store, &failing}
		s.mu.Unlock()
		return s
	}
	msgs := func() uint64 {
		var a streamAnswer
		b.call(t, "STREAM.INFO.S", "", &a)
		return a.State.Msgs
	}
	again := func() {
		t.Helper()
		failing.Store(false)
		e.ticks()
	}

	s := flaky("name=S subjects=[s] storage=memory retention=interest")
	for _, name := range []string{"one", "two"} {
		b.call(t, "CONSUMER.DURABLE.CREATE.S."+name, "stream_name=S config={durable_name="+name+" ack_policy=explicit}", nil)
	}
	for range 3 {
		b.publish(t, "s", "")
	}
	failing.Store(true)
	s.member("one").mu.Lock()
	s.member("one").acked = []uint64{1}
	s.member("one").mu.Unlock()
	s.member("one").release()
	if s.releasing.Load() != 0 || !s.sweepAgain.Load() || log.Count("put off") != 1 {
		t.Errorf("a message that can't be read is not needed; %d lines tell of it", log.Count("put off"))
	}
	for _, name := range []string{"one", "two"} {
		b.call(t, "CONSUMER.DELETE.S."+name, "", nil)
	}
	if n := msgs(); n == 0 {
		t.Error("what could not be read is gone")
	}
	again()
	eventually(t, func() bool { return msgs() == 0 })
	if n := log.Count("input/output error"); n != 1 {
		t.Errorf("%d lines in a minute", n)
	}
	b.call(t, "STREAM.DELETE.S", "", nil)

	clock := time.Now()
	s = flaky("name=S subjects=[s] storage=memory max_age=1s subject_delete_marker_ttl=1h")
	for range 3 {
		b.publish(t, "s", "")
	}
	failing.Store(true)
	_, _, ok, err := s.overdue(clock.Add(time.Hour).UnixNano())
	if ok || !errors.Is(err, errFlaky) {
		t.Errorf("expiry goes on where markers can't be chosen: %v, %v", ok, err)
	}
	s.mu.Lock()
	s.store = flakySteps{s.store.(flakyReads)}
	s.fx = new(effects)
	if _, err := s.describe([]uint64{1}); err == nil || s.failed == nil {
		t.Errorf("a message went unread: %v, the stream's failure is %v", err, s.failed)
	}
	s.mu.Unlock()
}

// stuckReads is a store whose disk does not answer until it may.
type stuckReads struct {
	edgestore.Store
	asked, may chan struct{}
}

func (r stuckReads) Hot() edgestore.Reads { return edgestoretest.Cold{} }

func (r stuckReads) LoadNext(filters []string, start uint64, buf []byte) (edgestore.Msg, []byte, error) {
	poke(r.asked)
	<-r.may
	return r.Store.LoadNext(filters, start, buf)
}

// A sweep that is tried again holds up neither timers nor other streams, and
// there is one at a time.
func TestRetention_sweepsElsewhere(t *testing.T) {
	e, b := newTestEngine(t)
	mustStream(t, b, "name=S subjects=[s] storage=memory retention=workqueue")
	s := e.account("A").stream("S")
	r := stuckReads{s.store, make(chan struct{}, 1), make(chan struct{})}
	s.mu.Lock()
	s.store = r
	s.mu.Unlock()
	s.sweepAgain.Store(true)
	e.ticks() // would not come back
	<-r.asked
	s.sweepAgain.Store(true)
	e.ticks()
	if !s.sweepAgain.Load() {
		t.Error("a second sweep began beside the first")
	}
	close(r.may)
	eventually(t, func() bool {
		e.ticks()
		return !s.sweepAgain.Load() && !s.sweeping.Load()
	})
}

// A log that refuses is told once a minute, not with each round.
func TestExpire_refusedIsToldOnce(t *testing.T) {
	var log testkit.Log
	e, b := newTestEngine(t, func(c *Config) { c.Logger = log.Logger() })
	mustStream(t, b, "name=S subjects=[s] storage=memory")
	s := e.account("A").stream("S")
	for range 3 {
		s.refused("clock step", errFlaky)
		s.refused("expiry", errFlaky)
	}
	if n := log.Count("put off"); n != 1 {
		t.Errorf("%d lines in a minute", n)
	}
}

// Whoever acknowledged a message and asks what the stream holds does not see it.
func TestStream_infoFollowsPlainAcks(t *testing.T) {
	for _, retention := range []string{"workqueue", "interest"} {
		_, b := newTestEngine(t, func(c *Config) { c.Dir = t.TempDir() })
		mustStream(t, b, "name=W subjects=[w] retention="+retention)
		mustConsumer(t, b, "W", "c", "durable_name=c ack_policy=explicit")
		in := b.inbox(t, "in")
		for range 20 {
			b.publish(t, "w", "")
			b.send(nextPrefix+"W.c", "in", "1")
			b.send(in.next().Reply, "", "")
			var s streamAnswer
			b.call(t, "STREAM.INFO.W", "", &s)
			if s.State.Msgs != 0 {
				t.Fatalf("%s: %d messages behind the acknowledgement", retention, s.State.Msgs)
			}
		}
	}
}

// So too whoever reads, purges or deletes.
func TestStream_requestsFollowPlainAcks(t *testing.T) {
	for _, retention := range []string{"workqueue", "interest"} {
		_, b := newTestEngine(t, func(c *Config) { c.Dir = t.TempDir() })
		mustStream(t, b, "name=W subjects=[w] allow_direct retention="+retention)
		mustConsumer(t, b, "W", "c", "durable_name=c ack_policy=explicit")
		in := b.inbox(t, "in")
		for _, x := range []struct{ verb, body, want string }{
			{"STREAM.MSG.GET.W", "seq=%d", `"err_code":10037`},
			{"DIRECT.GET.W", "seq=%d", "404"},
			{"DIRECT.GET.W.w", ``, "404"},
			{"STREAM.PURGE.W", ``, `"purged":0`},
			{"STREAM.MSG.DELETE.W", "seq=%d", `"error"`},
			{"STREAM.LIST", ``, `"messages":0`},
			{"CONSUMER.INFO.W.c", ``, `"num_ack_pending":0`},
		} {
			for range 10 {
				a := b.publish(t, "w", "")
				b.send(nextPrefix+"W.c", "in", "1")
				b.send(in.next().Reply, "", "")
				body := x.body
				if strings.Contains(body, "%d") {
					body = fmt.Sprintf(body, a.Seq)
				}
				if m := b.api(t, x.verb, body); !strings.Contains(m.Header+m.Body, x.want) {
					t.Fatalf("%s: %s %s: %s %s, want %s", retention, x.verb, body, m.Header, m.Body, x.want)
				}
			}
		}
	}
}

// So too when another goroutine has taken what was acknowledged, and is about to log
// that it goes.
func TestStream_infoWaitsForReleases(t *testing.T) {
	e, b := newTestEngine(t, func(c *Config) { c.Dir = t.TempDir() })
	mustStream(t, b, "name=W subjects=[w] retention=workqueue")
	b.publish(t, "w", "")
	s := e.account("A").stream("W")
	turn := s.ongoing().begin()
	s.releasing.Add(1)
	told := make(chan uint64, 1)
	go func() {
		s.Settle()
		told <- s.Info().State.Msgs
	}()
	eventually(t, s.ongoing().waiting)
	s.logRelease([]uint64{1})
	s.ongoing().end(turn)
	if msgs := <-told; msgs != 0 {
		t.Errorf("%d messages are told", msgs)
	}
}
