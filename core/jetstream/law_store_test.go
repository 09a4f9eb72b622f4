package jetstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
)

// A bit in a stream's file: what can't be read is told and counted nowhere, and
// the stream goes on, also with a limit that meets it.
func TestLaw_bitInAStore(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=KV subjects=[kv.>] max_msgs_per_subject=1 max_msgs=4000")
	mustConsumer(t, x.b, "KV", "c", "durable_name=c ack_policy=explicit deliver_policy=all")
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
	in := x.b.pull(t, "KV.c", "batch=4000 no_wait")
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
			mustStream(t, x.b, "name=S subjects=[s.>]")
			mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit")
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

// A stream's file in which only messages are left, not how far it had come: the
// journal brings all it has again, and nothing gets another sequence by that.
func TestLaw_storeWithoutItsState(t *testing.T) {
	for _, purged := range []bool{false, true} {
		x := newBox(t)
		x.start()
		mustStream(t, x.b, "name=S subjects=[s.>] duplicate_window=1h")
		if purged { // numbers that were passed over before the journal's first message
			x.b.call(t, "STREAM.PURGE.S", "seq=1000", nil)
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
	if n := x.loseRecords(incarnation, 't'); n < 2 {
		x.t.Fatalf("%d states in the file", n)
	}
}

// loseRecords damages all records of a kind in the file of a stream and counts them.
func (x *box) loseRecords(incarnation uint64, kind byte) (n int) {
	x.t.Helper()
	names, err := filepath.Glob(x.path("streams", fmt.Sprint(incarnation), "*.chunks"))
	if err != nil || len(names) != 1 {
		x.t.Fatalf("%v, %v", names, err)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		x.t.Fatal(err)
	}
	for at := 0; at+6 < len(b); at++ {
		if bytes.Equal(b[at:at+4], []byte{0xf7, 'f', 'r', 'd'}) && b[at+5] == kind {
			b[at+12] ^= 1
			n++
		}
	}
	if err := os.WriteFile(names[0], b, 0o600); err != nil {
		x.t.Fatal(err)
	}
	return n
}

// The same with a journal that begins in the middle: numbers were passed over
// before, and the note of a refusal before it stands behind its first operation.
func TestLaw_storeWithoutItsStateBehindTheBegin(t *testing.T) {
	x, refuse := newBoxWithoutNotes(t)
	x.b.call(t, "STREAM.PURGE.S", "seq=1000", nil)
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
	mustStream(t, x.b, "name=S subjects=[s.>]")
	mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit")
	mustConsumer(t, x.b, "S", "gone", "durable_name=gone ack_policy=explicit")
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

// A crash between the flush of a store and that of the catalogue, and one damaged
// bit where the store has a consumer: only the journal has its creation. (Seed 1 of
// the chaos test, class "store: one bit".)
func TestLaw_consumerInTheJournalOnly(t *testing.T) {
	for _, behind := range []bool{false, true} { // operations that the store does not have
		x := newBox(t)
		x.start()
		mustStream(t, x.b, "name=S subjects=[s.>]")
		mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit")
		mustConsumer(t, x.b, "S", "c", `durable_name=c ack_policy=explicit description="the second"`)
		mustConsumer(t, x.b, "S", "gone", "durable_name=gone ack_policy=explicit")
		x.b.call(t, "CONSUMER.DELETE.S.gone", "", nil)
		for i := range 30 {
			x.put("S", "s.a", text(i))
		}
		s := x.e.account("A").stream("S")
		s.seal()
		if err := s.store.Flush(); err != nil {
			t.Fatal(err)
		}
		if h, rows, ok := s.flushed(); ok {
			x.e.noteHead(s.incarnation, h, rows)
		}
		if behind {
			x.put("S", "s.a", text(30))
		}
		x.kill()
		x.flipAt("streams/*/*.chunks", "the second")
		for range 2 {
			x.start()
			x.check("S")
			m := x.e.account("A").stream("S").member("c")
			if m == nil {
				t.Fatalf("behind: %v: the consumer is gone", behind)
			}
			if d := m.config().Description; d != "the second" {
				t.Errorf("behind: %v: it is as it was before its update: %q", behind, d)
			}
			if !slices.ContainsFunc(x.e.Damage(true), func(d Damage) bool { return d.Kind == DamageConsumer }) {
				t.Error("nobody is told that it delivers again")
			}
			if x.e.account("A").stream("S").member("gone") != nil {
				t.Error("a deleted consumer is there")
			}
			x.goesOn("S", "s.a", "c")
			x.kill()
		}
		x.start()
	}
}

// What a get finds lost is in no count of the stream's information, before the
// operation that books it and behind it: both tell the same.
func TestLaw_infoBehindTheGetThatFoundALoss(t *testing.T) {
	for name, hurt := range map[string][]int{"the first block": {0}, "in the middle": {150}, "all": {0, 70, 100, 150, 200, 250, 299}} {
		t.Run(name, func(t *testing.T) {
			x := newBox(t)
			x.start()
			mustStream(t, x.b, "name=S subjects=[s.>]")
			filling := strings.Repeat("x", 500)
			for i := range 300 {
				x.put("S", fmt.Sprintf("s.%d", i), text(i)+filling)
			}
			x.drain()
			x.kill()
			for _, i := range hurt {
				x.flipAt("streams/*/*.chunks", text(i))
			}
			x.start()
			s := x.e.account("A").stream("S")
			s.watch.mu.Lock()
			s.watch.mu.leads = false // it can not be booked yet
			s.watch.mu.Unlock()
			for seq := range uint64(300) {
				x.b.api(t, "STREAM.MSG.GET.S", fmt.Sprintf("seq=%d", seq+1))
			}
			if len(s.store.Found()) == 0 {
				t.Fatal("nothing was found, or it is booked")
			}
			var before, after streamAnswer
			x.b.call(t, "STREAM.INFO.S", "", &before)
			if n := uint64(len(sequences(x.e, "S"))); before.State.Msgs != n || n == 300 {
				t.Errorf("%d messages told, %d can be read", before.State.Msgs, n)
			}
			s.watch.lead()
			eventually(t, func() bool { return len(s.store.Found()) == 0 })
			x.b.call(t, "STREAM.INFO.S", "", &after)
			if !reflect.DeepEqual(before.State, after.State) {
				t.Errorf("before it is booked\n%+v, then\n%+v", before.State, after.State)
			}
		})
	}
}

// Damage of a stream is an advisory in its account, which says nothing of the machine.
func TestDamage_advisory(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	in := x.b.inbox(t, "$JS.EVENT.ADVISORY.STREAM.DAMAGE.>")
	lost := []edgestore.SeqRange{{First: 3, Last: 5}}
	x.e.report(Damage{Kind: DamageCatalogue, What: "of no stream"})
	x.e.report(Damage{Kind: DamageLost, Account: "A", Stream: "GONE", What: "of none that is there", Lost: lost})
	x.e.report(Damage{Kind: DamageLost, Account: "A", Stream: "S", Where: "/place", What: "it is at /place", Lost: lost})
	m := in.next()
	var got struct {
		Type, Stream, Kind string
		Lost               []edgestore.SeqRange
	}
	if err := json.Unmarshal([]byte(m.Body), &got); err != nil {
		t.Fatal(err)
	}
	if m.Subject != "$JS.EVENT.ADVISORY.STREAM.DAMAGE.S" || got.Type != "io.nats.jetstream.advisory.v1.stream_damage" || got.Stream != "S" ||
		got.Kind != string(DamageLost) || len(got.Lost) != 1 || got.Lost[0] != lost[0] || strings.Contains(m.Body, "/place") {
		t.Errorf("%s: %s", m.Subject, m.Body)
	}
}
