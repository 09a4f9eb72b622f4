package jetstream

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// twinReads are the reads of what lies on the disk of a twin: they can be counted
// and made to fail.
type twinReads struct {
	mu     sync.Mutex
	calls  int
	failed int
	fails  func(call int) bool // nil: never
	// changed: the operation that is being applied has changed its stream.
	changed bool
	late    []string // read after that
}

func (r *twinReads) call(path string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if r.changed {
		r.late = append(r.late, path)
	}
	if r.fails != nil && r.fails(r.calls) {
		r.failed++
		return syscall.EIO
	}
	return nil
}

// arm counts from now on, and sets which calls fail.
func (r *twinReads) arm(fails func(call int) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls, r.fails = 0, fails
}

// readsAWhile is how many reads fail one after the other: a store tries each once
// more by itself, and who applies an operation makes it three times again.
const readsAWhile = 5

// nowAndThen fails a read, and not the next ones: who tries again gets
// further. nil is none.
func (r *twinReads) nowAndThen(rnd *rand.Rand) {
	if r == nil {
		return
	}
	quiet := 0
	r.arm(func(int) bool {
		if quiet--; quiet > 60 {
			return true
		}
		if quiet > 0 || rnd.IntN(2) > 0 {
			return false
		}
		quiet = 60 + readsAWhile
		return true
	})
}

// calm ends it.
func (r *twinReads) calm() {
	if r != nil {
		r.arm(nil)
	}
}

func (r *twinReads) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

func (r *twinReads) change(did bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = did
}

// ids is a disk whose reads of files of message ids are counted too.
func (r *twinReads) ids() vfs.FS {
	f := vfs.WithFaults(vfs.OS{})
	f.SetHook(func(c vfs.Call) error {
		if c.Op != vfs.OpRead || filepath.Ext(c.Name) != ".ids" {
			return nil
		}
		return r.call(c.Name)
	})
	return f
}

// stepStore sees when the first change of a step is made.
type stepStore struct {
	edgestore.Store
	r *twinReads
}

func (s *stepStore) Append(m *edgestore.Msg, blob edgestore.Location) error {
	s.r.change(true)
	return s.Store.Append(m, blob)
}

func (s *stepStore) Skip(last uint64, at int64) {
	s.r.change(true)
	s.Store.Skip(last, at)
}

func (s *stepStore) Drop(list []edgestore.Removal) uint64 {
	s.r.change(true)
	return s.Store.Drop(list)
}

func (s *stepStore) Remove(seq uint64) (uint64, bool, error) {
	size, ok, err := s.Store.Remove(seq)
	s.r.change(err == nil)
	return size, ok, err
}

func (s *stepStore) Compact(seq uint64) (uint64, error) {
	n, err := s.Store.Compact(seq)
	s.r.change(err == nil)
	return n, err
}

func (s *stepStore) Purge(filter string, seq, keep uint64) (uint64, error) {
	n, err := s.Store.Purge(filter, seq, keep)
	s.r.change(err == nil)
	return n, err
}

// stepCase is what is done to a stream whose messages are in its files.
type stepCase struct {
	config string   // of stream S on s.>, beside its name and subjects
	n      int      // messages that it has, on s.0 to s.4, with the ids 0 and on
	header []string // of each of them
	before func(x *twins)
	do     func(x *twins)
}

