package jetstream

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
)

// A damaged store whose stream the journal has whole comes back as if nothing had
// been: the state of all (twins_state_test.go) is that of a start without damage.

// onStart gives the state of an engine as its recovery has left it, before
// anything happens by itself.
type onStart struct {
	diskBackend
	state *[]string
}

type onStartLog struct {
	fileLog
	e     *Engine
	state *[]string
}

func (b onStart) journal() (fileLog, journalEnd, error) {
	l, end, err := b.diskBackend.journal()
	return &onStartLog{fileLog: l, state: b.state}, end, err
}

func (l *onStartLog) AppendReserved(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	return l.fileLog.(reserver).AppendReserved(r, side, token, data...)
}

func (l *onStartLog) Replay(from edgestore.LSN, h edgestore.ReplayHandler) error {
	l.e = h.(*replay).e
	return l.fileLog.Replay(from, h)
}

func (l *onStartLog) Start(apply func([]edgestore.Entry)) {
	*l.state = stateOf(l.e)
	l.fileLog.Start(apply)
}

// againBox has streams of every retention, a mirror and one with sources, over
// some drains, in a journal of one segment.
type againBox struct {
	*box
	state []string
	n     int
}

func newAgainBox(t *testing.T) *againBox {
	a := &againBox{box: newBox(t)}
	a.change = func(c *Config) {
		c.backend = onStart{diskBackend{c}, &a.state}
		c.Journal.SegmentBytes = 4 << 20
		c.idBytes = 2000
	}
	return a
}

func (a *againBox) found() {
	a.start()
	const long = " duplicate_window=1h"
	mustStream(a.t, a.b, "name=LIMITS subjects=[l.>] max_msgs=150 max_msgs_per_subject=40 allow_rollup_hdrs"+long)
	mustStream(a.t, a.b, "name=INTEREST subjects=[i.>] retention=interest"+long)
	mustStream(a.t, a.b, "name=WORK subjects=[w.>] retention=workqueue"+long)
	mustStream(a.t, a.b, "name=NEWONLY subjects=[n.>] max_msgs=60 discard=new"+long)
	mustStream(a.t, a.b, "name=MIRROR mirror={name=LIMITS}")
	mustStream(a.t, a.b, "name=SOURCED sources=[{name=LIMITS},{name=NEWONLY}]"+long)
	mustConsumer(a.t, a.b, "LIMITS", "c", "durable_name=c ack_policy=explicit max_deliver=3")
	mustConsumer(a.t, a.b, "LIMITS", "none", "durable_name=none ack_policy=none")
	mustConsumer(a.t, a.b, "WORK", "a", "durable_name=a ack_policy=explicit filter_subject=w.0")
	mustConsumer(a.t, a.b, "WORK", "b", "durable_name=b ack_policy=explicit max_deliver=4 filter_subject=w.1")
}

// goOn publishes for a while, with duplicates, refusals and deletions between.
func (a *againBox) goOn(messages int) {
	a.t.Helper()
	for range messages {
		i := a.n
		a.n++
		id := []string{"Nats-Msg-Id", fmt.Sprint("id ", i)}
		for _, p := range []string{"l", "i", "w", "n"} {
			subject := fmt.Sprintf("%s.%d", p, i%3)
			body := text(i) + strings.Repeat("x", i%7*20)
			a.b.publish(a.t, subject, body, id[:i%4/2*2]...)
			if i%9 == 0 {
				a.b.publish(a.t, subject, "again "+body, id[:i%4/2*2]...)
			}
		}
		switch i % 40 {
		case 7:
			a.b.publish(a.t, "l.9", "refused", "Nats-Expected-Last-Sequence", "1")
		case 13:
			mustConsumer(a.t, a.b, "INTEREST", fmt.Sprint("c", i), fmt.Sprintf("durable_name=c%d ack_policy=explicit", i))
			mustConsumer(a.t, a.b, "LIMITS", fmt.Sprint("new", i), fmt.Sprintf("durable_name=new%d ack_policy=explicit deliver_policy=new", i))
		case 17:
			a.b.call(a.t, "STREAM.PURGE.LIMITS", "filter=l.1 keep=2", nil)
			a.b.publish(a.t, "l.2", "rollup", "Nats-Rollup", "sub")
		case 23:
			a.b.call(a.t, "STREAM.MSG.DELETE.NEWONLY", fmt.Sprintf("seq=%d", a.e.account("A").stream("NEWONLY").store.State().LastSeq), nil)
		case 29:
			a.b.call(a.t, "STREAM.PURGE.NEWONLY", "keep=20", nil)
		case 31:
			a.b.call(a.t, "STREAM.UPDATE.LIMITS", fmt.Sprintf("name=LIMITS subjects=[l.>] max_msgs=%d max_msgs_per_subject=40 allow_rollup_hdrs duplicate_window=1h", 150-i), nil)
		}
	}
	a.consume("LIMITS", "c", messages/2)
	a.consume("LIMITS", "none", messages/3)
	a.consume("WORK", "a", messages/4)
	a.consume("WORK", "b", messages/4)
	for _, m := range a.e.account("A").stream("INTEREST").members() {
		a.consume("INTEREST", m.name, messages/2)
	}
	a.settled()
}

