package jetstream

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/origins"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// knownIDs lists the message ids that a stream knows, with their sequences.
func knownIDs(t testing.TB, s *stream) (out []string) {
	t.Helper()
	d := s.dedup
	if d == nil {
		return nil
	}
	known := make(map[string]uint64)
	add := func(id []byte) {
		seq, ok, err := d.seen(id)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			known[string(id)] = seq
		}
	}
	for _, r := range d.runs {
		if err := r.Each(func(id edgestore.ID) error { add(id.ID); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for o := d.fresh.first; o < d.fresh.end; o++ {
		add(d.fresh.id(o))
	}
	for id, seq := range known {
		out = append(out, fmt.Sprint(id, " ", seq))
	}
	slices.Sort(out)
	return out
}

func TestIDClock_trustsOnlyWhatIsSure(t *testing.T) {
	second := int64(time.Second)
	at := func(boot uint32, mono, wall int64, synced bool) edgestore.Stamp {
		return edgestore.Stamp{Boot: boot, Mono: mono * second, Wall: wall * second, Synced: synced}
	}
	for _, x := range []struct {
		name     string
		from, to edgestore.Stamp
		want     time.Duration
	}{
		{"the clock was set in between", at(1, 10, 0, false), at(1, 15, 1e9, true), 5 * time.Second},
		{"two boots, both right", at(1, 10, 1000, true), at(2, 3, 1050, true), 50 * time.Second},
		{"nobody knows: at least since boot", at(1, 10, 0, false), at(2, 3, 1e9, true), 3 * time.Second},
		{"only one is right", at(1, 1000, 1000, true), at(2, 7, 5, false), 7 * time.Second},
		{"the clock goes back over a boot", at(1, 10, 1000, true), at(2, 3, 900, true), 3 * time.Second},
		{"out of order", at(1, 10, 1000, true), at(1, 9, 999, true), 0},
	} {
		var c idClock
		c.advance(&x.from)
		before := c.now
		c.advance(&x.to)
		if got := time.Duration(c.now - before); got != x.want {
			t.Errorf("%s: %v, want %v", x.name, got, x.want)
		}
	}
}

// When the clock is set, what came since the boot is no older by the time that
// the machine was off.
func TestIDClock_setWithinABoot(t *testing.T) {
	second := int64(time.Second)
	var c idClock
	c.advance(&edgestore.Stamp{Boot: 1, Mono: 10 * second, Wall: 1000 * second, Synced: true})
	c.advance(&edgestore.Stamp{Boot: 2, Mono: 5 * second, Wall: 1001 * second})
	before := c.now
	c.advance(&edgestore.Stamp{Boot: 2, Mono: 8 * second, Wall: 1e6 * second, Synced: true})
	if got := time.Duration(c.now - before); got != 3*time.Second {
		t.Errorf("%v passed, want 3s", got)
	}
	c.advance(&edgestore.Stamp{Boot: 3, Mono: second, Wall: 1e6*second + 60*second, Synced: true})
	if got := time.Duration(c.now - before); got != 63*time.Second {
		t.Errorf("%v passed, want 63s", got)
	}
}

// One id at a time, as of a stream that gets a message now and then, takes the
// room of one, however many went before it.
func TestFreshIDs_oneAtATime(t *testing.T) {
	var f freshIDs
	for i := range uint64(3*idsPerChunk + 7) {
		id := fmt.Appendf(nil, "id%d", i)
		f.add(i, id, i, 1)
		if e, ok := f.find(i, id); !ok || e.seq != i {
			t.Fatalf("id %d: %v, %v", i, e, ok)
		}
		x := f.snapshot(0)
		if got := x.id(x.sorted[0]); len(x.sorted) != 1 || got.Seq != i || string(got.ID) != string(id) {
			t.Fatalf("id %d: snapshot of %v", i, got)
		}
		if n := cap(f.chunks[0].list); n > 1 {
			t.Fatalf("id %d has room for %d", i, n)
		}
		f.drop(f.end)
	}
	// Several, over the end of a chunk.
	for i := range uint64(2 * idsPerChunk) {
		f.add(i, fmt.Append(nil, i), i, 1)
	}
	f.drop(f.first + idsPerChunk)
	if x := f.snapshot(0); len(x.sorted) != idsPerChunk || x.id(x.sorted[0]).Seq != idsPerChunk || x.id(x.sorted[idsPerChunk-1]).Seq != 2*idsPerChunk-1 {
		t.Errorf("snapshot of %d", len(x.sorted))
	}
}

// Ids of one hash are told apart.
func TestFreshIDs_clash(t *testing.T) {
	var f freshIDs
	for i := range 5 {
		f.add(7, []byte{byte('a' + i)}, uint64(i), int64(i))
	}
	f.add(7, []byte("b"), 9, 9) // again
	for i, want := range []uint64{0, 9, 2, 3, 4} {
		if e, ok := f.find(7, []byte{byte('a' + i)}); !ok || e.seq != want {
			t.Errorf("id %c: %+v %v, want %d", 'a'+i, e, ok, want)
		}
	}
	f.drop(4)
	for i, want := range []bool{false, true, false, false, true} {
		if _, ok := f.find(7, []byte{byte('a' + i)}); ok != want {
			t.Errorf("after the drop: id %c is known: %v", 'a'+i, ok)
		}
	}
	if f.drop(f.end); f.len() != 0 || f.weight != 0 || len(f.clashes) != 0 {
		t.Errorf("something is left: %+v", f)
	}
}

// manyIDs is a box whose ids become runs soon.
func manyIDs(t *testing.T) *box {
	x := newBox(t)
	x.change = func(c *Config) { c.idBytes, c.idsWake = 1200, 1<<30 }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s] duplicate_window=1h")
	x.drain() // the first one makes the folder
	return x
}

func (x *box) id(n int) pubAck {
	return x.put("S", "s", fmt.Sprint("body ", n), "Nats-Msg-Id", fmt.Sprint("id-", n))
}

func (x *box) drain() {
	x.t.Helper()
	if err := x.e.drain.drain(); err != nil {
		x.t.Fatal(err)
	}
}

func (x *box) idFiles() []string {
	x.t.Helper()
	names, err := filepath.Glob(x.path("streams", "*", "*.ids*"))
	if err != nil {
		x.t.Fatal(err)
	}
	return names
}

// Ids are known again after drains, merges and restarts, from few files, with
// little of them in memory.
func TestDedup_runs(t *testing.T) {
	x := manyIDs(t)
	const n = 900
	for i := range n {
		if a := x.id(i); a.Error != nil || a.Duplicate || a.Seq != uint64(i+1) {
			t.Fatalf("message %d: %+v", i, a)
		}
		switch {
		case i%19 == 18:
			x.drain()
		case i%131 == 130:
			x.kill()
			x.start()
		}
	}
	x.drain()
	d := x.e.account("A").stream("S").dedup
	if len(d.runs) == 0 || len(d.runs) > 12 || d.fresh.weight > 3000 {
		t.Errorf("%d runs, %d bytes in memory", len(d.runs), d.fresh.weight)
	}
	if files := x.idFiles(); len(files) != len(d.runs) {
		t.Errorf("%d files of %d runs: %v", len(files), len(d.runs), files)
	}
	for i := range n {
		if a := x.id(i); a.Error != nil || !a.Duplicate || a.Seq != uint64(i+1) {
			t.Errorf("message %d again: %+v", i, a)
		}
	}
	x.stop()
	x.start()
	if a := x.id(n); a.Error != nil || a.Seq != n+1 {
		t.Errorf("a new one: %+v", a)
	}
	if x.e.deleteStream(x.e.account("A"), "S") != nil {
		t.Fatal("not deleted")
	}
	x.drain()
	if files := x.idFiles(); len(files) != 0 {
		t.Errorf("files of a deleted stream: %v", files)
	}
}

// What is out of the window is not known, and its files go.
func TestDedup_windowPasses(t *testing.T) {
	x := manyIDs(t)
	s := x.e.account("A").stream("S")
	for i := range 60 {
		x.id(i)
	}
	x.drain()
	if len(s.dedup.runs) == 0 {
		t.Fatal("no run")
	}
	s.mu.Lock()
	s.dedup.clock.now += int64(time.Hour)
	s.mu.Unlock()
	if a := x.id(7); a.Duplicate || a.Seq != 61 {
		t.Errorf("an id out of the window: %+v", a)
	}
	x.drain()
	if len(s.dedup.runs) != 0 || len(x.idFiles()) != 0 {
		t.Errorf("%d runs in %v", len(s.dedup.runs), x.idFiles())
	}
	// A larger window does not bring back what was out of it, a new start either.
	x.b.call(t, "STREAM.UPDATE.S", "name=S subjects=[s] duplicate_window=10h", nil)
	x.kill()
	x.start()
	if a := x.id(8); a.Duplicate || a.Seq != 62 {
		t.Errorf("an id that was out of the window: %+v", a)
	}
	if a := x.id(7); !a.Duplicate || a.Seq != 61 {
		t.Errorf("an id in the window: %+v", a)
	}
}

// A disk that does not read decides nothing: the stream stops, and a restart
// finds that the message had been stored.
func TestDedup_readFails(t *testing.T) {
	x := manyIDs(t)
	faults := vfs.WithFaults(vfs.OS{})
	x.e.cfg.idDisk = faults
	for i := range 60 {
		x.id(i)
	}
	x.drain()
	faults.SetHook(vfs.FailNth(vfs.OpRead, "*.ids", 1, 2, syscall.EIO))
	if a := x.id(3); a.Error != nil || !a.Duplicate || a.Seq != 4 {
		t.Errorf("reads that fail twice: %+v", a)
	}
	faults.SetHook(vfs.FailNth(vfs.OpRead, "*.ids", 1, 1<<30, syscall.EIO))
	r := &testReceipt{stored: make(chan string, 1)}
	x.b.route(&wire.Msg{Subject: []byte("s"), Header: []byte(header(hdrMsgID, "id-3")), Receipt: r})
	if got := <-r.stored; got != "S 0 unknown" {
		t.Errorf("reads fail for good: %s", got)
	}
	if a := x.id(1000); a.Error == nil || a.Error.ErrCode != errStoreFailed.ErrCode {
		t.Errorf("the stream goes on: %+v", a)
	}
	if d := x.e.Damage(false); len(d) != 1 || d[0].Kind != DamageStopped {
		t.Errorf("told: %+v", d)
	}
	x.kill()
	x.start()
	if a := x.id(3); a.Error != nil || !a.Duplicate || a.Seq != 4 {
		t.Errorf("after the restart: %+v", a)
	}
	if st := x.e.account("A").stream("S").store.State(); st.LastSeq != 60 {
		t.Errorf("after the restart: %d messages", st.LastSeq) // what came when it had stopped was refused
	}
}

// Damaged ids are told, and change nothing that was decided before.
func TestDedup_damage(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, name string){
		"one bit": func(t *testing.T, name string) {
			b := mustRead(t, name)
			b[60] ^= 4
			mustWrite(t, name, b)
		},
		"cut": func(t *testing.T, name string) { mustWrite(t, name, mustRead(t, name)[:100]) },
		"gone": func(t *testing.T, name string) {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := manyIDs(t)
			for i := range 60 {
				x.id(i)
			}
			x.drain()
			// Above what was drained: duplicates, and messages behind them.
			for i := range 20 {
				if a := x.id(i); !a.Duplicate {
					t.Fatalf("%+v", a)
				}
				x.id(100 + i)
			}
			x.kill()
			files := x.idFiles()
			if len(files) == 0 {
				t.Fatal("no run")
			}
			for _, f := range files {
				damage(t, f)
			}
			x.start()
			if lost := x.check("S"); lost != 0 {
				t.Errorf("%d messages are lost", lost)
			}
			if st := x.e.account("A").stream("S").store.State(); st.LastSeq != 80 {
				t.Errorf("%d messages, want 80", st.LastSeq)
			}
			if d := x.e.Damage(false); len(d) != 1 || d[0].Kind != DamageIDs {
				t.Errorf("told: %+v", d)
			}
			if a := x.id(3); a.Error != nil || a.Duplicate || a.Seq != 81 {
				t.Errorf("an id that is lost: %+v", a)
			}
			if a := x.id(110); a.Error != nil || !a.Duplicate {
				t.Errorf("an id that is not lost: %+v", a)
			}
		})
	}
}

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustWrite(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The form that was written before is read, and written anew.
func TestDedup_oldForm(t *testing.T) {
	var b []byte
	stamp := edgestore.Stamp{Boot: 1, Mono: 5, Wall: 1000, Synced: true}
	b = msgp.AppendUint64(b, 3)
	for i := range 3 {
		b = msgp.AppendString(b, fmt.Sprint("id-", i))
		b = msgp.AppendUint64(b, uint64(i+1))
		stamp.Mono += int64(time.Minute)
		b = appendStamp(b, &stamp)
	}
	d := dedup{window: 2*time.Minute + 1}
	if err := d.load("dup/0000000000000004", b); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if seq, ok, err := d.seen([]byte(fmt.Sprint("id-", i))); !ok || seq != uint64(i+1) || err != nil {
			t.Errorf("id %d: %d %v %v", i, seq, ok, err)
		}
	}
	stamp.Mono += int64(time.Minute)
	d.advance(&stamp)
	if _, ok, _ := d.seen([]byte("id-0")); ok {
		t.Error("out of the window")
	}
	keys := make(map[string]bool)
	for _, a := range d.seal() {
		keys[a.Key] = a.Value != nil
	}
	if want := map[string]bool{"dup/0000000000000004": false, "ids": true, "ids/0000000000000000": true}; !maps.Equal(keys, want) {
		t.Errorf("written: %v", keys)
	}
	if err := d.load("dup/0000000000000005", b[:len(b)-3]); !errors.Is(err, edgestore.ErrCorrupt) {
		t.Errorf("cut: %v", err)
	}
}

