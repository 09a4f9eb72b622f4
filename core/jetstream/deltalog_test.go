package jetstream

import (
	"fmt"
	"testing"
)

// changed is a machine that did something.
type changed string

func (c *changed) HasDelta() bool { return *c != "" }
func (c *changed) TakeDelta(b []byte) []byte {
	b = append(b, *c...)
	*c = ""
	return b
}

// logRig has a log and a machine, and writes down what the log is offered.
type logRig struct {
	deltaLog
	m changed
}

func (r *logRig) did(what string) {
	r.m += changed(what)
	r.take(&r.m)
}

func (r *logRig) offered() string {
	number, delta, answers, ok := r.oldest()
	if !ok {
		return "nothing"
	}
	return fmt.Sprintf("%d %s %s", number, delta, answers)
}

func (r *logRig) want(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := r.offered(); got != w {
			t.Fatalf("offered is %q, want %q", got, w)
		}
		if w != "nothing" {
			r.sent()
		}
	}
}

// While the log refuses, changes gather in one delta, until a snapshot has that:
// a recovery that finds the snapshot skips it, so what comes later is another one.
func TestDeltaLog_gathers(t *testing.T) {
	r := logRig{deltaLog: deltaLog{logged: true}}
	r.did("")
	r.want(t, "nothing")
	r.did("a")
	r.did("b")
	r.did("")
	if got := r.offered(); got != "1 ab []" || !r.dirty {
		t.Errorf("offered is %q, dirty %v", got, r.dirty)
	}
	r.wasSealed(r.number)
	if r.dirty {
		t.Error("a snapshot has all, and it is dirty")
	}
	r.did("c")
	r.did("d")
	if !r.dirty {
		t.Error("what comes behind a snapshot makes it dirty")
	}
	r.want(t, "1 ab []", "2 cd []", "nothing")
	r.did("e")
	r.want(t, "3 e []", "nothing")
}

// Answers wait for all that came before them, and go once. They make a delta where
// there is none.
func TestDeltaLog_answersWait(t *testing.T) {
	r := logRig{deltaLog: deltaLog{logged: true}}
	r.did("a")
	r.wasSealed(r.number)
	r.answers = append(r.answers, []byte("x"))
	r.did("b")
	r.answers = append(r.answers, []byte("y"))
	r.did("")
	r.want(t, "1 a []", "2 b [x y]", "nothing")
	r.answers = append(r.answers, []byte("z"))
	r.did("")
	r.want(t, "3  [z]", "nothing")
	r.did("")
	r.want(t, "nothing")
}

// Who is not logged is asked for nothing, and its answers wait for nothing.
func TestDeltaLog_notLogged(t *testing.T) {
	var r logRig
	r.m = "a"
	r.answers = append(r.answers, []byte("x"))
	if got := fmt.Sprintf("%s", r.drop(&r.m)); got != "[x]" || r.m != "" {
		t.Errorf("answers %s, not taken %q", got, r.m)
	}
	if got := r.drop(&r.m); len(got) != 0 || r.number != 0 || r.dirty {
		t.Errorf("answers %s, number %d, dirty %v", got, r.number, r.dirty)
	}
	r.want(t, "nothing")
}

// Much that the log refused holds the consumer up, until it took that.
func TestDeltaLog_full(t *testing.T) {
	r := logRig{deltaLog: deltaLog{logged: true}}
	r.did(string(make([]byte, maxUnsent-1)))
	if r.full() {
		t.Error("it is full before its bound")
	}
	r.did("a")
	if !r.full() {
		t.Error("it is not full at its bound")
	}
	r.sent()
	if r.full() {
		t.Error("it is full with nothing in it")
	}
	if n := testing.AllocsPerRun(100, func() { r.did("a"); r.sent() }); n != 0 {
		t.Errorf("%v allocations for a delta that the log takes at once", n)
	}
}

// Deltas that come from the log are taken over in their order. What a snapshot has
// is skipped, and behind a gap nothing is taken over, while its numbers count.
func TestDeltaLog_follows(t *testing.T) {
	d := deltaLog{logged: true, number: 4}
	for _, step := range []struct {
		number     uint64
		apply, gap bool
		dirty      bool
	}{
		{3, false, false, false},
		{4, false, false, false},
		{5, true, false, true},
		{5, false, false, true},
		{6, true, false, true},
		{8, false, true, true},
		{9, false, false, true},
		{7, false, false, true},
	} {
		was := d.number
		before, apply, gap := d.follow(step.number)
		if before != was || apply != step.apply || gap != step.gap || d.dirty != step.dirty {
			t.Errorf("%d behind %d: apply %v, gap %v, dirty %v, it was said to be %d", step.number, was, apply, gap, d.dirty, before)
		}
	}
	if d.number != 9 || !d.behind {
		t.Errorf("the newest is %d, behind %v", d.number, d.behind)
	}
	// A snapshot fills the gap, and no number is given again.
	for _, x := range []struct{ snapshot, next uint64 }{{8, 10}, {12, 13}} {
		d.behind = true
		d.goOn(x.snapshot)
		if _, apply, gap := d.follow(x.next); !apply || gap {
			t.Errorf("%d behind a snapshot of %d: apply %v, gap %v", x.next, x.snapshot, apply, gap)
		}
	}
}