var stepCases = map[string]stepCase{
	"an id that is known, and one that is not": {n: 40, config: "duplicate_window=1h", do: func(x *twins) {
		x.put("s.1", "", hdrMsgID, "3")
		x.put("s.1", "", hdrMsgID, "new")
	}},
	"an expected sequence of a subject whose newest message went": {n: 20, do: func(x *twins) {
		x.w.call("STREAM.MSG.DELETE.S", "seq=17")
		x.put("s.1", "taken", hdrExpectedLastSubjSeq, "12")
		x.w.call("STREAM.MSG.DELETE.S", "seq=18")
		x.put("s.2", "refused", hdrExpectedLastSubjSeq, "17")
	}},
	"an expected sequence of several subjects": {n: 20, do: func(x *twins) {
		x.w.call("STREAM.MSG.DELETE.S", "seq=20")
		x.w.call("STREAM.MSG.DELETE.S", "seq=19")
		x.put("s.1", "taken", hdrExpectedLastSubjSeq, "18", hdrExpectedLastSubjSeqSubj, "s.*")
	}},
	"room that an older message makes": {n: 20, config: "discard=new max_bytes=64000 max_msgs_per_subject=1", do: func(x *twins) {
		x.put("s.1", "short")
		x.put("s.2", strings.Repeat("long", 8000))
	}},
	"one message of a subject": {n: 20, config: "max_msgs_per_subject=1", do: func(x *twins) {
		x.put("s.1", "a")
		x.put("s.3", "b")
	}},
	"two messages of a subject": {n: 20, config: "max_msgs_per_subject=2", do: func(x *twins) {
		x.put("s.1", "a")
		x.put("s.1", "b")
		x.put("s.1", "c")
	}},
	"a number of messages": {n: 20, config: "max_msgs=20", do: func(x *twins) {
		for range 5 {
			x.put("s.1", "a")
		}
	}},
	"a number of bytes": {n: 20, config: "max_bytes=200000", do: func(x *twins) {
		x.put("s.1", strings.Repeat("long", 9000))
		x.put("s.1", strings.Repeat("too long", 30000))
	}},
	"a number of messages and one of each subject": {n: 20, config: "max_msgs=7 max_msgs_per_subject=2", do: func(x *twins) {
		x.put("s.0", "a")
		x.put("s.new", "b")
		x.put("s.4", "c")
	}},
	"a rollup of a subject": {n: 20, config: "allow_rollup_hdrs", do: func(x *twins) { x.put("s.1", "a", hdrRollup, "sub") }},
	"a rollup of a subject with a limit": {n: 20, config: "allow_rollup_hdrs max_msgs=15 max_msgs_per_subject=4", do: func(x *twins) {
		x.put("s.1", "a", hdrRollup, "sub")
		x.put("s.2", strings.Repeat("long", 9000), hdrRollup, "sub")
	}},
	"a rollup of everything": {n: 20, config: "allow_rollup_hdrs", do: func(x *twins) { x.put("s.1", "a", hdrRollup, "all") }},
	"what was there before on the subject": {n: 20, config: "republish={src=s.> dest=copy.>}", do: func(x *twins) {
		x.w.call("STREAM.MSG.DELETE.S", "seq=17")
		x.put("s.1", "a")
	}},
	"a delete":              {n: 20, do: func(x *twins) { x.w.call("STREAM.MSG.DELETE.S", "seq=5") }},
	"a purge of a subject":  {n: 20, do: func(x *twins) { x.w.call("STREAM.PURGE.S", "filter=s.1") }},
	"a purge below":         {n: 20, do: func(x *twins) { x.w.call("STREAM.PURGE.S", "seq=9") }},
	"a purge but for a few": {n: 20, do: func(x *twins) { x.w.call("STREAM.PURGE.S", "keep=3") }},
	"an age": {n: 20, config: "max_age=1m", do: func(x *twins) {
		x.age(30 * time.Second)
		x.put("s.1", "younger")
		x.age(31 * time.Second)
	}},
	"an age, where some live for ever": {n: 20, config: "max_age=1m allow_msg_ttl",
		before: func(x *twins) { x.put("s.1", "", hdrTTL, "never") },
		do: func(x *twins) {
			x.put("s.1", "", hdrTTL, "never")
			x.age(61 * time.Second)
		}},
	"a TTL": {n: 20, config: "allow_msg_ttl", header: []string{hdrTTL, "60"}, do: func(x *twins) {
		x.age(61 * time.Second)
	}},
	"markers": {n: 20, config: "allow_msg_ttl subject_delete_marker_ttl=1h", header: []string{hdrTTL, "3600"}, do: func(x *twins) {
		x.age(3601 * time.Second)
	}},
	"a clock that was set": {n: 20, config: "allow_msg_ttl", header: []string{hdrTTL, "3600"}, do: func(x *twins) {
		s := x.stream("S")
		at := s.state().FirstTime.UnixNano()
		rec := s.record(opClockMove, false)
		if err := x.w.e.append(s.log(), true, &rec, nil, nil, moveData(move{at - 1, at + int64(time.Hour), int64(time.Minute)})); err != nil {
			x.t.Error(err)
		}
	}},
	"TTLs that are allowed": {n: 20, config: "allow_msg_ttl", header: []string{hdrTTL, "3600"}, do: func(x *twins) {
		s := x.stream("S") // once more: an update can't take back that they are
		for _, allowed := range []bool{false, true} {
			cfg := *s.config()
			cfg.AllowMsgTTL = allowed
			rec := s.record(opConfig, false)
			if err := x.w.e.append(s.log(), true, &rec, nil, nil, msgp.AppendBytes(nil, asset.Encode(&cfg))); err != nil {
				x.t.Error(err)
			}
		}
	}},
	"lower limits":           {n: 30, do: func(x *twins) { x.update("max_msgs_per_subject=4 max_msgs=15") }},
	"a lower limit of bytes": {n: 30, do: func(x *twins) { x.update("max_bytes=70000") }},
	"consumers": {n: 20, do: func(x *twins) {
		x.w.call("STREAM.MSG.DELETE.S", "seq=20")
		for name, policy := range map[string]string{
			"a": "deliver_policy=last_per_subject filter_subject=s.>", "b": "deliver_policy=last filter_subject=s.4",
			"c": fmt.Sprintf("deliver_policy=by_start_time opt_start_time=%q", time.Now().UTC().Format(time.RFC3339Nano)),
		} {
			x.w.call("CONSUMER.CREATE.S."+name, fmt.Sprintf("stream_name=S config={durable_name=%q ack_policy=explicit %s}", name, policy))
		}
	}},
	"a work queue": {n: 20, config: "retention=workqueue",
		before: func(x *twins) { mustConsumer(x.t, x.w.b, "S", "c", "durable_name=c ack_policy=explicit") },
		do: func(x *twins) {
			in := x.w.b.pull(x.t, "S.c", "batch=5 no_wait")
			defer in.stop()
			for range 5 {
				x.w.b.send(in.next().Reply, "", "+ACK")
			}
		}},
}

