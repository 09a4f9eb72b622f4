package jetstream

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/frondmq/frond/core/wire"
)

// Streams together hold what the server's limit says and no more, however fast
// messages come: what is on its way counts. It is told while it lasts.
func TestLimits_ofTheServerAreExact(t *testing.T) {
	for _, storage := range []string{"file", "memory"} {
		t.Run(storage, func(t *testing.T) {
			const limit = 1 << 20
			x := newBox(t)
			x.change = func(c *Config) { c.Limits.MaxStore, c.Limits.MaxMemory = limit, limit }
			x.start()
			mustStream(t, x.b, "name=S subjects=[s.>] storage="+storage)
			in := x.b.inbox(t, "answers.*")
			x.b.publish(t, "s.a", "known", "Nats-Msg-Id", "known")
			body := []byte(strings.Repeat("x", 4000))
			const sent = 600
			for i := range sent {
				x.b.route(&wire.Msg{Subject: []byte("s.a"), Reply: fmt.Appendf(nil, "answers.%d", i), Body: body})
			}
			stored := 0
			for range sent {
				if m := in.next(); strings.Contains(m.Body, `"seq":`) && !strings.Contains(m.Body, "error") {
					stored++
				} else if !strings.Contains(m.Body, "10023") {
					t.Fatalf("refused with %s", m.Body)
				}
			}
			var info streamAnswer
			x.b.call(t, "STREAM.INFO.S", "", &info)
			if info.State.Bytes > limit+8000 || info.State.Bytes < limit-8000 {
				t.Errorf("%d messages stored, %d bytes; the limit is %d", stored, info.State.Bytes, limit)
			}
			if text := x.e.Trouble(); !strings.Contains(text, "is reached") {
				t.Errorf("told: %q", text)
			}
			// What is stored already needs no room.
			if a := x.b.publish(t, "s.a", "known", "Nats-Msg-Id", "known"); a.Error != nil || !a.Duplicate || a.Seq != 1 {
				t.Errorf("sent again: %+v %v", a, a.Error)
			}
			for _, h := range [][]string{{"Nats-Msg-Id", "other"}, {"Nats-Msg-Id", "known", "Nats-Expected-Last-Sequence", "0"}} {
				if a := x.b.publish(t, "s.a", "known", h...); a.Error == nil || a.Error.ErrCode != 10023 {
					t.Errorf("%q: %+v", h, a)
				}
			}
			x.b.call(t, "STREAM.PURGE.S", "", nil)
			if a := x.b.publish(t, "s.a", "again"); a.Error != nil {
				t.Errorf("with room again: %v", a.Error)
			}
			if text := x.e.Trouble(); text != "" {
				t.Errorf("with room again: %q", text)
			}
			if n := x.e.coming[usageIndex(storage == "memory")].Load(); n != 0 {
				t.Errorf("%d bytes are on their way for ever", n)
			}
		})
	}
}

// Whether an older message makes room depends on its length. A disk that does not
// read it decides nothing, and one that reads it no more changes nothing that was
// decided.
func TestLimits_roomOfWhatCanNotBeRead(t *testing.T) {
	for name, unread := range map[string]func(x *box){
		"now": func(x *box) {
			s := x.e.account("A").stream("S")
			var failing atomic.Bool
			s.mu.Lock()
			s.store = flakySteps{flakyReads{s.store, &failing}}
			s.mu.Unlock()
			failing.Store(true)
			// It is in the journal, and the next start takes it: nobody may hear that it
			// was refused.
			in, r := x.b.inbox(t, "heard"), &testReceipt{stored: make(chan string, 2)}
			defer in.stop()
			x.b.route(&wire.Msg{Subject: []byte("s"), Body: []byte(text(1)), Receipt: r})
			if got := <-r.stored; got != "S 0 unknown" {
				t.Errorf("a read that fails: the receipt says %s", got)
			}
			// And what comes now is refused, and in no journal.
			a := x.b.publish(t, "s", text(2))
			if a.Error == nil || a.Error.ErrCode != errStoreFailed.ErrCode || !strings.Contains(a.Error.Description, errFlaky.Error()) {
				t.Errorf("behind a read that failed: %+v", a)
			}
			if err := x.b.fails(t, "STREAM.PURGE.S", ""); err.ErrCode != errStoreFailed.ErrCode {
				t.Errorf("a purge: %+v", err)
			}
			if n := x.e.coming[0].Load(); n != 0 {
				t.Errorf("%d bytes are still on their way", n)
			}
			failing.Store(false) // the drainer may look at the store now
			x.kill()
		},
		"at the start": func(x *box) {
			if a := x.put("S", "s", text(1)); a.Error != nil {
				t.Fatalf("%+v", a)
			}
			x.kill()
			x.flipAt("streams/*/*.chunks", text(0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newBox(t)
			x.start()
			mustStream(t, x.b, "name=S subjects=[s] discard=new max_bytes=60 max_msgs_per_subject=1")
			if a := x.put("S", "s", text(0)); a.Error != nil {
				t.Fatalf("%+v", a)
			}
			x.drain()
			unread(x)
			x.start()
			if st := x.e.account("A").stream("S").store.State(); st.LastSeq != 2 || st.Msgs != 1 {
				t.Errorf("after the restart: %d messages up to %d", st.Msgs, st.LastSeq)
			}
		})
	}
}
