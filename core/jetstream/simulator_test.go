package jetstream

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// A leader and a follower in one goroutine: the simulator says whose step is next,
// how late it is, and what the log has committed. So the same seed leads to the same
// bytes: all that is sent, and the state of both behind each election.

// simulation is one run.
type simulation struct {
	t            *testing.T
	rnd          *rand.Rand
	g            *twinGroup
	ahead        time.Duration // of the clocks
	set          time.Duration // what the wall clocks were set by, beside that
	still        bool          // nobody may look at a clock
	lead, follow *simulated
	text         bytes.Buffer
	replies      []string        // of deliveries that nobody acknowledged
	refused      map[string]bool // consumer and sequence of deliveries that somebody did
	n            int
	done         map[string]int
}

// simulated is one of the engines. Nothing of it runs by itself.
type simulated struct {
	x    *simulation
	name string
	e    *Engine
	log  *simLog
	bus  *testBus
	a    *applier
	pubs publishers
}

// simLog is a log that has nothing to begin with. For whoever waits for an operation
// it is committed at once: nobody else would do that meanwhile.
type simLog struct {
	*twinLog
	x *simulation
}

func (l *simLog) Append(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	lsn, err := l.twinLog.Append(r, side, token, data...)
	if _, waits := token.(*pending); waits && err == nil {
		l.x.commit(1 << 20)
	}
	return lsn, err
}

func (l *simLog) AppendReserved(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	return l.Append(r, side, token, data...)
}

func (l *simLog) Replay(edgestore.LSN, edgestore.ReplayHandler) error { return nil }

// simBackend keeps messages in memory.
type simBackend struct {
	diskBackend
	log *simLog
}

func (b *simBackend) journal() (fileLog, journalEnd, error) {
	return b.log, journalEnd{start: journalStart{1, 1}}, nil
}

func (b *simBackend) store(cfg *asset.StreamConfig, _ edgestore.BlobReader, _ *storeWatch) (edgestore.Store, error) {
	return edgestore.NewMemoryStore(cfg.FirstSeq), nil
}

func (x *simulation) open(name string, wall time.Duration) *simulated {
	x.t.Helper()
	n := &simulated{x: x, name: name, bus: newTestBus("A")}
	n.log = &simLog{&twinLog{g: x.g, kick: make(chan struct{}, 1), place: twinPlace{1, 0}}, x}
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(wall)
	c := testConfig(x.t)
	c.Dir, c.Workers = x.t.TempDir(), 1
	c.Rand = rand.New(rand.NewPCG(x.rnd.Uint64(), 1))
	c.Now = func() time.Time {
		if x.still {
			x.t.Error("a tick looks at a clock")
		}
		return began.Add(x.ahead + x.set)
	}
	c.ClockSynced = func(now time.Time) bool { return now.Year() > 2024 }
	c.clocks = &clocks{
		mono:    func(time.Time) int64 { return int64(x.ahead) },
		machine: func() (string, int64) { return name, int64(time.Hour + x.ahead) },
	}
	at := c
	c.backend = &simBackend{diskBackend{&at}, n.log}
	e, err := open(c)
	if err != nil {
		x.t.Fatal(err)
	}
	n.e, n.a = e, &applier{e: e, durable: true}
	n.bus.spy = n.sent
	if err := e.EnableAccount(n.bus); err != nil {
		x.t.Fatal(err)
	}
	for _, subj := range []string{"ack.>", "got.>", "push"} { // somebody listens
		if _, err := n.bus.Subscribe(subj, "", func(*wire.Msg) {}); err != nil {
			x.t.Fatal(err)
		}
	}
	return n
}

// sent writes down what an engine sends.
func (n *simulated) sent(m *wire.Msg) {
	if !m.Own {
		return
	}
	fmt.Fprintf(&n.x.text, "%v %s sends to %s for %s: %q %q\n", n.x.ahead, n.name, m.Subject, m.Reply, m.Header, m.Body)
	if reply := string(m.Reply); strings.HasPrefix(reply, "$JS.ACK.") {
		n.x.replies = append(n.x.replies, reply)
		if part := strings.Split(reply, "."); part[4] != "1" && !n.x.refused[part[3]+" "+part[5]] {
			n.x.done["waited for in vain"]++
		}
	}
	n.x.done["sent"]++
}

// commit has both apply some of what was appended.
func (x *simulation) commit(n int) {
	list := slicesTake(&x.g.pending, n)
	for _, en := range list {
		en.Side, en.Token = nil, nil
		x.g.entries = append(x.g.entries, en)
		x.g.follows(&en)
	}
	x.lead.a.apply(x.lead.log.place.here(list))
	x.follow.catchUp()
	x.done["applied"] += len(list)
}

