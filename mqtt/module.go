package mqtt

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/transport"
	"github.com/frondmq/frond/core/wire"
)

// Module is the mqtt room as the server sees it.
type Module struct {
	services core.Services
	log      *slog.Logger
	ln       *transport.Listener        // nil without a port
	socket   *transport.Listener        // nil without a Unix socket
	tls      atomic.Pointer[tls.Config] // nil without
	nextTLS  *tls.Config                // that Verify has made

	began time.Time
	ctx   context.Context
	stop  context.CancelFunc // nil before Start
	ready atomic.Bool        // what Start makes can be read
	work  sync.WaitGroup     // the connections

	outbound    atomic.Pointer[kind] // of the connection that began last
	readBuffers sync.Pool            // of *[]byte
	readers     sync.Pool            // of *bufio.Reader
	receipts    sync.Pool            // of *receipt

	turned         turned // who was not let in
	lostProperties atomic.Uint64
	lostRetained   atomic.Uint64
	lostKept       atomic.Uint64 // by kept sessions, of what came by links

	keepers struct {
		sync.Mutex
		of map[string]*keeper // by account
	}

	stores  stores
	delayed delayed
	flaps   turned // client identifiers that are taken over

	mu struct {
		sync.Mutex
		clients map[string]*conn      // by client identifier
		tallies map[string]*tally     // by account
		sys     map[string]*sysTopics // by account
	}
}

// New makes the module, for one server. It does nothing before Start.
func New() *Module {
	m := &Module{log: slog.New(slog.DiscardHandler), began: time.Now()}
	m.mu.clients = make(map[string]*conn)
	return m
}

// Name is the module's block.
func (m *Module) Name() string { return "mqtt" }

// Verify refuses changes of the block that need a restart, and reads the files of
// TLS.
func (m *Module) Verify(from, to *config.Options) error {
	if from == nil && m.services != nil {
		return fmt.Errorf("%s: %w", m.Name(), core.ErrModuleTaken)
	}
	m.nextTLS = nil
	if from != nil {
		if err := config.Refused(config.Diff(from, to), m.Name()); err != nil {
			return err
		}
	}
	if to.MQTT.TLS != nil {
		var err error
		if m.nextTLS, err = to.MQTT.TLS.ServerConfig(); err != nil {
			return &config.Error{Pos: to.Pos("mqtt.tls"), Reason: err.Error()}
		}
	}
	return nil
}

// Commit takes new certificates, and ends clients whose user is gone or has other
// rights than before: they come back with those that they have now.
func (m *Module) Commit(_, _ *config.Options) {
	m.tls.Store(m.nextTLS)
	m.mu.Lock()
	all := make([]*conn, 0, len(m.mu.clients))
	for _, c := range m.mu.clients {
		all = append(all, c)
	}
	m.mu.Unlock()
	for _, c := range all {
		c.renew()
	}
}

// renew ends a client that would not be let in any more, or to something else.
func (c *conn) renew() {
	if g, ok := c.m.services.Renew(auth.KindMQTT, c.grant); !ok || !g.Same(c.grant) {
		c.fail(errRevoked)
	}
}

// Expel is part of core.Expellable.
func (c *conn) Expel(wire.CloseReason, string) { c.fail(errTooMany) }

// Start opens the MQTT port and the Unix socket.
func (m *Module) Start(s core.Services) error {
	if m.services != nil {
		return core.ErrModuleTaken
	}
	o := s.Options()
	m.services, m.log = s, s.Logger()
	m.ctx, m.stop = context.WithCancel(context.Background())
	defer m.ready.Store(true)
	m.openStores(o)
	if o.MQTT.Port != 0 {
		if err := m.listen(o); err != nil {
			return err
		}
	}
	if o.MQTT.Unix.Path != "" {
		var err error
		if m.socket, err = core.ListenUnix("mqtt.unix_socket", &o.MQTT.Unix); err != nil {
			return err
		}
		m.log.Info("Listening for MQTT clients on " + m.socket.Announced())
		m.socket.Run(m.log, "mqtt", func(nc net.Conn) { m.accept(nc, nil) })
	}
	return nil
}

func (m *Module) listen(o *config.Options) error {
	m.tls.Store(m.nextTLS)
	ln, err := transport.Listen("mqtt.port", o.MQTT.Host, o.MQTT.Port)
	if err != nil {
		return err
	}
	m.ln = ln
	scheme := "mqtt"
	if m.tls.Load() != nil {
		scheme = "tls"
	}
	m.log.Info("Listening for MQTT clients on " + scheme + "://" + ln.Announced())
	ln.Run(m.log, "mqtt", func(nc net.Conn) { m.accept(nc, m.tls.Load()) })
	return nil
}

// Addr is where the listener is, or nil.
func (m *Module) Addr() net.Addr {
	if m.ln == nil {
		return nil
	}
	return m.ln.Addr()
}

