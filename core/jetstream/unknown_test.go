package jetstream

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// losingLog is a journal that takes operations and does not know what becomes of
// some.
type losingLog struct {
	fileLog
	lost func([]edgestore.Entry)

	mu   sync.Mutex
	kind map[uint8]bool // these are lost
	gone []edgestore.Entry
}

func (l *losingLog) Lost(f func([]edgestore.Entry)) {
	l.lost = f
	l.fileLog.Lost(f)
}

func (l *losingLog) Append(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	return l.append(l.fileLog.Append, r, side, token, data)
}

func (l *losingLog) AppendReserved(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	return l.append(l.fileLog.(reserver).AppendReserved, r, side, token, data)
}

func (l *losingLog) append(f func(*edgestore.Record, []byte, any, ...[]byte) (edgestore.LSN, error), r *edgestore.Record, side []byte, token any, data [][]byte) (edgestore.LSN, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.kind[r.Kind] {
		return f(r, side, token, data...)
	}
	en := edgestore.Entry{Record: *r, Side: bytes.Clone(side), Token: token}
	en.LSN, en.Data = 1<<40, bytes.Join(data, nil)
	l.gone = append(l.gone, en)
	return en.LSN, nil
}

// lose loses operations of some kinds from here on, and none of others.
func (l *losingLog) lose(kinds ...uint8) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kind = make(map[uint8]bool)
	for _, k := range kinds {
		l.kind[k] = true
	}
}

// tell waits until n operations are lost, and lets the engine know.
func (l *losingLog) tell(t *testing.T, n int) {
	t.Helper()
	testkit.Eventually(t, "the operations are appended", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.gone) >= n
	})
	l.lose()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	if err := l.Sync(ctx); err != nil { // nothing is being applied
		t.Fatal(err)
	}
	l.mu.Lock()
	gone := l.gone
	l.gone = nil
	l.mu.Unlock()
	l.lost(gone)
}

type losingBackend struct {
	diskBackend
	log *losingLog
}

func (b losingBackend) journal() (fileLog, journalEnd, error) {
	j, end, err := b.diskBackend.journal()
	b.log.fileLog = j
	return b.log, end, err
}

func newLosing(t *testing.T) (*box, *losingLog) {
	x, l := newBox(t), new(losingLog)
	x.change = func(c *Config) { c.backend = losingBackend{diskBackend{c}, l} }
	x.start()
	return x, l
}

// ask sends a request and gives where its answer comes.
func (b *testBus) ask(t *testing.T, subj, body string) *inbox {
	t.Helper()
	b.mu.Lock()
	b.next++
	n := b.next
	b.mu.Unlock()
	in := b.inbox(t, "_ASK."+string(rune('a'+n%26))+string(rune('a'+n/26)))
	t.Cleanup(in.stop)
	b.route(&wire.Msg{Subject: []byte(subj), Reply: []byte(in.subject), Body: []byte(bodyTo(t, subj, body))})
	return in
}

// Whoever waits for an operation of which nobody knows what became hears of it,
// or hears nothing and is not waited for.
func TestUnknown_eachWaiter(t *testing.T) {
	x, l := newLosing(t)
	b := x.b
	mustStream(t, b, "name=S subjects=[s]")
	x.put("S", "s", "1")
	s := x.e.account("A").stream("S")
	b.call(t, "CONSUMER.CREATE.S.c", "stream_name=S config={name=c durable_name=c ack_policy=explicit}", nil)
	delivered := pull(t, b, "S", "c", 1)[0]

	t.Run("requests", func(t *testing.T) {
		l.lose(opStreamCreate, opPurge, opConsumerCreate, opConsumerDelete, opConfig)
		// One after the other is waited for: they hold locks of the account.
		for _, r := range [][2]string{
			{"STREAM.CREATE.N", "name=N subjects=[n]"},
			{"STREAM.PURGE.S", ``},
			{"STREAM.UPDATE.S", "name=S subjects=[s] max_msgs=7"},
			{"CONSUMER.CREATE.S.d", "stream_name=S config={name=d durable_name=d ack_policy=explicit}"},
			{"CONSUMER.DELETE.S.c", ``},
		} {
			l.lose(opStreamCreate, opPurge, opConsumerCreate, opConsumerDelete, opConfig)
			in := b.ask(t, asset.APIPrefix+r[0], r[1])
			l.tell(t, 1)
			if m := in.next(); !bytes.Contains([]byte(m.Body), []byte(`"err_code":10008`)) {
				t.Errorf("%s: %s", r[0], m.Body)
			}
		}
	})
	t.Run("a publisher", func(t *testing.T) {
		l.lose(opPublish)
		in := b.ask(t, "s", "2")
		r := &testReceipt{stored: make(chan string, 2)}
		b.route(&wire.Msg{Subject: []byte("s"), Body: []byte("3"), Receipt: r})
		l.tell(t, 2)
		if got := <-r.stored; got != "S 0 unknown" {
			t.Errorf("the receipt says %s", got)
		}
		in.none()
		if n := x.e.coming[0].Load(); n != 0 {
			t.Errorf("%d bytes are still on their way", n)
		}
		if a := x.put("S", "s", "2"); a.Error != nil {
			t.Errorf("the next one: %+v", a)
		}
	})
	t.Run("an acknowledgement", func(t *testing.T) {
		l.lose(opConsumerDelta)
		in := b.ask(t, delivered, "")
		l.tell(t, 1)
		in.none()
		if got := shortReply(pull(t, b, "S", "c", 1)[0]); got != "S.c.1.2.2" {
			t.Errorf("delivered %s", got)
		}
	})
	if st := s.state(); st.LastSeq != 2 {
		t.Errorf("last sequence %d", st.LastSeq)
	}
}