// slicesTake takes up to n from the front.
func slicesTake(list *[]edgestore.Entry, n int) []edgestore.Entry {
	n = min(n, len(*list))
	front := append([]edgestore.Entry(nil), (*list)[:n]...)
	*list = append([]edgestore.Entry(nil), (*list)[n:]...)
	return front
}

func (n *simulated) catchUp() {
	to := n.log.g.committed()
	if list := n.log.g.between(n.log.applied, to); len(list) > 0 {
		n.a.apply(n.log.place.here(list))
	}
	n.log.applied = to
}

// consume has one consumer step that has something to do.
func (n *simulated) consume() bool {
	w := n.e.work
	if w.mu.head == len(w.mu.queue) {
		return false
	}
	w.step(w.pop(), &n.pubs)
	n.x.done["consumed"]++
	return true
}

// work has one thing done that was left for a worker, or was asked of the API.
func (n *simulated) work() {
	if n.e.api.Next(&n.pubs) {
		n.x.done["worked"]++
	}
}

// send sends what was left for the outbox.
func (n *simulated) send() {
	o := n.e.out
	queue := o.mu.queue
	o.mu.queue, o.mu.bytes = nil, 0
	sendAll(queue, &n.pubs)
}

func (x *simulation) pass(d time.Duration) {
	x.ahead += d
	for _, n := range []*simulated{x.lead, x.follow} {
		n.ticks()
		n.e.clock.due(n.e.now())
	}
}

// ticks is Engine.ticks, with each tick asked twice: it changes nothing, and looks at
// nothing but the time that it is given.
func (n *simulated) ticks() {
	n.e.checkClock()
	for _, s := range n.e.allStreams() {
		var fx, again tickEffects
		now := s.line.read()
		n.x.still = true
		s.tick(now, &again)
		s.tick(now, &fx)
		n.x.still = false
		if !reflect.DeepEqual(fx, again) {
			n.x.t.Errorf("a tick asks for %+v, and asked for %+v before", fx, again)
		}
		for _, op := range fx.ops {
			fmt.Fprintf(&n.x.text, "%v %s decides %d for %d: %q\n", n.x.ahead, n.name, op.kind, s.incarnation, op.data)
		}
		n.x.done["decided"] += len(fx.ops)
		s.carryOut(&fx)
	}
}

func (x *simulation) elect() {
	gone, upTo := x.g.elect()
	was, next := x.lead, x.follow
	if was.e.leading.Load() {
		if len(gone) > 0 {
			was.a.lost(was.log.place.here(gone))
		}
		was.e.follow(was.log)
		was.log.applied = upTo
		fmt.Fprintf(&x.text, "%d are lost\n", len(gone))
		x.done["lost"] += len(gone)
	}
	x.compare()
	next.e.lead(next.log, func() { x.g.open(next.log.twinLog) })
	x.lead, x.follow = next, was
	for _, n := range []*simulated{was, next} {
		for _, s := range n.e.allStreams() {
			s.onBus()
		}
		n.send()
	}
	x.done["elections"]++
}

// compare has both with the same state, while neither leads.
func (x *simulation) compare() {
	x.follow.catchUp()
	a, b := stateOf(x.lead.e), stateOf(x.follow.e)
	if d := difference(a, b); d != "" {
		x.t.Errorf("%s and %s differ behind operation %d: %s", x.lead.name, x.follow.name, x.g.committed(), d)
	}
	fmt.Fprintf(&x.text, "state %s\n", hashOf(a))
}

// logged appends an operation and has it applied.
func (x *simulation) logged(rec edgestore.Record, data []byte) {
	x.t.Helper()
	if err := x.lead.e.append(x.lead.log, true, &rec, nil, nil, data); err != nil {
		x.t.Fatal(err)
	}
	x.commit(1 << 20)
}

