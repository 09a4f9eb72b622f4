package jetstream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/origins"
)

// originAnswer is what tests read of the origins in a stream's info.
type originAnswer struct {
	Mirror  *api.SourceInfo   `json:"mirror"`
	Sources []*api.SourceInfo `json:"sources"`
	State   api.StreamState   `json:"state"`
}

func (b *testBus) origins(t testing.TB, stream string) (a originAnswer) {
	t.Helper()
	b.call(t, "STREAM.INFO."+stream, "", &a)
	return a
}

type gotMsg struct {
	Message struct {
		Subject string `json:"subject"`
		Seq     uint64 `json:"seq"`
		Header  []byte `json:"hdrs"`
		Data    []byte `json:"data"`
		Time    string `json:"time"`
	} `json:"message"`
}

func (b *testBus) msg(t testing.TB, stream string, seq uint64) gotMsg {
	t.Helper()
	var m gotMsg
	b.call(t, "STREAM.MSG.GET."+stream, fmt.Sprintf("seq=%d", seq), &m)
	return m
}

func headerValue(header, name string) string {
	_, rest, _ := strings.Cut(header, name+": ")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// A stream sources another one, and both lose their power again and again: what was
// acknowledged is at the target at the end, once and in order. A work queue is empty
// then.
func TestSource_crashes(t *testing.T) {
	for seed, retention := range []string{"limits", "workqueue", "workqueue", "workqueue"} {
		d := newDevice(t, uint64(20+seed))
		e, b := d.open()
		mustStream(t, b, fmt.Sprintf("name=O subjects=[o] retention=%q", retention))
		mustStream(t, b, "name=T sources=[{name=O}]")
		msgs := func(stream string) uint64 { return b.origins(t, stream).State.Msgs }
		total := 0
		for round := range 5 {
			for range 25 {
				if a := b.publish(t, "o", fmt.Sprint(total)); a.Error != nil {
					t.Fatal(a.Error)
				}
				total++
			}
			if round%2 == 0 {
				eventually(t, func() bool { return msgs("T") > 0 })
			}
			d.crash(e, 0.5)
			e, b = d.open()
		}
		eventually(t, func() bool { return msgs("T") >= uint64(total) })
		for i := range total {
			if got := string(b.msg(t, "T", uint64(i+1)).Message.Data); got != fmt.Sprint(i) {
				t.Fatalf("%s, seed %d: message %d is %q", retention, seed, i+1, got)
			}
		}
		left := uint64(total)
		if retention == "workqueue" {
			left = 0
		}
		eventually(t, func() bool { return msgs("O") == left })
		if n := msgs("T"); n != uint64(total) {
			t.Errorf("%s, seed %d: %d messages, want %d", retention, seed, n, total)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The crash comes between the new stream and the end of the old one.
func TestMirror_startsOverHalf(t *testing.T) {
	d := newDevice(t, 42)
	e, b := d.open()
	mustStream(t, b, "name=M mirror={name=O} metadata={frond.origin_made_anew=start_over}")
	s := e.account("A").stream("M")
	w := make(waits, 1)
	if err := s.Take(&origins.Message{Seq: 7, At: 1, Subject: []byte("o")}, w); err != nil {
		t.Fatal(err)
	}
	<-w
	if _, err := e.submitStream(s.acct, s.config()); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		if round == 1 {
			d.crash(e, 1)
		} else if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e, b = d.open()
		eventually(t, func() bool { return len(e.allStreams()) == 1 })
		if s := b.origins(t, "M").State; s.LastSeq != 0 {
			t.Errorf("round %d: the old one is back: %+v", round, s)
		}
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