// consume takes messages and acknowledges most of them.
func (a *againBox) consume(stream, consumer string, n int) {
	a.t.Helper()
	in := a.b.pull(a.t, stream+"."+consumer, fmt.Sprintf("batch=%d no_wait", n))
	defer in.stop()
	for i := 0; ; i++ {
		m := in.next()
		switch {
		case m.Reply == "" || !strings.HasPrefix(m.Reply, "$JS.ACK."):
			return
		case consumer == "none":
		case i%5 == 3: // stays pending
		case i%5 == 2:
			a.b.send(m.Reply, "", "-NAK {\"delay\":3600000000000}")
		default:
			a.b.request(a.t, m.Reply, "", "")
		}
		if i == n-1 {
			return
		}
	}
}

// settled waits until mirror and sources have all, and everything is durable.
func (a *againBox) settled() {
	a.t.Helper()
	last := func(stream string) uint64 { return a.e.account("A").stream(stream).store.State().LastSeq }
	at := func(stream, source string) uint64 {
		p, _ := a.e.account("A").stream(stream).position(source)
		return p.seq
	}
	eventually(a.t, func() bool {
		if last("MIRROR") != last("LIMITS") {
			return false
		}
		positions := 0
		s := a.e.account("A").stream("SOURCED")
		s.mu.RLock()
		var names []string
		for name := range s.positions {
			names = append(names, name)
		}
		s.mu.RUnlock()
		for _, name := range names {
			origin := "LIMITS"
			if strings.HasPrefix(name, "NEWONLY") {
				origin = "NEWONLY"
			}
			if at("SOURCED", name) == last(origin) {
				positions++
			}
		}
		return positions == 2
	})
	for range 3 {
		for _, s := range a.e.allStreams() {
			s.settle()
		}
		if err := a.e.journal.Sync(context.Background()); err != nil {
			a.t.Fatal(err)
		}
	}
}

// stateAfter starts on a copy of the folder that fault has changed, and gives the
// state of that.
func (a *againBox) stateAfter(t *testing.T, fault func(x *againBox)) (*againBox, []string) {
	t.Helper()
	x := newAgainBox(t)
	copyTree(t, a.dir, x.dir)
	x.n = a.n
	if fault != nil {
		fault(x)
	}
	x.start()
	return x, x.state
}

// contents are the lines of a state that a life of the engine in between does not
// change: what is stored, and what ids are known.
func contents(state []string) (lines []string) {
	for _, l := range state {
		_, what, _ := strings.Cut(l, ": ")
		if kind, _, _ := strings.Cut(what, " "); slices.Contains([]string{"message", "lost", "subject", "id", "config"}, kind) {
			lines = append(lines, l)
		}
	}
	return lines
}

func TestLaw_damagedStoreComesBackFromTheJournal(t *testing.T) {
	a := newAgainBox(t)
	a.found()
	a.goOn(60)
	a.drain()
	old := filepath.Join(t.TempDir(), "streams")
	copyTree(t, a.path("streams"), old)
	a.goOn(45)
	a.drain()
	a.goOn(30)
	a.wholeJournal()
	a.kill()
	x, want := a.stateAfter(t, nil)
	if d := x.e.Damage(true); len(d) > 0 {
		t.Fatalf("without damage: %+v", d)
	}
	x.stop()
	x.start()
	then := contents(x.state)
	x.stop()
	for stream, inc := range incarnations(want) {
		faults := againFaults(a, inc, old)
		for name, fault := range faults {
			t.Run(stream+"/"+name, func(t *testing.T) {
				x, got := a.stateAfter(t, fault.f)
				told := len(x.e.Damage(true)) > 0
				if fault.told && !told {
					t.Error("nobody is told")
				}
				if d := difference(want, got); d != "" && !fault.read {
					t.Errorf("it is not as without the damage: %s", d)
				}
				for _, d := range x.e.Damage(true) {
					if d.Kind != DamageAside && !fault.read {
						t.Errorf("told: %+v", d)
					}
				}
				// What was found when it was read comes back with the next start.
				x.stop()
				x.start()
				if d := difference(then, contents(x.state)); d != "" {
					t.Errorf("after the next start it is not as without the damage: %s", d)
				}
				x.stop()
			})
		}
	}
}

