package jetstream

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
	"github.com/frondmq/frond/edgestore/vfs"
)

var crashSeed = flag.Uint64("seed", 0, "seed of the crash test; 0 goes through a few, with FROND_SOAK in the environment through more")

// device is a disk that survives crashes: the journal on a file system in
// memory that forgets what was not synced, the stores in a folder.
type device struct {
	t      testing.TB
	mem    *vfs.Mem
	dir    string
	rnd    *rand.Rand
	change func(*Config)          // of each engine, if not nil
	unfit  func(*wire.Msg) string // of each bus, likewise
}

func newDevice(t testing.TB, seed uint64) *device {
	return &device{t: t, mem: vfs.NewMem(), dir: t.TempDir(), rnd: rand.New(rand.NewPCG(seed, 1))}
}

func (d *device) config() Config {
	c := testConfig(d.t)
	c.Dir = d.dir
	c.Journal = journal.Options{FS: d.mem, Dir: "journal", SegmentBytes: 256 << 10}
	c.DrainBytes = 1 << 40 // when the test says so
	c.idBytes, c.idsWake, c.idsMost = 400, 1<<30, 1<<30
	if d.change != nil {
		d.change(&c)
	}
	return c
}

func (d *device) open() (*Engine, *testBus) {
	d.t.Helper()
	e, err := New(d.config())
	if err != nil {
		d.t.Fatal(err)
	}
	b := newTestBus("A")
	b.unfit = d.unfit // before anybody publishes
	if err := e.EnableAccount(b); err != nil {
		d.t.Fatal(err)
	}
	return e, b
}

// prepared waits until the journal has made its files, the ballast last: what
// it makes beside the operations takes room and syncs.
func (d *device) prepared() {
	d.t.Helper()
	eventually(d.t, func() bool {
		names, err := d.mem.List("journal")
		return err == nil && slices.Contains(names, "reserve") && slices.Contains(names, "ballast")
	})
}

// crash takes the disk as it would be found after a power cut, with keep of
// what was not synced, and then ends the engine, which can't change that any
// more. Nothing may be draining while it is called.
func (d *device) crash(e *Engine, keep float64) {
	d.t.Helper()
	mem := d.mem.Crash(d.rnd, keep)
	dir := d.t.TempDir()
	copyTree(d.t, d.dir, dir)
	if err := e.Close(); err != nil {
		d.t.Fatal(err)
	}
	d.mem, d.dir = mem, dir
}

