package jetstream

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/frondmq/frond/edgestore"
)

// The files of a stream are damaged of which the journal has the newest part only:
// what that has comes back under its sequence, what was deleted does not, and
// everything else stays as it was.
func TestLaw_damagedStoreIsHelpedOutOfTheJournal(t *testing.T) {
	const long = "duplicate_window=1h "
	for name, config := range map[string]string{
		"limits":   long + "subjects=[s.>] max_msgs=230 max_msgs_per_subject=90",
		"work":     long + "subjects=[s.>] retention=workqueue",
		"interest": long + "subjects=[s.>] retention=interest",
		"mirror":   "mirror={name=ORIGIN}",
	} {
		t.Run(name, func(t *testing.T) {
			a := newPartlyBox(t, config)
			a.goOn(250)
			a.drain()
			a.rollJournal()
			begin := a.e.account("A").stream("S").store.State().LastSeq + 1
			a.goOn(150)
			a.drain()
			a.goOn(30)
			a.kill()
			x, want := a.stateAfter(t, nil)
			x.stop()
			inc := incarnations(want)["S"]
			for name, fault := range partlyFaults(a.againBox, inc) {
				t.Run(name, func(t *testing.T) {
					x, got := a.stateAfter(t, fault)
					s := x.e.account("A").stream("S")
					x.partly(want, got, s, begin)
					x.check("S")
					x.stop()
				})
			}
		})
	}
}

// partly compares a damaged start with one without: of what is from begin on all is
// there, and nothing else than before.
func (a *againBox) partly(want, got []string, s *stream, begin uint64) {
	a.t.Helper()
	met := s.store.(interface{ Opening() edgestore.Opening }).Opening()
	if met.Salvaged == nil || met.Stateless {
		return // nothing was found, or there is nothing left to be helped
	}
	for _, r := range s.store.Damage() {
		if r.Last >= begin {
			a.t.Errorf("lost are %v, and the journal has all from %d on", s.store.Damage(), begin)
		}
	}
	seq := func(l string) (n uint64) {
		_, _ = fmt.Sscanf(l, "stream S: message %d ", &n)
		return n
	}
	there := make(map[string]bool)
	for _, l := range want {
		there[l] = true
	}
	for _, l := range got {
		if seq(l) > 0 && !there[l] {
			a.t.Errorf("it has what was not there: %.90s", l)
		}
		delete(there, l)
	}
	for l := range there {
		if seq(l) >= begin {
			a.t.Errorf("it has not: %.90s", l)
		}
	}
}

// newPartlyBox has a stream S with a consumer in a journal of small segments, a
// stream that fills those, and one that S may mirror.
func newPartlyBox(t *testing.T, config string) *partlyBox {
	a := newAgainBox(t)
	change := a.change
	a.change = func(c *Config) { change(c); c.Journal.SegmentBytes = 256 << 10 }
	a.start()
	x := &partlyBox{againBox: a, to: "s", mirror: strings.Contains(config, "mirror")}
	if x.mirror {
		mustStream(t, a.b, "name=ORIGIN subjects=[o.>]")
		x.to = "o"
	}
	mustStream(t, a.b, "name=S "+config)
	mustStream(t, a.b, "name=OTHER subjects=[other]")
	mustConsumer(t, a.b, "S", "c", "durable_name=c ack_policy=explicit")
	return x
}

type partlyBox struct {
	*againBox
	to     string // what is published to
	mirror bool
}

// goOn publishes with duplicates and refusals, consumes and deletes.
func (a *partlyBox) goOn(n int) {
	a.t.Helper()
	for range n {
		i := a.n
		a.n++
		a.b.publish(a.t, fmt.Sprint(a.to, ".", i%3), text(i)+strings.Repeat("x", 250), "Nats-Msg-Id", fmt.Sprint("id", max(i-i%9%2, 0)))
		if i%11 == 0 {
			a.b.publish(a.t, a.to+".9", "refused", "Nats-Expected-Last-Sequence", "1")
		}
	}
	s := a.e.account("A").stream("S")
	if a.mirror {
		last := a.e.account("A").stream("ORIGIN").store.State().LastSeq
		eventually(a.t, func() bool { return s.store.State().LastSeq == last })
	}
	a.consume("S", "c", n/2)
	for range 2 {
		if m, _, err := s.store.LoadPrev(nil, s.store.State().LastSeq-4, nil); err == nil && !a.mirror {
			a.b.call(a.t, "STREAM.MSG.DELETE.S", fmt.Sprintf("seq=%d", m.Seq), nil)
		}
	}
	for _, s := range a.e.allStreams() {
		s.settle()
	}
	if err := a.e.journal.Sync(context.Background()); err != nil {
		a.t.Fatal(err)
	}
}

// partlyFaults damage the file of a stream so that it is searched for what is left.
func partlyFaults(a *againBox, inc uint64) map[string]func(x *againBox) {
	file := func(x *againBox) string { return x.path("streams", fmt.Sprint(inc), "00000001.chunks") }
	b := mustRead(a.t.(*testing.T), file(a))
	faults := make(map[string]func(x *againBox))
	parts, step := []int{3, 5, 7}, 16
	if os.Getenv("FROND_SOAK") != "" {
		parts, step = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 1
	}
	for _, part := range parts {
		faults[fmt.Sprint("cut to ", part, " of 16")] = func(x *againBox) {
			mustWrite(x.t.(*testing.T), file(x), b[:len(b)*part/16])
		}
	}
	for page := 7; page < len(b)>>12; page += step {
		faults[fmt.Sprint("page ", page)] = func(x *againBox) {
			c := append([]byte(nil), b...)
			for i := page << 12; i < (page+1)<<12; i++ {
				c[i] ^= 0xff
			}
			mustWrite(x.t.(*testing.T), file(x), c)
			x.loseRecords(inc, 'd')
		}
	}
	return faults
}
