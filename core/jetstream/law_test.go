package jetstream

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
)

// The law (DESIGN.md, section 4), case by case: one fault on the disk of an
// engine that was killed, and a restart.

// flipAt changes the first place in some file of the folder that holds
// text: it flips one bit there.
func (x *box) flipAt(glob, text string) {
	x.t.Helper()
	x.change1(glob, text, func(b []byte, at int) { b[at+len(text)/2] ^= 4 })
}

// change1 finds text in the files that match and lets f change the one that has it.
func (x *box) change1(glob, text string, f func(b []byte, at int)) {
	x.t.Helper()
	names, err := filepath.Glob(filepath.Join(x.dir, glob))
	if err != nil {
		x.t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			x.t.Fatal(err)
		}
		if at := bytes.Index(b, []byte(text)); at >= 0 {
			f(b, at)
			if err := os.WriteFile(name, b, 0o600); err != nil {
				x.t.Fatal(err)
			}
			return
		}
	}
	x.t.Fatalf("%q stands in no file of %s", text, glob)
}

func text(i int) string { return fmt.Sprintf("(message %05d)", i) }

// goesOn publishes a message and expects it from the consumer.
func (x *box) goesOn(stream, subject, consumer string) {
	x.t.Helper()
	body := fmt.Sprintf("new one on %s", stream)
	a := x.put(stream, subject, body)
	if a.Error != nil {
		x.t.Fatalf("%s takes no message any more: %v", stream, a.Error)
	}
	if consumer == "" {
		return
	}
	found := false
	in := x.b.pull(x.t, stream+"."+consumer, `{"batch":1000,"no_wait":true}`)
	defer in.stop()
	for {
		m := in.next()
		if m.Reply == "" {
			break
		}
		found = found || m.Body == body
		x.b.request(x.t, m.Reply, "", "")
	}
	if !found {
		x.t.Errorf("%s: the new message %d was not delivered to %s", stream, a.Seq, consumer)
	}
	if i := x.b.consumer(x.t, stream, consumer); i.NumPending != 0 || i.NumAckPending != 0 {
		x.t.Errorf("%s: everything was delivered and acknowledged, told are %+v", stream, i)
	}
}

// One flipped bit in a record that is not drained: the messages behind keep
// their sequences, the lost one is told, and nothing gets a number twice.
func TestLaw_bitInTheJournal(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, `{"name":"S","subjects":["s.>"]}`)
	mustStream(t, x.b, `{"name":"OTHER","subjects":["other"]}`)
	mustConsumer(t, x.b, "S", "c", `{"durable_name":"c","ack_policy":"explicit"}`)
	for i := range 10 {
		x.put("S", "s.a", text(i))
		x.put("OTHER", "other", "other "+text(i))
	}
	in := x.b.pull(t, "S.c", "10")
	for range 10 {
		x.b.request(t, in.next().Reply, "", "")
	}
	in.stop()
	for i := range 10 {
		x.put("S", "s.a", text(10+i))
	}
	x.kill()
	x.flipAt("journal/*.seg", text(14))
	x.start()
	if lost := x.check("S"); lost == 0 || lost > 10 {
		t.Errorf("%d are lost", lost)
	}
	if lost := x.check("OTHER"); lost != 0 || x.told("OTHER") {
		t.Errorf("the other stream lost %d", lost)
	}
	x.goesOn("S", "s.a", "c")
	x.kill()
	x.start()
	x.check("S")
	x.goesOn("S", "s.a", "c")
}

