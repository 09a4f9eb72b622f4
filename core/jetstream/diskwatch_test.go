package jetstream

import (
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
)

// fullStores is a disk whose stores can write nothing but what makes room, while
// it holds at least as much as it did when it was full.
type fullStores struct {
	diskBackend
	full *atomic.Int64
}

func (f fullStores) store(_ *StreamConfig, blobs edgestore.BlobReader, w *storeWatch) (edgestore.Store, error) {
	dir := f.streams()
	return edgestore.OpenFileStore(edgestore.FileOptions{
		Dir: dir + "/s", Incarnation: w.inc, Blobs: blobs, MaxFileBytes: 512 << 10,
		BeforeWrite: func(place string) error {
			if place != "husks" && folderSize(dir+"/s") >= f.full.Load() {
				return &os.PathError{Op: "write", Path: "disk", Err: syscall.ENOSPC}
			}
			return nil
		},
	})
}

func folderSize(dir string) (n int64) {
	names, _ := os.ReadDir(dir)
	for _, e := range names {
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}

// Purging a part of a stream on a full disk lets publishing go on, though
// neither journal nor stores had any room left, and nothing is lost.
func TestEngine_purgeOnAFullDisk(t *testing.T) {
	d := newDevice(t, 7)
	full := new(atomic.Int64)
	full.Store(1 << 40)
	open := func() (*Engine, *testBus) {
		c := d.config()
		c.backend = fullStores{diskBackend{&c}, full}
		e, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		b := newTestBus("A")
		if err := e.EnableAccount(b); err != nil {
			t.Fatal(err)
		}
		return e, b
	}
	e, b := open()
	mustStream(t, b, `{"name":"S","subjects":["s.>"]}`)
	body := strings.Repeat("x", 8<<10)
	for range 4 {
		for range 100 {
			if a := b.publish(t, "s.a", body); a.Error != nil {
				t.Fatal(a.Error)
			}
		}
		if err := e.drain.drain(); err != nil {
			t.Fatal(err)
		}
	}
	full.Store(folderSize(d.dir + "/streams/s"))
	d.prepared()
	d.mem.SetCapacity(d.mem.Used() + 256<<10)
	var acked uint64
	eventually(t, func() bool {
		a := b.publish(t, "s.a", body)
		acked = max(acked, a.Seq)
		return a.Error != nil
	})
	if e.drain.drain() == nil {
		t.Fatal("the stores were not full")
	}
	b.call(t, "STREAM.PURGE.S", `{"seq":150}`, nil)
	eventually(t, func() bool {
		a := b.publish(t, "s.a", body)
		acked = max(acked, a.Seq)
		return a.Error == nil
	})
	e.drain.cancel() // nothing may be draining during the crash
	<-e.drain.stopped
	full.Store(1 << 40)
	d.crash(e, 0)
	e, _ = open()
	s := e.account("A").stream("S")
	if st := s.store.State(); st.FirstSeq != 150 || st.LastSeq < acked || st.Msgs != st.LastSeq-149 {
		t.Errorf("%d were acknowledged and 149 purged, there is %+v", acked, st)
	}
	for seq := uint64(150); seq <= acked; seq++ {
		if m, _, err := s.store.Load(seq, nil); err != nil || string(m.Body) != body {
			t.Fatalf("message %d: %v", seq, err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// Whoever asks is told what is wrong with the disk as long as it is.
func TestDiskWatch_tellsWhatIsWrong(t *testing.T) {
	e, _ := newTestEngine(t)
	var heard int
	ev := journal.Events{Full: func(error) { heard++ }, Roomy: func() { heard++ }}
	e.cfg.disk.watch(&ev)
	steps := []struct {
		do   func()
		want string
	}{
		{func() {}, ""},
		{func() { ev.Full(edgestore.ErrDiskFull) }, "disk full: " + edgestore.ErrDiskFull.Error()},
		{func() { ev.Stalled(syscall.EIO) }, "does not take anything: " + syscall.EIO.Error()},
		{func() { ev.Resumed() }, "disk full"},
		{func() { ev.Roomy() }, ""},
	}
	for i, s := range steps {
		s.do()
		if got := e.Trouble(); !strings.Contains(got, s.want) || (got == "") != (s.want == "") {
			t.Errorf("step %d: %q, want %q", i, got, s.want)
		}
	}
	if heard != 2 {
		t.Errorf("who listened before heard %d of 2", heard)
	}
}
