package jetstream

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// A read that fails is no answer: a consumer waits for it, and passes over
// nothing, neither what it never had nor what is to come again. (Seed 101 of the
// chaos test, class "store: read fails for good": one failed read of an origin
// made a gap of all that was stored, in its consumers and so in its mirrors.)
func TestConsumer_waitsForWhatIsNotRead(t *testing.T) {
	x := newBox(t)
	faults := newStoreFaults("")
	x.change = func(c *Config) { c.backend = chaosBackend{diskBackend{c}, faults} }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s.>]")
	mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit ack_wait=200ms")
	const n = 20
	for i := range n {
		x.put("S", "s.a", text(i)+strings.Repeat("x", 10_000)) // several chunks, one may be in memory
	}
	for _, again := range []bool{false, true} {
		x.stop() // drained, and nothing is in memory any more
		x.start()
		faults.arm(&storeFault{vfs.OpRead, false, 1, 1 << 30})
		in := x.b.pull(t, "S.c", "1000")
		eventually(t, func() bool { // it fails, and is tried again
			faults.mu.Lock()
			defer faults.mu.Unlock()
			return faults.calls >= 12
		})
		faults.arm(nil)
		for left := n; left > 0; {
			m := in.next()
			if m.Reply == "" {
				t.Fatalf("again: %v: %d messages did not come: %+v", again, left, m)
			}
			if body := x.acked["S"][ackSeq(t, m.Reply)]; m.Body != body {
				t.Errorf("%q, want %q", m.Body, body)
			}
			if seq := ackSeq(t, m.Reply); seq == uint64(n-left+1) || again {
				left--
			}
			if again {
				x.b.request(t, m.Reply, "", "")
			}
		}
		in.stop()
	}
	if i := x.b.consumer(t, "S", "c"); i.NumPending != 0 || i.NumAckPending != 0 {
		t.Errorf("at the end %+v", i)
	}
}

// A read that fails is not answered as if there were no message: who gets "not
// found" for a key takes it for one that was never put. The same for an
// answer of many messages.
func TestGet_saysWhatIsNotRead(t *testing.T) {
	x := newBox(t)
	faults := newStoreFaults("")
	x.change = func(c *Config) { c.backend = chaosBackend{diskBackend{c}, faults} }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s.>] allow_direct")
	const n = 20
	for i := range n {
		x.put("S", "s."+string(rune('a'+i%10)), text(i)+strings.Repeat("x", 10_000))
	}
	x.b.call(t, "STREAM.MSG.DELETE.S", "seq=20", nil) // the newest of s.j has to be looked for
	x.stop()                                          // drained, and nothing is in memory any more
	x.start()
	gets := 0
	get := func(key, body string) (got string) {
		gets++
		reply := "r." + strconv.Itoa(gets) // the rest of an answer of many may come late
		in := x.b.inbox(t, reply)
		defer in.stop()
		x.b.route(&wire.Msg{Subject: []byte("$JS.API.DIRECT.GET.S" + key), Reply: []byte(reply), Body: []byte(jsonOf(t, body))})
		got, _, _ = strings.Cut(in.next().Header, "\r\n")
		return got
	}
	requests := [][2]string{
		{"", "seq=3"}, {"", "last_by_subj=s.b"}, {".s.b", ""}, {".s.j", ""}, {"", "seq=1 next_by_subj=s.c"},
		{"", "seq=1 batch=5"}, {"", "multi_last=[s.>]"}, {"", "multi_last=[s.>] up_to_seq=15"},
	}
	faults.arm(&storeFault{vfs.OpRead, false, 1, 1 << 30})
	for _, r := range requests {
		if got := get(r[0], r[1]); got != "NATS/1.0 500 Message Could Not Be Read" {
			t.Errorf("%s %s while nothing can be read: %q", r[0], r[1], got)
		}
	}
	for _, body := range []string{"seq=3", "last_by_subj=s.b", "last_by_subj=s.j"} {
		if e := x.b.fails(t, "STREAM.MSG.GET.S", body); e.ErrCode != 10051 || e.Code != 500 {
			t.Errorf("%s while nothing can be read: %+v", body, e)
		}
	}
	faults.arm(nil)
	for _, r := range requests {
		if got := get(r[0], r[1]); got != "NATS/1.0" {
			t.Errorf("%s %s: %q", r[0], r[1], got)
		}
	}
	if got := get("", "seq=20"); got != "NATS/1.0 404 Message Not Found" {
		t.Errorf("a deleted message: %q", got)
	}
}

// A purge has a consumer look which of the messages that it waits for are still
// there. One that can't be read is.
func TestConsumer_keepsWhatIsNotReadAtAPurge(t *testing.T) {
	x := newBox(t)
	faults := newStoreFaults("")
	x.change = func(c *Config) { c.backend = chaosBackend{diskBackend{c}, faults} }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s.>]")
	mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit")
	const n = 20
	for i := range n {
		x.put("S", "s.a", text(i)+strings.Repeat("x", 10_000)) // several chunks, one may be in memory
	}
	in := x.b.pull(t, "S.c", strconv.Itoa(n))
	defer in.stop()
	for range n {
		in.next()
	}
	x.stop() // drained, and nothing is in memory any more
	x.start()
	faults.arm(&storeFault{vfs.OpRead, false, 1, 1 << 30})
	defer faults.arm(nil)
	x.b.call(t, "STREAM.PURGE.S", "filter=s.nothing", nil)
	if i := x.b.consumer(t, "S", "c"); i.NumAckPending != n {
		t.Errorf("%d are to be acknowledged, told %d", n, i.NumAckPending)
	}
}

// slowReads is the disk with what a test does in front of each read of a store.
type slowReads struct {
	diskBackend
	before func()
}

func (b slowReads) store(cfg *asset.StreamConfig, blobs edgestore.BlobReader, w *storeWatch) (edgestore.Store, error) {
	o := b.storeOptions(cfg, blobs, w)
	o.BeforeRead = func(string, string) error { b.before(); return nil }
	return edgestore.OpenFileStore(o)
}

// How long a delivery may wait for its acknowledgement counts from when it is sent,
// not from before the disk was asked for the message.
func TestConsumer_ackWaitBeginsBehindTheRead(t *testing.T) {
	x := newBox(t)
	var clock chaosClock
	var slow atomic.Bool
	x.change = func(c *Config) {
		c.Now = clock.Now
		c.backend = slowReads{diskBackend{c}, func() {
			if slow.Load() {
				clock.ahead.Add(int64(time.Hour))
			}
		}}
	}
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit ack_wait=10m")
	x.put("S", "s", strings.Repeat("x", 100_000))
	x.stop() // drained, and nothing is in memory any more
	x.start()
	was := clock.ahead.Load()
	slow.Store(true)
	in := x.b.pull(t, "S.c", "2")
	defer in.stop()
	first := in.next()
	slow.Store(false)
	if clock.ahead.Load() == was {
		t.Fatal("nothing was read")
	}
	x.put("S", "s", "small")
	if m := in.next(); ackSeq(t, first.Reply) != 1 || ackSeq(t, m.Reply) != 2 {
		t.Errorf("%q came, then %q", first.Reply, m.Reply)
	}
}