// Refusals, duplicates and numbers passed over behind and before a hole do not
// move the messages that were acknowledged.
func TestLaw_refusalsAroundAHole(t *testing.T) {
	for hit := range 12 {
		x := newBox(t)
		x.start()
		mustStream(t, x.b, `{"name":"S","subjects":["s.>"],"duplicate_window":3600000000000}`)
		for i := range 12 {
			x.put("S", "s.a", text(i), "Nats-Msg-Id", fmt.Sprint(i))
			switch i % 4 {
			case 0:
				if a := x.put("S", "s.a", "again", "Nats-Msg-Id", fmt.Sprint(i)); !a.Duplicate {
					t.Fatalf("%+v", a)
				}
			case 1:
				if a := x.put("S", "s.a", "refused", "Nats-Expected-Last-Sequence", "9999"); a.Error == nil {
					t.Fatal("not refused")
				}
			case 2:
				x.b.call(t, "STREAM.PURGE.S", fmt.Sprintf(`{"seq":%d}`, 100*i), nil)
				for seq := range x.acked["S"] {
					if seq < uint64(100*i) {
						delete(x.acked["S"], seq)
					}
				}
			}
		}
		x.kill()
		x.flipAt("journal/*.seg", text(hit))
		x.start()
		x.check("S")
		s := x.e.account("A").stream("S")
		for _, r := range s.store.Damage() {
			if r.Last-r.First > 8 {
				t.Errorf("hit %d: lost %v, more than a group had", hit, r)
			}
		}
		x.goesOn("S", "s.a", "")
		x.stop()
	}
}

// A damaged record of a stream's creation loses neither the stream nor its
// messages: it is written twice.
func TestLaw_bitInTheCreation(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, `{"name":"S","subjects":["s.>"],"description":"the creation!"}`)
	mustConsumer(t, x.b, "S", "c", `{"durable_name":"c","ack_policy":"explicit","description":"the consumer!"}`)
	for i := range 5 {
		x.put("S", "s.a", text(i))
	}
	x.kill()
	x.flipAt("journal/*.seg", "the creation!")
	x.flipAt("journal/*.seg", "the consumer!")
	x.start()
	if lost := x.check("S"); lost != 0 {
		t.Errorf("%d lost", lost)
	}
	x.goesOn("S", "s.a", "c")
}

// Without the catalogue everything is found again, by the stores and the
// journal; the same when it can't be read.
func TestLaw_catalogueLost(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"gone":    os.Remove,
		"empty":   func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"garbage": func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte("garbage "), 4000), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			x := newBox(t)
			x.start()
			mustStream(t, x.b, `{"name":"OLD","subjects":["old"],"description":"kept"}`)
			mustStream(t, x.b, `{"name":"GONE","subjects":["gone"]}`)
			mustConsumer(t, x.b, "OLD", "c", `{"durable_name":"c","ack_policy":"explicit"}`)
			for i := range 20 {
				x.put("OLD", "old", text(i))
			}
			if err := x.e.drain.drain(); err != nil {
				t.Fatal(err)
			}
			x.b.call(t, "STREAM.DELETE.GONE", "", nil)
			if err := x.e.drain.drain(); err != nil {
				t.Fatal(err)
			}
			for range 40 { // over several segments, so that the creations are not in the journal any more
				for range 4 {
					x.put("OLD", "old", strings.Repeat("x", 8000))
				}
				if err := x.e.drain.drain(); err != nil {
					t.Fatal(err)
				}
			}
			mustStream(t, x.b, `{"name":"NEW","subjects":["new"]}`)
			x.put("NEW", "new", "one")
			next := x.e.nextIncarnation.Load()
			x.kill()
			if err := damage(x.path(catalogueFile)); err != nil {
				t.Fatal(err)
			}
			x.start()
			for _, s := range []string{"OLD", "NEW"} {
				if lost := x.check(s); lost != 0 {
					t.Errorf("%s: %d lost", s, lost)
				}
			}
			var info streamAnswer
			x.b.call(t, "STREAM.INFO.OLD", "", &info)
			if info.Config.Description != "kept" {
				t.Errorf("configuration %+v", info.Config)
			}
			if x.e.account("A").stream("GONE") != nil {
				t.Error("a deleted stream is back")
			}
			if now := x.e.nextIncarnation.Load(); now < next {
				t.Errorf("the next stream gets %d, which was used (%d)", now, next)
			}
			if x.toldKind(DamageCatalogue) == nil {
				t.Errorf("told: %+v", x.e.Damage(true))
			}
			x.goesOn("OLD", "old", "c")
			x.kill()
			x.start()
			x.check("OLD")
			x.check("NEW")
		})
	}
}

