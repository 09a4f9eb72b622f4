package jetstream

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/origins"
	"github.com/frondmq/frond/core/jetstream/sourcing"
	"github.com/frondmq/frond/core/wire"
)

// operationKinds are all kinds of operations that there are, by the constants of
// ops.go.
func operationKinds(t *testing.T) map[string]uint8 {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "ops.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]uint8)
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			if name := v.Names[0].Name; strings.HasPrefix(name, "op") {
				n, err := strconv.ParseUint(v.Values[0].(*ast.BasicLit).Value, 10, 8)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				kinds[name] = uint8(n)
			}
		}
	}
	if len(kinds) < 20 {
		t.Fatalf("ops.go has only the kinds %v", kinds)
	}
	return kinds
}

// What the twins have beside the streams of the chaos test.
const (
	twinAside = "ASIDE" // a mirror of what is not there, filled by hand
	twinAged  = "AGED"  // messages that grow old, and limits that change
	twinLossy = "LOSSY" // books losses
)

// twinOps are those that the chaos test does not do.
var twinOps = []func(x *twins){
	(*twins).ingestAside,
	(*twins).ingestAside,
	(*twins).promoteAside,
	(*twins).publishAged,
	(*twins).publishAged,
	(*twins).limitAged,
	(*twins).purgeAged,
	(*twins).setClock,
	(*twins).answerSome,
	(*twins).answerSome,
	(*twins).changeConsumer,
	(*twins).watch,
	(*twins).raw,
}

func (x *twins) operation() {
	if x.rnd.IntN(3) > 0 {
		x.w.operation()
		return
	}
	twinOps[x.rnd.IntN(len(twinOps))](x)
}

// everything is each of them once, and what is rare more often.
func (x *twins) everything() {
	for i := range chaosOps {
		chaosOps[i].do(x.w)
	}
	for range 12 {
		x.ingestAside()
		x.publishAged()
	}
	x.w.send(twinLossy, "l")
	x.settle()
	for i := range 4 {
		x.rawOf(i)
	}
	for _, do := range twinOps {
		do(x)
	}
	x.watch() // and it goes again
	x.settle()
	x.compare()
}

func (x *twins) found() {
	mustStream(x.t, x.w.b, "name=AGED subjects=[AGED.>] max_age=20s allow_rollup_hdrs allow_msg_ttl subject_delete_marker_ttl=1s duplicate_window=5s")
	mustStream(x.t, x.w.b, "name=LOSSY subjects=[LOSSY.>]")
	x.w.m.created(twinAged)
	x.w.m.created(twinLossy)
	x.w.call("STREAM.CREATE.ASIDE", twinAsideConfig)
	mustConsumer(x.t, x.w.b, chaosPlain, "last", "durable_name=last ack_policy=all deliver_policy=last_per_subject filter_subject=PLAIN.> max_deliver=2 ack_wait=3s")
	mustConsumer(x.t, x.w.b, chaosKV, "push", "durable_name=push ack_policy=explicit deliver_subject=push.kv filter_subject=KV.> deliver_policy=last_per_subject ack_wait=2s max_ack_pending=5")
	mustConsumer(x.t, x.w.b, twinLossy, "wait", "durable_name=wait ack_policy=explicit filter_subject=LOSSY.never")
	mustConsumer(x.t, x.w.b, twinAged, "none", "durable_name=none ack_policy=none deliver_subject=push.aged filter_subject=AGED.0")
}

const twinAsideConfig = "name=ASIDE mirror={name=NOWHERE} max_age=1m40s allow_msg_ttl"

// subscribe takes what is pushed; every third message is acknowledged.
func (x *twins) subscribe() {
	var n atomic.Int64 // messages come on the goroutines of two consumers
	b := x.w.b
	for _, subj := range []string{"push.kv", "push.aged"} {
		if _, err := b.Subscribe(subj, "", func(m *wire.Msg) {
			if n.Add(1)%3 == 0 && len(m.Reply) > 0 {
				b.route(&wire.Msg{Subject: []byte(string(m.Reply))})
			}
		}); err != nil {
			x.t.Fatal(err)
		}
	}
}

func (x *twins) stream(name string) *stream { return x.w.e.account("A").stream(name) }