func (x *twins) put(subj, body string, hdr ...string) {
	m := &wire.Msg{Subject: []byte(subj), Body: []byte(body)}
	if len(hdr) > 0 {
		m.Header = []byte(header(hdr...))
	}
	x.w.b.route(m)
	x.settle()
}

// age lets time pass, and what is too old go.
func (x *twins) age(d time.Duration) {
	x.w.d.clock.ahead.Add(int64(d))
	for range 4 {
		x.w.e.ticks()
		x.settle()
	}
}

func (x *twins) update(change string) {
	x.w.call("STREAM.UPDATE.S", "name=S subjects=[s.>] "+change)
}

// Whatever reads of an operation fail, once or for good: in the end the stream is
// as if none had. Nothing is read behind the first change of a step.
func TestStep_dependsOnNoRead(t *testing.T) {
	for name, c := range stepCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { c.run(t) })
		})
	}
}

// record does it on an engine, and gives the log of that and where it began.
func (c *stepCase) record(t *testing.T, and ...func(x *twins)) (x *twins, began edgestore.LSN) {
	x = &twins{t: t, rnd: rand.New(rand.NewPCG(1, 1)), g: &twinGroup{rnd: rand.New(rand.NewPCG(1, 2))}}
	x.w = &chaosWorld{t: t, rnd: x.rnd, d: &chaosDisk{}, m: newChaosModel(), tally: newChaosTally()}
	x.lead = x.newTwin(0)
	x.cleanUp(x.lead)
	x.lead.open(x.g)
	x.g.elect()
	x.promote(x.lead)
	mustStream(t, x.w.b, "name=S subjects=[s.>] "+c.config)
	for i := range c.n {
		x.put(fmt.Sprint("s.", i%5), strings.Repeat(text(i), 700), append(slices.Clone(c.header), hdrMsgID, fmt.Sprint(i))...)
	}
	if c.before != nil {
		c.before(x)
	}
	x.settle()
	began = x.g.committed()
	if c.do != nil {
		c.do(x)
	}
	for _, do := range and {
		do(x)
	}
	x.settle()
	x.lead.stop(true)
	return x, began
}