// The whole journal is gone: what the stores have is there, and that nobody
// knows what came after it is told. A journal that has what they have tells
// nothing, also when all of it was drained.
func TestLaw_journalGone(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, `{"name":"S","subjects":["s"]}`)
	for i := range 20 {
		x.put("S", "s", text(i))
	}
	x.stop()
	x.start()
	if d := x.e.Damage(true); len(d) != 0 {
		t.Fatalf("told of a journal that is well: %+v", d)
	}
	x.b.publish(t, "s", "only in the journal")
	x.kill()
	c := x.config()
	if err := os.RemoveAll(c.journalDir()); err != nil {
		t.Fatal(err)
	}
	x.start()
	if lost := x.check("S"); lost != 0 {
		t.Errorf("%d lost of what the store had", lost)
	}
	if d := x.toldKind(DamageOperations); d == nil || d.Where == "" || d.Do == "" {
		t.Errorf("told: %+v", x.e.Damage(true))
	}
	x.stop()
	x.start()
	if d := x.e.Damage(true); len(d) != 1 || d[0].Times != 1 {
		t.Errorf("after the next start it is told %+v", d)
	}
}

// A bit in a stream's file: what can't be read is told and counted nowhere, and
// the stream goes on, also with a limit that meets it.
func TestLaw_bitInAStore(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, `{"name":"KV","subjects":["kv.>"],"max_msgs_per_subject":1,"max_msgs":4000}`)
	mustConsumer(t, x.b, "KV", "c", `{"durable_name":"c","ack_policy":"explicit","deliver_policy":"all"}`)
	filling := strings.Repeat("x", 300)
	for i := range 300 {
		x.put("KV", fmt.Sprintf("kv.%d", i), text(i)+filling)
	}
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	x.kill()
	x.flipAt("streams/*/*.chunks", text(70))
	x.start()
	s := x.e.account("A").stream("KV")
	for seq := uint64(1); seq <= 300; seq++ {
		_, _, _ = s.store.Load(seq, nil) // somebody reads it
	}
	eventually(t, func() bool { return len(s.store.Damage()) > 0 && len(s.store.Found()) == 0 && x.told("KV") })
	lost := x.check("KV")
	if lost == 0 || lost > 200 {
		t.Errorf("%d lost", lost)
	}
	for i := 60; i < 80; i++ {
		if a := x.put("KV", fmt.Sprintf("kv.%d", i), "new"+text(i)); a.Error != nil {
			t.Fatalf("put on a lost key: %v", a.Error)
		}
	}
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	if s.failed != nil || s.undrained() != 0 {
		t.Errorf("the stream stopped (%v) or pins the journal (%d)", s.failed, s.undrained())
	}
	seen := 0
	in := x.b.pull(t, "KV.c", `{"batch":4000,"no_wait":true}`)
	for {
		m := in.next()
		if m.Reply == "" {
			break
		}
		seen++
		x.b.request(t, m.Reply, "", "")
	}
	in.stop()
	if c := x.b.consumer(t, "KV", "c"); c.NumPending != 0 {
		t.Errorf("%d delivered, still told to be pending: %d", seen, c.NumPending)
	}
	x.b.call(t, "STREAM.PURGE.KV", "", nil)
}