// ingestAside does what a fetcher does, with an origin that is made up.
func (x *twins) ingestAside() {
	s := x.stream(twinAside)
	if s == nil {
		return
	}
	s.mu.RLock()
	last := s.last
	s.mu.RUnlock()
	_ = s.NoteOrigin("", &sourcing.Origin{Identity: fmt.Sprint("origin ", x.rnd.IntN(2)), Restart: x.rnd.IntN(4) == 0}, nil)
	at := x.w.e.line.at() - x.rnd.Int64N(int64(20*time.Second))
	if x.rnd.IntN(8) == 0 {
		at = 12345 // of a machine without a clock
	}
	switch x.rnd.IntN(4) {
	case 0:
		_ = s.appendSkip(last+1+x.rnd.Uint64N(4), at)
	case 1:
		_ = s.PassOver("", last+1, last, "too long", nil)
		last++
	}
	for range x.rnd.IntN(4) {
		f := &origins.Message{Seq: last + 1, At: at, After: last, Subject: []byte("made.up"), Body: []byte(x.w.body(0))}
		if x.rnd.IntN(3) == 0 {
			f.Header = []byte(header(hdrTTL, fmt.Sprint(1+x.rnd.IntN(9))))
		}
		_ = s.Take(f, nil)
		last++
	}
}

// promoteAside makes the mirror a stream of its own, or begins with another one.
func (x *twins) promoteAside() {
	s := x.stream(twinAside)
	switch {
	case s == nil:
		x.w.call("STREAM.CREATE.ASIDE", twinAsideConfig)
	case s.config().Mirror != nil:
		x.w.call("STREAM.UPDATE.ASIDE", "name=ASIDE subjects=[ASIDE.>] max_age=1m40s allow_msg_ttl allow_rollup_hdrs")
		x.w.m.created(twinAside)
		x.w.send(twinAside, "a")
	case x.rnd.IntN(3) > 0:
		x.w.send(twinAside, "a")
	default:
		x.w.call("STREAM.DELETE.ASIDE", "")
		x.w.m.mu.Lock()
		delete(x.w.m.streams, twinAside)
		x.w.m.mu.Unlock()
	}
}

func (x *twins) publishAged() {
	for range 1 + x.rnd.IntN(5) {
		var hdr []string
		body := x.w.body(x.rnd.IntN(60))
		switch x.rnd.IntN(6) {
		case 0:
			hdr = []string{hdrTTL, fmt.Sprint(1 + x.rnd.IntN(5))}
		case 1:
			hdr = []string{hdrTTL, "never"}
		case 2:
			hdr = []string{hdrRollup, []string{"sub", "all"}[x.rnd.IntN(2)]}
		case 3:
			body = fmt.Sprintf("m%d_0", 1+x.rnd.IntN(30))
			hdr = []string{hdrMsgID, body}
		case 4:
			hdr = []string{hdrExpectedLastSeq, fmt.Sprint(x.rnd.IntN(50))}
		}
		x.w.sendBody(twinAged, fmt.Sprint(x.rnd.IntN(4)), body, hdr...)
	}
	if x.rnd.IntN(3) == 0 {
		x.w.passTime()
	}
}

// limitAged changes what the stream holds at most, and its window for ids.
func (x *twins) limitAged() {
	limits := []string{
		"max_msgs_per_subject=3", "max_msgs=12", "max_bytes=900", "max_msgs=8 discard=new",
		"max_msgs_per_subject=2 max_bytes=600 discard=new", "max_msgs_per_subject=2 discard=new discard_new_per_subject", `description="no limit"`,
	}
	x.w.call("STREAM.UPDATE.AGED", fmt.Sprintf("name=AGED subjects=[AGED.>] max_age=%d allow_rollup_hdrs allow_msg_ttl subject_delete_marker_ttl=1s duplicate_window=%d %s",
		time.Duration(10+x.rnd.IntN(20))*time.Second, time.Duration(1+x.rnd.IntN(9))*time.Second, limits[x.rnd.IntN(len(limits))]))
}

func (x *twins) purgeAged() {
	last := x.stream(twinAged).store.State().LastSeq
	x.w.call("STREAM.PURGE.AGED", []string{
		``, "keep=3", "filter=AGED.1", "filter=AGED.* keep=1",
		fmt.Sprintf("seq=%d", last/2), fmt.Sprintf("seq=%d", last+5), fmt.Sprintf("filter=AGED.2 seq=%d", last),
	}[x.rnd.IntN(7)])
}

