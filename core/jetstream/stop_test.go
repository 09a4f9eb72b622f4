package jetstream

import (
	"os"
	"testing"
)

// A stop that has no time to bring the streams to their files is clean: the
// journal has what they lack, and the next start finds it.
func TestStopWithoutTime(t *testing.T) {
	c := testConfig(t)
	c.Dir, c.DrainBytes = t.TempDir(), 1<<40
	e, s := engineWithOneMessage(t, c)
	e.drain.most = 0
	if err := e.Close(); err != nil {
		t.Fatalf("the stop was not clean: %v", err)
	}
	if _, err := os.Stat(e.cfg.backend.where(s.incarnation)); !os.IsNotExist(err) {
		t.Fatalf("the stream was drained all the same: %v", err)
	}
	var err error
	e, err = New(c)
	if err != nil {
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
