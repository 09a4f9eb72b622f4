package jetstream

import (
	"fmt"
	"testing"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// What a recovery needed of a stream is not kept: with many streams it is most
// of what an idle server has in memory.
func TestRecoveredStreamIsSmall(t *testing.T) {
	c := testConfig(t)
	c.Dir, c.DrainBytes = t.TempDir(), 1<<40
	killed := t.TempDir() // as a kill would have left it
	fill := func() {
		e, s := engineWithOneMessage(t, c)
		defer e.Close()
		if s.watch.cfg != s.config() {
			t.Error("the configuration is there twice")
		}
		e.mu.RLock()
		row := e.mu.cat.changed[s.incarnation]
		e.mu.RUnlock()
		if row != s {
			t.Error("the row of the catalogue is kept beside the stream")
		}
		copyTree(t, c.Dir, killed)
	}
	fill()
	c.Dir = killed
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s := e.account("A").stream("S")
	if s == nil {
		t.Fatal("the stream did not come back")
	}
	if s.last != 1 {
		t.Fatalf("%d messages came back", s.last)
	}
	if s.watch.cfg != s.config() {
		t.Error("after a restart the configuration is there twice")
	}
	if s.subjects.m != nil || s.in != nil {
		t.Error("what the replay worked with is kept")
	}
}

// A stream of some messages takes little memory, for a device may have very many
// of them.
func TestStreamIsSmall(t *testing.T) {
	const streams, messages, most = 100, 10, 3900
	c := testConfig(t)
	c.Dir, c.DrainBytes = t.TempDir(), 1<<40
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	bus := &benchBus{window: make(chan struct{}, 1), done: make(chan struct{}), want: 1}
	bus.name = "A"
	if err := e.EnableAccount(bus); err != nil {
		t.Fatal(err)
	}
	var before uint64
	for i := range streams + 1 {
		cfg, err := asset.Decode([]byte(jsonOf(t, fmt.Sprintf("name=MANY_%d subjects=[MANY_%d.>]", i, i))))
		if err != nil {
			t.Fatal(err)
		}
		s, apiErr := e.createStream(e.account("A"), cfg, false)
		if apiErr != nil {
			t.Fatal(apiErr)
		}
		msg := edgestore.Msg{Subject: fmt.Sprintf("MANY_%d.a", i), Body: []byte("one")}
		s.mu.Lock()
		for seq := range uint64(messages) {
			msg.Seq, msg.Time = seq+1, int64(seq+1)
			if err := s.store.Append(&msg, edgestore.Location{Segment: 1, Length: 10}); err != nil {
				t.Fatal(err)
			}
		}
		s.mu.Unlock()
		if i == 0 {
			before = heapNow() // what the first needs is there for all
		}
	}
	if got := (heapNow() - before) / streams; got > most {
		t.Errorf("%d bytes a stream of %d messages, at most %d", got, messages, most)
	} else {
		t.Logf("%d bytes a stream", got)
	}
}

// engineWithOneMessage is an engine with one stream S, in which one message is
// stored. The caller closes it.
func engineWithOneMessage(t *testing.T, c Config) (*Engine, *stream) {
	t.Helper()
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := asset.Decode([]byte(jsonOf(t, "name=S subjects=[s.>]")))
	if err != nil {
		t.Fatal(err)
	}
	bus := &benchBus{window: make(chan struct{}, 1), done: make(chan struct{}), want: 1}
	bus.name = "A"
	if err := e.EnableAccount(bus); err != nil {
		t.Fatal(err)
	}
	s, apiErr := e.createStream(e.account("A"), cfg, false)
	if apiErr != nil {
		t.Fatal(apiErr)
	}
	bus.window <- struct{}{}
	s.ingest(&wire.Msg{Subject: []byte("s.a"), Reply: []byte("_INBOX.a"), Body: []byte("one")})
	<-bus.done
	return e, s
}