// incarnations are those of the streams in a state.
func incarnations(state []string) map[string]uint64 {
	m := make(map[string]uint64)
	for _, l := range state {
		var name string
		var inc uint64
		if n, _ := fmt.Sscanf(l, "stream %s incarnation %d ", &name, &inc); n == 2 {
			m[strings.TrimSuffix(name, ":")] = inc
		}
	}
	return m
}

type againFault struct {
	f    func(x *againBox)
	told bool // somebody has to be
	read bool // it may be found only when it is read
}

// againFaults are what may happen to the files of a stream; those in old are of a
// time before.
func againFaults(a *againBox, incarnation uint64, old string) map[string]againFault {
	inc := fmt.Sprint(incarnation)
	folder := func(x *againBox) string { return x.path("streams", inc) }
	file := func(x *againBox) string {
		names, err := filepath.Glob(filepath.Join(folder(x), "*.chunks"))
		if err != nil || len(names) != 1 {
			x.t.Fatalf("files %q, %v", names, err)
		}
		return names[0]
	}
	must := func(x *againBox, err error) {
		if err != nil {
			x.t.Fatal(err)
		}
	}
	faults := map[string]againFault{
		"empty":       {func(x *againBox) { must(x, os.Truncate(file(x), 0)) }, true, false},
		"garbage":     {func(x *againBox) { must(x, os.WriteFile(file(x), bytes.Repeat([]byte("garbage "), 9000), 0o600)) }, true, false},
		"file gone":   {func(x *againBox) { must(x, os.Remove(file(x))) }, true, false},
		"folder gone": {func(x *againBox) { must(x, os.RemoveAll(folder(x))) }, true, false},
		"no state":    {func(x *againBox) { x.loseStates(incarnation) }, true, false},
		"older": {func(x *againBox) {
			must(x, os.RemoveAll(folder(x)))
			copyTree(x.t, filepath.Join(old, inc), folder(x))
		}, true, false},
	}
	info, err := os.Stat(file(a))
	must(a, err)
	parts, step := []int64{1, 4, 9}, 12
	if os.Getenv("FROND_SOAK") != "" {
		parts, step = []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, 1
	}
	for _, part := range parts { // the end of the file may be empty
		faults[fmt.Sprint("cut to ", part, " of 16")] = againFault{func(x *againBox) { must(x, os.Truncate(file(x), info.Size()*part/16)) }, part < 8, false}
	}
	pages := int(info.Size() >> 12)
	for page := 0; page < pages; page += step {
		faults[fmt.Sprint("page ", page)] = againFault{func(x *againBox) {
			b := mustRead(x.t.(*testing.T), file(x))
			for i := page << 12; i < (page+1)<<12; i++ {
				b[i] ^= 0xff
			}
			mustWrite(x.t.(*testing.T), file(x), b)
		}, false, true}
	}
	return faults
}

// wholeJournal makes sure that the journal has all that ever was.
func (a *againBox) wholeJournal() {
	a.t.Helper()
	if first := a.e.journal.(*onStartLog).fileLog.(*journal.Journal).First(); first != 1 {
		a.t.Fatalf("the journal begins with %d", first)
	}
}

// An operation may have been decided by what a fault had left, and would be decided
// otherwise by a stream that is whole: an id that could not be read was stored once
// more. Then the journal is not believed, for sequences would move: those that can
// still be read stay where they are.
func TestLaw_journalThatWouldDecideOtherwise(t *testing.T) {
	behind := map[string]func(x *box){
		"nothing behind": nil,
		"messages behind": func(x *box) {
			for i := range 20 {
				x.id(100 + i)
			}
		},
		// One that was refused would be accepted then, and even that out.
		"a refusal behind": func(x *box) {
			for i := range 20 {
				x.id(100 + i)
			}
			if a := x.put("S", "s", "refused", "Nats-Expected-Last-Sequence", "80"); a.Error == nil {
				t.Fatalf("%+v", a)
			}
		},
	}
	for name, behind := range behind {
		for part := 1; part < 16; part++ {
			t.Run(fmt.Sprintf("%s/cut to %d of 16", name, part), func(t *testing.T) { otherwise(t, behind, part, true) })
			// The store, and the catalogue, had not come so far.
			t.Run(fmt.Sprintf("%s/cut to %d of 16/in the journal alone", name, part), func(t *testing.T) { otherwise(t, behind, part, false) })
			if behind == nil {
				break // nothing is cut
			}
		}
	}
}