// A stream's files that are no store any more, or not there: the stream comes
// up with what the journal has, what is missing is told, everything works.
func TestLaw_storeFilesLost(t *testing.T) {
	first := func(x *box) string {
		names, _ := filepath.Glob(x.path("streams", "*", "*.chunks"))
		if len(names) == 0 {
			x.t.Fatal("no files")
		}
		return names[0]
	}
	for name, damage := range map[string]func(x *box) error{
		"empty":   func(x *box) error { return os.WriteFile(first(x), nil, 0o600) },
		"garbage": func(x *box) error { return os.WriteFile(first(x), bytes.Repeat([]byte("garbage "), 9000), 0o600) },
		"half": func(x *box) error {
			info, err := os.Stat(first(x))
			if err != nil {
				return err
			}
			return os.Truncate(first(x), info.Size()/2)
		},
		"file gone":   func(x *box) error { return os.Remove(first(x)) },
		"folder gone": func(x *box) error { return os.RemoveAll(filepath.Dir(first(x))) },
		"a folder of that name": func(x *box) error {
			n := first(x)
			if err := os.Remove(n); err != nil {
				return err
			}
			return os.Mkdir(n, 0o700)
		},
		"stray file": func(x *box) error {
			return os.WriteFile(filepath.Join(filepath.Dir(first(x)), "old.chunks"), []byte("stray"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newBox(t)
			x.start()
			mustStream(t, x.b, `{"name":"S","subjects":["s.>"]}`)
			mustConsumer(t, x.b, "S", "c", `{"durable_name":"c","ack_policy":"explicit"}`)
			for i := range 300 {
				x.put("S", "s.a", text(i))
			}
			if err := x.e.drain.drain(); err != nil {
				t.Fatal(err)
			}
			for i := range 20 {
				x.put("S", "s.a", "later "+text(i))
			}
			x.kill()
			if err := damage(x); err != nil {
				t.Fatal(err)
			}
			x.start()
			lost := x.check("S")
			t.Logf("%d lost; told %+v", lost, x.e.Damage(false))
			for seq := uint64(301); seq <= 320; seq++ {
				if _, _, err := x.e.account("A").stream("S").store.Load(seq, nil); err != nil {
					t.Errorf("message %d is in the journal: %v", seq, err)
				}
			}
			x.goesOn("S", "s.a", "")
			x.kill()
			x.start()
			x.check("S")
		})
	}
}

// What a source brings twice is stored once, over restarts too.
func TestIngest_broughtTwiceIsStoredOnce(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, `{"name":"S","subjects":["s.>"],"sources":[{"name":"ORIGIN"}]}`)
	bring := func(seq, after uint64) {
		t.Helper()
		s := x.e.account("A").stream("S")
		f := &fetched{source: "ORIGIN", seq: seq, after: after, subject: []byte("s.a"), body: []byte(text(int(seq)))}
		if err := s.appendFetched(f, nil); err != nil {
			t.Fatal(err)
		}
		x.b.publish(t, "s.sync", "") // applied
	}
	for _, seq := range []uint64{1, 2, 2, 1, 3, 3} {
		bring(seq, 0)
	}
	x.kill()
	x.start()
	for _, seq := range []uint64{3, 2, 4} {
		bring(seq, 0)
	}
	var got []string
	s := x.e.account("A").stream("S")
	for _, seq := range sequences(x.e, "S") {
		if m, _, err := s.store.Load(seq, nil); err == nil && m.Subject == "s.a" {
			got = append(got, string(m.Body))
		}
	}
	if want := []string{text(1), text(2), text(3), text(4)}; !slices.Equal(got, want) {
		t.Errorf("stored %q, want %q", got, want)
	}
}

// withoutNotes is a disk whose log takes no notes for a while.
type withoutNotes struct {
	diskBackend
	refuse *atomic.Bool
}

type logWithoutNotes struct {
	fileLog
	refuse *atomic.Bool
}

func (w withoutNotes) journal() (fileLog, journalEnd, error) {
	l, end, err := w.diskBackend.journal()
	return logWithoutNotes{l, w.refuse}, end, err
}

func (l logWithoutNotes) AppendReserved(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	if r.Kind == opNotes && l.refuse.Load() {
		return 0, edgestore.ErrBusy
	}
	return l.fileLog.(reserver).AppendReserved(r, side, token, data...)
}

