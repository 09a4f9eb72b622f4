package jetstream

import (
	"os"
	"testing"

	"github.com/frondmq/frond/core/wire"
)

// A stop that has no time to bring the streams to their files is clean: the
// journal has what they lack, and the next start finds it.
func TestStopWithoutTime(t *testing.T) {
	c := testConfig(t)
	c.Dir, c.DrainBytes = t.TempDir(), 1<<40
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
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
	bus.window <- struct{}{}
	s.ingest(&wire.Msg{Subject: []byte("s.a"), Reply: []byte("_INBOX.a"), Body: []byte("one")})
	<-bus.done
	e.drain.most = 0
	if err := e.Close(); err != nil {
		t.Fatalf("the stop was not clean: %v", err)
	}
	if _, err := os.Stat(e.cfg.backend.where(s.incarnation)); !os.IsNotExist(err) {
		t.Fatalf("the stream was drained all the same: %v", err)
	}
	if e, err = New(c); err != nil {
		t.Fatal(err)
	}
	if s := e.account("A").stream("S"); s == nil || s.last != 1 {
		t.Fatalf("stream and message did not come back: %+v", s)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(e.cfg.backend.where(s.incarnation)); err != nil {
		t.Fatalf("the stop that had time did not drain: %v", err)
	}
}