// copyTree copies the folder of an engine that runs, as a kill would leave it. When
// a file goes or gets another name under its hands it begins anew.
func copyTree(t testing.TB, from, to string) {
	t.Helper()
	err := copyOnce(from, to)
	for tries := 0; errors.Is(err, fs.ErrNotExist) && tries < 100; tries++ {
		if err = os.RemoveAll(to); err == nil {
			err = copyOnce(from, to)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func copyOnce(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.Create(target)
		if err != nil {
			return err
		}
		defer out.Close()
		_, err = io.Copy(out, in)
		return err
	})
}

func TestEngine_restartKeepsEverything(t *testing.T) {
	d := newDevice(t, 1)
	e, b := d.open()
	mustStream(t, b, "name=S subjects=[s.>] max_msgs_per_subject=3")
	mustStream(t, b, "name=M subjects=[m.>] storage=memory")
	mustStream(t, b, "name=GONE subjects=[gone]")
	for i := range 20 {
		b.publish(t, fmt.Sprintf("s.%d", i%4), fmt.Sprint(i), "Nats-Msg-Id", fmt.Sprint(i))
	}
	b.call(t, "STREAM.MSG.DELETE.S", "seq=20", nil)
	b.call(t, "STREAM.DELETE.GONE", "", nil)
	mustConsumer(t, b, "S", "c", "durable_name=c ack_policy=explicit")
	in := b.pull(t, "S.c", "3")
	for range 2 {
		b.request(t, in.next().Reply, "", "")
	}
	b.call(t, "STREAM.UPDATE.S", "name=S subjects=[s.>] max_msgs_per_subject=3 description=new", nil)
	before := sequences(e, "S")
	want := b.consumer(t, "S", "c")
	for round := range 3 {
		if round == 1 { // what the stores have in their files must do as well
			if err := e.drain.drain(); err != nil {
				t.Fatal(err)
			}
		}
		if round == 2 {
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			d.crash(e, 0)
		}
		e, b = d.open()
		if got := sequences(e, "S"); !slices.Equal(got, before) {
			t.Errorf("round %d: messages %v, want %v", round, got, before)
		}
		if e.account("A").stream("M") != nil || e.account("A").stream("GONE") != nil {
			t.Errorf("round %d: a stream is there that should not", round)
		}
		got := b.consumer(t, "S", "c")
		if got != want {
			t.Errorf("round %d: consumer %+v, want %+v", round, got, want)
		}
		if c := e.account("A").stream("S").config(); c.Description != "new" {
			t.Errorf("round %d: the update is lost", round)
		}
		if a := b.publish(t, "s.3", "again", "Nats-Msg-Id", "19"); !a.Duplicate || a.Seq != 20 {
			t.Errorf("round %d: the id of a deleted message is forgotten: %+v", round, a)
		}
		if a := b.publish(t, "s.3", "", "Nats-Expected-Last-Sequence", "1"); a.Error == nil || a.Error.Description != "wrong last sequence: 20" {
			t.Errorf("round %d: %+v", round, a)
		}
	}
	if a := b.publish(t, "s.3", ""); a.Seq != 21 {
		t.Errorf("the next message got %+v", a)
	}
	mustStream(t, b, "name=GONE subjects=[gone]")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if names, err := os.ReadDir(filepath.Join(d.dir, "streams")); err != nil || len(names) != 2 {
		t.Errorf("folders left: %v, %v", names, err)
	}
}

// crashPublisher sends messages with ids without waiting for the answers, and
// keeps what was promised.
type crashPublisher struct {
	mu    sync.Mutex
	acked map[string]uint64 // id -> sequence
	dups  int
	all   int // answers
	errs  []string
}

func (p *crashPublisher) listen(t testing.TB, b *testBus) {
	_, err := b.Subscribe("ack.*", "", func(m *wire.Msg) {
		var a pubAck
		if err := json.Unmarshal(m.Body, &a); err != nil {
			t.Errorf("ack %q: %v", m.Body, err)
		}
		id := strings.TrimPrefix(string(m.Subject), "ack.")
		p.mu.Lock()
		defer p.mu.Unlock()
		p.all++
		if a.Error != nil {
			p.errs = append(p.errs, a.Error.Error())
			return
		}
		if seq, ok := p.acked[id]; ok && seq != a.Seq {
			t.Errorf("id %s was acknowledged as %d and as %d", id, seq, a.Seq)
		}
		if a.Duplicate {
			p.dups++
		}
		p.acked[id] = a.Seq
	})
	if err != nil {
		t.Fatal(err)
	}
}

// send publishes without waiting.
func (p *crashPublisher) send(b *testBus, id int) {
	text := fmt.Sprint(id)
	b.route(&wire.Msg{Subject: []byte(fmt.Sprintf("s.%d", id%5)), Reply: []byte("ack." + text),
		Header: []byte(header("Nats-Msg-Id", text)), Body: []byte(text)})
}

func (p *crashPublisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.acked)
}

// Whatever was acknowledged is there after a crash, at its sequence, once; what
// is sent again is known by its id.
func TestEngine_crashLosesNothingAcknowledged(t *testing.T) {
	seeds := []uint64{1, 2}
	switch {
	case *crashSeed != 0:
		seeds = []uint64{*crashSeed}
	case os.Getenv("FROND_SOAK") != "":
		seeds = []uint64{1, 2, 3, rand.Uint64(), rand.Uint64(), rand.Uint64()}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { crashRun(t, seed) })
	}
}

