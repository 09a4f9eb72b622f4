package jetstream

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/asset"
)

// What a mirror brought last is lost in the journal: that is told, and it is brought
// again under its number.
func TestLaw_endOfAMirror(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=O subjects=[o]")
	mustStream(t, x.b, "name=M mirror={name=O}")
	const n = 10
	caughtUp := func() bool { return x.b.origins(t, "M").State.Msgs == n }
	for i := range n {
		x.put("O", "o", text(i))
	}
	eventually(t, caughtUp)
	x.kill()
	x.loseCopies(n-1, n)
	x.start()
	eventually(t, caughtUp)
	x.check("O")
	m := x.e.account("A").stream("M")
	for seq, body := range x.acked["O"] {
		if got, _, err := m.store.Load(seq, nil); err != nil || string(got.Body) != body {
			t.Errorf("the mirror has %q as %d, want %q: %v", got.Body, seq, body, err)
		}
	}
	if lost := m.store.Damage(); len(lost) > 0 {
		t.Errorf("lost are %v, and the origin had them", lost)
	}
	i := slices.IndexFunc(x.e.Damage(true), func(d Damage) bool { return d.Stream == "M" && d.Kind == DamageLost })
	if i < 0 {
		t.Fatal("nobody is told that operations are lost")
	}
	if what := x.e.Damage(true)[i].What; strings.Contains(what, "no message") || !strings.Contains(what, "fetches again") {
		t.Errorf("told is: %s", what)
	}
}

// loseCopies damages the records of a mirror in the journal: those that stand behind
// the origin's in the same file.
func (x *box) loseCopies(from, to int) {
	x.t.Helper()
	names, err := filepath.Glob(filepath.Join(x.dir, "journal", "*.seg"))
	if err != nil {
		x.t.Fatal(err)
	}
	done := 0
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			x.t.Fatal(err)
		}
		for i := from; i < to; i++ {
			if bytes.Count(b, []byte(text(i))) == 2 {
				b[bytes.LastIndex(b, []byte(text(i)))] ^= 4
				done++
			}
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			x.t.Fatal(err)
		}
	}
	if done != to-from {
		x.t.Fatalf("%d of %d are there twice", done, to-from)
	}
}

// mirrorBox has an origin O and its mirror M with 20 messages, of which the files
// have 10.
func mirrorBox(t *testing.T, config string) *box {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=O subjects=[o.>]")
	mustStream(t, x.b, "name=M mirror={name=O"+config+"}")
	for i := range 20 {
		if i == 10 {
			x.mirrored(10)
			x.drain()
		}
		x.put("O", fmt.Sprint("o.", i%2), text(i))
	}
	x.mirrored(20)
	return x
}

// mirrored waits until M has come to a sequence.
func (x *box) mirrored(last uint64) {
	x.t.Helper()
	m := x.e.account("A").stream("M")
	eventually(x.t, func() bool { at, _ := m.position(""); return at.seq == last })
	m.settle()
}

// owes expects M to tell these sequences lost, and the last one.
func (x *box) owes(last uint64, lost ...uint64) {
	x.t.Helper()
	st := x.b.origins(x.t, "M").State
	if st.Lost == nil {
		st.Lost = new(api.LostState)
	}
	if st.LastSeq != last || !slices.Equal(st.Lost.Msgs, lost) {
		x.t.Errorf("the mirror tells %d lost %v, want %d lost %v", st.LastSeq, st.Lost.Msgs, last, lost)
	}
}

// has expects M to have these messages and no others from a sequence on.
func (x *box) has(from uint64, seqs ...uint64) {
	x.t.Helper()
	var got []uint64
	m := x.e.account("A").stream("M").store
	for seq := from; ; seq++ {
		msg, _, err := m.LoadNext(nil, seq, nil)
		if err != nil {
			break
		}
		if seq = msg.Seq; string(msg.Body) != text(int(seq)-1) {
			x.t.Errorf("the mirror has %q as %d", msg.Body, seq)
		}
		got = append(got, seq)
	}
	if !reflect.DeepEqual(got, seqs) {
		x.t.Errorf("the mirror has %v, want %v", got, seqs)
	}
}

func upTo(first, last uint64) (list []uint64) {
	for seq := first; seq <= last; seq++ {
		list = append(list, seq)
	}
	return list
}

// A mirror keeps count by its places alone, whatever its origin passes over.
func TestLaw_mirrorNotesNothing(t *testing.T) {
	x := mirrorBox(t, " filter_subject=o.1")
	m := x.e.account("A").stream("M")
	if got := m.count(); got.last != 20 || got.done.Place != 20 || got.noted != 0 {
		t.Errorf("%+v", got)
	}
}

