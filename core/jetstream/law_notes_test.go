package jetstream

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// Refusals, duplicates and numbers passed over behind and before a hole do not
// move the messages that were acknowledged.
func TestLaw_refusalsAroundAHole(t *testing.T) {
	for hit := range 12 {
		x := newBox(t)
		x.start()
		mustStream(t, x.b, "name=S subjects=[s.>] duplicate_window=1h")
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
				x.b.call(t, "STREAM.PURGE.S", fmt.Sprintf("seq=%d", 100*i), nil)
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

// withoutNotes is a disk whose log takes no notes, or nothing of another kind, for
// a while.
type withoutNotes struct {
	diskBackend
	refuse *atomic.Bool
	kind   uint8 // of what is refused; 0: opNotes
}

type logWithoutNotes struct {
	fileLog
	refuse *atomic.Bool
	kind   uint8
}

func (w withoutNotes) journal() (fileLog, journalEnd, error) {
	l, end, err := w.diskBackend.journal()
	return logWithoutNotes{l, w.refuse, cmp.Or(w.kind, opNotes)}, end, err
}

func (l logWithoutNotes) AppendReserved(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	if r.Kind == l.kind && l.refuse.Load() {
		return 0, edgestore.ErrBusy
	}
	return l.fileLog.(reserver).AppendReserved(r, side, token, data...)
}

// newBoxWithoutNotes has streams S and OTHER, on a log that takes no notes while
// refuse is true.
func newBoxWithoutNotes(t *testing.T) (x *box, refuse *atomic.Bool) {
	t.Helper()
	x, refuse = newBox(t), new(atomic.Bool)
	x.change = func(c *Config) { c.backend = withoutNotes{diskBackend{c}, refuse, 0} }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s.>]")
	mustStream(t, x.b, "name=OTHER subjects=[other]")
	return x, refuse
}

// What depends on an operation that took another number than it said is not
// answered before a note of that is durable; what came before, and other
// streams, are.
func TestLaw_answersWaitForNotes(t *testing.T) {
	x, refuse := newBoxWithoutNotes(t)
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
	x, refuse := newBoxWithoutNotes(t)
	mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit")
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

// A refusal that is lost took no sequence: the note of it says so, and what came
// behind stays where it was. That something is lost is told, though no message is.
func TestLaw_refusalInAHole(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s.>]")
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
			x.b.call(t, "STREAM.PURGE.S", `filter="(the lost one)" seq=2`, nil)
			x.b.call(t, "STREAM.PURGE.S", "seq=500", nil)
			clear(x.acked["S"])
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newBox(t)
			x.start()
			mustStream(t, x.b, "name=S subjects=[s.>]")
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

// A message whose answer was held is republished whole, and only if that was
// configured when it was stored.
func TestLaw_heldAnswersAreRepublished(t *testing.T) {
	x, refuse := newBoxWithoutNotes(t)
	again := x.b.inbox(t, "again.>")
	refused := func() {
		x.b.route(&wire.Msg{Subject: []byte("s.a"), Header: []byte(header("Nats-Expected-Last-Sequence", "77"))})
	}
	refuse.Store(true)
	refused()
	x.b.route(&wire.Msg{Subject: []byte("s.a"), Body: []byte(text(1))})
	x.put("OTHER", "other", "one") // so both are applied
	x.b.route(&wire.Msg{Subject: []byte("$JS.API.STREAM.UPDATE.S"), Reply: []byte("updated"), Body: []byte(jsonOf(t, "name=S subjects=[s.>] republish={src=s.> dest=again.>}"))})
	s := x.e.account("A").stream("S")
	eventually(t, func() bool { return s.config().Republish != nil })
	x.b.route(&wire.Msg{Subject: []byte("s.b"), Body: []byte(text(2))})
	x.put("OTHER", "other", "two")
	again.none()
	refuse.Store(false)
	x.e.retryNotes()
	x.e.journal.Kick()
	if m := again.next(); m.Subject != "again.b" || m.Body != text(2) {
		t.Errorf("republished %+v", m)
	}
	again.none()
}

// Message ids can't be read once, and an id is stored again. The disk gives them
// right after the restart: then the id is known, and its operation no duplicate for
// that.
func TestLaw_idsThatCameWrongOnce(t *testing.T) {
	x := manyIDs(t)
	for i := range 60 {
		x.id(i)
	}
	x.drain()
	x.stop()
	x.start()
	x.e.drain.busy.Lock() // what was decided is in the journal alone
	right := make(map[string][]byte)
	for _, name := range x.idFiles() {
		b := mustRead(t, name)
		right[filepath.Base(name)] = b
		mustWrite(t, name, make([]byte, len(b)))
	}
	for _, n := range []int{0, 100, 1, 101} {
		if a := x.id(n); a.Duplicate {
			t.Errorf("id %d is still known: %+v", n, a)
		}
	}
	inc := x.e.account("A").stream("S").incarnation
	was, dir := x.e, filepath.Join(t.TempDir(), "jetstream")
	x.still.hold(func() {
		if err := copyOnce(x.dir, dir); err != nil {
			t.Error(err)
		}
	})
	was.drain.busy.Unlock()
	x.e, x.dir = nil, dir
	if err := was.Close(); err != nil {
		t.Fatal(err)
	}
	for name, b := range right {
		mustWrite(t, x.path("streams", fmt.Sprint(inc), name), b)
	}
	for range 2 {
		x.start()
		if lost := x.check("S"); lost > 0 {
			t.Errorf("%d are lost, told: %+v", lost, x.e.Damage(true))
		}
		if a := x.put("S", "s", "body 1", "Nats-Msg-Id", "id-1"); !a.Duplicate || a.Seq != 63 {
			t.Errorf("what was stored last is not known: %+v", a)
		}
		x.kill()
	}
	x.start()
	x.goesOn("S", "s", "")
}
