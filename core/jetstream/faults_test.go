package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/damage"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
	"github.com/frondmq/frond/edgestore/vfs"
)

// box is an edge box: an engine on real files, whose process can be killed and
// whose files can be damaged while it is down.
type box struct {
	t   testing.TB
	dir string
	e   *Engine
	b   *testBus
	// change, if not nil, changes the configuration of the next start.
	change func(*Config)
	// still is under the journal: nobody but it renames or removes files by itself.
	still *stillFS
	// acked is what was promised: stream -> sequence -> body.
	acked map[string]map[uint64]string
}

func newBox(t testing.TB) *box {
	x := &box{t: t, dir: filepath.Join(t.TempDir(), "jetstream"), still: &stillFS{FS: vfs.OS{}}, acked: make(map[string]map[uint64]string)}
	t.Cleanup(x.stop)
	return x
}

func (x *box) config() Config {
	c := testConfig(x.t)
	c.Dir = x.dir
	c.Journal = journal.Options{FS: x.still, SegmentBytes: 256 << 10}
	c.DrainBytes = 1 << 40 // when the test says so
	if x.change != nil {
		x.change(&c)
	}
	return c
}

func (x *box) tryStart() error {
	c := x.config()
	if c.Journal.FS != vfs.FS(x.still) {
		x.still = &stillFS{FS: c.Journal.FS}
		c.Journal.FS = x.still
	}
	e, err := New(c)
	if err != nil {
		return err
	}
	x.e, x.b = e, newTestBus("A")
	return e.EnableAccount(x.b)
}

func (x *box) start() {
	x.t.Helper()
	if err := x.tryStart(); err != nil {
		x.t.Fatal(err)
	}
}

// stop ends the engine in good order.
func (x *box) stop() {
	if x.e != nil {
		if err := x.e.Close(); err != nil {
			x.t.Errorf("close: %v", err)
		}
		x.e = nil
	}
}

// kill ends the process as kill -9 does: what it wrote is there, synced or not.
func (x *box) kill() {
	x.t.Helper()
	dir := filepath.Join(x.t.TempDir(), "jetstream")
	func() {
		x.e.drain.busy.Lock() // nothing is half written while the files are copied
		defer x.e.drain.busy.Unlock()
		x.still.hold(func() {
			if err := copyOnce(x.dir, dir); err != nil {
				x.t.Fatal(err)
			}
		})
	}()
	old := x.e
	x.e = nil
	if err := old.Close(); err != nil {
		x.t.Fatal(err)
	}
	x.dir = dir
}

func (x *box) path(parts ...string) string {
	return filepath.Join(append([]string{x.dir}, parts...)...)
}

// put publishes and remembers what was promised.
func (x *box) put(stream, subject, body string, hdr ...string) pubAck {
	x.t.Helper()
	a := x.b.publish(x.t, subject, body, hdr...)
	if a.Error == nil && !a.Duplicate {
		if x.acked[stream] == nil {
			x.acked[stream] = make(map[uint64]string)
		}
		if was, ok := x.acked[stream][a.Seq]; ok {
			x.t.Errorf("sequence %d of %s was given to %q and to %q", a.Seq, stream, was, body)
		}
		x.acked[stream][a.Seq] = body
	}
	return a
}

