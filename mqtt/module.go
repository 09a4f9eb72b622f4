package mqtt

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
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
	ln       *transport.Listener      // nil without a port
	socket   *transport.Listener      // nil without a Unix socket
	own      atomic.Pointer[listener] // what the port of the block is
	nextOwn  *listener                // that Verify has made
	ports    ports                    // beside it

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
	if from != nil {
		if err := config.Refused(config.Diff(from, to), m.Name()); err != nil {
			return err
		}
	}
	var err error
	if m.nextOwn, err = newListener(to.MQTT.TLS, &to.MQTT.Auth); err != nil {
		return &config.Error{Pos: to.Pos("mqtt.tls"), Reason: err.Error()}
	}
	return m.ports.verify(to, from != nil)
}

// Abandon is part of core.Abandoner.
func (m *Module) Abandon() { m.ports.abandon() }

// Commit takes new certificates, opens and closes listeners, and ends clients whose
// listener or user is gone or has other rights than before: they come back with those
// that they have now.
func (m *Module) Commit(_, _ *config.Options) {
	m.own.Store(m.nextOwn)
	m.commitPorts()
	all := m.connected()
	for _, c := range all {
		c.renew()
	}
	for _, c := range surplus(all) {
		c.fail(errTooMany)
	}
}

// renew ends a client that would not be let in any more, or to something else.
func (c *conn) renew() {
	if !c.at.stands() {
		c.fail(errListener)
		return
	}
	if g, ok := c.m.services.Renew(auth.KindMQTT, c.grant); !ok || !g.Same(c.grant) {
		c.fail(errRevoked)
	}
}

// Expel is part of core.Expellable.
func (c *conn) Expel(wire.CloseReason, string) { c.fail(errTooMany) }

// Start opens the MQTT ports and the Unix socket.
func (m *Module) Start(s core.Services) error {
	if m.services != nil {
		return core.ErrModuleTaken
	}
	o := s.Options()
	m.services, m.log = s, s.Logger()
	m.ctx, m.stop = context.WithCancel(context.Background())
	defer m.ready.Store(true)
	m.openStores(o)
	m.own.Store(m.nextOwn)
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
		m.socket.Run(m.log, "mqtt", func(nc net.Conn) { m.accept(nc, nil, nil) })
	}
	if _, err := m.ports.openNext(); err != nil {
		return err
	}
	m.commitPorts()
	return nil
}

func (m *Module) listen(o *config.Options) error {
	ln, err := transport.Listen("mqtt.port", o.MQTT.Host, o.MQTT.Port)
	if err != nil {
		return err
	}
	m.ln = ln
	m.log.Info("Listening for MQTT clients on " + m.own.Load().announced(ln))
	ln.Run(m.log, "mqtt", func(nc net.Conn) { m.accept(nc, m.own.Load(), nil) })
	return nil
}

// Addr is where the port of the block is, or nil.
func (m *Module) Addr() net.Addr {
	if m.ln == nil {
		return nil
	}
	return m.ln.Addr()
}

// accept begins a connection; it runs on the accepting goroutine. l is nil for the Unix
// socket, w but for a WebSocket.
func (m *Module) accept(nc net.Conn, l *listener, w *core.Upgraded) {
	all := m.services.Connections()
	if !all.Enter() {
		m.tooMany(nc, l)
		return
	}
	if !l.enter() {
		all.Leave()
		m.tooMany(nc, l)
		return
	}
	m.work.Add(1)
	go m.serve(nc, l, w, func() {
		l.leave()
		all.Leave()
		m.work.Done()
	})
}

func (m *Module) tooMany(nc net.Conn, l *listener) {
	c := m.newConn(m.services.Connections().NextID(), nc, l, m.services.Options())
	core.PeerLogger(m.log, "mqtt", c.id, nc.RemoteAddr()).Error("MQTT connection refused: maximum connections exceeded" + l.named())
	nc.Close()
	m.services.Connections().Refused(c, wire.ReasonConnections)
}

// serve begins a connection, and goes on until it is silent. leave is called when
// it is over. Without a listener it is plain.
func (m *Module) serve(nc net.Conn, l *listener, w *core.Upgraded, leave func()) {
	id := m.services.Connections().NextID()
	o := m.services.Options()
	if l != nil && l.tls != nil && w == nil {
		greeting := transport.Greeting{TLS: l.tls, Timeout: l.timeout, First: true}
		stop := context.AfterFunc(m.ctx, func() { nc.Close() })
		tc, err := greeting.Open(nc)
		stop()
		if err != nil {
			core.PeerLogger(m.log, "mqtt", id, nc.RemoteAddr()).Error("MQTT connection refused"+l.named(), "err", err)
			nc.Close()
			m.services.Connections().Refused(m.newConn(id, nc, l, o), wire.ReasonTLSHandshake)
			leave()
			return
		}
		nc = tc
	}
	c := m.newConn(id, nc, l, o)
	c.leave, c.web = leave, w
	c.serve()
}

func (m *Module) newConn(id uint64, nc net.Conn, l *listener, o *config.Options) *conn {
	c := &conn{
		m: m, o: o, at: l, id: id, nc: nc, started: time.Now(),
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

// connected are the clients that are registered now.
func (m *Module) connected() []*conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.mu.clients))
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

// Stop closes ports and socket and ends all connections.
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
	m.ports.close()
	for _, c := range m.connected() {
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
	d.MQTT.Listeners = m.ports.describe()
	d.MQTT.LostRetained, d.MQTT.LostKept = m.lostRetained.Load(), m.lostKept.Load()
}

var _ core.Module = (*Module)(nil)