// found makes a stream and its consumers.
func (x *simulation) found() {
	e := x.lead.e
	cfg, err := e.configs.Decode([]byte(jsonOf(x.t, "name=S subjects=[s.>] retention=interest storage=file max_msgs_per_subject=5 max_age=1m duplicate_window=20s num_replicas=1 max_msgs=-1 max_bytes=-1 max_consumers=-1 max_msg_size=-1")))
	if err != nil {
		x.t.Fatal(err)
	}
	c := streamCreate{incarnation: 1, account: "A", created: 1, config: asset.Encode(cfg)}
	x.logged(e.catalogueRecord(x.lead.log, opStreamCreate), c.append(nil))
	s := e.account("A").stream("S")
	for i, config := range []string{
		"durable_name=a name=a ack_policy=explicit deliver_policy=all replay_policy=instant ack_wait=5s max_deliver=3 max_waiting=9 max_ack_pending=20",
		"durable_name=b name=b ack_policy=explicit deliver_policy=all replay_policy=instant ack_wait=8s max_deliver=-1 max_ack_pending=9 deliver_subject=push",
	} {
		op := consumerCreate{name: string(rune('a' + i)), created: 1, config: []byte(jsonOf(x.t, config))}
		x.logged(s.record(opConsumerCreate, false), op.append(nil))
		s.member(op.name).activate()
	}
	s.onBus()
	cfg, err = e.configs.Decode([]byte(jsonOf(x.t, "name=T subjects=[t.>] retention=limits storage=file allow_msg_ttl subject_delete_marker_ttl=5s max_age=20s num_replicas=1 max_msgs=-1 max_bytes=-1 max_consumers=-1 max_msg_size=-1 max_msgs_per_subject=-1")))
	if err != nil {
		x.t.Fatal(err)
	}
	c = streamCreate{incarnation: 2, account: "A", created: 1, config: asset.Encode(cfg)}
	x.logged(e.catalogueRecord(x.lead.log, opStreamCreate), c.append(nil))
	e.account("A").stream("T").onBus()
}

func (x *simulation) step() {
	x.n++
	lead := x.lead
	route := func(subj, reply, hdr, body string) {
		m := &wire.Msg{Subject: []byte(subj), Reply: []byte(reply), Body: []byte(body)}
		if hdr != "" {
			m.Header = []byte(header(hdrMsgID, hdr))
		}
		lead.bus.route(m)
	}
	switch n := x.rnd.IntN(40); {
	case n < 9:
		id := ""
		if x.rnd.IntN(3) == 0 {
			id = fmt.Sprint("id", x.rnd.IntN(20))
		}
		route(fmt.Sprint("s.", x.rnd.IntN(4)), fmt.Sprint("ack.", x.n), id, fmt.Sprint("body ", x.n))
	case n < 13:
		route(nextPrefix+"S.a", fmt.Sprint("got.", x.n), "", jsonOf(x.t, fmt.Sprintf("batch=%d expires=3s", 1+x.rnd.IntN(4))))
	case n < 20 && len(x.replies) > 0:
		i := x.rnd.IntN(len(x.replies))
		with := []string{"+ACK", "+ACK", "+ACK", "-NAK", "+TERM"}[x.rnd.IntN(5)]
		if part := strings.Split(x.replies[i], "."); with == "-NAK" {
			x.refused[part[3]+" "+part[5]] = true
		}
		route(x.replies[i], []string{"", "ack.double"}[x.rnd.IntN(2)], "", with)
		x.replies = append(x.replies[:i], x.replies[i+1:]...)
	case n < 28:
		x.commit(1 + x.rnd.IntN(6))
	case n < 34:
		lead.consume()
	case n < 35:
		lead.send()
	case n < 36:
		lead.work()
		x.follow.work()
	case n < 38:
		x.pass(time.Duration(x.rnd.IntN(2000)) * time.Millisecond)
	case n < 39 && x.rnd.IntN(6) == 0:
		route(asset.APIPrefix+"STREAM.INFO.S", fmt.Sprint("ack.", x.n), "", "")
	case n < 39 && x.rnd.IntN(3) == 0: // which is deleted when nobody asks it for anything
		route(asset.APIPrefix+"CONSUMER.CREATE.T.c", fmt.Sprint("ack.", x.n), "", jsonOf(x.t, "stream_name=T config={name=c ack_policy=explicit inactive_threshold=3s}"))
	case n < 39:
		lead.bus.route(&wire.Msg{Subject: fmt.Append(nil, "t.", x.rnd.IntN(9)), Header: []byte(header("Nats-TTL", fmt.Sprint(1+x.rnd.IntN(9), "s")))})
	case x.rnd.IntN(8) == 0: // somebody sets the clocks, which were in 1970
		x.set = time.Duration(x.rnd.IntN(200)) * time.Minute
	case x.rnd.IntN(4) == 0:
		x.elect()
	}
	if x.follow.consume() {
		x.done["idle"]++ // which does nothing
	}
}

