package jetstream

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

// testClock is the time of an engine, moved by the test.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func newTestClock() *testClock {
	return &testClock{now: time.Date(2026, 5, 6, 7, 8, 9, 500e6, time.UTC)}
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// pass lets time go by, expires what is due then, and waits for it.
func (c *testClock) pass(t testing.TB, e *Engine, d time.Duration) {
	t.Helper()
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
	expireAll(t, e)
}

// expireAll lets everything expire that is due, and waits for it.
func expireAll(t testing.TB, e *Engine) {
	t.Helper()
	eventually(t, func() bool { return e.ticks() != expirePause })
}

// While an operation is on its way the next look is soon, as there may be more
// than one of them drops; a stream that failed has nothing that is looked for.
func TestExpire_looks_soon_for_the_rest(t *testing.T) {
	clock := newTestClock()
	e, b := newTestEngine(t, func(c *Config) { c.Now = clock.Now })
	mustStream(t, b, "name=N subjects=[n] storage=memory max_age=1m")
	s := e.account("A").stream("N")
	expireAll(t, e)
	s.expiring.Store(true)
	if wait := e.ticks(); wait != expirePause {
		t.Errorf("the next look is in %v, and one operation is not applied yet", wait)
	}
	s.mu.Lock()
	s.failed = errors.New("of the test")
	s.mu.Unlock()
	if wait := e.ticks(); wait != expirePeriod {
		t.Errorf("a stream that failed is looked at again in %v", wait)
	}
}

func (b *testBus) sendHeader(subj, header string) {
	b.route(&wire.Msg{Subject: []byte(subj), Header: []byte(header)})
}

// holds lists a stream's messages as "subject=body sequence header…".
func (b *testBus) holds(t testing.TB, stream string) string {
	t.Helper()
	var s streamAnswer
	b.call(t, "STREAM.INFO."+stream, "", &s)
	var out []string
	for seq := s.State.FirstSeq; seq <= s.State.LastSeq; seq++ {
		var m struct {
			Message struct {
				Subject    string `json:"subject"`
				Data, Hdrs string
			} `json:"message"`
		}
		answer := b.api(t, "STREAM.MSG.GET."+stream, fmt.Sprintf("seq=%d", seq))
		if err := json.Unmarshal([]byte(answer.Body), &m); err != nil {
			t.Fatal(err)
		}
		if m.Message.Subject == "" {
			continue
		}
		body, _ := base64.StdEncoding.DecodeString(m.Message.Data)
		hdr, _ := base64.StdEncoding.DecodeString(m.Message.Hdrs)
		lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(string(hdr), "NATS/1.0\r\n"), "\r\n\r\n"), "\r\n")
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s=%s %d %s", m.Message.Subject, body, seq, strings.Join(lines, ","))))
	}
	return strings.Join(out, "; ")
}

const testMarker = "Nats-Marker-Reason: MaxAge,Nats-TTL: 3s,Nats-Rollup: sub"