// What depends on an operation that took another number than it said is not
// answered before a note of that is durable; what came before, and other
// streams, are.
func TestLaw_answersWaitForNotes(t *testing.T) {
	x := newBox(t)
	var refuse atomic.Bool
	x.change = func(c *Config) { c.backend = withoutNotes{diskBackend{c}, &refuse} }
	x.start()
	mustStream(t, x.b, `{"name":"S","subjects":["s.>"]}`)
	mustStream(t, x.b, `{"name":"OTHER","subjects":["other"]}`)
	refuse.Store(true)
	in := x.b.inbox(t, "answers.*")
	send := func(n int, hdr ...string) {
		x.b.route(&wire.Msg{Subject: []byte("s.a"), Reply: fmt.Appendf(nil, "answers.%d", n), Header: []byte(header(hdr...)), Body: []byte(text(n))})
	}
	send(1)
	if m := in.next(); m.Subject != "answers.1" {
		t.Fatalf("%+v", m)
	}
	send(2, "Nats-Expected-Last-Sequence", "77")
	send(3)
	x.put("OTHER", "other", "one") // so all three are applied
	in.none()
	refuse.Store(false)
	x.e.retryNotes()
	send(4, "Nats-Expected-Last-Sequence", "77")
	send(5)
	for i, want := range []string{`"err_code":10071`, `"seq":2`, `"err_code":10071`, `"seq":3`} {
		if m := in.next(); m.Subject != fmt.Sprintf("answers.%d", 2+i) || !strings.Contains(m.Body, want) {
			t.Errorf("%+v, want %s", m, want)
		}
	}
}

// No consumer gets a message whose sequence depends on a note that is not
// durable, and each gets it as soon as the note is.
func TestLaw_deliveriesWaitForNotes(t *testing.T) {
	x := newBox(t)
	var refuse atomic.Bool
	x.change = func(c *Config) { c.backend = withoutNotes{diskBackend{c}, &refuse} }
	x.start()
	mustStream(t, x.b, `{"name":"S","subjects":["s.>"]}`)
	mustStream(t, x.b, `{"name":"OTHER","subjects":["other"]}`)
	mustConsumer(t, x.b, "S", "c", `{"durable_name":"c","ack_policy":"explicit"}`)
	in := x.b.pull(t, "S.c", "10")
	defer in.stop()
	x.put("S", "s.a", text(1))
	if m := in.next(); m.Body != text(1) {
		t.Fatalf("%+v", m)
	}
	refuse.Store(true)
	x.b.route(&wire.Msg{Subject: []byte("s.a"), Header: []byte(header("Nats-Expected-Last-Sequence", "77"))})
	x.b.route(&wire.Msg{Subject: []byte("s.a"), Body: []byte(text(2))})
	x.put("OTHER", "other", "one") // so both are applied
	x.e.account("A").stream("S").member("c").step(new(publishers))
	in.none()
	refuse.Store(false)
	x.e.retryNotes()
	x.e.journal.Kick()
	if m := in.next(); m.Body != text(2) {
		t.Errorf("%+v", m)
	}
}

// A stream's file in which only messages are left, not how far it had come: the
// journal brings all it has again, and nothing gets another sequence by that.
func TestLaw_storeWithoutItsState(t *testing.T) {
	for _, purged := range []bool{false, true} {
		x := newBox(t)
		x.start()
		mustStream(t, x.b, `{"name":"S","subjects":["s.>"],"duplicate_window":3600000000000}`)
		if purged { // numbers that were passed over before the journal's first message
			x.b.call(t, "STREAM.PURGE.S", `{"seq":1000}`, nil)
		}
		for i := range 300 {
			x.put("S", "s.a", text(i), []string{"Nats-Msg-Id", fmt.Sprint(i)}[:i%2*2]...) // not all are known for duplicates
		}
		if err := x.e.drain.drain(); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			x.put("S", "s.a", "later "+text(i))
		}
		inc := x.e.account("A").stream("S").incarnation
		x.kill()
		x.loseStates(inc)
		x.start()
		if lost := x.check("S"); lost != 0 {
			t.Errorf("%d are lost that the journal has", lost)
		}
		x.goesOn("S", "s.a", "")
		x.kill()
		x.start()
		x.check("S")
	}
}

