package jetstream

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/wire"
)

// String is a batch in words.
func (t *batch) String() string {
	var b strings.Builder
	for _, events := range t.events {
		fmt.Fprintf(&b, "%v ", events)
	}
	for i := range t.inputs {
		subj, reply, header, body := t.parts(&t.inputs[i])
		fmt.Fprintf(&b, "%d:%s,%s,%s,%s ", t.inputs[i].kind, subj, reply, header, body)
	}
	if t.active != 0 {
		fmt.Fprintf(&b, "active%+d ", t.active)
	}
	if t.config != nil {
		fmt.Fprintf(&b, "config %s ", t.config.Name)
	}
	return strings.TrimSpace(b.String())
}

// What came in comes out once, in its order, and the newest news only; what the
// host has not worked on yet stays in front of it.
func TestMailbox_order(t *testing.T) {
	var box mailbox
	var taken batch
	put := func(kind inputKind, subject, body string) {
		t.Helper()
		msg := wire.Msg{Subject: []byte(subject), Reply: []byte("r"), Header: []byte("h"), Body: []byte(body)}
		if !box.put(kind, &msg) {
			t.Fatal("nothing waits, and it did not fit")
		}
		copy(msg.Subject, "?????") // it was borrowed
		copy(msg.Body, "?????")
	}
	empty := func(want string) {
		t.Helper()
		box.empty(&taken)
		if got := taken.String(); got != want {
			t.Errorf("taken:\n%s\nwant:\n%s", got, want)
		}
	}
	empty("")
	put(inputPull, "next", "1")
	box.happened([]event{{eventStored, 7, "s"}})
	box.listening(true)
	box.listening(false)
	box.configure(&consumer.Config{Name: "a"})
	empty("[{0 7 s}] 0:next,r,h,1 active-1 config a")
	taken.told()
	put(inputAck, "ack", "22")
	box.happened([]event{{eventDeleted, 8, ""}})
	box.listening(true)
	box.configure(&consumer.Config{Name: "b"})
	put(inputFlow, "fc", "")
	empty("[{2 8 }] 0:next,r,h,1 1:ack,r,h,22 2:fc,r,h, active+1 config b")
	empty("[{2 8 }] 0:next,r,h,1 1:ack,r,h,22 2:fc,r,h, active+1 config b")
	taken.told()
	taken.reset()
	empty("")
	put(inputAck, "again", "")
	empty("1:again,r,h,")
}

// What waits for a consumer is bounded, by what waits and not by what went through.
func TestMailbox_bound(t *testing.T) {
	var box mailbox
	var taken batch
	msg := wire.Msg{Subject: []byte("s"), Body: make([]byte, 1<<20-1)}
	for round := range 3 {
		n := 0
		for box.put(inputAck, &msg) {
			n++
		}
		if n != maxInputBytes>>20 {
			t.Fatalf("round %d: %d messages of 1 MB were taken", round, n)
		}
		box.happened([]event{{}}) // has its own bound: a run of applying
		box.empty(&taken)
		if len(taken.inputs) != n || len(taken.events) != 1 {
			t.Fatalf("round %d: %d messages, %d events came out", round, len(taken.inputs), len(taken.events))
		}
		taken.told()
		taken.reset()
		if cap(taken.bytes) != 0 {
			t.Errorf("round %d: %d bytes are kept for what comes next", round, cap(taken.bytes))
		}
	}
}

func TestMailbox_noAllocation(t *testing.T) {
	var box mailbox
	var taken batch
	msg := wire.Msg{Subject: []byte("$JS.ACK.S.c.1.2.3.4.5"), Body: []byte("+ACK")}
	events := []event{{eventStored, 1, "s"}}
	step := func() {
		for range 8 {
			box.put(inputAck, &msg)
		}
		box.happened(events)
		box.empty(&taken)
		taken.told()
		taken.reset()
	}
	step() // it has two batches, one for each side
	step()
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations a step", n)
	}
}

func TestMailbox_manyAtOnce(t *testing.T) {
	const from, each = 4, 500
	var box mailbox
	var wg sync.WaitGroup
	for n := range from {
		wg.Go(func() {
			for i := range each {
				box.put(inputAck, &wire.Msg{Subject: fmt.Appendf(nil, "%d.%d", n, i)})
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var next [from]int
	var taken batch
	for last := false; ; {
		box.empty(&taken)
		for i := range taken.inputs {
			subj, _, _, _ := taken.parts(&taken.inputs[i])
			var n, k int
			if _, err := fmt.Sscanf(string(subj), "%d.%d", &n, &k); err != nil || k != next[n] {
				t.Fatalf("%s came, and %d was next (%v)", subj, next[n], err)
			}
			next[n]++
		}
		taken.reset()
		if last {
			break
		}
		select {
		case <-done:
			last = true
		default:
		}
	}
	if next != [from]int{each, each, each, each} {
		t.Errorf("came: %v", next)
	}
}
