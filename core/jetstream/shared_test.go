package jetstream

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/edgestore"
)

// What is damaged on one server is nothing to the others that share the log:
// nothing is booked as lost and nothing appended for it. A step that needs it stops
// the stream, and the log is told that this copy has to be made anew.
func TestShared_damageOfOneDisk(t *testing.T) {
	for name, c := range map[string]stepCase{
		"a delete":                    {n: 20, do: func(x *twins) { x.w.call("STREAM.MSG.DELETE.S", "seq=5") }},
		"a purge of a subject":        {n: 20, do: func(x *twins) { x.w.call("STREAM.PURGE.S", "filter=s.1") }},
		"a number of messages":        {n: 20, config: "max_msgs=20", do: func(x *twins) { x.put("s.1", "a") }},
		"room that depends on a size": {n: 5, config: "discard=new max_bytes=64000 max_msgs_per_subject=1", do: func(x *twins) { x.put("s.4", "short") }},
		"a loss that somebody logged": {n: 20, do: func(x *twins) {
			s := x.stream("S")
			rec := s.record(opLost, false)
			if err := x.w.e.append(s.log(), true, &rec, nil, nil, msgp.AppendUint64(msgp.AppendUint64(nil, 1), 20)); err != nil {
				x.t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, began := c.record(t)
				base := x.prepare(began)
				sound := x.again(base, began)
				sound.apply()
				want := sound.e.account("A").stream("S").state()
				damageChunks(t, base.dir)
				n := x.again(base, began)
				n.apply()
				s := n.e.account("A").stream("S")
				if name == "a loss that somebody logged" {
					if s.failed != nil || s.state().Msgs != want.Msgs {
						t.Errorf("%v, %d messages where the others have %d", s.failed, s.state().Msgs, want.Msgs)
					}
					return
				}
				if s.failed == nil || !strings.Contains(s.failed.Error(), "damaged on this server") {
					t.Errorf("the stream goes on: %v; it has %+v, the others %+v", s.failed, s.state(), want)
				}
				if len(x.g.damaged) == 0 {
					t.Error("the log is not told")
				}
				n.drain(rand.New(rand.NewPCG(1, 1)))
				n.stop(true)
				// With a copy of the files of another server it goes on.
				n.dir = sound.dir
				sound.stop(true)
				n.place, n.log = base.place, &twinLog{g: x.g, released: began, place: base.place}
				n.open(x.g)
				n.apply()
				if got := n.e.account("A").stream("S").state(); !reflect.DeepEqual(got, want) {
					t.Errorf("with another copy: %+v, the others have %+v", got, want)
				}
			})
		})
	}
}

// damageChunks flips a bit of every message in the files of a stream.
func damageChunks(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "streams", "*", "*.chunks"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%q, %v", names, err)
	}
	for _, name := range names {
		b := mustRead(t, name)
		hit := 0
		for i := range 20 {
			if at := strings.Index(string(b), text(i)); at >= 0 {
				b[at] ^= 1
				hit++
			}
		}
		if hit == 0 {
			t.Fatalf("%s has no message", name)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A server that leads appends nothing for what it can't read, and tells the log.
func TestShared_leaderLogsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stepCase{n: 3}
		x, _ := c.record(t, func(x *twins) {
			s := x.stream("S")
			before := x.g.committed()
			s.watch.damaged(2, 3, edgestore.ErrCorrupt)
			x.settle()
			if now := x.g.committed(); now != before {
				t.Errorf("%d operations were logged", now-before)
			}
			if st := s.state(); st.Msgs != 3 {
				t.Errorf("%d messages are left", st.Msgs)
			}
		})
		if len(x.g.damaged) != 1 || !strings.Contains(x.g.damaged[0], "2") {
			t.Errorf("the log is told %q", x.g.damaged)
		}
	})
}

// The files of a leader have of its consumers what the log has: made a follower
// again it is where the others are.
func TestShared_leaderSealsWhatIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stepCase{n: 3, before: func(x *twins) {
			mustConsumer(t, x.w.b, "S", "c", "durable_name=c ack_policy=explicit ack_wait=1h")
		}}
		x, _ := c.record(t, func(x *twins) {
			x.g.mu.Lock()
			x.g.held = true
			x.g.mu.Unlock()
			in := x.w.b.pull(t, "S.c", "batch=2 no_wait")
			in.next()
			in.next()
			in.stop()
			s := x.stream("S")
			s.mu.Lock()
			s.passed(s.applied) // there is something to be drained
			s.mu.Unlock()
			m := s.member("c")
			m.mu.Lock()
			m.deltas.dirty = true
			m.mu.Unlock()
			if err := x.lead.e.drain.drain(); err != nil {
				t.Error(err)
			}
			// Another server leads, and the log never has it.
			x.g.elect()
			x.g.mu.Lock()
			x.g.held = false
			x.g.mu.Unlock()
		})
		was, other := x.lead, x.newTwin(0)
		x.cleanUp(other)
		for _, n := range []*twin{was, other} {
			n.open(x.g)
			n.give(x.rnd, x.g.committed())
		}
		if d := difference(stateOf(other.e), stateOf(was.e)); d != "" {
			t.Error(d)
		}
	})
}

// Consumers in memory that a restart has forgotten are deleted in the log before
// anything comes that depends on it: while the log does not take that the stream
// is on no bus, and it is tried again.
func TestVolatile_forgottenIsLoggedFirst(t *testing.T) {
	x := newBox(t)
	var refuse atomic.Bool
	x.change = func(c *Config) { c.backend = withoutNotes{diskBackend{c}, &refuse, opConsumerDelete} }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s] retention=interest")
	mustConsumer(t, x.b, "S", "v", "name=v ack_policy=explicit mem_storage")
	x.kill()
	refuse.Store(true)
	x.start()
	if x.b.HasInterest("s") {
		t.Error("the stream takes messages, and the log still has a consumer that is gone")
	}
	if err := x.b.fails(t, "CONSUMER.CREATE.S.v", "stream_name=S config={name=v durable_name=v ack_policy=explicit}"); err == nil {
		t.Error("a consumer of that name is made")
	}
	refuse.Store(false)
	eventually(t, func() bool { x.e.ticks(); return x.b.HasInterest("s") })
	mustConsumer(t, x.b, "S", "v", "name=v durable_name=v ack_policy=explicit")
	x.kill()
	x.start()
	if m := x.e.account("A").stream("S").member("v"); m == nil || m.config().MemoryStorage {
		t.Errorf("the consumer that was made then is %+v", m)
	}
}
