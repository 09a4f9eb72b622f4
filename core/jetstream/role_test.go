package jetstream

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// ledLog is a journal that another server leads, until lead. What the other one
// has appended comes by feed.
type ledLog struct {
	fileLog
	e       *Engine
	leads   atomic.Bool
	refused atomic.Int64 // appends before that
}

func (l *ledLog) Leads() bool { return l.leads.Load() }

// Term is that of its only time.
func (l *ledLog) Term() uint32 { return 1 << 20 }

func (l *ledLog) Damaged(uint64, error) {}

func (l *ledLog) Append(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	if !l.leads.Load() {
		l.refused.Add(1)
		return 0, edgestore.ErrClosed
	}
	return l.fileLog.Append(r, side, token, data...)
}

// feed has an operation of the other server stored and applied here, as the same
// operation of the group.
func (l *ledLog) feed(en *edgestore.Entry) error {
	r := en.Record
	r.LSN, r.Group, r.Index, r.Data = 0, 1, uint64(en.LSN), nil
	if r.Seat != 0 {
		r.Chain = &edgestore.Chain{Seat: r.Seat - 1, Place: r.Place}
	}
	_, err := l.fileLog.Append(&r, nil, nil, en.Data)
	l.fileLog.Kick()
	return err
}

func (l *ledLog) lead() {
	l.e.lead(l, func() { l.leads.Store(true) })
}

// Raise leaves room for what else the journal of a server has: the operations of
// the group have other places in it.
func (l *ledLog) Raise(lsn edgestore.LSN) error { return l.fileLog.Raise(max(lsn, 1000)) }

type ledBackend struct {
	diskBackend
	log *ledLog
}

func (b ledBackend) journal() (fileLog, journalEnd, error) {
	j, end, err := b.diskBackend.journal()
	b.log.fileLog = j
	return b.log, end, err
}

// tappedLog is a journal that gives what it applies to a follower too.
type tappedLog struct {
	fileLog
	to *ledLog
	t  *testing.T
}

func (l tappedLog) Start(apply func([]edgestore.Entry)) {
	l.fileLog.Start(func(list []edgestore.Entry) {
		for i := range list {
			if err := l.to.feed(&list[i]); err != nil {
				l.t.Errorf("the follower does not take operation %d: %v", list[i].LSN, err)
			}
		}
		apply(list)
	})
}

type tappedBackend struct {
	diskBackend
	to *ledLog
	t  *testing.T
}

func (b tappedBackend) journal() (fileLog, journalEnd, error) {
	j, end, err := b.diskBackend.journal()
	return tappedLog{j, b.to, b.t}, end, err
}

// pair is a leader and a follower.
type pair struct {
	t            *testing.T
	lead, follow *box
	log          *ledLog      // of the follower
	ahead        atomic.Int64 // of the follower's clock
	seen         func() []string
	number       int
}

func newPair(t *testing.T) *pair {
	p := &pair{t: t, lead: newBox(t), follow: newBox(t), log: new(ledLog)}
	p.follow.change = func(c *Config) {
		c.backend = ledBackend{diskBackend{c}, p.log}
		c.Workers = 1
		c.Now = func() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }
	}
	p.startFollower()
	p.lead.change = func(c *Config) { c.backend = tappedBackend{diskBackend{c}, p.log, t} }
	p.lead.start()
	return p
}

func (p *pair) startFollower() {
	p.t.Helper()
	p.follow.start()
	p.log.e = p.follow.e
	var mu atomic.Pointer[[]string]
	mu.Store(new([]string))
	p.follow.b.mu.Lock()
	p.follow.b.spy = func(m *wire.Msg) { // one at a time
		if m.Own {
			list := append(*mu.Load(), string(m.Subject))
			mu.Store(&list)
		}
	}
	p.follow.b.mu.Unlock()
	p.seen = func() []string { return *mu.Load() }
}

// settle waits until the follower has applied what the leader was asked for.
func (p *pair) settle() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	for _, s := range p.lead.e.allStreams() {
		for _, m := range s.members() {
			m.Info() // what it did is logged now
		}
	}
	for _, l := range []fileLog{p.lead.e.journal, p.log.fileLog} {
		if err := l.Sync(ctx); err != nil {
			p.t.Fatal(err)
		}
	}
}

// silent asks the follower for something.
func (p *pair) silent(subj, body string) {
	p.t.Helper()
	p.number++
	reply := fmt.Sprintf("_SILENT.%d", p.number)
	p.follow.b.route(&wire.Msg{Subject: []byte(subj), Reply: []byte(reply), Body: []byte(bodyTo(p.t, subj, body))})
}