func (c *stepCase) run(t *testing.T) {
	x, began := c.record(t)
	base := x.prepare(began)

	// What it comes to, and how much is read.
	clean := x.again(base, began)
	clean.reads.arm(nil)
	clean.apply()
	reads := clean.reads.count()
	want := stateOf(clean.e)
	clean.stop(true)
	if late := clean.reads.late; len(late) > 0 {
		t.Errorf("read behind a change: %q", late)
	}
	if reads == 0 && !strings.Contains(t.Name(), "everything") {
		t.Error("nothing lay on the disk alone")
	}
	t.Logf("%d operations, %d reads", x.g.committed()-began, reads)
	for k := 1; k <= reads; k++ {
		n := x.again(base, began)
		n.reads.arm(func(call int) bool { return call >= k && call < k+readsAWhile })
		n.apply()
		n.reads.arm(nil)
		if d := difference(want, stateOf(n.e)); d != "" {
			t.Errorf("read %d of %d failed for a while: without that %s", k, reads, d)
		}
		n.stop(true)
		if k > 3 && k < reads {
			continue
		}
		n = x.again(base, began)
		n.reads.arm(func(call int) bool { return call >= k })
		n.apply()
		if s := n.e.account("A").stream("S"); s.failed == nil {
			t.Errorf("the disk does not read from read %d on, and the stream goes on", k)
		}
		n.reads.arm(nil)
		if d := n.e.Damage(true); slices.ContainsFunc(d, func(d Damage) bool { return d.Kind == DamageLost }) {
			t.Errorf("the disk does not read from read %d on, and this is told lost: %+v", k, d)
		}
		n.drain(rand.New(rand.NewPCG(1, 3)))
		n.stop(true)
		n.log = &twinLog{g: x.g, released: n.log.inFiles(), place: n.place}
		n.open(x.g)
		n.apply()
		if d := difference(want, stateOf(n.e)); d != "" {
			t.Errorf("the disk did not read from read %d of %d on, and then did: without that %s", k, reads, d)
		}
		n.stop(true)
	}
}

// prepare makes the folder of a twin that has all up to an LSN in its files.
func (x *twins) prepare(upTo edgestore.LSN) (n *twin) {
	n = x.newTwin(0)
	x.cleanUp(n)
	n.open(x.g)
	n.give(x.rnd, upTo)
	for _, s := range n.e.allStreams() {
		for range 2 { // ids become a run when there is a folder
			if err := s.packIDs(); err != nil {
				x.t.Error(err)
			}
			s.seal()
			if err := s.store.Flush(); err != nil {
				x.t.Error(err)
			}
			if h, rows, ok := s.flushed(); ok {
				n.e.noteHead(s.incarnation, h, rows)
			}
			s.mu.Lock()
			s.dirtyFrom = s.applied // once more
			s.mu.Unlock()
		}
	}
	if err := n.e.writeCatalogue(); err != nil {
		x.t.Error(err)
	}
	n.stop(true)
	return n
}

// again opens a copy of a prepared twin.
func (x *twins) again(base *twin, upTo edgestore.LSN) *twin {
	n := x.newTwin(0)
	x.cleanUp(n)
	copyTree(x.t, base.dir, filepath.Join(n.dir, "copy"))
	n.dir = filepath.Join(n.dir, "copy")
	n.reads = new(twinReads)
	n.backend.start, n.place = base.backend.start, base.place
	n.log = &twinLog{g: x.g, released: upTo, place: base.place}
	n.open(x.g)
	return n
}