// check is the law: every acknowledged message is there unchanged under its
// sequence, or its sequence is lost and told. It returns how many are lost.
func (x *box) check(stream string) (lost int) {
	x.t.Helper()
	var info streamAnswer
	x.b.call(x.t, "STREAM.INFO."+stream, "", &info)
	s := x.e.account("A").stream(stream)
	ranges := s.store.Damage()
	isLost := func(seq uint64) bool {
		return slices.ContainsFunc(ranges, func(r edgestore.SeqRange) bool { return r.First <= seq && seq <= r.Last })
	}
	last := uint64(0)
	for seq, body := range x.acked[stream] {
		last = max(last, seq)
		m, _, err := s.store.Load(seq, nil)
		switch {
		case err == nil && string(m.Body) == body:
		case err == nil:
			x.t.Errorf("%s: sequence %d was acknowledged for %q and has %q", stream, seq, body, m.Body)
		case isLost(seq):
			lost++
		default:
			x.t.Errorf("%s: sequence %d (%q) is gone and not told: %v; lost ranges %v", stream, seq, body, err, ranges)
		}
	}
	if st := s.store.State(); st.LastSeq < last || info.State.LastSeq != st.LastSeq {
		x.t.Errorf("%s: last sequence %d (told as %d), %d was acknowledged", stream, st.LastSeq, info.State.LastSeq, last)
	}
	if n := uint64(len(sequences(x.e, stream))); n != info.State.Msgs {
		x.t.Errorf("%s: %d messages counted, %d there", stream, info.State.Msgs, n)
	}
	if lost > 0 && !x.told(stream) {
		x.t.Errorf("%s: %d messages lost and nobody is told: %+v", stream, lost, x.e.Damage(true))
	}
	return lost
}

// told reports whether the register has something about the stream.
func (x *box) told(stream string) bool {
	return slices.ContainsFunc(x.e.Damage(false), func(d Damage) bool { return d.Stream == stream })
}

func (x *box) toldKind(kind damage.Kind) *Damage {
	for _, d := range x.e.Damage(false) {
		if d.Kind == kind {
			return &d
		}
	}
	return nil
}

// Every event of the journal has somebody who handles it, who was there before
// is still told, and no event falls on deaf ears.
func TestDiskWatch_handlesEveryEvent(t *testing.T) {
	for _, before := range []bool{false, true} {
		e, _ := newTestEngine(t)
		var ev journal.Events
		v := reflect.ValueOf(&ev).Elem()
		heard := make(map[string]int)
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if before {
				v.Field(i).Set(reflect.MakeFunc(v.Field(i).Type(), func([]reflect.Value) []reflect.Value {
					heard[name]++
					return nil
				}))
			}
		}
		e.cfg.disk.watch(&ev)
		for i := range v.NumField() {
			name, f := v.Type().Field(i).Name, v.Field(i)
			if f.IsNil() {
				t.Errorf("journal event %s is not handled", name)
				continue
			}
			var in []reflect.Value
			for j := range f.Type().NumIn() {
				if f.Type().In(j) == reflect.TypeFor[error]() {
					in = append(in, reflect.ValueOf(errors.New("the disk said "+name)))
				} else {
					in = append(in, reflect.Zero(f.Type().In(j)))
				}
			}
			damage, trouble := len(e.Damage(true)), e.Trouble()
			_ = e.AckDamage(0)
			f.Call(in)
			if len(e.Damage(true)) == damage && e.Trouble() == trouble {
				t.Errorf("journal event %s changes neither the damage nor the trouble that is told", name)
			}
			if before && heard[name] != 1 {
				t.Errorf("who listened to %s before heard it %d times", name, heard[name])
			}
		}
	}
}