// An id is as long as the protocol's headers let it be only up to a bound.
func TestPublish_longMsgID(t *testing.T) {
	_, b := newTestEngine(t)
	mustStream(t, b, "name=S subjects=[s] storage=memory")
	long := strings.Repeat("x", maxMsgID)
	if a := b.publish(t, "s", "", "Nats-Msg-Id", long); a.Error != nil {
		t.Errorf("%d bytes: %+v", len(long), a.Error)
	}
	if a := b.publish(t, "s", "", "Nats-Msg-Id", long+"x"); a.Error == nil || *a.Error != *errMsgIDTooLong {
		t.Errorf("%d bytes: %+v", len(long)+1, a)
	}
	if a := b.publish(t, "s", "", "Nats-Msg-Id", long); !a.Duplicate {
		t.Errorf("again: %+v", a)
	}
}

// What message ids take of the memory: a part that does not grow, and 14 bits
// with what is around them for each.
func TestDedup_heap(t *testing.T) {
	n, most := 500_000, uint64(8<<20)
	if os.Getenv("FROND_SOAK") != "" {
		n, most = 10_000_000, 24_000_000
	}
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s] duplicate_window=1h")
	x.drain()
	s := x.e.account("A").stream("S")
	before := heapNow()
	stamp := edgestore.Stamp{Boot: 1, Synced: true}
	var id []byte
	for i := range n {
		stamp.Mono += 1000
		id = fmt.Appendf(id[:0], "device-%08d-message-%08d", i%1000, i)
		s.mu.Lock()
		s.ids().advance(&stamp)
		s.dedup.add(id, uint64(i+1), &stamp)
		full := s.dedup.fresh.weight >= s.e.cfg.idsWake // when the drain is woken
		s.mu.Unlock()
		if !full {
			continue
		}
		if err := s.packIDs(); err != nil {
			t.Fatal(err)
		}
		s.removeIDs(s.dedup.retired)
		s.dedup.retired = nil
	}
	got := heapNow() - before
	runtime.KeepAlive(s)
	t.Logf("%d ids in %d runs: %d bytes of heap", n, len(s.dedup.runs), got)
	if got > most {
		t.Errorf("%d bytes of heap for %d ids, at most %d", got, n, most)
	}
	for i := 0; i < n; i += n / 1000 {
		id = fmt.Appendf(id[:0], "device-%08d-message-%08d", i%1000, i)
		if seq, known, err := s.dedup.seen(id); !known || seq != uint64(i+1) || err != nil {
			t.Fatalf("id %d: %d %v %v", i, seq, known, err)
		}
	}
}

