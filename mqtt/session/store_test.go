package session

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

// house is a server with streams, and a Store in its account.
type house struct {
	*testing.T
	dir    string
	server *core.Server
	tap    *servertest.Tap
	acc    *account.Account
	limits Limits
	domain string
	log    testkit.Log
	lost   testkit.Log
	s      *Store
	origin *account.Origin
}

func newHouse(t *testing.T) *house {
	h := &house{T: t, dir: t.TempDir(), limits: Limits{Sessions: 100, Msgs: 1e6, Bytes: 1 << 30, Expiry: time.Hour}}
	h.start()
	return h
}

func (h *house) start() {
	h.Helper()
	h.tap = new(servertest.Tap)
	h.server = servertest.Start(h.T, servertest.Modules(h.tap), servertest.With(func(o *config.Options) {
		o.JetStream.Enabled, o.JetStream.StoreDir, o.JetStream.MaxStore, o.JetStream.MaxMemory = true, h.dir, 1<<30, 64<<20
	}))
	h.acc, _ = h.tap.Account(config.GlobalAccount)
	h.origin = account.NewOrigin(nil, account.RoleClient, "")
	h.open()
	h.Cleanup(h.close)
}

func (h *house) client() *jsclient.Client {
	c, err := h.tap.StreamClient(h.acc, "")
	if err != nil {
		h.Fatal(err)
	}
	return c
}

func (h *house) open() {
	h.Helper()
	var err error
	h.s, err = Open(h.Context(), Options{
		Account: h.acc, Client: h.client(), Log: slog.New(slog.NewTextHandler(&h.log, nil)), Origin: "O", Domain: h.domain,
		Limits: func() Limits { return h.limits }, Filter: func(subject string) string { return subject },
		Subjects: func(f string) ([]string, error) {
			if parent, ok := strings.CutSuffix(f, ".>"); ok {
				return []string{f, parent}, nil
			}
			return []string{f}, nil
		},
		Stored: func(live []byte, _ string) []byte { return live },
		Lost:   func(subject []byte, err error) { fmt.Fprintf(&h.lost, "%s: %v\n", subject, err) },
	})
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) close() {
	if h.s != nil {
		h.s.Close(context.Background())
		h.s = nil
	}
}

// crash forgets what is in memory: what was written stays.
func (h *house) crash() {
	h.Helper()
	h.s.cancel()
	h.close()
	h.open()
}

func (h *house) restart() {
	h.Helper()
	h.close()
	servertest.Stop(h.T, h.server)
	h.start()
}

// device is a client of a session.
type device struct {
	h *house
	*Session
	woken chan struct{}
	id    uint16
}

func (d *device) Wake() {
	select {
	case d.woken <- struct{}{}:
	default:
	}
}

func (h *house) attach(id string, present bool) *device {
	h.Helper()
	d := &device{h: h, woken: make(chan struct{}, 1)}
	x, was, err := h.s.Attach(h.Context(), nil, Client{ID: id, User: "u", Expiry: 60, Peer: d})
	if err != nil || was != present {
		h.Fatalf("present: %v, %v", was, err)
	}
	d.Session = x
	for _, u := range x.Unacked() {
		d.id = max(d.id, u.ID)
	}
	return d
}

func (d *device) sub(filters ...string) *device {
	d.h.Helper()
	for _, f := range filters {
		if _, err := d.Subscribe(f, 1, 0); err != nil {
			d.h.Fatal(err)
		}
	}
	if err := d.Save(d.h.Context()); err != nil {
		d.h.Fatal(err)
	}
	return d
}

// next are the payloads of all that is to be sent now, with '!' behind what may have
// been sent before.
func (d *device) next() (got []string) {
	d.h.Helper()
	for {
		list, err := d.Next(d.h.Context(), 3, 1<<10)
		if err != nil {
			d.h.Fatal(err)
		}
		if len(list) == 0 {
			return got
		}
		if err := d.Begin(d.h.Context()); err != nil {
			d.h.Fatal(err)
		}
		for _, m := range list {
			d.id++
			d.Sent(m, d.id)
			text := string(m.Data)
			if m.Again {
				text += "!"
			}
			got = append(got, text)
		}
	}
}

func (d *device) wants(want string) {
	d.h.Helper()
	if got := strings.Join(d.next(), " "); got != want {
		d.h.Fatalf("got %q, want %q", got, want)
	}
}