// accept begins a connection; it runs on the accepting goroutine. Without t it is
// plain.
func (m *Module) accept(nc net.Conn, t *tls.Config) {
	all := m.services.Connections()
	if !all.Enter() {
		c := m.newConn(all.NextID(), nc, m.services.Options())
		core.PeerLogger(m.log, "mqtt", c.id, nc.RemoteAddr()).Error("MQTT connection refused: maximum connections exceeded")
		nc.Close()
		all.Refused(c, wire.ReasonConnections)
		return
	}
	m.work.Add(1)
	go m.serve(nc, t, func() {
		all.Leave()
		m.work.Done()
	})
}

// serve begins a connection, and goes on until it is silent. leave is called when
// it is over.
func (m *Module) serve(nc net.Conn, t *tls.Config, leave func()) {
	id := m.services.Connections().NextID()
	o := m.services.Options()
	if t != nil {
		greeting := transport.Greeting{TLS: t, Timeout: o.MQTT.TLS.Timeout, First: true}
		stop := context.AfterFunc(m.ctx, func() { nc.Close() })
		tc, err := greeting.Open(nc)
		stop()
		if err != nil {
			core.PeerLogger(m.log, "mqtt", id, nc.RemoteAddr()).Error("MQTT connection refused", "err", err)
			nc.Close()
			m.services.Connections().Refused(m.newConn(id, nc, o), wire.ReasonTLSHandshake)
			leave()
			return
		}
		nc = tc
	}
	c := m.newConn(id, nc, o)
	c.leave = leave
	c.serve()
}

func (m *Module) newConn(id uint64, nc net.Conn, o *config.Options) *conn {
	c := &conn{
		m: m, o: o, id: id, nc: nc, started: time.Now(),
		ended: make(chan struct{}),
	}
	c.out = outbound.New(m.kind(o), nc, c)
	c.acks = newAcks(c)
	c.part.Init(m.services.Inbound(), c)
	c.lastSeen.Store(core.Ticks(c.started))
	return c
}

// key is what there is one client of at a time.
func (c *conn) key() string { return c.account.Name() + " " + c.clientID }

// holdBack has a client wait whose identifier is taken over again and again, by two
// devices that have the same one: later and later, up to a second. It reports false
// when the connection ended meanwhile, or too many wait.
func (m *Module) holdBack(c *conn) bool {
	m.mu.Lock()
	taken := m.mu.clients[c.key()] != nil
	m.mu.Unlock()
	return !taken || m.flaps.hold(c.key(), c.ended)
}

// add registers a connected client and returns the one it replaces.
func (m *Module) add(c *conn) (old *conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := c.key()
	old = m.mu.clients[key]
	m.mu.clients[key] = c
	c.listed = true
	m.tallyLocked(c.account.Name()).come(c)
	m.services.Connections().Add(c)
	return old
}

// remove takes off one that has ended.
func (m *Module) remove(c *conn) {
	m.services.Connections().Remove(c, c.closedReason())
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tallyLocked(c.account.Name()).leave(c)
	key := c.key()
	if m.mu.clients[key] == c {
		delete(m.mu.clients, key)
	}
}

// Stop closes port and socket and ends all connections.
func (m *Module) Stop(ctx context.Context) error {
	if m.stop == nil {
		return nil
	}
	m.stop()
	for _, l := range []*transport.Listener{m.ln, m.socket} {
		if l != nil {
			l.Close()
		}
	}
	m.mu.Lock()
	all := make([]*conn, 0, len(m.mu.clients))
	for _, c := range m.mu.clients {
		all = append(all, c)
	}
	m.mu.Unlock()
	for _, c := range all {
		c.fail(errShutdown)
	}
	done := make(chan struct{})
	go func() { m.work.Wait(); close(done) }()
	defer m.closeKeepers()
	defer m.closeStores(ctx)
	defer m.delayed.end()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("MQTT connections did not end: %w", ctx.Err())
	}
}

func (m *Module) closeKeepers() {
	m.keepers.Lock()
	defer m.keepers.Unlock()
	for _, k := range m.keepers.of {
		k.client.Close()
	}
}

// Describe adds the block and its counters.
func (m *Module) Describe(d *monitor.Description) {
	if !m.ready.Load() { // monitoring may be up before the module
		return
	}
	o := m.services.Options()
	if m.ln != nil {
		d.MQTT.Host, d.MQTT.Port = o.MQTT.Host, m.ln.Port()
		d.MQTT.AuthTimeout = o.MQTT.Auth.AuthTimeout(o.MQTT.TLS).Seconds()
		d.MQTT.MaxAckPending = uint16(o.MQTT.MaxAckPending)
		d.MQTT.NoAuthUser = o.MQTT.NoAuthUser
	}
	d.MQTT.RefusedConnects, d.MQTT.LostProperties = m.turned.total.Load(), m.lostProperties.Load()
	d.MQTT.LostRetained, d.MQTT.LostKept = m.lostRetained.Load(), m.lostKept.Load()
}

var _ core.Module = (*Module)(nil)