// loseStates damages how far the store of a stream had come, wherever it says so.
func (x *box) loseStates(incarnation uint64) {
	x.t.Helper()
	names, err := filepath.Glob(x.path("streams", fmt.Sprint(incarnation), "*.chunks"))
	if err != nil || len(names) != 1 {
		x.t.Fatalf("%v, %v", names, err)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		x.t.Fatal(err)
	}
	states := 0
	for at := 0; at+6 < len(b); at++ {
		if bytes.Equal(b[at:at+4], []byte{0xf7, 'f', 'r', 'd'}) && b[at+5] == 't' {
			b[at+12] ^= 1
			states++
		}
	}
	if states < 2 {
		x.t.Fatalf("%d states in the file", states)
	}
	if err := os.WriteFile(names[0], b, 0o600); err != nil {
		x.t.Fatal(err)
	}
}

// The same with a journal that begins in the middle: numbers were passed over
// before, and the note of a refusal before it stands behind its first operation.
func TestLaw_storeWithoutItsStateBehindTheBegin(t *testing.T) {
	x := newBox(t)
	var refuse atomic.Bool
	x.change = func(c *Config) { c.backend = withoutNotes{diskBackend{c}, &refuse} }
	x.start()
	mustStream(t, x.b, `{"name":"S","subjects":["s.>"]}`)
	mustStream(t, x.b, `{"name":"OTHER","subjects":["other"]}`)
	x.b.call(t, "STREAM.PURGE.S", `{"seq":1000}`, nil)
	for i := range 5 {
		x.put("S", "s.a", text(i))
	}
	refuse.Store(true)
	x.b.route(&wire.Msg{Subject: []byte("s.a"), Header: []byte(header("Nats-Expected-Last-Sequence", "77"))})
	for range 3 { // a segment each
		for range 35 {
			x.put("OTHER", "other", strings.Repeat("x", 8000))
		}
		if err := x.e.drain.drain(); err != nil {
			t.Fatal(err)
		}
	}
	s := x.e.account("A").stream("S")
	refused := s.applied
	in := x.b.inbox(t, "answers")
	x.b.route(&wire.Msg{Subject: []byte("s.a"), Reply: []byte("answers"), Body: []byte(text(5))})
	x.put("OTHER", "other", "one") // so it is applied
	refuse.Store(false)
	x.e.retryNotes()
	x.e.journal.Kick()
	if m := in.next(); !strings.Contains(m.Body, `"seq":1005`) {
		t.Fatalf("%+v", m)
	}
	x.acked["S"][1005] = text(5)
	x.put("S", "s.a", text(6))
	if first := x.e.journal.(logWithoutNotes).fileLog.(*journal.Journal).First(); first <= refused {
		t.Fatalf("the journal begins with %d, the refusal was %d", first, refused)
	}
	x.kill()
	x.loseStates(s.incarnation)
	x.start()
	if lost := x.check("S"); lost != 0 {
		t.Errorf("%d are lost, all are in the journal or in the store", lost)
	}
	x.goesOn("S", "s.a", "")
}

// A store that is lost does not take its consumers with it, though their
// creation is not in the journal any more: the catalogue has them.
func TestLaw_consumersOutliveTheirStore(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, `{"name":"S","subjects":["s.>"]}`)
	mustConsumer(t, x.b, "S", "c", `{"durable_name":"c","ack_policy":"explicit"}`)
	mustConsumer(t, x.b, "S", "gone", `{"durable_name":"gone","ack_policy":"explicit"}`)
	x.b.call(t, "CONSUMER.DELETE.S.gone", "", nil)
	for range 4 { // a segment each
		for range 35 {
			x.put("S", "s.a", strings.Repeat("x", 8000))
		}
		if err := x.e.drain.drain(); err != nil {
			t.Fatal(err)
		}
	}
	folder := x.e.account("A").stream("S").incarnation
	x.kill()
	if err := os.RemoveAll(x.path("streams", fmt.Sprint(folder))); err != nil {
		t.Fatal(err)
	}
	x.start()
	x.check("S")
	// The first message came right behind the creation.
	if lost := x.e.account("A").stream("S").store.Damage(); len(lost) == 0 || lost[0].First != 1 {
		t.Fatalf("the journal has the creation still: lost are %v", lost)
	}
	x.goesOn("S", "s.a", "c")
	if err := x.b.fails(t, "CONSUMER.INFO.S.gone", ""); err.ErrCode != 10014 {
		t.Errorf("a deleted consumer: %v", err)
	}
}