func crashRun(t *testing.T, seed uint64) {
	d := newDevice(t, seed)
	p := &crashPublisher{acked: make(map[string]uint64)}
	e, b := d.open()
	p.listen(t, b)
	mustStream(t, b, "name=S subjects=[s.>] duplicate_window=1h")
	mustStream(t, b, "name=L subjects=[l.>] max_msgs_per_subject=2 max_msgs=7")
	mustConsumer(t, b, "S", "c", "durable_name=c ack_policy=explicit max_ack_pending=-1 ack_wait=1h")
	var doubleAcked []uint64
	next := 0
	for round := range 6 {
		before := p.count()
		for range 50 + d.rnd.IntN(200) {
			p.send(b, next)
			next++
			b.route(&wire.Msg{Subject: []byte(fmt.Sprintf("l.%d", d.rnd.IntN(6)))})
			if d.rnd.IntN(60) == 0 {
				drainSome(t, d, e)
			}
		}
		some := before + d.rnd.IntN(40)
		eventually(t, func() bool { return p.count() > some })
		in := b.pull(t, "S.c", "batch=10 no_wait")
		for range 10 {
			m := in.next()
			if m.Reply == "" {
				break // there are no more
			}
			b.request(t, m.Reply, "", "")
			doubleAcked = append(doubleAcked, ackSeq(t, m.Reply))
		}
		p.mu.Lock()
		promised := make(map[string]uint64, len(p.acked))
		for id, seq := range p.acked {
			promised[id] = seq
		}
		p.mu.Unlock()
		d.crash(e, d.rnd.Float64())
		if round%2 == 1 {
			checkDeterminism(t, d)
		}
		e, b = d.open()
		p.listen(t, b)
		checkPromises(t, e, promised, round)
		s := e.account("A").stream("S")
		for _, seq := range doubleAcked {
			m := s.member("c")
			msg, _, err := s.store.Load(seq, nil)
			if err != nil {
				t.Fatalf("round %d: message %d: %v", round, seq, err)
			}
			if m.m.Needs(seq, []byte(msg.Subject)) {
				t.Errorf("round %d: sequence %d was acknowledged and will be delivered again", round, seq)
			}
		}
	}
	// The clients send everything again that they can't be sure of, and more.
	p.mu.Lock()
	p.all = 0
	p.mu.Unlock()
	for id := range next {
		p.send(b, id)
	}
	eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.all == next })
	if p.count() != next || p.dups == 0 {
		t.Errorf("%d of %d acknowledged, %d as duplicates", p.count(), next, p.dups)
	}
	if len(p.errs) > 0 {
		t.Errorf("refused: %v", p.errs)
	}
	checkPromises(t, e, p.acked, -1)
	if n := e.account("A").stream("S").state().Msgs; n != uint64(next) {
		t.Errorf("%d messages for %d ids", n, next)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

func ackSeq(t testing.TB, reply string) (seq uint64) {
	t.Helper()
	if _, err := fmt.Sscan(strings.Split(reply, ".")[5], &seq); err != nil {
		t.Fatal(err)
	}
	return seq
}

// drainSome drains everything, or stops half way as a power cut would.
func drainSome(t testing.TB, d *device, e *Engine) {
	t.Helper()
	if d.rnd.IntN(2) == 0 {
		if err := e.drain.drain(); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, s := range e.allStreams() {
		if d.rnd.IntN(2) == 0 || !s.seal() {
			continue
		}
		if err := s.store.Flush(); err != nil {
			t.Fatal(err)
		}
		if h, rows, ok := s.flushed(); ok {
			e.noteHead(s.incarnation, h, rows)
		}
	}
}

func checkPromises(t testing.TB, e *Engine, promised map[string]uint64, round int) {
	t.Helper()
	s := e.account("A").stream("S")
	if s == nil {
		t.Fatalf("round %d: the stream is gone", round)
	}
	for id, seq := range promised {
		m, _, err := s.store.Load(seq, nil)
		if err != nil || string(m.Body) != id {
			t.Errorf("round %d: message %s at %d: %q, %v", round, id, seq, m.Body, err)
		}
	}
	seen := make(map[string]bool)
	for _, seq := range sequences(e, "S") {
		m, _, err := s.store.Load(seq, nil)
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(m.Body)] {
			t.Errorf("round %d: message %s is there twice", round, m.Body)
		}
		seen[string(m.Body)] = true
	}
}

// checkDeterminism opens copies of the disk twice: with the same files the
// same state, down to the ids.
func checkDeterminism(t testing.TB, d *device) {
	t.Helper()
	var first string
	for i := range 2 {
		dir := t.TempDir()
		copyTree(t, d.dir, dir)
		c := (&device{t: t, mem: d.mem.Crash(d.rnd, 0), dir: dir, rnd: d.rnd}).config()
		e, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		got := fingerprint(t, e)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = got
		} else if got != first {
			t.Errorf("two recoveries differ:\n%s\n%s", first, got)
		}
	}
}

// fingerprint tells all that a stream is.
func fingerprint(t testing.TB, e *Engine) string {
	var b strings.Builder
	for _, s := range e.account("A").sorted() {
		fmt.Fprintln(&b, s.name, s.last, s.lastMsgID, string(asset.Encode(s.config())))
		for _, seq := range sequences(e, s.name) {
			m, _, err := s.store.Load(seq, nil)
			fmt.Fprintln(&b, seq, m.Time, m.Subject, string(m.Body), err)
		}
		for _, line := range knownIDs(t, s) {
			fmt.Fprintln(&b, line)
		}
		for _, m := range s.members() {
			i := m.m.Info(0)
			fmt.Fprintln(&b, m.name, i.Delivered, i.AckFloor, i.NumAckPending, i.NumPending)
		}
	}
	return b.String()
}