// Publishers and requests whose operations are in the journal of a stream that has
// stopped before them hear that nobody knows, not that they are refused: the next
// start applies them.
func TestUnknown_behindAStop(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s] discard=new max_bytes=600 max_msgs_per_subject=1")
	x.put("S", "s", text(0))
	x.drain()
	s := x.e.account("A").stream("S")
	var failing atomic.Bool
	s.mu.Lock()
	s.store = flakySteps{flakyReads{s.store, &failing}}
	failing.Store(true)
	publisher := x.b.ask(t, "s", text(1))
	r := &testReceipt{stored: make(chan string, 2)}
	x.b.route(&wire.Msg{Subject: []byte("s"), Body: []byte(text(2)), Receipt: r})
	purged := make(chan error, 1)
	go func() {
		_, err := s.Purge("", 0, 0)
		purged <- err
	}()
	testkit.Eventually(t, "all of it is appended", func() bool { return x.e.journal.Synced() >= s.applied+3 })
	s.mu.Unlock()
	if got := <-r.stored; got != "S 0 unknown" {
		t.Errorf("the receipt says %s", got)
	}
	if err := <-purged; err != error(errNotAvailable) {
		t.Errorf("the purge: %v", err)
	}
	publisher.none()
	failing.Store(false)
	x.kill()
	x.start()
	if st := x.e.account("A").stream("S").state(); st.LastSeq != 3 || st.Msgs != 0 {
		t.Errorf("after the restart: %+v", st)
	}
}

// What the engine itself waits for is tried again.
func TestUnknown_triedAgain(t *testing.T) {
	x, l := newLosing(t)
	mustStream(t, x.b, "name=O subjects=[o]")
	mustStream(t, x.b, "name=T subjects=[t] allow_msg_ttl")
	mustStream(t, x.b, "name=W subjects=[w] retention=workqueue")
	mustStream(t, x.b, "name=M mirror={name=O}")
	x.b.call(t, "CONSUMER.CREATE.W.c", "stream_name=W config={name=c durable_name=c ack_policy=explicit}", nil)
	state := func(name string) api.StreamState { return x.e.account("A").stream(name).state() }
	l.lose(opIngest)
	x.put("O", "o", "1")
	l.tell(t, 1)
	testkit.Eventually(t, "the mirror asks again", func() bool { return state("M").Msgs == 1 })

	x.put("W", "w", "1")
	l.lose(opRelease)
	x.b.request(t, pull(t, x.b, "W", "c", 1)[0], "", "")
	l.tell(t, 1)
	if n := x.e.account("A").stream("W").releasing.Load(); n != 0 {
		t.Errorf("%d messages are still to be released", n)
	}
	testkit.Eventually(t, "what was acknowledged goes", func() bool { return state("W").Msgs == 0 })

	l.lose(opExpire)
	x.put("T", "t", "1", hdrTTL, "1")
	l.tell(t, 1)
	testkit.Eventually(t, "what is too old goes", func() bool { return state("T").Msgs == 0 })
}

// What the disk refuses to the end is unknown when the engine is closed.
func TestUnknown_closedOnABrokenDisk(t *testing.T) {
	x, faults := newBox(t), vfs.WithFaults(vfs.OS{})
	x.change = func(c *Config) { c.Journal.FS = faults }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	broken := errors.New("broken")
	faults.SetHook(func(call vfs.Call) error {
		if call.Op == vfs.OpSync {
			return broken
		}
		return nil
	})
	r := &testReceipt{stored: make(chan string, 2)}
	x.b.route(&wire.Msg{Subject: []byte("s"), Body: []byte("1"), Receipt: r})
	e := x.e
	x.e = nil
	if err := e.Close(); !errors.Is(err, broken) {
		t.Errorf("close: %v", err)
	}
	select {
	case got := <-r.stored:
		if got != "S 0 unknown" {
			t.Errorf("the receipt says %s", got)
		}
	default:
		t.Error("the receipt was told nothing, and the engine is closed")
	}
}

// An answer that waits for a note which is never logged is unknown at the end; if
// the stream is deleted, nothing depends on the note any more.
func TestUnknown_held(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		x, refuse := newBox(t), new(atomic.Bool)
		x.change = func(c *Config) { c.backend = withoutNotes{diskBackend{c}, refuse, 0} }
		x.start()
		mustStream(t, x.b, "name=S subjects=[s]")
		x.put("S", "s", "1", hdrMsgID, "1")
		refuse.Store(true)
		r := &testReceipt{stored: make(chan string, 2)}
		x.b.route(&wire.Msg{Subject: []byte("s"), Header: []byte(header(hdrMsgID, "1")), Receipt: r})
		testkit.Eventually(t, "the duplicate waits for its note", x.e.holding)
		want := "S 0 unknown"
		if deleted {
			want = "S 1 duplicate"
			x.b.call(t, "STREAM.DELETE.S", "", nil)
		} else {
			x.stop()
		}
		select {
		case got := <-r.stored:
			if got != want {
				t.Errorf("deleted %v: the receipt says %s, want %s", deleted, got, want)
			}
		default:
			t.Errorf("deleted %v: the receipt was told nothing", deleted)
		}
		x.stop()
	}
}
