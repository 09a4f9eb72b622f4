package jetstream

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore/vfs"
)

// roomy is a disk of which so much is free.
type roomy struct {
	vfs.FS
	free int64
}

func (r roomy) Free(string) (int64, error) { return r.free, nil }

// smallJournal is a disk with a journal of 300 bytes.
func smallJournal(t *testing.T) *vfs.Mem {
	t.Helper()
	mem := vfs.NewMem()
	if err := mem.MkdirAll("journal"); err != nil {
		t.Fatal(err)
	}
	f, err := mem.Create("journal/1.seg")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 300), 0); err != nil {
		t.Fatal(err)
	}
	return mem
}

func TestDiskGuard_free(t *testing.T) {
	mem := smallJournal(t)
	for _, x := range []struct {
		free, reserve, most, want int64
		text                      string
	}{
		{1000, 0, 0, 1000, ""},
		{1000, 400, 0, 600, "disk_reserve"},
		{1000, 4000, 0, 0, "disk_reserve"},
		{1000, 0, 500, 200, "max_disk of 500 bytes leaves no room beside the reserve: 300 are in use"},
		{1000, 0, 100, 0, "max_disk"},
		{1000, 900, 500, 100, "disk_reserve"},
		{-1, 900, 0, -1, "disk_reserve"}, // the system does not tell
		{-1, 0, 500, 200, "max_disk"},
	} {
		g := &diskGuard{FS: roomy{mem, x.free}, dir: t.TempDir(), journalDir: "journal", reserve: x.reserve, most: x.most}
		got, err := g.Free("journal")
		if err != nil || got != x.want || !strings.Contains(g.text(), x.text) || (x.text == "") != (g.text() == "") {
			t.Errorf("%+v: %d %v %q", x, got, err, g.text())
		}
	}
}

// slowList is a disk that is asked what is in a folder.
type slowList struct {
	vfs.FS
	listing func()
}

func (s slowList) List(dir string) ([]string, error) {
	s.listing()
	return s.FS.List(dir)
}

// Files are counted while publishers are refused: they do not wait for it.
func TestDiskGuard_countsWithoutALock(t *testing.T) {
	g := &diskGuard{dir: t.TempDir(), journalDir: "journal", most: 500}
	counted := false
	g.FS = slowList{roomy{vfs.NewMem(), 1000}, func() {
		if counted = g.mu.TryLock(); counted {
			g.mu.Unlock()
		}
	}}
	if _, err := g.Free("journal"); err != nil || !counted {
		t.Errorf("whoever is refused waits for the count: %v, %v", !counted, err)
	}
}

// What came since the last count is counted when it may be what the limit turns
// on, however long that count holds: on a slow disk a journal fills many files
// meanwhile.
func TestDiskGuard_countsWhatTheJournalMade(t *testing.T) {
	mem := smallJournal(t)
	g := &diskGuard{FS: roomy{mem, 1 << 20}, dir: t.TempDir(), journalDir: "journal", most: 10_000}
	free := func(want int64) {
		t.Helper()
		if got, err := g.Free("journal"); err != nil || got != want {
			t.Errorf("%d bytes are free, want %d; %v", got, want, err)
		}
	}
	made := func(name string, size int) {
		t.Helper()
		f, err := mem.Create("journal/fresh")
		if err == nil {
			_, err = f.WriteAt(make([]byte, size), 0)
		}
		if err == nil {
			err = g.Rename("journal/fresh", "journal/"+name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	free(9_700)
	g.until = time.Now().Add(time.Hour)
	made("2.seg", 1000)
	free(9_700 - madeMeans*1000) // no count: there is room for the worst
	made("3.seg", 1000)
	free(7_700) // counted
	g.until = time.Now().Add(time.Hour)
	free(7_700)
	made("4.seg", 1000)
	free(6_700)
}

// failingList is a disk that does not always say what is in a folder.
type failingList struct {
	vfs.FS
	err *error
}

func (f failingList) List(dir string) ([]string, error) {
	if *f.err != nil {
		return nil, *f.err
	}
	return f.FS.List(dir)
}

// What can't be counted counts as it did last, and that is told, once a minute.
func TestDiskGuard_failedCount(t *testing.T) {
	mem := smallJournal(t)
	log := new(testkit.Log)
	var fault error
	g := &diskGuard{
		FS: roomy{failingList{mem, &fault}, 1000}, dir: t.TempDir(), journalDir: "journal", most: 500,
		logger: log.Logger(),
	}
	count := func(want int64, text string) {
		t.Helper()
		g.until = time.Time{}
		got, err := g.Free("journal")
		if told := g.text(); err != nil || got != want || !strings.Contains(told, text) {
			t.Errorf("%d bytes are free, want %d; %v; %q", got, want, err, told)
		}
	}
	count(200, "300 are in use")
	fault = errors.New("does not read")
	count(200, "300 are in use by the last count, for not all files could be counted now: does not read")
	count(200, "does not read")
	if n := log.Count("not all files could be counted"); n != 1 {
		t.Errorf("told %d times", n)
	}
	fault = nil
	count(200, "300 are in use")
	if g.failed != nil {
		t.Errorf("still told: %v", g.failed)
	}
	// Nor does one of the stores say nothing.
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := measureDisk(filepath.Join(file, "no folder"), "journal"); err == nil {
		t.Error("a folder that can't be looked at counts as empty")
	}
}

// A server that has taken all that max_disk gives refuses with its name, holds
// to it, and a new consumer can drain it.
func TestEngine_maxDisk(t *testing.T) {
	d := newDevice(t, 11)
	const most = 12 << 20
	d.change = func(c *Config) { c.MaxDisk, c.DrainBytes, c.StoreFileBytes = most, 256<<10, 512<<10 }
	e, b := d.open()
	mustStream(t, b, "name=W subjects=[w] retention=workqueue")
	body := strings.Repeat("x", 32<<10)
	var refused *apierror.Error
	n := 0
	for ; refused == nil && n < 2000; n++ {
		refused = b.publish(t, "w", body).Error
	}
	if refused == nil || refused.ErrCode != errStoreFailed.ErrCode || !strings.Contains(refused.Description, "max_disk of 12582912 bytes") {
		t.Fatalf("after %d messages: %v", n, refused)
	}
	if used, err := e.cfg.guard.count(); err != nil || used > most {
		t.Errorf("%d bytes are used of %d, %v", used, most, err)
	}
	mustConsumer(t, b, "W", "c", "durable_name=c ack_policy=explicit max_ack_pending=-1")
	in := b.inbox(t, "got")
	defer in.stop()
	for range n - 1 {
		b.route(&wire.Msg{Subject: []byte("$JS.API.CONSUMER.MSG.NEXT.W.c"), Reply: []byte("got"), Body: []byte("1")})
		m := in.next()
		b.request(t, m.Reply, "", "+ACK")
	}
	// The answer to an acknowledgement may come before what was acknowledged goes.
	eventually(t, func() bool { return len(sequences(e, "W")) == 0 })
	eventually(t, func() bool { return b.publish(t, "w", body).Error == nil })
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