func (d *device) ackAll() {
	for _, u := range d.Unacked() {
		d.Acked(u.Seq)
	}
}

// publication is a receipt that waits.
type publication struct {
	store *Store
	subj  []byte
	full  error
	waits sync.WaitGroup
	mu    sync.Mutex
	err   error
}

func (p *publication) Expect() { p.waits.Add(1) }
func (p *publication) Stored(_ string, _ uint64, _ bool, err error) {
	p.mu.Lock()
	if err != nil {
		p.err = err
	}
	p.mu.Unlock()
	p.waits.Done()
}

func (p *publication) Keep(s *Store, subj []byte, full error) {
	p.store, p.subj = s, append([]byte(nil), subj...)
	if full != nil {
		p.full = full
	}
}

func (p *publication) Publisher() (string, bool) { return "pubpubpu", true }

// publish returns when a message is acknowledged, and whether it was kept.
func (h *house) publish(subj, text string) (kept bool, err error) {
	p := new(publication)
	h.acc.Route(h.origin, &wire.Msg{Subject: []byte(subj), Body: []byte(text), Receipt: p})
	if p.full != nil || p.store == nil {
		return false, p.full
	}
	p.store.Put(h.origin, &Publication{Subject: p.subj, Header: []byte("NATS/1.0\r\nNmqtt-Pub:1\r\n\r\n"), Body: []byte(text), Publisher: "pubpubpu"}, p)
	h.origin.Flush()
	p.waits.Wait()
	return true, p.err
}

func (h *house) publishAll(subj string, texts ...string) {
	h.Helper()
	for _, text := range texts {
		if kept, err := h.publish(subj, text); err != nil || !kept {
			h.Fatalf("%s %s: kept %v, %v", subj, text, kept, err)
		}
	}
}

func (h *house) holds(stream string, n int) {
	h.Helper()
	c := h.client()
	defer c.Close()
	testkit.Eventually(h, fmt.Sprintf("%d messages in %s", n, stream), func() bool {
		i, err := c.Info(h.Context(), stream)
		return err == nil && i.State.Msgs == uint64(n)
	})
}

func TestStore_kept(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false).sub("a.>", "b", "a.x")
	h.publishAll("a.x", "1", "2")
	if kept, err := h.publish("c", "no"); kept || err != nil {
		t.Errorf("what nobody waits for: kept %v, %v", kept, err)
	}
	h.publishAll("a", "3")
	h.publishAll("b", "4")
	d.wants("1 2 3 4")
	d.Acked(d.Unacked()[1].Seq)
	d.Detach(60)
	h.publishAll("a.y.z", "5")
	if n, _ := d.Pending(); n != 4 {
		t.Errorf("%d pending", n)
	}
	h.restart()
	d = h.attach("d", true)
	if u := d.Unacked(); len(u) != 3 || u[0].ID != 1 || u[1].ID != 3 || u[2].ID != 4 {
		t.Fatalf("unacknowledged: %+v", u)
	}
	m, err := d.Read(t.Context(), d.Unacked()[1])
	if err != nil || string(m.Data) != "3" || !m.Again || m.ID != 3 {
		t.Errorf("%+v, %v", m, err)
	}
	d.wants("5")
	testkit.Eventually(t, "what was there is counted", func() bool { n, _ := d.Pending(); return n == 4 })
	d.ackAll()
	h.holds(msgsStream, 0)
	if n, b := d.Pending(); n != 0 || b != 0 {
		t.Errorf("%d messages, %d bytes pending", n, b)
	}
}

// TestStore_acknowledges when a message is on disk and counted, not before.
func TestStore_acknowledges(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false).sub("a")
	p := &counting{d: d, told: make(chan int64, 1)}
	h.s.Put(h.origin, &Publication{Subject: []byte("a"), Header: []byte("NATS/1.0\r\n\r\n"), Publisher: "p"}, p)
	if p.expected != 1 {
		t.Fatalf("expected %d times", p.expected)
	}
	if n := <-p.told; n != 1 {
		t.Errorf("acknowledged with %d counted", n)
	}
}

type counting struct {
	d        *device
	expected int
	told     chan int64
}

func (c *counting) Expect() { c.expected++ }
func (c *counting) Stored(_ string, _ uint64, _ bool, err error) {
	n, _ := c.d.Pending()
	if err != nil {
		n = -1
	}
	c.told <- n
}

