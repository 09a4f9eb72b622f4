package jetstream

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
)

// fullStores is a disk whose stores can write nothing but what makes room, while
// it holds at least as much as it did when it was full.
type fullStores struct {
	diskBackend
	full *atomic.Int64
}

func (f fullStores) store(_ *asset.StreamConfig, blobs edgestore.BlobReader, w *storeWatch) (edgestore.Store, error) {
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
	mustStream(t, b, "name=S subjects=[s.>]")
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
	b.call(t, "STREAM.PURGE.S", "seq=150", nil)
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
	e.quota.setLimits(1<<30, 0)
	var heard int
	ev := journal.Events{Full: func(error) { heard++ }, Roomy: func() { heard++ }}
	e.cfg.disk.watch(&ev)
	steps := []struct {
		do   func()
		want string
	}{
		{func() {}, ""},
		{func() { ev.Full(edgestore.ErrDiskFull) }, "disk full: " + edgestore.ErrDiskFull.Error() +
			" (streams hold 0 bytes of messages in files of 0 bytes, the journal's files are 0 bytes; the limit max_file of 1073741824 bytes did not refuse)"},
		{func() { ev.Stalled(syscall.EIO) }, "does not take anything: " + syscall.EIO.Error()},
		{func() { ev.Resumed() }, "disk full"},
		{func() { ev.Roomy() }, ""},
		{func() {
			e.quota.used[usageIndex(false)].Store(1 << 31)
			ev.Full(edgestore.ErrDiskFull)
			e.quota.used[usageIndex(false)].Store(0)
		}, "streams hold 2147483648 bytes of messages in files of 0 bytes, the journal's files are 0 bytes; the limit max_file of 1073741824 bytes is reached too"},
		{func() { ev.Roomy() }, ""},
	}
	for i, s := range steps {
		s.do()
		if got := e.Trouble(); !strings.Contains(got, s.want) || (got == "") != (s.want == "") {
			t.Errorf("step %d: %q, want %q", i, got, s.want)
		}
	}
	if heard != 4 {
		t.Errorf("who listened before heard %d of 4", heard)
	}
}

// noRoom is a disk whose stores and catalogue can write nothing when it is full.
type noRoom struct {
	diskBackend
	full *atomic.Bool
}

func (n noRoom) mayWrite(string) error {
	if n.full.Load() {
		return &os.PathError{Op: "write", Path: "disk", Err: syscall.ENOSPC}
	}
	return nil
}

func (n noRoom) store(cfg *asset.StreamConfig, blobs edgestore.BlobReader, w *storeWatch) (edgestore.Store, error) {
	o := n.storeOptions(cfg, blobs, w)
	o.BeforeWrite = n.mayWrite
	return edgestore.OpenFileStore(o)
}

func (n noRoom) table() (table, error) {
	o := n.tableOptions()
	o.BeforeWrite = n.mayWrite
	return edgestore.OpenTableFile(o)
}

// On a full disk publishing is refused, with words that tell it from a limit,
// and what makes room or keeps promises goes on from the reserve.
func TestEngine_reserveOnAFullDisk(t *testing.T) {
	d := newDevice(t, 9)
	full := new(atomic.Bool)
	d.change = func(c *Config) {
		c.backend = noRoom{diskBackend{c}, full}
	}
	e, b := d.open()
	mustStream(t, b, "name=S subjects=[s.>]")
	mustStream(t, b, "name=E subjects=[e] max_age=1h")
	mustStream(t, b, "name=W subjects=[w] retention=workqueue")
	for range 3 {
		b.publish(t, "e", "x")
		b.publish(t, "w", "x")
		b.publish(t, "s.b", "x")
	}
	d.prepared()
	d.mem.SetCapacity(d.mem.Used() + 64<<10)
	full.Store(true)
	body := strings.Repeat("x", 8<<10)
	var refused *apierror.Error
	eventually(t, func() bool { refused = b.publish(t, "s.a", body).Error; return refused != nil })
	if refused.ErrCode != errStoreFailed.ErrCode || !strings.Contains(refused.Description, "disk has no room") {
		t.Errorf("refused with %v", refused)
	}

	mustConsumer(t, b, "W", "c", "durable_name=c ack_policy=explicit")
	in := b.inbox(t, "got")
	defer in.stop()
	b.route(&wire.Msg{Subject: []byte("$JS.API.CONSUMER.MSG.NEXT.W.c"), Reply: []byte("got"), Body: []byte("1")})
	m := in.next()
	b.request(t, m.Reply, "", "+ACK")
	b.call(t, "STREAM.MSG.DELETE.W", "seq=2", nil)
	if got := fmt.Sprint(sequences(e, "W")); got != "[3]" {
		t.Errorf("behind an ack and a delete: %s", got)
	}
	b.call(t, "STREAM.PURGE.S", "filter=s.b", nil)
	if _, ok, _ := e.account("A").stream("S").store.Subject("s.b"); ok {
		t.Error("the purge did nothing")
	}
	b.call(t, "STREAM.UPDATE.E", "name=E subjects=[e] max_age=100ms duplicate_window=100ms", nil)
	eventually(t, func() bool { return len(sequences(e, "E")) == 0 })
	if a := b.publish(t, "s.a", body); a.Error == nil {
		t.Error("the disk was not full all the time")
	}
	b.call(t, "CONSUMER.DELETE.W.c", "", nil)
	b.call(t, "STREAM.DELETE.W", "", nil)
	full.Store(false)
	d.mem.SetCapacity(1 << 30)
	eventually(t, func() bool { return b.publish(t, "s.a", body).Error == nil })
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestMeasureDisk(t *testing.T) {
	dir := t.TempDir()
	for name, n := range map[string]int{"streams/1/00000001.chunks": 5000, "catalogue.db": 700, "journal/1.seg": 30000, "other/2.seg": 10} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if u, err := measureDisk(dir, filepath.Join(dir, "journal")); err != nil || u != (diskUse{5710, 30000}) {
		t.Errorf("%+v", u)
	}
}
