package jetstream

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frondmq/frond/edgestore/vfs"
)

// Expiry that the log does not take now is logged with the next look.
func TestExpire_logIsFull(t *testing.T) {
	x := newBox(t)
	var refuse atomic.Bool
	var clock chaosClock
	x.change = func(c *Config) {
		c.Now = clock.Now
		c.backend = withoutNotes{diskBackend{c}, &refuse, opExpire}
	}
	x.start()
	mustStream(t, x.b, "name=S subjects=[s] max_age=1m")
	x.put("S", "s", text(1))
	refuse.Store(true)
	clock.ahead.Store(int64(2 * time.Minute))
	x.e.ticks()
	s := x.e.account("A").stream("S")
	if s.expiring.Load() {
		t.Error("the log took nothing, and an expiry is said to be on its way")
	}
	if n := len(sequences(x.e, "S")); n != 1 {
		t.Fatalf("%d messages are left", n)
	}
	refuse.Store(false)
	eventually(t, func() bool { x.e.ticks(); return len(sequences(x.e, "S")) == 0 })
}

// What is due and can't be read leaves its marker later: nothing goes without,
// whether it is due by its own TTL or by its age.
func TestExpire_markersWaitForTheRead(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		header []string
	}{
		"TTL":     {"allow_msg_ttl", []string{"Nats-TTL", "1m"}},
		"max_age": {"allow_msg_ttl max_age=1m", nil},
	} {
		t.Run(name, func(t *testing.T) {
			x := newBox(t)
			var clock chaosClock
			faults := newStoreFaults("")
			x.change = func(c *Config) {
				c.Now = clock.Now
				c.backend = chaosBackend{diskBackend{c}, faults}
			}
			x.start()
			mustStream(t, x.b, fmt.Sprintf("name=S subjects=[s.>] subject_delete_marker_ttl=30s %s", c.config))
			const n = 20
			for i := range n { // several chunks, one may be in memory
				x.put("S", fmt.Sprint("s.", i), text(i)+strings.Repeat("x", 10_000), c.header...)
			}
			x.stop()
			x.start()
			faults.arm(&storeFault{vfs.OpRead, false, 1, 1 << 30})
			clock.ahead.Store(int64(2 * time.Minute))
			for range 3 {
				x.e.ticks()
			}
			if !faults.struck() {
				t.Fatal("everything was in memory")
			}
			s := x.e.account("A").stream("S")
			if st := s.store.State(); st.Msgs != n || st.LastSeq != n {
				t.Errorf("none could be read, and the stream has %+v", st)
			}
			faults.arm(nil)
			eventually(t, func() bool { x.e.ticks(); return len(sequences(x.e, "S")) == n && sequences(x.e, "S")[0] == n+1 })
			for i := range n { // none of them is due yet
				if st, ok, _ := s.store.Subject(fmt.Sprint("s.", i)); !ok || st.Msgs != 1 || st.Last <= n {
					t.Errorf("s.%d has %+v, want a marker", i, st)
				}
			}
		})
	}
}

// A message that is above both its age and its TTL is one that goes: what is left
// of its subject needs no marker.
func TestExpire_dueTwiceGoesOnce(t *testing.T) {
	x := newBox(t)
	var clock chaosClock
	x.change = func(c *Config) { c.Now = clock.Now }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s.>] allow_msg_ttl subject_delete_marker_ttl=30s max_age=1m")
	x.put("S", "s.a", "for ever", "Nats-TTL", "never")
	x.put("S", "s.a", "a minute", "Nats-TTL", "1m")
	x.put("S", "s.b", "a minute", "Nats-TTL", "1m")
	clock.ahead.Store(int64(2 * time.Minute))
	eventually(t, func() bool { x.e.ticks(); return len(sequences(x.e, "S")) == 2 })
	s := x.e.account("A").stream("S")
	if got := sequences(x.e, "S"); got[0] != 1 || got[1] != 4 || s.store.State().LastSeq != 4 {
		t.Errorf("left are %v of %d, want what lives for ever and one marker", got, s.store.State().LastSeq)
	}
}

// A message whose marker the log does not take stays until it does.
func TestExpire_markerIsRefused(t *testing.T) {
	x := newBox(t)
	var refuse atomic.Bool
	var clock chaosClock
	x.change = func(c *Config) {
		c.Now = clock.Now
		c.backend = withoutNotes{diskBackend{c}, &refuse, opMarker}
	}
	x.start()
	mustStream(t, x.b, "name=S subjects=[s] allow_msg_ttl subject_delete_marker_ttl=30s max_age=1m")
	x.put("S", "s", text(1))
	refuse.Store(true)
	clock.ahead.Store(int64(2 * time.Minute))
	x.e.ticks()
	s := x.e.account("A").stream("S")
	s.settleLog(t)
	if got := sequences(x.e, "S"); len(got) != 1 || got[0] != 1 {
		t.Fatalf("left are %v, and no marker is logged", got)
	}
	refuse.Store(false)
	eventually(t, func() bool { x.e.ticks(); got := sequences(x.e, "S"); return len(got) == 1 && got[0] == 2 })
}

// settleLog waits until all that was appended for the stream is applied.
func (s *stream) settleLog(t *testing.T) {
	t.Helper()
	if _, err := s.submit(opRelease, true, appendUint(nil, 0)); err != nil {
		t.Fatal(err)
	}
}

// Consumers hear of what expires by its own TTL: it is neither pending nor delivered
// again.
func TestExpire_consumersAreTold(t *testing.T) {
	x := newBox(t)
	var clock chaosClock
	x.change = func(c *Config) { c.Now = clock.Now }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s] allow_msg_ttl")
	mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit ack_wait=1h")
	for i := range 3 {
		x.put("S", "s", text(i), "Nats-TTL", "1m")
	}
	in := x.b.pull(t, "S.c", "batch=1 no_wait")
	defer in.stop()
	in.next()
	m := x.e.account("A").stream("S").member("c")
	if i := m.Info(); i.NumPending != 2 || i.NumAckPending != 1 {
		t.Fatalf("%d pending and %d delivered", i.NumPending, i.NumAckPending)
	}
	clock.ahead.Store(int64(2 * time.Minute))
	eventually(t, func() bool { x.e.ticks(); return len(sequences(x.e, "S")) == 0 })
	eventually(t, func() bool { i := m.Info(); return i.NumPending == 0 && i.NumAckPending == 0 })
}

// A sealed stream lets nothing go, however old.
func TestExpire_sealed(t *testing.T) {
	x := newBox(t)
	var clock chaosClock
	x.change = func(c *Config) { c.Now = clock.Now }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s] allow_msg_ttl")
	x.put("S", "s", text(1), "Nats-TTL", "1m")
	x.b.call(t, "STREAM.UPDATE.S", "name=S subjects=[s] allow_msg_ttl sealed", nil)
	clock.ahead.Store(int64(2 * time.Minute))
	x.e.ticks()
	x.e.account("A").stream("S").settleLog(t)
	if got := sequences(x.e, "S"); len(got) != 1 {
		t.Errorf("left are %v", got)
	}
}