// TestStore_later has a filter take what is stored behind it only.
func TestStore_later(t *testing.T) {
	h := newHouse(t)
	h.attach("d", false).sub("a")
	e := h.attach("e", false).sub("b")
	h.publishAll("a", "1")
	e.sub("a")
	h.publishAll("a", "2")
	e.wants("2")
}

// TestStore_crash has nothing lost that was acknowledged, and says of what was sent
// and is in no row that it comes again.
func TestStore_crash(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false).sub("a")
	e := h.attach("e", false).sub("a")
	e.Detach(60)
	h.publishAll("a", "1", "2", "3", "4")
	d.wants("1 2 3 4")
	d.Acked(d.Unacked()[0].Seq)
	h.crash()
	d = h.attach("d", true)
	var all []string
	for _, u := range d.Unacked() {
		m, err := d.Read(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(m.Data)+"!")
	}
	got := strings.Join(append(all, d.next()...), " ")
	if got != "1! 2! 3! 4!" && got != "2! 3! 4!" {
		t.Errorf("after the crash: %q", got)
	}
	h.publishAll("a", "5")
	d.wants("5")
	d.ackAll()
	h.attach("e", true).wants("1 2 3 4 5")
	h.holds(msgsStream, 5)
}

// TestStore_sweep deletes at the start what nobody waits for, and nothing else.
func TestStore_sweep(t *testing.T) {
	h := newHouse(t)
	h.attach("d", false).sub("a").Detach(60)
	e := h.attach("e", false).sub("a", "b")
	for i := range 300 {
		h.publishAll("a", fmt.Sprint("a", i))
		h.publishAll("b", fmt.Sprint("b", i))
	}
	// The row goes, and what it waited for is left.
	h.s.mu.Lock()
	row := e.row
	h.s.mu.Unlock()
	c := h.client()
	defer c.Close()
	if err := c.DeleteMessage(t.Context(), RowStream, row); err != nil {
		t.Fatal(err)
	}
	h.crash()
	h.holds(msgsStream, 300)
	d := h.attach("d", true)
	got := d.next()
	if len(got) != 300 || got[0] != "a0" || got[299] != "a299" {
		t.Errorf("%d messages: %v", len(got), got)
	}
}

// TestStore_ends counts down what sessions waited for that have ended.
func TestStore_ends(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false).sub("a.*")
	e := h.attach("e", false).sub("a.x")
	h.publishAll("a.x", "1", "2")
	h.publishAll("a.y", "3")
	d.wants("1 2 3")
	d.Acked(d.Unacked()[0].Seq)
	d.Detach(60)
	if err := h.s.Drop(t.Context(), nil, "d", "u"); err != nil {
		t.Fatal(err)
	}
	h.holds(msgsStream, 2)
	h.holds(RowStream, 1)
	e.wants("1 2")
	e.Detach(0)
	h.holds(msgsStream, 0)
	h.holds(RowStream, 0)
	if n := h.s.Len(); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

func TestStore_filters(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false)
	for i := range 2 * maxAside {
		d.sub(fmt.Sprint("f", i))
	}
	for i := range 40 {
		h.publishAll(fmt.Sprint("f", i%(2*maxAside)), fmt.Sprint(i))
	}
	if got := d.next(); len(got) != 40 || got[39] != "39" {
		t.Errorf("by many filters: %v", got)
	}
	d.ackAll()
	// What is waited for when a filter goes comes still, also after a restart.
	h.publishAll("f1", "old")
	d.Unsubscribe("f1")
	d.sub("f0")
	if kept, _ := h.publish("f1", "new"); kept {
		t.Error("kept for a filter that was taken away")
	}
	h.crash()
	d = h.attach("d", true)
	d.wants("old!")
	d.ackAll()
	h.holds(msgsStream, 0)
	for i := range MaxFilters {
		if _, err := d.Subscribe(fmt.Sprint("g", i), 0, 0); err != nil {
			if err != ErrFilters || i < MaxFilters-2*maxAside-2 {
				t.Errorf("filter %d: %v", i, err)
			}
			return
		}
	}
	t.Error("filters without end")
}

