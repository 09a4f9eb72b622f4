package leaf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/wire"
)

// node is a server reduced to what a leaf module needs.
type node struct {
	reloaded atomic.Pointer[config.Options] // nil: opts hold
	t        *testing.T
	name     string
	domain   string
	store    string
	run      string // "" for one that follows from the name
	opts     *config.Options
	acc      *account.Account
	auth     func(*auth.Request) (*auth.Grant, error)
	renew    func(*auth.Grant) (*auth.Grant, bool) // nil: nothing changed
	conns    *core.Connections
	pool     outbound.Pool
	logs     logLines
	m        *Module
}

func newNode(t *testing.T, name string) *node {
	n := &node{t: t, name: name, opts: config.Defaults(), acc: account.New(config.GlobalAccount), conns: core.NewConnections(0, 100)}
	n.opts.Leaf.Host = "127.0.0.1"
	n.opts.Leaf.Compression.Mode = config.CompressOff
	n.auth = func(*auth.Request) (*auth.Grant, error) { return &auth.Grant{Account: config.GlobalAccount}, nil }
	return n
}

func (n *node) Options() *config.Options {
	if o := n.reloaded.Load(); o != nil {
		return o
	}
	return n.opts
}

// reload drives the module as a server does.
func (n *node) reload(change func(o *config.Options)) error {
	from := n.Options()
	to := *from
	change(&to)
	if err := n.m.Verify(from, &to); err != nil {
		return err
	}
	n.reloaded.Store(&to)
	n.m.Commit(from, &to)
	return nil
}
func (n *node) Logger() *slog.Logger                         { return slog.New(slog.NewTextHandler(&n.logs, nil)) }
func (n *node) ServerID() string                             { return "N" + n.name + n.run }
func (n *node) ServerName() string                           { return n.name }
func (n *node) StoreID() string                              { return n.store }
func (n *node) ClusterName() string                          { return "" }
func (n *node) Domain() string                               { return n.domain }
func (n *node) JetStream() bool                              { return n.domain != "" }
func (n *node) Version() string                              { return "2.12.0" }
func (n *node) APILevel() int                                { return 2 }
func (n *node) OutboundLinks() *outbound.Pool                { return &n.pool }
func (n *node) Outbound() *outbound.Pool                     { return new(outbound.Pool) }
func (n *node) Connections() *core.Connections               { return n.conns }
func (n *node) Account(name string) (*account.Account, bool) { return n.acc, name == n.acc.Name() }
func (n *node) Authenticate(r *auth.Request) (*auth.Grant, error) {
	return n.auth(r)
}
func (n *node) Renew(_ auth.Kind, g *auth.Grant) (*auth.Grant, bool) {
	if n.renew != nil {
		return n.renew(g)
	}
	return g, true
}

func (n *node) StreamClient(a *account.Account, domain string) (*jsclient.Client, error) {
	return core.NewStreamClient(a, jsclient.Options{Domain: domain})
}

var _ core.Services = (*node)(nil)

// start starts the module and stops it at the end of the test.
func (n *node) start() *node {
	n.t.Helper()
	if n.m == nil {
		n.m = New()
	}
	if err := n.m.Verify(nil, n.opts); err != nil {
		n.t.Fatal(err)
	}
	if err := n.m.Start(n); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(n.stop)
	n.t.Cleanup(func() {
		if n.t.Failed() {
			n.t.Logf("log of %s:\n%s", n.name, n.logs.all())
		}
	})
	return n
}

func (n *node) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.m.Stop(ctx); err != nil {
		n.t.Error(err)
	}
}

// startHub starts a node with a leafnode port.
func startHub(t *testing.T, change func(*node)) *node {
	n := newNode(t, "HUB")
	n.opts.Leaf.Port = -1
	if change != nil {
		change(n)
	}
	return n.start()
}

// startSpoke starts a node that dials addr.
func startSpoke(t *testing.T, addr string, change func(*node, *config.Remote)) *node {
	n := newNode(t, "EDGE")
	u, err := url.Parse("nats-leaf://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	r := config.Remote{
		URLs: []*url.URL{u}, ReconnectInterval: 20 * time.Millisecond,
		FirstInfoTimeout: 5 * time.Second, DialTimeout: 5 * time.Second, IgnoreDiscovered: true,
		Compression: config.Compression{Mode: config.CompressOff},
	}
	if change != nil {
		change(n, &r)
	}
	n.opts.Leaf.Remotes = []config.Remote{r}
	return n.start()
}

func (n *node) addr() string { return n.m.Addr().String() }

// eventually waits for a condition that other goroutines bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never happened: %s", what)
		}
	}
}

// listenerSink collects what a subscription gets.
type listenerSink struct {
	mu   sync.Mutex
	msgs []string
}

func (s *listenerSink) Role() account.Role { return account.RoleClient }
func (s *listenerSink) Cluster() string    { return "" }
func (s *listenerSink) Flush()             {}
func (s *listenerSink) Deliver(_ *account.Sub, m *wire.Msg) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := string(m.VisibleSubject()) + " " + string(m.Body)
	if m.Reply != nil {
		text += " <" + string(m.Reply)
	}
	if m.Header != nil {
		text += " " + fmt.Sprintf("%q", m.Header)
	}
	s.msgs = append(s.msgs, text)
	return true
}

func (s *listenerSink) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.msgs...)
}

func (n *node) subscribe(subj, queue string) (*listenerSink, *account.Sub) {
	n.t.Helper()
	sink := &listenerSink{}
	sub := &account.Sub{Subject: subj, Queue: queue, Sink: sink}
	if err := n.acc.Subscribe(sub); err != nil {
		n.t.Fatal(err)
	}
	return sink, sub
}

func (n *node) publish(m *wire.Msg) int {
	o := account.NewOrigin(nil, account.RoleClient, "")
	defer o.Flush()
	return n.acc.Route(o, m)
}

func (n *node) send(subj, body string) int {
	return n.publish(&wire.Msg{Subject: []byte(subj), Body: []byte(body)})
}

// logLines collects log output.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) contains(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), s)
}

func (l *logLines) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// gate is a proxy whose connections can be cut.
type gate struct {
	t    *testing.T
	ln   net.Listener
	to   string
	work sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	shut  bool
}

func newGate(t *testing.T, to string) *gate {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, ln: ln, to: to}
	g.work.Go(g.serve)
	t.Cleanup(func() { ln.Close(); g.cut(); g.work.Wait() })
	return g
}

func (g *gate) serve() {
	for {
		c, err := g.ln.Accept()
		if err != nil {
			return
		}
		d, err := net.Dial("tcp", g.to)
		if err != nil {
			c.Close()
			continue
		}
		g.mu.Lock()
		if g.shut {
			c.Close()
			d.Close()
		}
		g.conns = append(g.conns, c, d)
		g.mu.Unlock()
		g.work.Go(func() { pipe(c, d) })
		g.work.Go(func() { pipe(d, c) })
	}
}

func pipe(a, b net.Conn) {
	defer a.Close()
	defer b.Close()
	buf := make([]byte, 4096)
	for {
		n, err := a.Read(buf)
		if n > 0 {
			if _, err := b.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut ends all connections; later ones are let through unless close is set.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
}

func (g *gate) setShut(shut bool) {
	g.mu.Lock()
	g.shut = shut
	g.mu.Unlock()
}

var errNo = errors.New("no")