// setClock sets the clock of the leader, which has not known the time at first.
func (x *twins) setClock() {
	d := time.Duration(x.rnd.IntN(7200)-3600) * time.Second
	if x.lead.clock.now().Year() < 2026 {
		d = 57 * years1
	}
	x.lead.clock.set(d)
	x.w.e.ticks()
}

// answerSome pulls and answers in all the ways that there are.
func (x *twins) answerSome() {
	names := []string{"PLAIN.c", "QUEUE.c", "CARE.c", "PLAIN.last"}
	n := 1 + x.rnd.IntN(6)
	in := x.w.b.pull(x.t, names[x.rnd.IntN(len(names))], fmt.Sprintf("batch=%d no_wait", n))
	defer in.stop()
	for range n {
		m := in.next()
		if m.Reply == "" {
			return
		}
		answers := []string{"", "+ACK", "-NAK", `-NAK {"delay":3000000000}`, "+TERM", "+WPI", "nothing at all"}
		if n := x.rnd.IntN(len(answers)); n < 6 {
			x.w.b.send(m.Reply, "", answers[n])
		}
	}
}

// changeConsumer updates, pauses or loses a consumer, or makes one that is not
// logged.
func (x *twins) changeConsumer() {
	switch x.rnd.IntN(5) {
	case 0:
		x.w.call("CONSUMER.CREATE.PLAIN.c", fmt.Sprintf(`stream_name=PLAIN config={durable_name=c ack_policy=explicit max_ack_pending=-1 ack_wait=1h max_deliver=%d description="%d"}`, 3+x.rnd.IntN(3), x.rnd.IntN(99)))
	case 1:
		x.w.call("CONSUMER.PAUSE.PLAIN.c", fmt.Sprintf("pause_until=%q", x.lead.clock.now().Add(3*time.Second).UTC().Format(time.RFC3339)))
	case 2:
		x.w.call("CONSUMER.CREATE.PLAIN.e", "stream_name=PLAIN config={name=e ack_policy=explicit inactive_threshold=2s filter_subjects=[PLAIN.a1,PLAIN.a2]}")
	case 3:
		x.w.call("CONSUMER.CREATE.PLAIN.v", "stream_name=PLAIN config={name=v ack_policy=none mem_storage inactive_threshold=5s}")
	case 4:
		x.w.call("CONSUMER.CREATE.CARE.x", "stream_name=CARE config={name=x ack_policy=explicit mem_storage inactive_threshold=3s filter_subject=CARE.c}")
	}
}

// watch makes a stream with a consumer that is not logged until the stream's
// retention makes it matter.
func (x *twins) watch() {
	if x.stream("WATCH") != nil {
		x.w.call("STREAM.DELETE.WATCH", "")
		return
	}
	if !x.w.call("STREAM.CREATE.WATCH", "name=WATCH subjects=[WATCH.>]") {
		return
	}
	x.w.b.send("WATCH.a", "", "1")
	x.w.call("CONSUMER.CREATE.WATCH.v", "stream_name=WATCH config={name=v ack_policy=explicit mem_storage}")
	x.w.call("STREAM.UPDATE.WATCH", "name=WATCH subjects=[WATCH.>] retention=interest")
	x.w.b.send("WATCH.a", "", "2")
}

// raw appends what nothing else here leads to: losses that only damage brings, a
// newer format, and what older programs wrote.
func (x *twins) raw() { x.rawOf(x.rnd.IntN(4)) }

func (x *twins) rawOf(which int) {
	s := x.stream(twinLossy)
	switch which {
	case 0:
		rec := s.record(opShift, false)
		_ = x.w.e.append(s.log(), false, &rec, nil, nil)
	case 1:
		_ = x.w.e.RaiseFormat(x.w.e.Format() + 1)
	case 2:
		if last := s.store.State().LastSeq; last > 0 { // of which all can be read: nothing is lost
			rec := s.record(opLost, false)
			_ = x.w.e.append(s.log(), true, &rec, nil, nil, msgp.AppendUint64(msgp.AppendUint64(nil, 1), last))
		}
	}
	x.w.send(twinLossy, "l")
}
