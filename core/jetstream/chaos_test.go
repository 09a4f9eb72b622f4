package jetstream

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/wire"
)

// The chaos test: random operations of all kinds, a crash at a random point,
// one fault, a restart, and the law: every acknowledged message is there
// unchanged under its sequence, or told lost, and everything goes on. The
// model of what was promised (chaos_model_test.go) never asks the engine; the
// disk and the faults are in chaos_disk_test.go and chaos_fault_test.go.

// chaosRounds is how many crashes one seed has for each class of fault.
const chaosRounds = 2

func TestChaos_nothing_acknowledged_is_lost_untold(t *testing.T) {
	seeds := []uint64{1}
	switch {
	case *crashSeed != 0:
		seeds = []uint64{*crashSeed}
	case os.Getenv("FROND_SOAK") != "":
		seeds = nil
		for range 8 {
			seeds = append(seeds, rand.Uint64())
		}
	}
	tally := newChaosTally()
	for _, seed := range seeds {
		for i, fault := range chaosFaults() {
			t.Run(fmt.Sprintf("%s/seed %d", strings.ReplaceAll(fault.name, ": ", "-"), seed), func(t *testing.T) {
				chaosRun(t, rand.New(rand.NewPCG(seed, uint64(i))), fault, tally)
			})
		}
	}
	t.Log(tally)
	t.Run("enough", func(t *testing.T) {
		if missing := tally.missing(chaosFaults()); len(missing) > 0 {
			t.Errorf("the run did too little to show anything: %v", missing)
		}
	})
}

// chaosTally counts what the runs did, so that one which does nothing fails.
type chaosTally struct {
	faults   map[string]int
	ops      map[string]int
	inFlight int // crashes with publishes that had no answer
	promises int
	lost     int
	vanished int
	excused  int
	expired  int // messages whose TTL was over
	mirrored int // messages of mirrors that were compared with their origin
	sourced  int // messages of sources that were looked for
}

func newChaosTally() *chaosTally {
	return &chaosTally{faults: make(map[string]int), ops: make(map[string]int)}
}

func (c *chaosTally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d promises checked, %d told lost, %d gone with the excused last group (%d times); %d crashes with work in flight; %d expired; %d mirrored and %d sourced messages checked\n",
		c.promises, c.lost, c.vanished, c.excused, c.inFlight, c.expired, c.mirrored, c.sourced)
	for _, m := range []map[string]int{c.faults, c.ops} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(&b, "%d %s, ", m[k], k)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// missing lists what a run that shows something must have done and did not.
func (c *chaosTally) missing(faults []chaosFault) (list []string) {
	for _, f := range faults {
		if c.faults[f.name] == 0 {
			list = append(list, "fault "+f.name)
		}
	}
	for _, op := range chaosOps {
		if c.ops[op.name] < 3 {
			list = append(list, "operation "+op.name)
		}
	}
	if c.inFlight < 3 {
		list = append(list, "crashes with work in flight")
	}
	if c.promises < 1000 {
		list = append(list, "promises")
	}
	if c.expired < 50 {
		list = append(list, "messages that expire")
	}
	if c.mirrored < 500 {
		list = append(list, "mirrored messages")
	}
	if c.sourced < 500 {
		list = append(list, "sourced messages")
	}
	return list
}

func TestChaos_a_run_that_does_nothing_is_seen(t *testing.T) {
	if n := len(newChaosTally().missing(chaosFaults())); n < len(chaosOps)+3 {
		t.Errorf("an empty run lacks only %d things", n)
	}
}

// chaosWorld is one life of the engine with its clients.
type chaosWorld struct {
	t     testing.TB
	rnd   *rand.Rand
	d     *chaosDisk
	e     *Engine
	b     *testBus
	m     *chaosModel
	tally *chaosTally
	next  int // number of the next body
	// blind: a call fails, so nothing may wait for an answer.
	blind bool
	// unreadable: now and then the disks do not read for a while.
	unreadable bool
	// copies are what clients have read of streams that others fill.
	copies map[string]*chaosCopy
}