// While the origin is not there the last sequence of the mirror stays where it was,
// over restarts too, and what is missing is told. Promoted, it gives none of these
// numbers again.
func TestLaw_endOfAMirrorWithoutItsOrigin(t *testing.T) {
	x := mirrorBox(t, "")
	x.b.call(t, "STREAM.DELETE.O", "", nil)
	x.kill()
	x.loseCopies(13, 20)
	for range 3 {
		x.start()
		x.owes(20, upTo(14, 20)...)
		x.has(1, upTo(1, 13)...)
		x.drain()
		x.kill()
	}
	x.start()
	x.b.call(t, "STREAM.UPDATE.M", "name=M subjects=[m]", nil)
	x.owes(20, upTo(14, 20)...)
	if a := x.b.publish(t, "m", text(20)); a.Seq != 21 {
		t.Errorf("the next one is %d", a.Seq)
	}
	x.kill()
	x.start()
	x.owes(20+1, upTo(14, 20)...)
	x.has(14, 21)
}

// What the origin has lost meanwhile is lost in the mirror too, and no more than that.
func TestLaw_endOfAMirrorOfWhichTheOriginHasAPart(t *testing.T) {
	x := mirrorBox(t, "")
	x.b.call(t, "STREAM.PURGE.O", "seq=15", nil) // it begins behind what is asked for
	x.b.call(t, "STREAM.MSG.DELETE.O", "seq=17", nil)
	x.kill()
	x.loseCopies(13, 20)
	x.start()
	x.mirrored(20)
	for range 2 {
		x.owes(20, 14, 17)
		x.has(1, append(upTo(1, 13), 15, 16, 18, 19, 20)...)
		x.kill()
		x.start()
	}
	x.put("O", "o.0", text(20))
	x.mirrored(21)
	x.owes(21, 14, 17)
}

// A purge takes what is owed with it.
func TestLaw_endOfAMirrorThatIsPurged(t *testing.T) {
	x := mirrorBox(t, "")
	x.b.call(t, "STREAM.DELETE.O", "", nil)
	x.kill()
	x.loseCopies(13, 20)
	x.start()
	x.b.call(t, "STREAM.PURGE.M", "", nil)
	x.owes(20)
	if st := x.b.origins(t, "M").State; st.FirstSeq != 21 || st.Msgs != 0 {
		t.Errorf("%+v", st)
	}
}

// In the middle of what the journal has what is lost is booked, with none of what
// its origin had not: the mirror takes every second message.
func TestLaw_middleOfAMirror(t *testing.T) {
	x := mirrorBox(t, " filter_subject=o.1")
	x.kill()
	for _, i := range []int{13, 15} {
		x.loseCopies(i, i+1)
	}
	x.start()
	x.owes(20, upTo(13, 16)...)
	x.has(11, 12, 18, 20)
	x.put("O", "o.1", text(20))
	x.mirrored(21)
	x.owes(21, upTo(13, 16)...)
}

// What a stream that sources has lost at its end is brought again under new numbers,
// once; what it has lost in the middle is lost, for the position is behind that.
func TestLaw_streamThatSources(t *testing.T) {
	for _, x := range []struct {
		from, to    int
		lost, again []uint64
	}{
		{13, 20, upTo(14, 20), upTo(21, 27)},
		{12, 15, upTo(13, 15), nil},
	} {
		b := newBox(t)
		b.start()
		mustStream(t, b.b, "name=O subjects=[o.>]")
		mustStream(t, b.b, "name=M sources=[{name=O}]")
		position := func(at uint64) {
			m := b.e.account("A").stream("M")
			eventually(t, func() bool { got, _ := m.position((&asset.StreamSource{Name: "O"}).Key()); return got.seq == at })
		}
		for i := range 20 {
			if i == 10 {
				position(10)
				b.drain()
			}
			b.put("O", "o.0", text(i))
		}
		position(20)
		b.kill()
		b.loseCopies(x.from, x.to)
		b.start()
		position(20)
		last := uint64(20 + len(x.again))
		for range 2 {
			b.owes(last, x.lost...)
			brought := make(map[string]int)
			m := b.e.account("A").stream("M").store
			for seq := uint64(1); seq <= last; seq++ {
				if msg, _, err := m.Load(seq, nil); err == nil {
					brought[string(msg.Body)]++
				}
			}
			for i := range 20 {
				want := 1
				if x.again == nil && i >= x.from && i < x.to {
					want = 0
				}
				if got := brought[text(i)]; got != want {
					t.Errorf("message %d of the origin is there %d times, want %d", i+1, got, want)
				}
			}
			b.kill()
			b.start()
			position(20)
		}
		b.put("O", "o.0", text(20))
		position(21)
		b.owes(last+1, x.lost...)
	}
}