// pull asks for n messages and tells their reply subjects.
func pull(t *testing.T, b *testBus, stream, consumer string, n int) (replies []string) {
	t.Helper()
	in := b.inbox(t, "_PULL")
	defer in.stop()
	b.route(&wire.Msg{Subject: []byte(nextPrefix + stream + "." + consumer), Reply: []byte("_PULL"), Body: []byte(jsonOf(t, fmt.Sprintf("batch=%d", n)))})
	for range n {
		replies = append(replies, in.next().Reply)
	}
	return replies
}

// shortReply is a reply to a delivery without the time and what is pending.
func shortReply(reply string) string {
	return strings.Join(strings.Split(reply, ".")[2:7], ".")
}

// A follower applies what the leader did, and does nothing by itself. When it is
// made the leader it knows all of it, and acts.
func TestRole_followerThatLeads(t *testing.T) {
	p := newPair(t)
	x := p.lead
	mustStream(t, x.b, "name=S subjects=[s.>] republish={src=s.> dest=copy.>} duplicate_window=24h")
	mustStream(t, x.b, "name=OLD subjects=[old] max_age=10m")
	mustStream(t, x.b, "name=W subjects=[w] retention=workqueue")
	for _, stream := range []string{"S", "W"} {
		x.b.call(t, "CONSUMER.CREATE."+stream+".c", "stream_name="+stream+" config={name=c durable_name=c ack_policy=explicit ack_wait=24h}", nil)
	}
	x.b.call(t, "CONSUMER.CREATE.S.push", "stream_name=S config={name=push durable_name=push ack_policy=none deliver_subject=dlv}", nil)
	listener := p.follow.b.inbox(t, "dlv")
	defer listener.stop()
	for i := range 5 {
		for _, stream := range []string{"S", "OLD", "W"} {
			subj := strings.ToLower(stream)
			if stream == "S" {
				subj = "s.1"
			}
			x.put(stream, subj, fmt.Sprint(stream, i), hdrMsgID, fmt.Sprint("id", i))
		}
	}
	// A refusal and a duplicate, of which the leader tells by notes.
	if a := x.b.publish(t, "s.1", "x", hdrExpectedLastSeq, "99"); a.Error == nil {
		t.Fatal("not refused")
	}
	if a := x.b.publish(t, "s.1", "x", hdrMsgID, "id1"); !a.Duplicate {
		t.Fatal("no duplicate")
	}
	for _, stream := range []string{"S", "W"} {
		replies := pull(t, x.b, stream, "c", 3)
		x.b.request(t, replies[0], "", "") // and waits until that is durable
	}
	p.settle()
	p.ahead.Store(int64(time.Hour))

	y := p.follow
	for subj, body := range map[string]string{
		"s.1": "x", asset.APIPrefix + "STREAM.INFO.S": "", asset.APIPrefix + "STREAM.NAMES": "", asset.APIPrefix + "INFO": "",
		asset.APIPrefix + "STREAM.PURGE.S": "", asset.APIPrefix + "CONSUMER.INFO.S.c": "", nextPrefix + "S.c": "batch=9",
		asset.APIPrefix + "STREAM.CREATE.N": "name=N subjects=[n]", asset.APIPrefix + "STREAM.MSG.GET.S": "seq=1",
	} {
		p.silent(subj, body)
	}
	y.e.ticks()
	y.e.retryNotes()
	y.drain()
	looked := make(chan struct{})
	y.e.api.Do(func() { close(looked) }) // by the one worker, behind all requests
	<-looked
	want := map[string]uint64{"S": 5, "OLD": 5, "W": 4}
	for name, n := range want {
		s := y.e.account("A").stream(name)
		if s == nil {
			t.Fatalf("the follower has no stream %s", name)
		}
		if st := s.state(); st.Msgs != n || st.LastSeq != 5 {
			t.Errorf("%s: the follower has %d messages up to %d, the leader %d up to 5", name, st.Msgs, st.LastSeq, n)
		}
		if s.mu.Lock(); len(s.notes) != 0 {
			t.Errorf("%s: %d notes to be logged, and the leader did", name, len(s.notes))
		}
		s.mu.Unlock()
	}
	if got := y.e.coming[0].Load(); got != 0 {
		t.Errorf("%d bytes are on their way into streams of a follower", got)
	}
	if got, n := p.seen(), p.log.refused.Load(); len(got) > 0 || n > 0 {
		t.Fatalf("a follower published on %v and appended %d operations", got, n)
	}
	listener.none()

	// The leader is gone.
	x.stop()
	p.settleFollower()
	p.log.lead()
	testkit.Eventually(t, "the new leader takes messages", func() bool { return y.b.HasInterest("s.1") })
	testkit.Eventually(t, "it expires", func() bool { return y.e.account("A").stream("OLD").state().Msgs == 0 })
	for i := range 5 {
		if m := listener.next(); m.Body != fmt.Sprint("S", i) {
			t.Errorf("delivered %q as number %d to who listens", m.Body, i)
		}
	}
	for _, stream := range []string{"S", "W"} {
		var info api.ConsumerInfo
		y.b.call(t, "CONSUMER.INFO."+stream+".c", "", &info)
		if info.Delivered.Stream != 3 || info.AckFloor.Stream != 1 || info.NumAckPending != 2 || info.NumPending != 2 {
			t.Errorf("%s: what the new leader knows of the consumer: %+v", stream, info)
		}
		replies := pull(t, y.b, stream, "c", 2)
		for i, want := range []string{stream + ".c.1.4.4", stream + ".c.1.5.5"} {
			if got := shortReply(replies[i]); got != want {
				t.Errorf("delivered %s, want %s", got, want)
			}
		}
		y.b.request(t, replies[0], "", "")
	}
	testkit.Eventually(t, "what was acknowledged leaves the work queue", func() bool { return y.e.account("A").stream("W").state().Msgs == 3 })
	if a := y.b.publish(t, "s.1", "x", hdrMsgID, "id2"); !a.Duplicate || a.Seq != 3 {
		t.Errorf("an id that the leader before knew: %+v", a)
	}
	copies := y.b.inbox(t, "copy.>")
	defer copies.stop()
	if a := y.put("S", "s.1", "new"); a.Error != nil || a.Seq != 6 {
		t.Errorf("published to the new leader: %+v", a)
	}
	if m := copies.next(); m.Body != "new" {
		t.Errorf("republished %q", m.Body)
	}
	mustStream(t, y.b, "name=N subjects=[n]")

	// What it followed is in its own journal and files like what it led.
	p.follow.stop()
	p.startFollower()
	for i := range 5 {
		y.acked["S"][uint64(i+1)] = fmt.Sprint("S", i)
	}
	if lost := y.check("S"); lost != 0 || len(y.e.Damage(true)) != 0 {
		t.Errorf("after a restart: %d lost, %+v", lost, y.e.Damage(true))
	}
}

