package jetstream

import (
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// countingFS counts the syncs of files and of folders.
type countingFS struct {
	vfs.FS
	syncs *atomic.Int64
}

type countingFile struct {
	vfs.File
	syncs *atomic.Int64
}

func (c countingFS) Create(name string) (vfs.File, error) {
	f, err := c.FS.Create(name)
	return countingFile{f, c.syncs}, err
}

func (c countingFS) Open(name string) (vfs.File, error) {
	f, err := c.FS.Open(name)
	return countingFile{f, c.syncs}, err
}

func (c countingFS) SyncDir(dir string) error {
	c.syncs.Add(1)
	return c.FS.SyncDir(dir)
}

func (c countingFS) MkdirAll(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		c.syncs.Add(1)
	}
	return c.FS.MkdirAll(dir)
}

func (f countingFile) Sync() error {
	f.syncs.Add(1)
	return f.File.Sync()
}

// countingBackend counts the transactions of the stores and the catalogue, each
// of which syncs twice, and what is done to their folders.
type countingBackend struct {
	diskBackend
	syncs *atomic.Int64
}

func (c countingBackend) committed(string) error {
	c.syncs.Add(2)
	return nil
}

func (c countingBackend) table() (table, error) {
	o := c.tableOptions()
	o.Disk, o.AfterWrite = countingFS{vfs.OS{}, c.syncs}, c.committed
	return edgestore.OpenTableFile(o)
}

func (c countingBackend) store(cfg *asset.StreamConfig, blobs edgestore.BlobReader, w *storeWatch) (edgestore.Store, error) {
	o := c.storeOptions(cfg, blobs, w)
	o.Disk, o.AfterWrite = countingFS{vfs.OS{}, c.syncs}, c.committed
	return edgestore.OpenFileStore(o)
}

// Who makes and deletes streams and consumers waits for one sync each, that of
// the journal, and for none when they are in memory.
func TestEngine_fewSyncs(t *testing.T) {
	d := newDevice(t, 8)
	syncs := new(atomic.Int64)
	d.change = func(c *Config) {
		c.Journal.FS = countingFS{d.mem, syncs}
		c.backend = countingBackend{diskBackend{c}, syncs}
	}
	e, b := d.open()
	d.prepared()
	mustStream(t, b, "name=OTHER subjects=[other]")
	b.publish(t, "other", "x")
	if err := e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		what string
		want int64
		do   func()
	}{
		{"create of a stream", 1, func() { mustStream(t, b, "name=S subjects=[s.>]") }},
		{"create of a consumer", 1, func() { mustConsumer(t, b, "S", "c", "durable_name=c ack_policy=explicit") }},
		{"publish", 1, func() { b.publish(t, "s.a", "x") }},
		{"delete of a consumer", 1, func() { b.call(t, "CONSUMER.DELETE.S.c", "", nil) }},
		{"delete of a stream", 1, func() { b.call(t, "STREAM.DELETE.S", "", nil) }},
		{"create of a memory stream", 0, func() { mustStream(t, b, "name=M subjects=[m.>] storage=memory") }},
		{"create of a memory stream's consumer", 0, func() { mustConsumer(t, b, "M", "c", "durable_name=c ack_policy=explicit") }},
		{"create of a consumer in memory", 0, func() {
			mustConsumer(t, b, "OTHER", "m", "name=m ack_policy=explicit mem_storage inactive_threshold=1m")
		}},
		{"delete of a consumer in memory", 0, func() { b.call(t, "CONSUMER.DELETE.OTHER.m", "", nil) }},
		{"delete of a memory stream", 0, func() { b.call(t, "STREAM.DELETE.M", "", nil) }},
	} {
		before := syncs.Load()
		x.do()
		if n := syncs.Load() - before; n != x.want {
			t.Errorf("%s: %d syncs, want %d", x.what, n, x.want)
		}
	}
	// The drain makes and removes files.
	mustStream(t, b, "name=LATE subjects=[late]")
	inc := e.account("A").stream("LATE").incarnation
	dir := filepath.Join(d.dir, "streams", strconv.FormatUint(inc, 10))
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("before a drain the stream has a folder: %v", err)
	}
	if err := e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
	b.call(t, "STREAM.DELETE.LATE", "", nil)
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the files went before the catalogue knew: %v", err)
	}
	if err := e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the drain left the folder of a deleted stream: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// When a drain ends between a store and the catalogue, the next one tells the
// catalogue of the consumers that only the store knows.
func TestEngine_consumersOfAHalfDrain(t *testing.T) {
	d := newDevice(t, 11)
	e, b := d.open()
	mustStream(t, b, "name=S subjects=[s.>]")
	mustConsumer(t, b, "S", "c", "durable_name=c ack_policy=explicit")
	s := e.account("A").stream("S")
	if s.seal(); s.store.Flush() != nil {
		t.Fatal("flush")
	}
	d.crash(e, 1)
	e, _ = d.open()
	if err := e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	rows := 0
	err := e.table.Each(consumerRows(s.incarnation), func(string, []byte) error { rows++; return nil })
	if err != nil || rows != 1 {
		t.Errorf("the catalogue has %d consumers: %v", rows, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