// What is left when messages expire, as by the stock server: in files and in
// memory, at once and over restarts of either kind.
func TestTTL_expiryAndMarkers(t *testing.T) {
	for _, mode := range []string{"memory", "file", "restart", "crash"} {
		t.Run(mode, func(t *testing.T) {
			storage, clock := mode, newTestClock()
			if mode != "memory" {
				storage = "file"
			}
			d := newDevice(t, 5)
			d.change = func(c *Config) { c.Now = clock.Now }
			e, b := d.open()
			stream := func(name, extra string) {
				mustStream(t, b, fmt.Sprintf("name=%q subjects=[%s.>] storage=%q %s", name, strings.ToLower(name), storage, extra))
			}
			stream("K", "subject_delete_marker_ttl=3s max_msgs_per_subject=1")
			stream("L", "subject_delete_marker_ttl=3s max_msgs_per_subject=5")
			stream("X", "subject_delete_marker_ttl=3s max_age=4s")
			stream("Y", "allow_msg_ttl max_age=2s")
			put := func(subj, body string, h ...string) { b.publish(t, subj, body, h...) }
			for _, s := range []string{"k", "l"} {
				put(s+".ttl", "v", "Nats-TTL", "1s")
				put(s+".del", "v", "Nats-TTL", "1", "KV-Operation", "DEL")
				put(s+".purge", "v", "Nats-TTL", "1s", "KV-Operation", "PURGE")
				put(s+".mark", "v", "Nats-TTL", "1s", "Nats-Marker-Reason", "Remove")
				put(s+".long", "v", "Nats-TTL", "90m")
			}
			put("l.two", "1")
			put("l.two", "2", "Nats-TTL", "1s")
			put("l.three", "1", "Nats-TTL", "1s")
			put("l.three", "2")
			for _, s := range []string{"x", "y"} {
				put(s+".never", "v", "Nats-TTL", "never")
				put(s+".plain", "v")
				put(s+".long", "v", "Nats-TTL", "1h")
				put(s+".twice", "1")
				put(s+".twice", "2")
			}
			again := func() {
				switch mode {
				case "restart":
					if err := e.Close(); err != nil {
						t.Fatal(err)
					}
					e, b = d.open()
				case "crash":
					if err := e.drain.drain(); err != nil {
						t.Fatal(err)
					}
					d.crash(e, 0.5)
					e, b = d.open()
				}
			}
			for i, x := range []struct {
				after time.Duration
				want  map[string]string
			}{
				{0, map[string]string{
					"K": "k.ttl=v 1 Nats-TTL: 1s; k.del=v 2 Nats-TTL: 1,KV-Operation: DEL; k.purge=v 3 Nats-TTL: 1s,KV-Operation: PURGE; k.mark=v 4 Nats-TTL: 1s,Nats-Marker-Reason: Remove; k.long=v 5 Nats-TTL: 90m",
					"L": "l.ttl=v 1 Nats-TTL: 3; l.del=v 2 KV-Operation: DEL,Nats-TTL: 3; l.purge=v 3 KV-Operation: PURGE,Nats-TTL: 3; l.mark=v 4 Nats-Marker-Reason: Remove,Nats-TTL: 3; l.long=v 5 Nats-TTL: 90m; l.two=1 6; l.two=2 7 Nats-TTL: 3; l.three=1 8 Nats-TTL: 3; l.three=2 9",
				}},
				{1100 * time.Millisecond, map[string]string{
					"K": "k.long=v 5 Nats-TTL: 90m; k.ttl= 6 " + testMarker + "; k.del= 7 " + testMarker,
					"Y": "y.never=v 1 Nats-TTL: never; y.plain=v 2; y.long=v 3 Nats-TTL: 1h; y.twice=1 4; y.twice=2 5",
				}},
				{2050 * time.Millisecond, map[string]string{
					"L": "l.long=v 5 Nats-TTL: 90m; l.two=1 6; l.three=2 9; l.ttl= 10 " + testMarker + "; l.del= 11 " + testMarker,
					"Y": "y.never=v 1 Nats-TTL: never",
				}},
				{1300 * time.Millisecond, map[string]string{
					"K": "k.long=v 5 Nats-TTL: 90m",
					"X": "x.never=v 1 Nats-TTL: never; x.plain= 6 " + testMarker + "; x.long= 7 " + testMarker + "; x.twice= 8 " + testMarker,
				}},
				{4 * time.Second, map[string]string{
					"L": "l.long=v 5 Nats-TTL: 90m; l.two=1 6; l.three=2 9",
					"X": "x.never=v 1 Nats-TTL: never",
				}},
				{2 * time.Hour, map[string]string{"K": "k.long= 8 " + testMarker, "X": "x.never=v 1 Nats-TTL: never", "Y": "y.never=v 1 Nats-TTL: never"}},
			} {
				again()
				clock.pass(t, e, x.after)
				again()
				for name, want := range x.want {
					if got := b.holds(t, name); got != want {
						t.Errorf("step %d, %s:\n got %s\nwant %s", i, name, got, want)
					}
				}
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A message that comes after a marker was decided, and before it is stored,
// stays.
func TestTTL_markerDoesNotReplaceWhatIsNewer(t *testing.T) {
	e, b := newTestEngine(t)
	mustStream(t, b, "name=K subjects=[k.>] storage=memory subject_delete_marker_ttl=3s max_msgs_per_subject=1")
	b.publish(t, "k.a", "1")
	b.publish(t, "k.a", "2")
	s := e.account("A").stream("K")
	op := s.markerOp(&marker{"k.a", 1})
	if !s.appendOp(s.line.read(), &op) {
		t.Fatal("the log did not take it")
	}
	if a := b.publish(t, "k.b", ""); a.Seq != 3 {
		t.Errorf("%+v", a)
	}
	if got := b.holds(t, "K"); got != "k.a=2 2; k.b= 3" {
		t.Error(got)
	}
}

func TestTTL_config(t *testing.T) {
	_, b := newTestEngine(t)
	for _, x := range []struct {
		config string
		text   string
	}{
		{"subject_delete_marker_ttl=500ms", "subject delete marker TTL must be at least 1 second"},
		{"subject_delete_marker_ttl=-1", "subject delete marker TTL must not be negative"},
		{"subject_delete_marker_ttl=1s mirror={name=O}", "subject delete markers forbidden on mirrors"},
		{"subject_delete_marker_ttl=1s pedantic", "subject delete marker cannot be set if message TTLs are disabled"},
		{"subject_delete_marker_ttl=1s allow_msg_ttl pedantic", "subject delete marker cannot be set if roll-ups are disabled"},
		{"subject_delete_marker_ttl=1s allow_msg_ttl allow_rollup_hdrs deny_purge pedantic", "roll-ups require the purge permission"},
	} {
		if err := b.fails(t, "STREAM.CREATE.P", "name=P storage=memory "+x.config); err.ErrCode != 10052 || err.Description != x.text {
			t.Errorf("%s: %v", x.config, err)
		}
	}
	c := mustStream(t, b, "name=S subjects=[s] storage=memory subject_delete_marker_ttl=1500000000 deny_purge").Config
	if !c.AllowMsgTTL || !c.AllowRollup || c.DenyPurge || c.SubjectDeleteMarkerTTL != 1500*time.Millisecond || c.Metadata[consumer.MetaRequiredLevel] != "1" {
		t.Errorf("%+v", c)
	}
	if err := b.fails(t, "STREAM.UPDATE.S", "name=S subjects=[s] storage=memory"); err.Description != "message TTL status can not be disabled" {
		t.Error(err)
	}
	b.call(t, "STREAM.UPDATE.S", "name=S subjects=[s] storage=memory allow_msg_ttl", nil)
}

// A mirror and a source keep to the TTLs of what they bring, where they allow
// them; a stream that begins to allow them finds those it has.
func TestTTL_ofWhatIsThereOrBrought(t *testing.T) {
	clock := newTestClock()
	e, b := newTestEngine(t, func(c *Config) { c.Now = clock.Now })
	mustStream(t, b, "name=O subjects=[o] storage=memory allow_msg_ttl")
	for name, extra := range map[string]string{
		"M":    "mirror={name=O} allow_msg_ttl",
		"S":    "sources=[{name=O}] allow_msg_ttl",
		"Late": "sources=[{name=O}]",
		"Not":  "sources=[{name=O}]",
	} {
		mustStream(t, b, fmt.Sprintf("name=%q storage=memory %s", name, extra))
	}
	b.publish(t, "o", "1", "Nats-TTL", "2s")
	b.publish(t, "o", "2")
	b.publish(t, "o", "3", "Nats-TTL", "1h")
	names := []string{"O", "M", "S", "Late", "Not"}
	count := func(name string) uint64 {
		var s streamAnswer
		b.call(t, "STREAM.INFO."+name, "", &s)
		return s.State.Msgs
	}
	for _, name := range names {
		eventually(t, func() bool { return count(name) == 3 })
	}
	b.call(t, "STREAM.UPDATE.Late", "name=Late storage=memory sources=[{name=O}] allow_msg_ttl", nil)
	clock.pass(t, e, 3*time.Second)
	for _, name := range names {
		want := uint64(2)
		if name == "Not" {
			want = 3
		}
		if n := count(name); n != want {
			t.Errorf("%s has %d messages, want %d", name, n, want)
		}
	}
}

// Messages that live for ever at the front are looked at once, and what is
// behind them expires in bounded pieces.
func TestTTL_manyAtOnce(t *testing.T) {
	clock := newTestClock()
	e, b := newTestEngine(t, func(c *Config) { c.Now = clock.Now })
	mustStream(t, b, "name=N subjects=[n.*] storage=memory allow_msg_ttl max_age=1m")
	const each = maxExpire + 100
	for i := range 3 * each {
		m := []string{"", "Nats-TTL: never\r\n", "Nats-TTL: 10\r\n"}[i/each]
		b.sendHeader("n.a", "NATS/1.0\r\n"+m+"\r\n")
	}
	b.publish(t, "n.b", "")
	clock.pass(t, e, 30*time.Second)
	s := e.account("A").stream("N")
	if st := s.state(); st.Msgs != 2*each+1 || s.expiries.len() != 0 {
		t.Errorf("%d messages, %d in the index", st.Msgs, s.expiries.len())
	}
	clock.pass(t, e, time.Minute)
	if st := s.state(); st.Msgs != each || s.agedUpTo != st.LastSeq+1 {
		t.Errorf("%d messages, looked at up to %d", st.Msgs, s.agedUpTo)
	}
}

// The index against a map, with seals and loads in between.
func TestExpiries_model(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	disk := map[string][]byte{}
	model := map[uint64]int64{}
	var x expiries
	now, seq := int64(1.7e18), uint64(1000)
	reopen := func() {
		for _, a := range x.seal() {
			if delete(disk, a.Key); a.Value != nil {
				disk[a.Key] = a.Value
			}
		}
		x = expiries{}
		for key, value := range disk {
			if err := x.load(key, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 20000 {
		switch n := rnd.IntN(100); {
		case n < 80:
			seq += uint64(1 + rnd.IntN(3))
			life := ttl(1 + rnd.IntN(300))
			x.add(seq, now, life)
			model[seq] = (now+int64(tick)-1)/int64(tick) + int64(life)*ticksPerSecond
		case n < 98:
			now += rnd.Int64N(int64(time.Second))
			at, limit := now/int64(tick), 1+rnd.IntN(50)
			listed := x.due(at, limit)
			taken := x.take(at, limit)
			if !slices.Equal(listed, taken) {
				t.Fatalf("listed %v, taken %v", listed, taken)
			}
			for _, s := range taken {
				if due, ok := model[s]; !ok || due > at {
					t.Fatalf("%d is taken at %d and due at %d", s, at, due)
				}
				delete(model, s)
			}
			if len(taken) < limit {
				for s, due := range model {
					if due <= at {
						t.Fatalf("%d is due and was not taken", s)
					}
				}
			}
		default:
			reopen()
		}
		if x.len() != len(model) {
			t.Fatalf("%d entries, want %d", x.len(), len(model))
		}
	}
	reopen()
	x.take(now/int64(tick)+1e6, 1<<30)
	if aux := x.seal(); len(x.slots)+len(x.heap)+x.len() != 0 || len(aux) != len(disk) {
		t.Errorf("%d slots are left", len(x.slots))
	}
	// A million keys of one lifetime.
	for i := range 1_000_000 {
		x.add(uint64(i), now+int64(i)*1e6, 3600)
	}
	size := 0
	for _, s := range x.heap {
		size += cap(s.entries) + 100
	}
	if size > 4_000_000 {
		t.Errorf("a million entries take %d bytes", size)
	}
}

// failingReads is a store that can't read the messages from a sequence on.
type failingReads struct {
	edgestore.Store
	from uint64
}

func (f failingReads) Hot() edgestore.Reads { return edgestoretest.Cold{} }

func (f failingReads) LoadNext(filters []string, start uint64, buf []byte) (edgestore.Msg, []byte, error) {
	if start >= f.from {
		return edgestore.Msg{}, buf, errors.New("input/output error")
	}
	return f.Store.LoadNext(filters, start, buf)
}

// A read that fails is not the end of the stream: what was not seen would never
// expire.
func TestTTL_readThatFails(t *testing.T) {
	for name, op := range map[string]func(s *stream) error{
		"begin to allow": func(s *stream) error { _, err := s.ttlsStored(); return err },
		"above the max_age": func(s *stream) error {
			x := expiry{cutoff: math.MaxInt64, above: 1, limit: maxExpire}
			return s.applyExpire(x.append(nil))
		},
	} {
		e, b := newTestEngine(t)
		mustStream(t, b, "name=R subjects=[r] storage=memory allow_msg_ttl")
		for range 3 {
			b.publish(t, "r", "", "Nats-TTL", "1h")
		}
		s := e.account("A").stream("R")
		s.mu.Lock()
		s.store = failingReads{s.store, 2}
		s.expiries.nevers = true
		err := op(s)
		if err == nil || !strings.Contains(err.Error(), "input/output error") || s.failed == nil || s.agedUpTo != 0 {
			t.Errorf("%s: %v; the stream's failure is %v, looked at up to %d", name, err, s.failed, s.agedUpTo)
		}
		s.mu.Unlock()
	}
}

func TestExpiries_damagedSlot(t *testing.T) {
	var x expiries
	for key, value := range map[string]string{auxExpiry + "zz": "", slotKey(5): "\x02", slotKey(6): "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if err := x.load(key, []byte(value)); err == nil {
			t.Errorf("%q %q was taken", key, value)
		}
	}
}

// len is how many messages are in the index.
func (x *expiries) len() (n int) {
	for _, s := range x.slots {
		n += s.n
	}
	return n
}