func chaosRun(t *testing.T, rnd *rand.Rand, fault chaosFault, tally *chaosTally) {
	w := &chaosWorld{t: t, rnd: rnd, d: newChaosDisk(t, rnd), m: newChaosModel(), tally: tally}
	w.open(nil)
	w.found()
	for range chaosRounds {
		w.round(fault)
		if t.Failed() {
			return
		}
		if !w.whole() {
			break // the streams that operations are for went with a file
		}
	}
	if err := w.e.Close(); err != nil {
		t.Error(err)
	}
}

// round is operations, a crash, the fault, a restart and the verdict.
func (w *chaosWorld) round(fault chaosFault) {
	for range 20 + w.rnd.IntN(60) {
		w.operation()
	}
	if strings.HasPrefix(fault.name, "ids: ") {
		w.manyIDs()
	}
	if fault.fresh {
		name := fmt.Sprint("N", w.next)
		w.create(name)
		w.send(name, "x")
	}
	if fault.live != nil {
		w.blind = true
		fault.live(w.d)
		for range 10 + w.rnd.IntN(20) {
			w.operation()
			if fault.drains && w.rnd.IntN(4) == 0 {
				_ = w.e.drain.drain() // some fail
				w.readSome()
			}
		}
		for i := 0; fault.drains && i < 6 && !w.d.stores.struck(); i++ {
			w.send(chaosPlain, "a")
			_ = w.e.journal.Sync(w.t.Context())
			_ = w.e.drain.drain()
			w.readSome()
		}
		if !fault.drains || w.d.stores.struck() {
			w.tally.faults[fault.name]++
		}
	}
	if strings.HasPrefix(fault.name, "store: ") && len(w.d.storeFiles("*.chunks")) == 0 {
		_ = w.e.drain.drain() // a store has no file before
	}
	kind := crashKind(w.rnd.IntN(int(crashKinds)))
	if w.m.freeze() > 0 {
		w.tally.inFlight++
	}
	tail := w.d.crash(w.e, kind)
	excused := false
	if fault.after != nil {
		var done bool
		if done, excused = fault.after(w.d, &tail); done {
			w.tally.faults[fault.name]++
		}
	} else if fault.name == "none" {
		w.tally.faults[fault.name]++
	}
	w.blind = false
	w.open(&fault)
	w.mirrorStays(excused, fault.name)
	w.m.filesGo = fault.filesGo
	v := w.m.judge(engineView{w.e}, excused)
	w.tally.promises += v.checked
	w.tally.lost += v.lost
	w.tally.expired += v.expired
	w.tally.vanished += v.vanished
	if excused {
		w.tally.excused++
	}
	if fault.harmless {
		if v.lost > 0 {
			v.bad("nothing was lost, and %d messages are told lost", v.lost)
		}
		for _, d := range w.e.Damage(true) {
			if d.Kind == DamageLost || d.Kind == DamageOperations {
				v.bad("nothing was lost, and it is told: %s", d.What)
			}
		}
	}
	for i, wrong := range v.wrong {
		if i == 8 {
			w.t.Errorf("and %d more", len(v.wrong)-i)
			break
		}
		w.t.Errorf("after a %s and %q: %s", kind, fault.name, wrong)
	}
	was := w.m.before(chaosWork)
	w.m.adopt(engineView{w.e})
	w.m.thaw()
	if !w.t.Failed() {
		w.goesOn()
	}
	if !w.t.Failed() {
		w.judgeCopies(was, excused, fault.name)
	}
}

// readSome reads here and there: what it gets is judged later.
func (w *chaosWorld) readSome() {
	for _, s := range w.m.sorted() {
		w.m.mu.Lock()
		last := s.last
		w.m.mu.Unlock()
		if st := w.e.account("A").stream(s.name); st != nil {
			for range 4 {
				_, _, _ = st.store.Load(1+w.rnd.Uint64N(last+1), nil)
			}
		}
	}
}

