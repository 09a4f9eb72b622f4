package jetstream

import (
	"errors"
	"os"
	"testing"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/edgestore"
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

// leavingBackend fails behind the replay, and remembers what was opened.
type leavingBackend struct {
	diskBackend
	opened *[]edgestore.Store
}

func (b leavingBackend) store(cfg *asset.StreamConfig, blobs edgestore.BlobReader, w *storeWatch) (edgestore.Store, error) {
	st, err := b.diskBackend.store(cfg, blobs, w)
	if err == nil {
		*b.opened = append(*b.opened, st)
	}
	return st, err
}

func (b leavingBackend) journal() (fileLog, journalEnd, error) {
	j, end, err := b.diskBackend.journal()
	return leavingLog{j}, end, err
}

type leavingLog struct{ fileLog }

var errLeaves = errors.New("leaves")

func (l leavingLog) Replay(from edgestore.LSN, h edgestore.ReplayHandler) error {
	return errors.Join(l.fileLog.Replay(from, h), errLeaves)
}

// A start that fails leaves nothing open that the next one in this process would
// wait for, nor that of a stream which the journal deletes.
func TestStopOfAStart(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	mustStream(t, x.b, "name=D subjects=[d]")
	x.put("S", "s", "1")
	x.put("D", "d", "1")
	x.drain()
	x.b.call(t, "STREAM.DELETE.D", "", nil)
	x.kill()
	var opened []edgestore.Store
	x.change = func(c *Config) { c.backend = leavingBackend{diskBackend{c}, &opened} }
	if err := x.tryStart(); !errors.Is(err, errLeaves) {
		t.Fatalf("the start: %v", err)
	}
	if len(opened) != 2 {
		t.Fatalf("%d stores were opened", len(opened))
	}
	for i, st := range opened {
		if _, _, err := st.Load(1, nil); !errors.Is(err, edgestore.ErrClosed) {
			t.Errorf("store %d of 2 was not closed: %v", i+1, err)
		}
	}
}