// The same operations applied to a stream in memory and one in files, whatever
// was drained in between, end in the same messages.
func TestApply_storesAgree(t *testing.T) {
	d := newDevice(t, 7)
	e, b := d.open()
	mustStream(t, b, "name=F subjects=[f.>] max_msgs_per_subject=2 max_msgs=9 allow_rollup_hdrs")
	mustStream(t, b, "name=M subjects=[m.>] max_msgs_per_subject=2 max_msgs=9 allow_rollup_hdrs storage=memory")
	both := func(f func(stream, prefix string)) { f("F", "f."); f("M", "m.") }
	for i := range 400 {
		subj, id := fmt.Sprint(d.rnd.IntN(8)), fmt.Sprint(d.rnd.IntN(300))
		switch n := d.rnd.IntN(20); {
		case n == 0:
			seq := d.rnd.IntN(i + 1)
			both(func(stream, _ string) {
				b.api(t, "STREAM.MSG.DELETE."+stream, fmt.Sprintf("seq=%d", seq))
			})
		case n == 1:
			both(func(stream, prefix string) {
				b.call(t, "STREAM.PURGE."+stream, "filter="+prefix+subj, nil)
			})
		case n == 2:
			both(func(_, prefix string) { b.publish(t, prefix+subj, "", "Nats-Rollup", "sub") })
		case n == 3:
			drainSome(t, d, e)
		default:
			both(func(_, prefix string) { b.publish(t, prefix+subj, fmt.Sprint(i), "Nats-Msg-Id", id) })
		}
		if f, m := sequences(e, "F"), sequences(e, "M"); !slices.Equal(f, m) {
			t.Fatalf("step %d: in files %v, in memory %v", i, f, m)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// What a work queue's consumer acknowledged does not come back, even if the
// crash forgot that it was removed.
func TestEngine_workQueueAfterCrash(t *testing.T) {
	for seed := range uint64(4) {
		d := newDevice(t, seed)
		e, b := d.open()
		mustStream(t, b, "name=W subjects=[w.>] retention=workqueue")
		mustConsumer(t, b, "W", "c", "durable_name=c ack_policy=explicit filter_subject=w.a")
		for range 10 {
			b.publish(t, "w.a", "")
		}
		b.publish(t, "w.nobody", "")
		in := b.pull(t, "W.c", "10")
		for range 6 {
			b.request(t, in.next().Reply, "", "")
		}
		d.crash(e, 0)
		e, b = d.open()
		eventually(t, func() bool { return fmt.Sprint(sequences(e, "W")) == "[7 8 9 10 11]" })
		if a := b.consumer(t, "W", "c"); a.AckFloor.Stream != 6 {
			t.Errorf("seed %d: %+v", seed, a)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A full disk refuses publishes and loses nothing; when there is room again it
// goes on.
func TestEngine_fullDisk(t *testing.T) {
	d := newDevice(t, 3)
	e, b := d.open()
	mustStream(t, b, "name=S subjects=[s.>]")
	first := b.publish(t, "s.a", "first", "Nats-Msg-Id", "first")
	d.prepared()
	d.mem.SetCapacity(d.mem.Used() + 512<<10)
	var acked []uint64
	body := strings.Repeat("x", 8<<10)
	var refused *apierror.Error
	for range 1000 {
		a := b.publish(t, "s.a", body)
		if a.Error != nil {
			refused = a.Error
			break
		}
		acked = append(acked, a.Seq)
	}
	if refused == nil || refused.ErrCode != 10077 {
		t.Fatalf("a full disk answered %v after %d messages", refused, len(acked))
	}
	if a := b.publish(t, "s.a", "first", "Nats-Msg-Id", "first"); !a.Duplicate || a.Seq != first.Seq {
		t.Errorf("sent again to a full disk: %+v %v", a, a.Error)
	}
	b.call(t, "STREAM.INFO.S", "", nil)
	if err := e.drain.drain(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return b.publish(t, "s.a", body).Error == nil })
	d.crash(e, 1)
	e, _ = d.open()
	for _, seq := range acked {
		if _, _, err := e.account("A").stream("S").store.Load(seq, nil); err != nil {
			t.Errorf("message %d: %v", seq, err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// What a restart found in the journal is released as well: a disk that was full
// when the power went must not stay full.
func TestEngine_fullDiskAtStart(t *testing.T) {
	d := newDevice(t, 5)
	e, b := d.open()
	mustStream(t, b, "name=S subjects=[s.>]")
	d.prepared()
	d.mem.SetCapacity(d.mem.Used() + 512<<10)
	body := strings.Repeat("x", 8<<10)
	eventually(t, func() bool { return b.publish(t, "s.a", body).Error != nil })
	capacity := d.mem.Used()
	d.crash(e, 1)
	d.mem.SetCapacity(capacity)
	e, b = d.open()
	eventually(t, func() bool { return b.publish(t, "s.a", body).Error == nil })
	for range 100 {
		eventually(t, func() bool { return b.publish(t, "s.a", body).Error == nil })
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// A purge gives the disk back by itself, not only once as much was published
// again.
func TestEngine_purgeDrains(t *testing.T) {
	c := newDevice(t, 4).config()
	c.DrainBytes = 1 << 20
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	b := newTestBus("A")
	if err := e.EnableAccount(b); err != nil {
		t.Fatal(err)
	}
	mustStream(t, b, "name=S subjects=[s.>]")
	body := strings.Repeat("x", 8<<10)
	for range 100 {
		if a := b.publish(t, "s.a", body); a.Error != nil {
			t.Fatal(a.Error)
		}
	}
	s := e.account("A").stream("S")
	if s.undrained() == 0 {
		t.Fatal("drained before there was enough for it")
	}
	b.call(t, "STREAM.PURGE.S", "", nil)
	eventually(t, func() bool { return s.undrained() == 0 })
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// refusing is a disk whose log can be told to take nothing.
type refusing struct {
	backend
	now *atomic.Bool
}

type refusingLog struct {
	fileLog
	now *atomic.Bool
}

func (r refusing) journal() (fileLog, journalEnd, error) {
	l, end, err := r.backend.journal()
	return refusingLog{l, r.now}, end, err
}

func (l refusingLog) AppendReserved(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	if l.now.Load() {
		return 0, edgestore.ErrBusy
	}
	return l.fileLog.(reserver).AppendReserved(r, side, token, data...)
}

// A drain while the log takes nothing must not lose what it took before: the
// flush says that it is in the store.
func TestEngine_drainWhileTheLogRefuses(t *testing.T) {
	for deltas := 1; deltas <= 2; deltas++ {
		d := newDevice(t, 6)
		c := d.config()
		var refuse atomic.Bool
		c.backend = refusing{diskBackend{&c}, &refuse}
		e, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		b := newTestBus("A")
		if err := e.EnableAccount(b); err != nil {
			t.Fatal(err)
		}
		mustStream(t, b, "name=S subjects=[s]")
		mustConsumer(t, b, "S", "c", "durable_name=c ack_policy=explicit")
		for range 10 {
			b.publish(t, "s", "")
		}
		in := b.pull(t, "S.c", "8")
		for range 4 {
			b.request(t, in.next().Reply, "", "")
		}
		m := e.account("A").stream("S").member("c")
		refuse.Store(true)
		for n := range deltas {
			b.route(&wire.Msg{Subject: []byte(in.next().Reply)})
			eventually(t, func() bool {
				m.mu.Lock()
				defer m.mu.Unlock()
				return m.m.Info(0).NumAckPending == 3-n && len(m.deltas.unsent) == n+1
			})
			if err := e.drain.drain(); err != nil {
				t.Fatal(err)
			}
		}
		refuse.Store(false)
		// The answer comes when this and what waited are durable.
		b.request(t, in.next().Reply, "", "")
		d.crash(e, 0)
		e, b = d.open()
		if a := b.consumer(t, "S", "c"); a.AckFloor.Stream != uint64(5+deltas) || a.NumAckPending != 3-deltas {
			t.Errorf("%d deltas waited: %+v", deltas, a)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExpire_dropsOldMessages(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	e, b := newTestEngine(t, func(c *Config) {
		c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
		c.ClockSynced = func(now time.Time) bool { return now.Year() > 2000 }
	})
	forward := func(d time.Duration) {
		mu.Lock()
		now = now.Add(d)
		mu.Unlock()
	}
	mustStream(t, b, "name=S subjects=[s] storage=memory max_age=1m")
	b.publish(t, "s", "")
	forward(40 * time.Second)
	b.publish(t, "s", "")
	forward(40 * time.Second)
	e.ticks()
	eventually(t, func() bool { return fmt.Sprint(sequences(e, "S")) == "[2]" })
}