// open starts the engine on the disk as it is. With a fault that strikes at the
// start it may refuse, but then must have left everything as it was.
func (w *chaosWorld) open(fault *chaosFault) {
	w.t.Helper()
	if fault != nil && fault.start != nil {
		fault.start(w.d)
		w.tally.faults[fault.name]++
	}
	e, err := New(w.d.config())
	w.d.faults.SetHook(nil)
	w.d.stores.arm(nil)
	if err == nil && fault != nil && fault.start != nil && len(e.mu.offline) > 0 {
		w.t.Logf("%d streams could not be opened", len(e.mu.offline))
		if err = e.Close(); err == nil {
			e, err = New(w.d.config())
		}
	}
	if err != nil && fault != nil && fault.start != nil {
		w.t.Logf("refused: %v", err)
		e, err = New(w.d.config())
	}
	if err != nil {
		w.t.Fatalf("no start: %v", err)
	}
	w.e, w.b = e, newTestBus("A")
	w.listen()
	if err := e.EnableAccount(w.b); err != nil {
		w.t.Fatal(err)
	}
}

// listen takes the acknowledgements of publishes: ack.STREAM.BODY.
func (w *chaosWorld) listen() {
	m, t := w.m, w.t
	_, err := w.b.Subscribe("ack.*.*", "", func(msg *wire.Msg) {
		var a pubAck
		if err := json.Unmarshal(msg.Body, &a); err != nil {
			t.Errorf("ack %q: %v", msg.Body, err)
			return
		}
		to := strings.Split(string(msg.Subject), ".")
		if a.Error != nil {
			m.refused()
			return
		}
		if err := m.promised(to[1], a.Seq, to[2], a.Duplicate); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// The streams of every run, by what is special about them.
const (
	chaosPlain = "PLAIN" // no limits
	chaosDedup = "DEDUP" // message ids
	chaosKV    = "KV"    // one message a subject, revisions expected
	chaosQueue = "QUEUE" // a work queue
	chaosTTL   = "TTL"   // messages that live for a while, and markers of that
	chaosFull  = "FULL"  // refuses what is too much
	chaosCare  = "CARE"  // keeps what a consumer is interested in
	chaosWork  = "WORK"  // a work queue that a source empties
)

func (w *chaosWorld) found() {
	for name, config := range map[string]string{
		chaosPlain: "name=PLAIN subjects=[PLAIN.>]",
		chaosDedup: "name=DEDUP subjects=[DEDUP.>] duplicate_window=1h",
		chaosKV:    "name=KV subjects=[KV.>] max_msgs_per_subject=1 allow_rollup_hdrs",
		chaosQueue: "name=QUEUE subjects=[QUEUE.>] retention=workqueue",
		chaosTTL:   "name=TTL subjects=[TTL.>] allow_msg_ttl subject_delete_marker_ttl=1s",
		chaosFull:  "name=FULL subjects=[FULL.>] max_msgs=6 discard=new",
		chaosCare:  "name=CARE subjects=[CARE.>] retention=interest",
		chaosWork:  "name=WORK subjects=[WORK.>] retention=workqueue",
	} {
		mustStream(w.t, w.b, config)
		w.m.created(name)
	}
	w.foundCopies()
	w.consumer(chaosPlain, "c", "durable_name=c ack_policy=explicit max_ack_pending=-1 ack_wait=1h")
	w.consumer(chaosQueue, "c", "durable_name=c ack_policy=explicit max_ack_pending=-1 ack_wait=1h")
	w.consumer(chaosCare, "c", "durable_name=c ack_policy=explicit max_ack_pending=-1 ack_wait=1h")
}

// whole reports whether what every run has is there.
func (w *chaosWorld) whole() bool {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	for _, name := range []string{chaosPlain, chaosDedup, chaosKV, chaosQueue, chaosTTL, chaosFull, chaosCare, chaosWork} {
		if w.m.streams[name] == nil {
			return false
		}
	}
	_, plain := w.m.streams[chaosPlain].consumers["c"]
	_, queue := w.m.streams[chaosQueue].consumers["c"]
	_, care := w.m.streams[chaosCare].consumers["c"]
	return plain && queue && care && w.copiesThere()
}

func (w *chaosWorld) consumer(stream, name, config string) {
	if !w.call("CONSUMER.CREATE."+stream+"."+name, consumerRequest(stream, jsonOf(w.t, config))) {
		return
	}
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	w.m.streams[stream].consumers[name] = false
}

// goesOn shows that every stream takes a message under a new number, and that
// consumers get it.
func (w *chaosWorld) goesOn() {
	w.t.Helper()
	for _, s := range w.m.sorted() {
		if s.name == chaosFull {
			w.empty()
		}
		body := w.body(0)
		a := w.b.publish(w.t, s.name+".on", body)
		if a.Error != nil {
			w.t.Errorf("stream %s takes no message any more: %v", s.name, a.Error)
			continue
		}
		if _, used := s.acked[a.Seq]; used || a.Seq <= s.last {
			w.t.Errorf("stream %s: a new message got %d, which is not above %d", s.name, a.Seq, s.last)
			continue
		}
		w.m.mu.Lock()
		s.acked[a.Seq], s.last = body, a.Seq
		if s.name == chaosKV || s.name == chaosQueue || s.name == chaosCare || s.name == chaosWork {
			s.mayGo[a.Seq] = true
		}
		w.m.mu.Unlock()
		if _, ok := s.consumers["c"]; ok {
			w.drainConsumer(s, body)
		}
	}
}

// drainConsumer takes everything that waits, until body came.
func (w *chaosWorld) drainConsumer(s *chaosStream, body string) {
	w.t.Helper()
	came := false
	for range 100 {
		got := w.take(s, 64)
		for _, b := range got {
			came = came || b == body
		}
		if len(got) == 0 {
			break
		}
	}
	if !came {
		w.t.Errorf("stream %s: a new message was not delivered to an old consumer", s.name)
	}
	if i := w.b.consumer(w.t, s.name, "c"); i.NumPending != 0 {
		w.t.Errorf("stream %s: all was delivered and %d are told to be pending", s.name, i.NumPending)
	}
}

// take pulls and acknowledges at most n messages, and returns their bodies.
func (w *chaosWorld) take(s *chaosStream, n int) (bodies []string) {
	w.t.Helper()
	in := w.b.pull(w.t, s.name+".c", fmt.Sprintf("batch=%d no_wait", n))
	defer in.stop()
	for range n {
		msg := in.next()
		if msg.Reply == "" {
			break
		}
		seq := ackSeq(w.t, msg.Reply)
		w.m.mu.Lock()
		if was, ok := s.acked[seq]; ok && was != nameOf(msg.Body) {
			w.t.Errorf("stream %s: %d was delivered as %q, acknowledged for %q", s.name, seq, nameOf(msg.Body), was)
		}
		if s.name == chaosQueue || s.name == chaosCare {
			s.mayGo[seq] = true
		}
		w.m.mu.Unlock()
		bodies = append(bodies, msg.Body)
		w.b.request(w.t, msg.Reply, "", "")
	}
	return bodies
}

// body is the next message: a name that says how much filling follows it.
func (w *chaosWorld) body(filling int) string {
	w.next++
	return fmt.Sprintf("m%d_%d", w.next, filling) + strings.Repeat("x", filling)
}

// nameOf is what the model keeps of a body. One that is not whole is no name.
func nameOf(body string) string {
	name, _, _ := strings.Cut(body, "x")
	_, filling, _ := strings.Cut(name, "_")
	if n, err := strconv.Atoi(filling); err != nil || body != name+strings.Repeat("x", n) {
		return fmt.Sprintf("%.40q, %d bytes, changed", body, len(body))
	}
	return name
}
