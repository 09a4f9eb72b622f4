package jetstream

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/frondmq/frond/core/jetstream/origins"
)

// waits collects what an ingest was told.
type waits chan outcome

func (w waits) Told(_ uint64, o origins.Outcome) { w <- outcome{seq: o.Seq, dup: o.Known, err: o.Err} }

func TestIngest_mirrorKeepsSequences(t *testing.T) {
	d := newDevice(t, 11)
	e, b := d.open()
	mustStream(t, b, "name=S mirror={name=ELSEWHERE}")
	w := make(waits, 10)
	bring := func(seq uint64) outcome {
		t.Helper()
		s := e.account("A").stream("S")
		if err := s.Take(&origins.Message{Seq: seq, At: int64(seq) * 1e9, Subject: []byte("o.x"), Body: []byte(fmt.Sprint(seq))}, w); err != nil {
			t.Fatal(err)
		}
		return <-w
	}
	s := e.account("A").stream("S")
	if at, fresh := s.position(""); at.seq != 0 || !fresh {
		t.Errorf("a new mirror stands at %d, fresh %v", at.seq, fresh)
	}
	bring(5)
	if o := bring(5); !o.dup {
		t.Errorf("the same again: %+v", o)
	}
	if err := s.appendSkip(9, 9e9); err != nil {
		t.Fatal(err)
	}
	if o := bring(12); o.seq != 12 || o.err != nil {
		t.Errorf("%+v", o)
	}
	for round := range 3 {
		s = e.account("A").stream("S")
		if got := fmt.Sprint(sequences(e, "S")); got != "[5 12]" {
			t.Errorf("round %d: %s", round, got)
		}
		if at, fresh := s.position(""); at.seq != 12 || fresh {
			t.Errorf("round %d: it stands at %d, fresh %v", round, at.seq, fresh)
		}
		if m, _, err := s.store.Load(12, nil); err != nil || m.Time != 12e9 {
			t.Errorf("round %d: %+v, %v", round, m, err)
		}
		if round == 0 {
			drainSome(t, d, e)
		}
		d.crash(e, 0)
		e, _ = d.open()
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestIngest_sourcesRemembersWhereTheyStand(t *testing.T) {
	d := newDevice(t, 12)
	e, b := d.open()
	mustStream(t, b, "name=S subjects=[s.>] max_msgs=3 discard=new")
	w := make(waits, 10)
	bring := func(source string, seq uint64, id string) outcome {
		t.Helper()
		s := e.account("A").stream("S")
		f := &origins.Message{Source: source, Seq: seq, Subject: []byte("o.x")}
		if id != "" {
			f.Header = []byte(header("Nats-Msg-Id", id))
		}
		if err := s.Take(f, w); err != nil {
			t.Fatal(err)
		}
		return <-w
	}
	bring("a", 7, "1")
	bring("b", 3, "2")
	if o := bring("a", 9, "2"); !o.dup || o.seq != 2 {
		t.Errorf("an id that came from elsewhere: %+v", o)
	}
	bring("a", 10, "")
	if o := bring("a", 11, ""); o.err == nil {
		t.Errorf("a full stream took %+v", o)
	}
	for round := range 3 {
		s := e.account("A").stream("S")
		for source, want := range map[string]uint64{"a": 10, "b": 3} {
			if at, fresh := s.position(source); at.seq != want || fresh {
				t.Errorf("round %d: source %s stands at %d, want %d", round, source, at.seq, want)
			}
		}
		if _, fresh := s.position("c"); !fresh {
			t.Errorf("round %d: an unknown source is not fresh", round)
		}
		if round == 0 {
			if err := e.drain.drain(); err != nil {
				t.Fatal(err)
			}
		}
		d.crash(e, 0)
		e, _ = d.open()
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// A message that was refused is not left out because the next one, which is
// smaller, has room.
func TestIngest_nothingPassesARefusedMessage(t *testing.T) {
	for _, source := range []string{"", "a"} {
		e, b := newTestEngine(t)
		config := "name=S storage=memory max_bytes=500 discard=new"
		if source == "" {
			config += " mirror={name=ELSEWHERE}"
		}
		mustStream(t, b, config)
		s := e.account("A").stream("S")
		w := make(waits, 10)
		bring := func(after, seq uint64, size int) error {
			t.Helper()
			f := &origins.Message{Source: source, Seq: seq, After: after, Subject: []byte("o"), Body: make([]byte, size)}
			if err := s.Take(f, w); err != nil {
				t.Fatal(err)
			}
			if o := <-w; o.err != nil {
				return o.err
			}
			return nil
		}
		if err := bring(0, 2, 100); err != nil {
			t.Error(err)
		}
		if err := bring(2, 3, 450); err == nil {
			t.Error("a message was stored that is too large")
		}
		if err := bring(3, 4, 100); err == nil {
			t.Error("message 4 was stored without 3")
		}
		if at, _ := s.position(source); at.seq != 2 {
			t.Errorf("it stands at %d", at.seq)
		}
		b.call(t, "STREAM.PURGE.S", "", nil)
		if err := errors.Join(bring(2, 3, 450), bring(3, 5, 1)); err != nil {
			t.Error(err)
		}
	}
}

// What a source brings twice is stored once, over restarts too.
func TestIngest_broughtTwiceIsStoredOnce(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s.>] sources=[{name=ORIGIN}]")
	bring := func(seq, after uint64) {
		t.Helper()
		s := x.e.account("A").stream("S")
		f := &origins.Message{Source: "ORIGIN", Seq: seq, After: after, Subject: []byte("s.a"), Body: []byte(text(int(seq)))}
		if err := s.Take(f, nil); err != nil {
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