// TestStore_sparse has what few wait for found among what many wait for, more of it
// than is remembered.
func TestStore_sparse(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false).sub("d.>")
	d.Detach(60)
	h.attach("e", false).sub("e")
	var want []string
	publish := func(from, upTo int) {
		for i := from; i < upTo; i++ {
			h.publishAll("d.x", fmt.Sprint(i))
			want = append(want, fmt.Sprint(i))
			for range sparse + i%2 {
				h.publishAll("e", "x")
			}
		}
	}
	publish(0, maxHints)
	h.crash()
	d = h.attach("d", true)
	testkit.Eventually(t, "what was there is counted", func() bool { n, _ := d.Pending(); return n == maxHints })
	d.wants(strings.Join(want, " "))
	d.ackAll()
	want = nil
	publish(0, 3)
	d.wants("0 1 2")
	d.Detach(60)
	publish(3, 6)
	d = h.attach("d", true)
	d.wants("3 4 5")
	d.ackAll()
	if err := h.s.Drop(t.Context(), nil, "e", "u"); err != nil {
		t.Fatal(err)
	}
	h.holds(msgsStream, 0)
}

func TestHints(t *testing.T) {
	var h hints
	for i := range uint64(400) {
		h.add(1000 + 7*i + i%2)
	}
	list, all := h.first(0, 10)
	if len(list) != 10 || all || list[0] != 1000 || list[9] != 1064 {
		t.Errorf("%v, all %v", list, all)
	}
	list, all = h.first(1064, 1000)
	if all || len(list) < 200 || list[0] != 1070 || len(h.b) > maxHints {
		t.Errorf("%d from %d, all %v", len(list), list[0], all)
	}
	if list, all = h.first(1<<40, 10); len(list) > 0 || all || h.b != nil {
		t.Errorf("%v, all %v", list, all)
	}
	h = hints{}
	if _, all := h.first(0, 1); !all {
		t.Error("there are others than none")
	}
	h.add(5)
	h.add(9)
	if list, all := h.first(5, 9); len(list) != 1 || list[0] != 9 || !all {
		t.Errorf("behind 5: %v, all %v", list, all)
	}
	h.first(9, 9)
	h.add(12)
	if list, all := h.first(9, 9); len(list) != 1 || list[0] != 12 || !all {
		t.Errorf("behind 9: %v, all %v", list, all)
	}
	h.add(11) // out of order
	if list, all := h.first(9, 9); len(list) != 0 || all {
		t.Errorf("out of order: %v, all %v", list, all)
	}
}

// TestHints_twin: hints beside a list of all, with what comes in steps as with what does
// not.
func TestHints_twin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var h hints
		var all []uint64
		seq, position := r.Uint64N(3), uint64(0)
		for range 40 {
			step := 1 + r.Uint64N(300)
			for range 1 + r.IntN(20) {
				seq += step
				h.add(seq)
				if !h.over {
					all = append(all, seq)
				}
			}
			if r.IntN(4) == 0 {
				position += r.Uint64N(seq - min(position, seq) + 3)
			}
			for len(all) > 0 && all[0] <= position {
				all = all[1:]
			}
			n := r.IntN(60)
			got, whole := h.first(position, n)
			if !slices.Equal(got, all[:min(n, len(all))]) || whole != (!h.over && n >= len(all)) {
				t.Fatalf("%d behind %d: %v (%v), want %v", n, position, got, whole, all)
			}
		}
	}
}

// TestHints_steps: what comes in steps takes nearly nothing, however much it is.
func TestHints_steps(t *testing.T) {
	var h hints
	for i := range uint64(100_000) {
		h.add(5 + 10_000*i)
	}
	list, all := h.first(5+10_000*99_000, 10)
	if len(list) != 10 || all || list[0] != 5+10_000*99_001 || h.over || len(h.b) > 8 {
		t.Errorf("%v, all %v, %d bytes", list, all, len(h.b))
	}
}

// TestStore_anew goes on when somebody has deleted the stream.
func TestStore_anew(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false).sub("a")
	h.publishAll("a", "1", "2", "3")
	d.wants("1 2 3")
	c := h.client()
	defer c.Close()
	if err := c.Delete(t.Context(), msgsStream); err != nil {
		t.Fatal(err)
	}
	if _, err := h.publish("a", "lost"); err == nil {
		t.Error("acknowledged without a stream")
	}
	h.publishAll("a", "4")
	d.wants("4")
	d.ackAll()
	d.Detach(60)
	h.crash()
	h.publishAll("a", "5")
	h.attach("d", true).wants("5")
}

