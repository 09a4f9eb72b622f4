package session

import (
	"context"
	"fmt"
	"log/slog"
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