// A folder that no stream is known for is kept, out of the way, and told.
func TestRecovery_unknownFoldersArePutAside(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	x.put("S", "s", "one")
	x.stop()
	if err := os.MkdirAll(x.path("streams", "77"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(x.path("streams", "77", "precious"), []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	x.start()
	if b, err := os.ReadFile(x.path("quarantine", "77-1", "precious")); err != nil || string(b) != "data" {
		t.Errorf("what was in the folder: %q, %v", b, err)
	}
	if b, err := os.ReadFile(x.path("quarantine", "77-1", noteFile)); err != nil || !strings.Contains(string(b), "streams/77") {
		t.Errorf("the note: %q, %v", b, err)
	}
	d := x.toldKind(DamageQuarantine)
	if d == nil || d.Where != x.path("quarantine", "77-1") {
		t.Errorf("told: %+v", x.e.Damage(true))
	}
	if inc := x.e.nextIncarnation.Load(); inc <= 77 {
		t.Errorf("the next stream gets the number %d, which was used", inc)
	}
	x.check("S")
	x.kill()
	x.start()
	if len(x.e.Damage(false)) != 1 {
		t.Errorf("after a restart: %+v", x.e.Damage(true))
	}
	if err := x.e.AckDamage(x.e.Damage(false)[0].ID); err != nil {
		t.Error(err)
	}
	x.kill()
	x.start()
	if len(x.e.Damage(false)) != 0 || len(x.e.Damage(true)) != 1 {
		t.Errorf("after it was acknowledged: %+v", x.e.Damage(true))
	}
}

// A deletion that was interrupted is finished, and is no damage.
func TestRecovery_finishesDeletions(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	mustStream(t, x.b, "name=GONE subjects=[gone]")
	x.b.publish(t, "gone", "")
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	inc := x.e.account("A").stream("GONE").incarnation
	folder := x.path("streams", fmt.Sprint(inc))
	saved := filepath.Join(t.TempDir(), "saved")
	copyTree(t, folder, saved)
	x.e.drain.busy.Lock()
	x.b.call(t, "STREAM.DELETE.GONE", "", nil)
	trash, _ := x.e.sealCatalogue()
	err := x.e.table.Flush() // and there the process ends
	x.e.drain.busy.Unlock()
	if err != nil || len(trash) != 1 {
		t.Fatalf("%d to delete, %v", len(trash), err)
	}
	x.kill()
	x.start()
	if _, err := os.Stat(x.path("streams", fmt.Sprint(inc))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of the deleted stream: %v", err)
	}
	if _, err := os.Stat(x.path("quarantine")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a deleted stream was put aside: %v", err)
	}
	if d := x.e.Damage(true); len(d) != 0 {
		t.Errorf("told as damage: %+v", d)
	}
	x.e.mu.Lock()
	x.e.mu.cat.touch(x.e.mu.cat.applied) // something to write
	x.e.mu.Unlock()
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	if rows := x.e.table.Names(rowGone); len(rows) != 0 {
		t.Errorf("the catalogue still says that files are to go: %q", rows)
	}
}

// failingTable is a catalogue that can't be written for a while.
type failingTable struct {
	table
	fail *bool
}

func (f failingTable) Flush() error {
	if *f.fail {
		return errors.New("the disk says no")
	}
	return f.table.Flush()
}

type failingTables struct {
	diskBackend
	fail *bool
}

func (f failingTables) table() (table, error) {
	t, err := f.diskBackend.table()
	return failingTable{t, f.fail}, err
}

// The files of a deleted stream go only once the catalogue says so durably, and
// the journal keeps its operations until then.
func TestDrain_filesGoAfterTheRow(t *testing.T) {
	x := newBox(t)
	fail := false
	x.change = func(c *Config) { c.backend = failingTables{diskBackend{c}, &fail} }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	x.put("S", "s", "one")
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	folder := x.e.account("A").stream("S").where()
	x.e.drain.busy.Lock()
	fail = true
	x.e.drain.busy.Unlock()
	x.b.call(t, "STREAM.DELETE.S", "", nil)
	for range 2 {
		if err := x.e.drain.drain(); err == nil {
			t.Error("a drain whose catalogue can't be written says that all is well")
		}
		if _, err := os.Stat(folder); err != nil {
			t.Errorf("the files are gone and the catalogue still has the stream: %v", err)
		}
	}
	deleted := x.e.mu.cat.dirtyFrom
	if r := x.e.releasable(1 << 40); deleted == 0 || r != deleted-1 {
		t.Errorf("the journal would be released up to %d, the catalogue needs %d", r, deleted)
	}
	x.e.drain.busy.Lock()
	fail = false
	x.e.drain.busy.Unlock()
	if err := x.e.drain.drain(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the files are still there: %v", err)
	}
}

// Nothing that some store or the catalogue has in memory only is released, and
// everything below it is.
func TestDrain_releasesExactly(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	cat := x.e.mu.cat.dirtyFrom
	if got := x.e.releasable(100); cat == 0 || got != cat-1 {
		t.Errorf("with the create at %d not in the catalogue, released up to %d", cat, got)
	}
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	x.put("S", "s", "one")
	s := x.e.account("A").stream("S")
	from := s.undrained()
	if got := x.e.releasable(100); from == 0 || got != from-1 {
		t.Errorf("with %d not in its store, released up to %d", from, got)
	}
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	if got := x.e.releasable(100); got != 100 {
		t.Errorf("with everything drained, released up to %d of 100", got)
	}
}

// The folder of a nats-server is not touched: the start says what to do.
func TestNew_leavesAnotherServersFolderAlone(t *testing.T) {
	for _, acct := range []string{"$G", "ACC"} {
		dir := filepath.Join(t.TempDir(), "a [x]", "jetstream")
		stream := filepath.Join(dir, acct, "streams", "ORDERS")
		if err := os.MkdirAll(filepath.Join(stream, "msgs"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(stream, "meta.inf"), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		before := listTree(t, dir)
		c := testConfig(t)
		c.Dir = dir
		_, err := New(c)
		if err == nil {
			t.Fatal("it started on another server's folder")
		}
		for _, want := range []string{dir, "mirror", "leaf link"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
		if after := listTree(t, dir); !slices.Equal(before, after) {
			t.Errorf("the folder was touched: %v, before %v", after, before)
		}
	}
}

func listTree(t testing.TB, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// unreadable is a disk on which the files of one stream can't be opened.
type unreadable struct {
	diskBackend
	inc uint64
	err error
}

func (u unreadable) store(cfg *asset.StreamConfig, blobs edgestore.BlobReader, w *storeWatch) (edgestore.Store, error) {
	if w.inc == u.inc {
		return nil, u.err
	}
	return u.diskBackend.store(cfg, blobs, w)
}

// One stream that can't be opened is stopped and told; the others work, its
// operations stay in the journal, and it is whole once its disk is.
func TestRecovery_oneStreamThatCanNotBeOpened(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=BAD subjects=[bad.>]")
	mustStream(t, x.b, "name=GOOD subjects=[good]")
	for i := range 5 {
		x.put("BAD", "bad.a", fmt.Sprint(i))
		x.put("GOOD", "good", fmt.Sprint(i))
	}
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		x.put("BAD", "bad.a", fmt.Sprint("later ", i))
	}
	inc := x.e.account("A").stream("BAD").incarnation
	x.kill()
	x.change = func(c *Config) { c.backend = unreadable{diskBackend{c}, inc, errors.New("input/output error")} }
	x.start()
	for _, verb := range []string{"STREAM.INFO.BAD", "STREAM.PURGE.BAD", "CONSUMER.NAMES.BAD", "CONSUMER.INFO.BAD.c"} {
		if err := x.b.fails(t, verb, ""); err.ErrCode != 10194 || !strings.Contains(err.Description, "input/output error") {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if err := x.b.fails(t, "STREAM.CREATE.BAD", "name=BAD subjects=[bad.>]"); err.ErrCode != 10194 {
		t.Errorf("create over it: %v", err)
	}
	if err := x.b.fails(t, "STREAM.CREATE.OTHER", "name=OTHER subjects=[bad.b]"); err.ErrCode != 10065 {
		t.Errorf("create with its subjects: %v", err)
	}
	var names struct{ Streams []string }
	x.b.call(t, "STREAM.NAMES", "", &names)
	if !slices.Equal(names.Streams, []string{"BAD", "GOOD"}) {
		t.Errorf("names: %v", names.Streams)
	}
	var list struct {
		Streams []json.RawMessage
		Missing []string
		Offline map[string]string
	}
	x.b.call(t, "STREAM.LIST", "", &list)
	if len(list.Streams) != 1 || !slices.Equal(list.Missing, []string{"BAD"}) || list.Offline["BAD"] == "" {
		t.Errorf("list: %+v", list)
	}
	if d := x.toldKind(DamageStopped); d == nil || d.Stream != "BAD" || !strings.Contains(d.What, "input/output error") {
		t.Errorf("told: %+v", x.e.Damage(true))
	}
	if a := x.b.publish(t, "bad.a", "while it is stopped"); a.Error == nil || a.Error.ErrCode != 10194 {
		t.Errorf("a message for it is answered %+v", a)
	}
	x.put("GOOD", "good", "more")
	x.check("GOOD")
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	x.stop()
	x.change = nil
	x.start()
	if lost := x.check("BAD"); lost != 0 {
		t.Errorf("%d lost", lost)
	}
	x.put("BAD", "bad.a", "again")
	x.check("BAD")
	x.check("GOOD")
	x.stop()

	x.change = func(c *Config) { c.backend = unreadable{diskBackend{c}, inc, errors.New("input/output error")} }
	x.start()
	x.b.call(t, "STREAM.DELETE.BAD", "", nil)
	if err := x.b.fails(t, "STREAM.INFO.BAD", ""); err.ErrCode != 10059 {
		t.Errorf("after it was deleted: %v", err)
	}
	if x.b.HasInterest("bad.a") {
		t.Error("its subjects are refused after it was deleted")
	}
	mustStream(t, x.b, "name=OTHER subjects=[bad.b]") // they are free again
	x.stop()
	if _, err := os.Stat(x.path("streams", fmt.Sprint(inc))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its files: %v", err)
	}
}

// A write that fails once while the server stops is not the end of it: the file
// is made anew, and nothing is left to the next start.
func TestFaults_aFailedWriteAtTheEnd(t *testing.T) {
	for _, catalogue := range []bool{false, true} {
		x := newBox(t)
		f := newStoreFaults(x.dir)
		x.change = func(c *Config) {
			c.fill()
			at := *c
			c.backend = chaosBackend{diskBackend{&at}, f}
		}
		x.start()
		mustStream(t, x.b, "name=S subjects=[s]")
		x.put("S", "s", text(1))
		if err := x.e.drain.drain(); err != nil {
			t.Fatal(err)
		}
		x.put("S", "s", text(2))
		x.b.call(t, "STREAM.UPDATE.S", "name=S subjects=[s] description=new", nil)
		f.arm(&storeFault{op: vfs.OpWrite, catalogue: catalogue, nth: 1, count: 1})
		if err := x.e.Close(); err != nil {
			t.Errorf("catalogue %v: %v", catalogue, err)
		}
		if !f.struck() {
			t.Fatalf("catalogue %v: no write failed", catalogue)
		}
		f.arm(nil)
		x.start()
		x.check("S")
		x.stop()
	}
}

// A start on streams that only the journal has writes one row: the rest of the
// catalogue waits for a drain.
func TestRecovery_writesWhichStart(t *testing.T) {
	x := newBox(t)
	x.start()
	for i := range 5 {
		mustStream(t, x.b, fmt.Sprintf("name=S%d subjects=[s%d]", i, i))
	}
	x.kill()
	x.start()
	if rows, starts := x.e.table.Names(rowPrefix), x.e.table.Names(rowStart); len(rows) != 0 || len(starts) != 1 {
		t.Errorf("rows of streams %q, of starts %q", rows, starts)
	}
	x.kill()
	x.start()
	if n := len(x.e.allStreams()); n != 5 || len(x.e.Damage(true)) != 0 {
		t.Errorf("%d streams, told: %+v", n, x.e.Damage(true))
	}
	if err := x.e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	if rows := x.e.table.Names(rowPrefix); len(rows) != 5 {
		t.Errorf("rows after a drain: %q", rows)
	}
}
