package leaf

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/wire"
)

// node is a server with a leaf module.
type node struct {
	*servertest.Services
	t testing.TB
	m *Module
}

func newNode(t testing.TB, name string) *node {
	n := &node{Services: servertest.NewServices(t, name), t: t}
	n.Opts.Leaf.Host = "127.0.0.1"
	n.Opts.Leaf.Compression.Mode = config.CompressOff
	return n
}

// start starts the module and stops it at the end of the test.
func (n *node) start() *node {
	n.t.Helper()
	if n.m == nil {
		n.m = New()
	}
	n.Run(n.m)
	return n
}

// startHub starts a node with a leafnode port.
func startHub(t *testing.T, change func(*node)) *node {
	n := newNode(t, "HUB")
	n.Opts.Leaf.Port = -1
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
	n.Opts.Leaf.Remotes = []config.Remote{r}
	return n.start()
}

func (n *node) addr() string { return n.m.Addr().String() }

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
	if err := n.Acc.Subscribe(sub); err != nil {
		n.t.Fatal(err)
	}
	return sink, sub
}

func (n *node) publish(m *wire.Msg) int {
	o := account.NewOrigin(nil, account.RoleClient, "")
	defer o.Flush()
	return n.Acc.Route(o, m)
}

func (n *node) send(subj, body string) int {
	return n.publish(&wire.Msg{Subject: []byte(subj), Body: []byte(body)})
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