func (p *pair) settleFollower() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	if err := p.log.fileLog.Sync(ctx); err != nil {
		p.t.Fatal(err)
	}
}

// A server that is started follows again what it followed, from its own files and
// its own journal.
func TestRole_followerRestarts(t *testing.T) {
	p := newPair(t)
	x := p.lead
	mustStream(t, x.b, "name=S subjects=[s] retention=interest")
	x.b.call(t, "CONSUMER.CREATE.S.c", "stream_name=S config={name=c durable_name=c ack_policy=explicit ack_wait=24h}", nil)
	for i := range 6 {
		x.put("S", "s", fmt.Sprint(i))
	}
	replies := pull(t, x.b, "S", "c", 4)
	x.b.request(t, replies[0], "", "")
	p.settle()
	p.follow.drain()
	x.b.request(t, replies[1], "", "")
	pull(t, x.b, "S", "c", 1)
	p.settle()
	x.stop()
	p.settleFollower()
	p.follow.stop()
	p.startFollower()
	if got, n := p.seen(), p.log.refused.Load(); len(got) > 0 || n > 0 {
		t.Fatalf("a follower that was started published on %v and appended %d operations", got, n)
	}
	p.log.lead()
	testkit.Eventually(t, "the new leader takes messages", func() bool { return p.follow.b.HasInterest("s") })
	var info api.ConsumerInfo
	p.follow.b.call(t, "CONSUMER.INFO.S.c", "", &info)
	if info.Delivered.Stream != 5 || info.AckFloor.Stream != 2 || info.NumAckPending != 3 || info.NumPending != 1 {
		t.Errorf("what the new leader knows of the consumer: %+v", info)
	}
	testkit.Eventually(t, "what was acknowledged is gone", func() bool { return p.follow.e.account("A").stream("S").state().Msgs == 4 })
	if a := p.follow.put("S", "s", "new"); a.Error != nil || a.Seq != 7 {
		t.Errorf("published to the new leader: %+v", a)
	}
}
