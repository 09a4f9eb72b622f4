package jetstream

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/wire"
)

// What no link carries is told lost, once, whatever is restarted; what comes
// after all is not.
func TestPassedOver(t *testing.T) {
	for _, target := range []string{"mirror={name=O}", "sources=[{name=O}]"} {
		t.Run(target, func(t *testing.T) {
			d := newDevice(t, 61)
			d.unfit = func(m *wire.Msg) string {
				if bytes.HasPrefix(m.Reply, ackReply) && len(m.Body) > 10 {
					return "longer than ten"
				}
				return ""
			}
			e, b := d.open()
			mustStream(t, b, "name=O subjects=[o]")
			mustStream(t, b, "name=T "+target)
			lost := func() *api.LostInfo {
				a := b.origins(t, "T")
				if a.Mirror != nil {
					return a.Mirror.Lost
				}
				return a.Sources[0].Lost
			}
			lostIs := func(msgs, last uint64) func() bool {
				return func() bool {
					l := lost()
					return l != nil && l.Msgs == msgs && l.LastSeq == last && l.Reason == "longer than ten"
				}
			}
			stored := func(n uint64) func() bool {
				return func() bool { return b.origins(t, "T").State.Msgs == n }
			}
			for i := range 3 {
				b.publish(t, "o", fmt.Sprint(i))
				b.publish(t, "o", fmt.Sprint("much too long ", i))
			}
			eventually(t, lostIs(3, 6))
			eventually(t, stored(3))

			reopen := func() {
				d.crash(e, 0)
				e, b = d.open()
				if !lostIs(3, 6)() {
					t.Fatalf("after a restart: %+v", lost())
				}
				b.publish(t, "o", "behind") // asked again from before 6: told again
			}
			reopen()
			eventually(t, stored(4))
			if !lostIs(3, 6)() {
				t.Errorf("told twice: %+v", lost())
			}
			if err := e.drain.drain(); err != nil { // the journal has it no more
				t.Fatal(err)
			}
			reopen()
			eventually(t, stored(5))

			// The newest is lost, and comes when the link takes more.
			b.publish(t, "o", "much too long again")
			eventually(t, lostIs(4, 9))
			d.crash(e, 0)
			d.unfit = nil
			e, b = d.open()
			eventually(t, stored(6))
			if !lostIs(3, 9)() {
				t.Errorf("one came after all: %+v", lost())
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A source whose origin was made anew keeps its count, and goes on counting
// from that one's start.
func TestPassedOver_originMadeAnew(t *testing.T) {
	s := passedOverStream(t)
	steps := []struct {
		apply string
		seq   uint64
		after uint64
		want  api.LostInfo
	}{
		{"lost", 5, 0, api.LostInfo{Msgs: 1, LastSeq: 5, Reason: "r"}},
		{"lost", 5, 0, api.LostInfo{Msgs: 1, LastSeq: 5, Reason: "r"}}, // told again
		{"lost", 4, 0, api.LostInfo{Msgs: 1, LastSeq: 5, Reason: "r"}},
		{"lost", 9, 7, api.LostInfo{Msgs: 1, LastSeq: 5, Reason: "r"}}, // 7 was refused
		{"anew", 0, 0, api.LostInfo{Msgs: 1, LastSeq: 0, Reason: "r"}},
		{"lost", 2, 0, api.LostInfo{Msgs: 2, LastSeq: 2, Reason: "r"}},
	}
	for i, x := range steps {
		var err error
		if x.apply == "anew" {
			o := originOp{"one", "IDENTITY", true}
			err = s.applyOrigin(o.append(nil))
		} else {
			p := passedOver{"one", x.seq, x.after, "r"}
			s.auxDirty.positions = false
			before, _ := s.position("one")
			err = s.applyPassedOver(p.append(nil), new(outcome))
			if before.lost != x.want && !s.auxDirty.positions {
				t.Errorf("step %d: the store is not told of it", i)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		at, _ := s.position("one")
		if at.lost != x.want {
			t.Errorf("step %d: %+v, want %+v", i, at.lost, x.want)
		}
		again, err := readPosition(at.appendAux(nil))
		if err != nil || again != at {
			t.Errorf("step %d: %+v is read as %+v, %v", i, at, again, err)
		}
	}
}

func passedOverStream(t *testing.T) *stream {
	e, b := newTestEngine(t)
	mustStream(t, b, "name=T storage=memory sources=[{name=one}]")
	return e.account("A").stream("T")
}

// The count stays when the origin gave no reason.
func TestPosition_lostWithoutAReason(t *testing.T) {
	at := position{seq: 4, identity: "x", lost: api.LostInfo{Msgs: 2, LastSeq: 9}}
	if got, err := readPosition(at.appendAux(nil)); err != nil || got != at {
		t.Errorf("%+v came back as %+v, %v", at, got, err)
	}
}