// TestStore_foreign delivers nothing that others put into the stream and nobody waits
// for, and goes on with a record of nats-server's.
func TestStore_foreign(t *testing.T) {
	h := newHouse(t)
	d := h.attach("d", false).sub("a")
	c := h.client()
	defer c.Close()
	for _, m := range []jsclient.Outgoing{
		{Subject: msgsPrefix + "a", Data: []byte("foreign")},
		{Subject: rowPrefix + Hash("c1"), Data: []byte(`{"origin":"x","id":"c1","clean":false,"subs":{"a":1}}`)},
	} {
		if _, err := c.Publish(t.Context(), &m); err != nil {
			t.Fatal(err)
		}
	}
	h.publishAll("a", "mine")
	d.wants("mine")
	d.ackAll()
	d.Detach(60)
	h.crash()
	h.attach("c1", true).Detach(60)
	if _, _, err := h.s.Attach(t.Context(), nil, Client{ID: "c1", User: "v", Expiry: 60}); err != ErrOtherUser {
		t.Errorf("nats-server's session that somebody has: %v", err)
	}
	if !h.log.Contains("of nats-server goes on") {
		t.Error("not told")
	}
	if _, _, err := h.s.Attach(t.Context(), nil, Client{ID: "d", User: "v", Expiry: 60}); err != ErrOtherUser {
		t.Errorf("of another user: %v", err)
	}
}

// TestStore_attached has the expiry of a session run behind its connection, and not
// behind its row: a crash is the end of the connection.
func TestStore_attached(t *testing.T) {
	h := newHouse(t)
	c := h.client()
	defer c.Close()
	left := func(want time.Duration) {
		t.Helper()
		testkit.Eventually(t, fmt.Sprintf("%v are left an hour later", want), func() bool {
			m, err := c.Last(t.Context(), RowStream, h.s.rowSubject(Hash("d")))
			if err != nil {
				return false
			}
			r, err := readRow(m.Data, nil, 0)
			return err == nil && r.State.left(time.Hour) == want
		})
	}
	d := h.attach("d", false).sub("a")
	left(time.Minute)
	d.Detach(60)
	left(0)
	d = h.attach("d", true)
	left(time.Minute)
	d.Detach(60)
	left(0)
}

func TestLeftOf(t *testing.T) {
	for _, c := range []struct {
		expiry uint32
		since  time.Duration
		want   time.Duration
	}{
		{60, 20 * time.Second, 40 * time.Second},
		{60, 61 * time.Second, 0},
		{60, -time.Hour, time.Minute},                // the clock is behind
		{60, 50 * 365 * 24 * time.Hour, time.Minute}, // it was not set when the row was written
	} {
		if got := leftOf(c.expiry, c.since); got != c.want {
			t.Errorf("%d after %v: %v", c.expiry, c.since, got)
		}
	}
}

// TestStore_otherDomain deletes nothing that sessions wait for which are not here any
// more, and says so: of another domain, or since their stream is gone.
func TestStore_otherDomain(t *testing.T) {
	h := newHouse(t)
	h.attach("d", false).sub("a").Detach(60)
	h.publishAll("a", "1", "2")
	h.close()
	h.domain = "D"
	h.open()
	h.attach("d", false).sub("b").Detach(60)
	h.publishAll("b", "3")
	h.attach("d", true).wants("3")
	h.crash()
	if !h.log.Contains("sessions of another JetStream domain") {
		t.Error("nobody is told")
	}
	d := h.attach("d", true)
	d.ackAll()
	d.Detach(60)
	h.deletesNothing()
	h.holds(msgsStream, 3)
	h.close()
	h.domain = ""
	h.open()
	h.attach("d", true).wants("1 2")
	h.close()
	c := h.client()
	defer c.Close()
	if err := c.Delete(t.Context(), RowStream); err != nil {
		t.Fatal(err)
	}
	h.open()
	h.deletesNothing()
	h.holds(msgsStream, 3)
	if !h.log.Contains("sessions are gone") {
		t.Error("nobody is told that they are gone")
	}
}

// deletesNothing wants nothing deleted when all is counted.
func (h *house) deletesNothing() {
	h.Helper()
	<-h.s.counted
	if err := h.s.clear(h.Context()); err != nil {
		h.Fatal(err)
	}
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.s.mu.low > 1 {
		h.Errorf("all below %d is deleted", h.s.mu.low)
	}
}