// cleanUp ends a twin however far the test came.
func (x *twins) cleanUp(n *twin) {
	x.t.Cleanup(func() {
		if n.e != nil {
			n.stop(false)
		}
	})
}

// apply gives a twin what it does not have, one by one.
func (n *twin) apply() {
	for l := n.log; l.applied < l.g.committed(); l.applied++ {
		n.reads.change(false)
		if err := n.command(twinCommand{entries: l.g.between(l.applied, l.applied+1)}); err != nil {
			n.t.Errorf("operation %d: %v", l.applied+1, err)
		}
	}
	n.reads.change(false)
}

// While a read waits for its next try others may look at the stream: consumers
// know what was stored before, as what they count then has it.
func TestStep_tellsBeforeItWaits(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s] storage=memory")
	mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit")
	s := x.e.account("A").stream("S")
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.store.Append(&edgestore.Msg{Seq: 1, Subject: "s"}, edgestore.Location{}); err != nil {
		t.Fatal(err)
	}
	s.last = 1
	s.fx = new(effects)
	s.consumers.stored(1, "s")
	failed := false
	err := s.read(func(edgestore.Reads) error {
		if !failed {
			failed = true
			return errFlaky
		}
		if n := len(s.consumers.events); n > 0 {
			t.Errorf("%d events are not told", n)
		}
		return nil
	})
	if err != nil || s.failed != nil || !failed {
		t.Errorf("%v, the stream's failure is %v", err, s.failed)
	}
	m := s.consumers.get("c")
	m.enter(new(publishers))
	defer m.mu.Unlock()
	if n := m.m.NumPending(); n != 1 {
		t.Errorf("%d messages are pending for the consumer", n)
	}
}

// A stream that stops in a recovery, since the disk does not read, goes on with
// the next one as if nothing had been: its operations are neither lost nor let go
// of, and what is logged behind them counts on.
func TestStep_aStreamThatStopsInARecovery(t *testing.T) {
	x := newBox(t)
	faults := newStoreFaults("")
	x.change = func(c *Config) {
		c.StoreCacheBytes = 1
		c.backend = chaosBackend{diskBackend{c}, faults}
	}
	x.start()
	mustStream(t, x.b, "name=S subjects=[s.>] max_msgs_per_subject=3")
	for i := range 40 {
		x.b.publish(t, fmt.Sprint("s.", i%5), strings.Repeat(text(i), 700))
	}
	x.drain()
	for i := range 20 {
		x.b.publish(t, fmt.Sprint("s.", i%5), text(i))
	}
	want := storeState(x.e.account("A").stream("S").store)
	x.kill()
	stopped := 0
	for k := 1; k < 60; k++ {
		faults.arm(&storeFault{vfs.OpRead, false, k, 1 << 30})
		if x.tryStart() != nil {
			x.e = nil
			continue // it could not even be opened
		}
		if !faults.struck() {
			break
		}
		s := x.e.account("A").stream("S")
		if s == nil {
			x.stop()
			continue // it is offline
		}
		if s.failed != nil {
			stopped++
		}
		if d := x.toldKind(DamageLost); d != nil {
			t.Fatalf("read %d: told lost: %+v", k, d)
		}
		_ = x.e.drain.drain()
		x.kill()
		if stopped == 2 {
			break
		}
	}
	if stopped == 0 {
		t.Fatal("the stream never stopped")
	}
	faults.arm(nil)
	if x.e == nil {
		x.start()
	}
	if got := storeState(x.e.account("A").stream("S").store); difference(want, got) != "" {
		t.Error(difference(want, got))
	}
	if d := x.toldKind(DamageLost); d != nil {
		t.Errorf("told lost: %+v", d)
	}
}