// heapNow is what is in use, without what is garbage.
func heapNow() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A disk that takes no ids does not fill the memory with them: publishers of new
// ones are told, and what is known, or has no id, goes on.
func TestDedup_bound(t *testing.T) {
	x := newBox(t)
	faults := vfs.WithFaults(vfs.OS{})
	x.change = func(c *Config) { c.idBytes, c.idDisk = 1200, faults }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s] duplicate_window=1h")
	x.id(0)
	x.drain() // makes the folder
	faults.SetHook(func(c vfs.Call) error { return syscall.EIO })
	s := x.e.account("A").stream("S")
	var refused *apierror.Error
	n := 1
	for ; refused == nil && n < 1000; n++ {
		refused = x.id(n).Error
	}
	s.mu.RLock()
	weight := s.dedup.fresh.weight
	s.mu.RUnlock()
	if most := idsMostRatio * 1200; refused == nil || weight < most || weight > most+100 {
		t.Fatalf("%d bytes of ids are in memory, %v", weight, refused)
	}
	if refused.ErrCode != errStoreFailed.ErrCode || !strings.Contains(refused.Description, "message ids") {
		t.Errorf("told: %v", refused)
	}
	if a := x.id(1); a.Error != nil || !a.Duplicate || a.Seq != 2 {
		t.Errorf("what is known: %+v", a)
	}
	if a := x.put("S", "s", "without an id"); a.Error != nil {
		t.Errorf("without an id: %+v", a)
	}
	if err := s.Take(&origins.Message{Source: "O", Seq: 1, Subject: []byte("s"), Header: []byte("NATS/1.0\r\nNats-Msg-Id: new\r\n\r\n")}, nil); err != errIDsFull {
		t.Errorf("from a source: %v", err)
	}
	faults.SetHook(nil)
	x.drain()
	if a := x.id(n); a.Error != nil || a.Duplicate {
		t.Errorf("after the disk came back: %+v", a)
	}
	if a := x.id(n - 1); a.Error != nil || a.Duplicate {
		t.Errorf("what was refused counts as known: %+v", a)
	}
}

// Many ids do not wait for a drain that something else is for.
func TestDedup_wakesTheDrain(t *testing.T) {
	x := newBox(t)
	x.change = func(c *Config) { c.idBytes = 1200 }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s] duplicate_window=1h")
	x.drain()
	for i := range 80 {
		x.id(i)
	}
	eventually(t, func() bool { return len(x.idFiles()) > 0 })
}

// Message ids that are gone are told of by one start, also when the stream has nothing
// else to write.
func TestDedup_lostRunIsToldOnce(t *testing.T) {
	x := manyIDs(t)
	for i := range 60 {
		x.id(i)
	}
	x.drain()
	x.stop()
	files := x.idFiles()
	if len(files) == 0 {
		t.Fatal("no run")
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	x.start()
	if d := x.e.Damage(false); len(d) != 1 || d[0].Kind != DamageIDs {
		t.Errorf("told: %+v", d)
	}
	if err := x.e.AckDamage(0); err != nil {
		t.Fatal(err)
	}
	x.stop()
	x.start()
	if d := x.e.Damage(false); len(d) != 0 {
		t.Errorf("told again: %+v", d)
	}
}