// simulate runs a seed and gives all that came of it.
func simulate(t *testing.T, seed uint64, steps int) (*simulation, [sha256.Size]byte) {
	x := &simulation{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), g: new(twinGroup), done: make(map[string]int), refused: make(map[string]bool), set: -56 * 365 * 24 * time.Hour}
	x.lead, x.follow = x.open("one", 0), x.open("two", 100*time.Hour)
	before := runtime.NumGoroutine()
	x.elect()
	x.found()
	for range steps {
		x.step()
	}
	x.elect()
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, and there were %d", n, before)
	}
	if len(x.g.uneven) > 0 {
		t.Errorf("%q", x.g.uneven)
	}
	for _, n := range []*simulated{x.lead, x.follow} {
		_ = n.e.table.Close()
	}
	return x, sha256.Sum256(x.text.Bytes())
}

// The same seed leads to the same bytes, in one goroutine; another one to others.
func TestSimulator_sameSeedSameBytes(t *testing.T) {
	const steps = 3000
	x, first := simulate(t, 1, steps)
	y, second := simulate(t, 1, steps)
	if first != second {
		a, b := strings.Split(x.text.String(), "\n"), strings.Split(y.text.String(), "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("the same seed leads to other bytes from line %d on:\n%s\n%s", i, a[i], b[i])
			}
		}
		t.Fatalf("%d and %d lines", len(a), len(b))
	}
	if _, other := simulate(t, 2, steps); other == first {
		t.Error("another seed leads to the same bytes")
	}
	t.Logf("%v, %d bytes", x.done, x.text.Len())
	for _, what := range []string{"sent", "waited for in vain", "applied", "consumed", "worked", "decided", "lost", "elections"} {
		if x.done[what] < 5 {
			t.Errorf("the run did too little to show anything: %v", x.done)
		}
	}
	kinds := make(map[uint8]bool)
	for _, en := range x.g.entries {
		kinds[en.Kind] = true
	}
	for _, kind := range []uint8{opPublish, opExpire, opMarker, opNotes, opConsumerDelta, opConsumerCreate, opConsumerDelete, opRelease, opClockStep, opClockMove} {
		if !kinds[kind] {
			t.Errorf("no operation of kind %d", kind)
		}
	}
}

// What was decided in one term is appended in none that follows, also not by the same
// server: it was decided by what it knew then.
func TestTick_carriedOutInAnotherTerm(t *testing.T) {
	for terms := range 2 {
		x, _ := simulate(t, 1, 0)
		for x.lead.name != "one" {
			x.elect()
		}
		s := x.lead.e.account("A").stream("T")
		x.lead.bus.route(&wire.Msg{Subject: []byte("t.x")})
		x.commit(1 << 20)
		x.ahead += time.Minute
		var fx tickEffects
		s.tick(s.line.read(), &fx)
		if len(fx.ops) != 2 { // a marker and the expiry
			t.Fatalf("a message is above its age, and a tick asks for %+v", fx)
		}
		for range 2 * terms {
			x.elect()
		}
		x.commit(1 << 20)
		s.carryOut(&fx)
		if got, want := len(x.g.pending), 2-2*terms; got != want || s.expiring.Load() != (want > 0) {
			t.Errorf("%d elections later %d operations are appended, want %d; expiring: %v", 2*terms, got, want, s.expiring.Load())
		}
	}
}

// What a consumer does because time passes it does when its time has come, by the
// clock of the engine, though it goes by the line of its log: a message that nobody
// acknowledged is delivered again, and who is not used ends.
func TestTick_timersOfConsumers(t *testing.T) {
	x, _ := simulate(t, 1, 0)
	lead := x.lead
	if lead.e.line.timer() == lead.e.now() {
		t.Fatal("both lines are one")
	}
	all := func() {
		for range 20 {
			x.commit(1 << 20)
			lead.consume()
			lead.work()
		}
	}
	all()
	route := func(subj, body string) {
		lead.bus.route(&wire.Msg{Subject: []byte(subj), Reply: []byte("ack.x"), Body: []byte(body)})
	}
	route(asset.APIPrefix+"CONSUMER.CREATE.T.c", jsonOf(t, "stream_name=T config={name=c ack_policy=explicit inactive_threshold=8s}"))
	route("s.1", "")
	route(nextPrefix+"S.a", jsonOf(t, "batch=2 expires=1m"))
	all()
	again := x.done["waited for in vain"]
	there := func() bool { return lead.e.account("A").stream("T").member("c") != nil }
	for _, at := range []struct {
		second time.Duration
		again  int
		there  bool
	}{{4, 0, true}, {6, 1, true}, {7, 1, true}, {20, 2, false}} { // the other consumer waits for 8 s
		x.ahead = at.second * time.Second
		lead.e.clock.due(lead.e.now())
		all()
		if got := x.done["waited for in vain"] - again; got != at.again || there() != at.there {
			t.Errorf("after %d s %d were delivered again, want %d; the consumer that nobody uses is there: %v", at.second, got, at.again, there())
		}
	}
}
