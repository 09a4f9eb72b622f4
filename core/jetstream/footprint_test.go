package jetstream

import (
	"os"
	"testing"

	"github.com/frondmq/frond/core/wire"
)

// What a recovery needed of a stream is not kept: with many streams it is most
// of what an idle server has in memory.
func TestRecoveredStreamIsSmall(t *testing.T) {
	c := testConfig(t)
	c.Dir, c.DrainBytes = t.TempDir(), 1<<40
	killed := t.TempDir() // as a kill would have left it
	fill := func() {
		e, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		cfg, err := decodeConfig([]byte(`{"name":"S","subjects":["s.>"]}`))
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
		if s.watch.cfg != s.config() {
			t.Error("the configuration is there twice")
		}
		e.mu.RLock()
		row := e.mu.cat.changed[s.incarnation]
		e.mu.RUnlock()
		if len(row) == 0 || &row[len(row)-1] != &s.initial[len(s.initial)-1] {
			t.Error("the encoded configuration is there twice")
		}
		bus.window <- struct{}{}
		s.ingest(&wire.Msg{Subject: []byte("s.a"), Reply: []byte("_INBOX.a"), Body: []byte("one")})
		<-bus.done
		if err := os.CopyFS(killed, os.DirFS(c.Dir)); err != nil {
			t.Fatal(err)
		}
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