// What is in the journal of a stream that nobody knows, for its creation is
// lost, is kept in a file and told.
func TestLaw_operationsOfAnUnknownStreamAreKept(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, `{"name":"S","subjects":["s.>"],"description":"the creation!"}`)
	for i := range 5 {
		x.put("S", "s.a", text(i))
	}
	x.kill()
	for range 2 { // both copies of it
		x.flipAt("journal/*.seg", "the creation!")
	}
	x.start()
	names, err := filepath.Glob(x.path("quarantine", "*-operations-*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("kept are %q, %v", names, err)
	}
	b, err := os.ReadFile(names[0])
	if err != nil || !strings.HasPrefix(string(b), keptHeader) {
		t.Errorf("%s is %.60q, %v", names[0], b, err)
	}
	for i := range 5 {
		if !strings.Contains(string(b), text(i)) {
			t.Errorf("%q is not kept", text(i))
		}
	}
	if !slices.ContainsFunc(x.e.Damage(false), func(d Damage) bool { return d.Where == names[0] && d.Kind == DamageQuarantine }) {
		t.Errorf("told are %+v", x.e.Damage(false))
	}
}

// A refusal that is lost took no sequence: the note of it says so, and what came
// behind stays where it was. That something is lost is told, though no message is.
func TestLaw_refusalInAHole(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, `{"name":"S","subjects":["s.>"]}`)
	x.put("S", "s.a", text(1))
	if a := x.put("S", "s.a", "(the refused one)", "Nats-Expected-Last-Sequence", "9999"); a.Error == nil {
		t.Fatal("not refused")
	}
	x.put("S", "s.a", text(2))
	x.kill()
	x.flipAt("journal/*.seg", "(the refused one)")
	x.start()
	if lost := x.check("S"); lost != 0 {
		t.Errorf("%d messages are lost", lost)
	}
	if !x.told("S") {
		t.Error("nobody is told of the hole")
	}
	x.goesOn("S", "s.a", "")
}

// A refusal that is lost together with the note of it: the places of what came
// behind have been corrected by the note, so nothing there is moved. With one
// that is lost together with a purge beyond the end it is the same.
func TestLaw_refusalAndItsNoteInAHole(t *testing.T) {
	for name, do := range map[string]func(x *box){
		"refused": func(x *box) {
			if a := x.put("S", "s.a", "(the lost one)", "Nats-Expected-Last-Sequence", "9999"); a.Error == nil {
				t.Fatal("not refused")
			}
		},
		"passed over": func(x *box) {
			x.b.call(t, "STREAM.PURGE.S", `{"filter":"(the lost one)","seq":2}`, nil)
			x.b.call(t, "STREAM.PURGE.S", `{"seq":500}`, nil)
			clear(x.acked["S"])
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newBox(t)
			x.start()
			mustStream(t, x.b, `{"name":"S","subjects":["s.>"]}`)
			x.put("S", "s.a", text(1))
			do(x)
			for i := range 20 { // more than the hole takes
				x.put("S", "s.a", text(2+i)+strings.Repeat("x", 600))
			}
			x.kill()
			lost := 0
			x.change1("journal/*.seg", "(the lost one)", func(b []byte, at int) {
				at -= at % 512
				end := at + bytes.Index(b[at:], []byte(text(4)))
				clear(b[at : end-end%512])
				lost = 2 // text(2) and text(3)
			})
			x.start()
			if n := x.check("S"); n != lost {
				t.Errorf("%d messages are lost, want %d: %v", n, lost, x.e.account("A").stream("S").store.Damage())
			}
			x.goesOn("S", "s.a", "")
		})
	}
}
