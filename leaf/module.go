package leaf

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
)

// Module is the leaf room as the server sees it.
type Module struct {
	services  core.Services
	log       *slog.Logger
	collector *collector    // nil without
	listener  *listener     // nil without a port
	aliveWait time.Duration // fixed
	nextTLS   *tls.Config   // of the listener, that Verify has made

	ctx   context.Context    // of all that Start begins
	stop  context.CancelFunc // nil before Start
	ready atomic.Bool        // what Start makes can be read
	work  sync.WaitGroup     // accepted links, the remotes, the collector

	mu struct {
		sync.Mutex
		links   []*link
		remotes []*remote                   // that dial now
		loops   map[*account.Account]string // own loop subject of each account
		learned map[string]bounds           // by the name of the peer
		// conflicts are the newest, oldest first.
		conflicts []monitor.LeafConflict
	}
}

// New makes the module, for one server. It does nothing before Start.
func New() *Module {
	m := &Module{aliveWait: aliveWait, log: slog.New(slog.DiscardHandler)}
	m.mu.loops = make(map[*account.Account]string)
	m.mu.learned = make(map[string]bounds)
	return m
}

// Name is the module's block.
func (m *Module) Name() string { return "leafnodes" }

// Verify checks what can be known before anything starts, refuses changes of the
// block that need a restart, and reads the files of TLS.
func (m *Module) Verify(from, o *config.Options) error {
	if from == nil && m.services != nil {
		return fmt.Errorf("%s: %w", m.Name(), core.ErrModuleTaken)
	}
	m.nextTLS = nil
	if from != nil {
		if err := config.Refused(config.Diff(from, o), m.Name()); err != nil {
			return err
		}
	}
	if o.Leaf.TLS != nil && o.Leaf.Port != 0 {
		var err error
		if m.nextTLS, err = o.Leaf.TLS.ServerConfig(); err != nil {
			return &config.Error{Pos: o.Pos("leafnodes.tls"), Reason: err.Error()}
		}
	}
	if err := verifyCollect(o); err != nil {
		return &config.Error{Pos: o.Pos("leafnodes.collect"), Reason: err.Error()}
	}
	for i := range o.Leaf.Remotes {
		r := &o.Leaf.Remotes[i]
		if len(r.URLs) == 0 {
			return fmt.Errorf("%s: leafnode remote without a url", r.Pos)
		}
		if slices.ContainsFunc(r.URLs, func(u *url.URL) bool { return u.Scheme == "ws" || u.Scheme == "wss" }) {
			return fmt.Errorf("%s: WebSocket leafnode remotes are not supported yet", r.Pos)
		}
		if _, err := newRules(r.Hub, false, nil, side{}, side{}, r.DenyExports, r.DenyImports); err != nil {
			return fmt.Errorf("%s: %w", r.Pos, err)
		}
		if m.services != nil {
			if _, err := m.newRemote(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// Start opens the leafnode port and begins to dial the remotes.
func (m *Module) Start(s core.Services) error {
	if m.services != nil {
		return core.ErrModuleTaken
	}
	o := s.Options()
	m.services, m.log = s, s.Logger()
	m.ctx, m.stop = context.WithCancel(context.Background())
	ctx := m.ctx
	fresh, _, err := m.follow(o)
	if err != nil {
		return err
	}
	if o.Leaf.Collect != "" {
		a, _ := s.Account(config.GlobalAccount) // there always is
		var err error
		if m.collector, err = newCollector(m, a, o.Leaf.Collect); err != nil {
			return err
		}
		m.work.Go(func() { m.collector.run(ctx) })
	}
	if o.Leaf.Port != 0 {
		l, err := m.listen(o)
		if err != nil {
			return err
		}
		m.listener = l
		m.log.Info("Listening for leafnode connections on " + l.ln.Announced())
		l.serve(ctx)
	}
	m.ready.Store(true)
	for _, r := range fresh {
		m.work.Go(func() { r.run(nil) })
	}
	return nil
}

// Stop ends all links and waits for them.
func (m *Module) Stop(ctx context.Context) error {
	if m.stop == nil {
		return nil
	}
	m.stop()
	if m.listener != nil {
		m.listener.ln.Close()
	}
	done := make(chan struct{})
	go func() { m.work.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("leaf links did not end: %w", ctx.Err())
	}
}

// Addr is where the listener is, or nil.
func (m *Module) Addr() net.Addr {
	if m.listener == nil {
		return nil
	}
	return m.listener.ln.Addr()
}

// runLink registers a link, runs it to its end and takes it off again.
func (m *Module) runLink(ctx context.Context, l *link) *ending {
	l.log = core.PeerLogger(m.log, kind, l.id, l.conn.RemoteAddr()).With("client", l.peer.name, "account", l.account.Name())
	if l.user != "" {
		l.log = l.log.With("user", l.user)
	}
	l.open()
	l.ponged, l.over = make(chan struct{}, 1), make(chan struct{})
	m.watchLoops(l.account)
	if l.dialed {
		l.account.Join()
		defer l.account.Leave(true)
	} else if l.account.Enter(true) {
		defer l.account.Leave(true)
	} else {
		l.fail(wire.ReasonAccountConnections, errAccountFull)
	}
	m.admit(ctx, l)
	m.services.Connections().Add(l)
	m.collector.joined()
	l.renew() // a reload before may not have found it
	stop := context.AfterFunc(ctx, func() {
		if m.ctx.Err() == nil { // the remote is not configured any more, or in another way
			l.fail(wire.ReasonClientClosed, nil)
			return
		}
		l.fail(wire.ReasonServerShutdown, nil)
	})
	l.log.Info("Leafnode connection created", "hub", l.rules.hub)
	if here := m.here(); here.jetstream || l.peer.jetstream {
		l.log.Info("JetStream using domains", "local", here.domain, "peer", l.peer.domain)
	}
	end := l.run()
	close(l.over)
	stop()
	m.services.Connections().Remove(l, end.reason)
	m.remove(l)
	l.log.Info("Leafnode connection closed", "reason", end.reason.String(), "err", end.err)
	return end
}

func (m *Module) snapshot() []*link {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.mu.links)
}

// watchLoops makes the account announce a subject of its own, once. If it ever
// comes back by a link there is a loop.
func (m *Module) watchLoops(a *account.Account) {
	m.mu.Lock()
	if m.mu.loops[a] != "" {
		m.mu.Unlock()
		return
	}
	subj := "$LDS." + rand.Text()[:22]
	m.mu.loops[a] = subj
	m.mu.Unlock()
	// The subject is valid by construction.
	_ = a.Subscribe(&account.Sub{Subject: subj, Sink: silent{}})
}

func (m *Module) isLoop(a *account.Account, subj []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.loops[a] == string(subj)
}

// errLoop is what both ends understand as "stay away for a while".
func errLoop(a *account.Account) error {
	return &wire.Error{
		Text:   "Loop detected for leafnode account=\"" + a.Name() + "\". Delaying attempt to reconnect for 30s",
		Reason: wire.ReasonDuplicateLeaf,
	}
}

// silent is interest without a receiver.
type silent struct{}

func (silent) Role() account.Role                   { return account.RoleInternal }
func (silent) Cluster() string                      { return "" }
func (silent) Deliver(*account.Sub, *wire.Msg) bool { return false }
func (silent) Flush()                               {}

// here is this server's JetStream as peers see it.
func (m *Module) here() side {
	return side{domain: m.services.Domain(), jetstream: m.services.JetStream()}
}

// clusterName is what links announce: a server that dials and is in no
// cluster is a cluster of its own.
func (m *Module) clusterName() string {
	if c := m.services.ClusterName(); c != "" || len(m.dialers()) == 0 {
		return c
	}
	return m.services.ServerName()
}

// info is what every INFO says of this server.
func (m *Module) info() *info {
	s := m.services
	return &info{
		ServerID: s.ServerID(), ServerName: s.ServerName(), Version: s.Version(),
		Proto: protocolVersion, Go: runtime.Version(), Headers: !s.Options().NoHeaders,
		JetStream: s.JetStream(), Domain: s.Domain(), Cluster: m.clusterName(), APILevel: s.APILevel(), Frond: m.extra(),
	}
}

// newPermissions makes the rights of a user from what its hub told.
func newPermissions(export, imported *permissions) (*subject.Permissions, error) {
	if export == nil && imported == nil {
		return nil, nil
	}
	return subject.NewPermissions(export.rules(), imported.rules(), nil)
}

// sleep waits and reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

var _ core.Module = (*Module)(nil)