func otherwise(t *testing.T, behind func(x *box), part int, drained bool) {
	x := manyIDs(t)
	for i := range 60 {
		x.id(i)
	}
	x.drain()
	x.kill()
	for _, f := range x.idFiles() {
		mustRemove(t, f)
	}
	x.start()
	second := func() {
		if a := x.put("S", "s", "the second", "Nats-Msg-Id", "id-0"); a.Duplicate {
			t.Fatalf("its id is still known: %+v", a)
		}
	}
	if !drained {
		x.id(99)
		x.drain()
	}
	second()
	if behind != nil {
		behind(x)
	}
	if drained {
		x.drain()
	}
	inc := x.e.account("A").stream("S").incarnation
	x.kill()
	if behind == nil { // all messages are there
		x.loseRecords(inc, 'd')
	} else { // what was lost comes back by the notes
		name := x.path("streams", fmt.Sprint(inc), "00000001.chunks")
		b := mustRead(t, name)
		mustWrite(t, name, b[:len(b)*part/16])
	}
	x.start()
	if lost := x.check("S"); lost > 0 {
		t.Errorf("%d are lost, told: %+v", lost, x.e.Damage(true))
	}
	x.goesOn("S", "s", "")
	x.check("S")
}

func mustRemove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// What a consumer did is in its stream's files before the log has it, when a drain
// comes between. The files are damaged, and what the journal does not have of it is
// taken from them.
func TestLaw_consumerStateThatOnlyTheFilesHave(t *testing.T) {
	x, refuse := newBox(t), new(atomic.Bool)
	x.change = func(c *Config) { c.backend = withoutNotes{diskBackend{c}, refuse, opConsumerDelta} }
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit")
	for i := range 200 {
		x.put("S", "s", text(i)+strings.Repeat("x", 300))
	}
	take := func(n int) {
		t.Helper()
		in := x.b.pull(t, "S.c", fmt.Sprintf("batch=%d no_wait", n))
		defer in.stop()
		for range n {
			x.b.send(in.next().Reply, "", "")
		}
	}
	take(10)
	if err := x.e.journal.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	refuse.Store(true)
	take(20)
	eventually(t, func() bool { return x.b.consumer(t, "S", "c").NumAckPending == 0 })
	// What the log refuses has drains begin. They see the deliveries alone, perhaps,
	// and leave nothing to do for one that comes behind.
	x.drain()
	s := x.e.account("A").stream("S")
	s.mu.Lock()
	s.passed(max(s.applied, 1))
	s.mu.Unlock()
	x.drain()
	inc := s.incarnation
	x.kill()
	if x.loseRecords(inc, 'd') == 0 { // which messages are where
		t.Fatal("nothing to damage")
	}
	for range 2 {
		x.start()
		if lost := x.check("S"); lost > 0 || x.toldKind(DamageAside) == nil {
			t.Errorf("%d are lost, told: %+v", lost, x.e.Damage(true))
		}
		if got := x.b.consumer(t, "S", "c"); got.Delivered.Stream != 30 || got.AckFloor.Stream != 30 {
			t.Errorf("%+v", got)
		}
		x.kill()
	}
	refuse.Store(false)
	x.start()
	x.goesOn("S", "s", "c")
}

// A journal that has all messages of a stream, and not what came before them, is not
// the whole of it.
func TestLaw_journalThatBeginsBehindTheConsumers(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, "name=S subjects=[s]")
	mustStream(t, x.b, "name=OTHER subjects=[other]")
	mustConsumer(t, x.b, "S", "c", "durable_name=c ack_policy=explicit")
	x.rollJournal()
	for i := range 50 {
		x.put("S", "s", text(i))
	}
	x.drain()
	inc := x.e.account("A").stream("S").incarnation
	x.kill()
	if err := os.RemoveAll(x.path("streams", fmt.Sprint(inc))); err != nil {
		t.Fatal(err)
	}
	x.start()
	if lost := x.check("S"); lost > 0 {
		t.Errorf("%d are lost that the journal has", lost)
	}
	x.goesOn("S", "s", "c")
}
