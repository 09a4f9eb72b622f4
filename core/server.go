package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/inbound"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/transport"
	"github.com/frondmq/frond/core/wire"
)

// Server is one broker. Its life: New, Start, Shutdown.
type Server struct {
	current   atomic.Pointer[snapshot] // of the options; never nil
	reloading sync.Mutex               // while Reload runs

	// Fixed at construction.
	log      *slog.Logger
	lines    *lineCounts // of log
	file     *Log        // behind log, if it is one of this package
	modules  []Module
	identity identity
	accounts account.Registry
	global   *account.Account // $G, which is always there
	pool     outbound.Pool    // of what waits for clients
	links    outbound.Pool    // and for links
	parts    inbound.Parts    // of messages that are not whole
	memory   *memory
	system   *system
	buffers  wire.Buffers
	reads    readBuffers
	// Tests change these before Start.
	diskFree    func(dir string) int64
	upkeepEvery time.Duration

	startedAt time.Time                          // fixed by Start
	storeID   string                             // same
	store     atomic.Pointer[store]              // JetStream; nil when off
	clients   atomic.Pointer[transport.Listener] // set by Start, before it accepts
	socket    *transport.Listener                // of clients beside the port; nil without; fixed by Start
	monitor   *monitorDoors                      // nil when off; fixed by Start

	ready     atomic.Bool // all doors are open
	systemSeq atomic.Uint64
	cpu       cpuMeter
	stalls    atomic.Int64 // publishers held up
	// connections are those of all protocols; conns are the goroutines of clients.
	connections *Connections
	conns       sync.WaitGroup

	mu struct {
		sync.Mutex
		state state
	}
	web       webDoor // clients over WebSockets
	embedded  embedded
	streams   streamsOf
	crossings crossings     // of New and of reloads, one at a time
	kept      KeptStream    // fixed by Start
	begun     int           // modules that Start began; same
	systemUp  bool          // same
	stopped   chan struct{} // closed when Shutdown has ended
}

type state uint8

const (
	stateNew state = iota
	stateRunning
	stateStopping
)

// doors know who may come in where.
type doors struct {
	client, web, leaf, mqtt *auth.Directory
	mqttListeners           map[string]*auth.Directory // beside the port of the block, by name
}

// New checks the options and makes a server whose doors are closed. They begin as
// config.Defaults or a file makes them, and nobody may change them from then on:
// Reload takes others. mods are the protocols of this build beside the client port,
// each made for this server alone. A nil log discards everything.
func New(o *config.Options, mods []Module, log *slog.Logger) (*Server, error) {
	if o == nil {
		return nil, errNoOptions
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	front := newPeerLog(log.Handler())
	s := &Server{
		log: slog.New(front), lines: front.lines, file: fileLog(log), modules: mods, stopped: make(chan struct{}),
		diskFree: diskFree, upkeepEvery: upkeepEvery,
	}
	s.connections = NewConnections(o.MaxConns, o.MaxClosedConns)
	s.memory = newMemory(o, &s.pool.Budget, &s.links.Budget, &s.parts.Budget, s.log)
	s.embedded.running, s.embedded.stop = context.WithCancel(context.Background())
	s.system = newSystem(s)
	s.connections.system = s.system
	s.global = s.newAccount(config.GlobalAccount, o)
	s.accounts.Add(s.global)
	s.accounts.Add(s.newAccount(o.SystemAccount, o))
	var err error
	if s.identity, err = newIdentity(); err != nil {
		return nil, err
	}
	first, err := s.verify(nil, o, nil)
	if err != nil {
		return nil, err
	}
	first.tenants.commit()
	s.current.Store(first)
	return s, nil
}

var errNoOptions = errors.New("there are no options: config.Defaults makes those to begin with")

// verifyModules asks each module about its block, and refuses blocks that no
// module of this build has. The tables of the configuration say whose they are.
func verifyModules(from, to *config.Options, mods []Module) error {
	var errs []error
	for _, b := range to.Blocks() {
		if !slices.ContainsFunc(mods, func(m Module) bool { return m.Name() == b.Module }) {
			errs = append(errs, optionError(to, b.Name, fmt.Errorf("this build has no %s; the %s build has", b.Module, b.Build)))
		}
	}
	for _, m := range mods {
		if err := m.Verify(from, to); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// optionError says where the option was given that is to blame.
func optionError(o *config.Options, path string, err error) error {
	return &config.Error{Pos: o.Pos(path), Reason: err.Error()}
}

// Start looks whether the ports are free, opens the store, and then the doors:
// monitoring, modules, clients. Who starts a second server on one folder is told
// that, and not of a port. After an error the caller still calls Shutdown. A server
// starts once, and never behind Shutdown.
func (s *Server) Start() error {
	s.mu.Lock()
	if s.mu.state != stateNew {
		s.mu.Unlock()
		return errors.New("this server was started or shut down before")
	}
	s.mu.state = stateRunning
	s.mu.Unlock()
	s.startedAt = time.Now()
	s.log.Info("Starting frond")
	s.log.Info("  Version:  " + VersionText())
	s.log.Info("  Name:     " + s.ServerName())
	s.log.Info("  ID:       " + s.ServerID())
	o := s.Options()
	if o.File != "" {
		s.log.Info("Using configuration file: " + o.File + " (" + o.Digest + ")")
	}
	s.memory.begin()
	taken := CheckPorts(o)
	if taken != nil && !s.storeThere() {
		return taken // and no store is made
	}
	if err := s.openStore(); err != nil {
		return err
	}
	if taken != nil {
		return taken
	}
	if err := s.keepEdgeStore(); err != nil {
		return err
	}
	if err := s.system.start(o.SystemAccount); err != nil {
		return err
	}
	s.systemUp = true
	if err := s.openMonitor(); err != nil {
		return err
	}
	for _, m := range s.modules {
		err := m.Start(services{s})
		if !errors.Is(err, ErrModuleTaken) {
			s.begun++ // failed or not, it is ours to stop
		}
		if err != nil {
			return fmt.Errorf("starting %s: %w", m.Name(), err)
		}
	}
	l, err := transport.Listen("port", o.Host, o.Port)
	if err != nil {
		return err
	}
	s.clients.Store(l)
	l.Run(s.log, "client", s.accept)
	s.log.Info("Listening for client connections on " + l.Announced())
	if o.TLS != nil && !o.AllowNonTLS {
		s.log.Info("TLS required for client connections")
	}
	if o.Unix.Path != "" {
		if s.socket, err = ListenUnix("unix_socket", &o.Unix); err != nil {
			return err
		}
		s.socket.Run(s.log, "client", s.accept)
		s.log.Info("Listening for client connections on " + s.socket.Announced())
	}
	if err := s.openWebSocket(); err != nil {
		return err
	}
	if err := errors.Join(s.writePidFile(), s.writePortsFile()); err != nil {
		return err
	}
	s.ready.Store(true)
	s.log.Info("Server is ready")
	return nil
}

// accept begins a connection; it runs on the accepting goroutine.
func (s *Server) accept(raw net.Conn) { s.begin(raw, false, nil) }

// begin lets a client in, if the server runs.
func (s *Server) begin(raw net.Conn, inProcess bool, web *Upgraded) bool {
	c := &client{
		id: s.connections.NextID(), s: s, began: s.current.Load(), raw: raw, remote: transport.AddrPort(raw.RemoteAddr()), peer: UnixPeer(raw),
		inProcess: inProcess, plain: inProcess || web != nil || transport.PeerOf(raw) != nil, web: web, start: time.Now(),
	}
	c.subs.bySID = make(map[string]*account.Sub)
	c.trace = newTracer(c.began.o, c.log())
	if c.entered = s.connections.Enter(); !c.entered {
		// Told so once INFO is sent.
		c.life.reason, c.life.text = wire.ReasonConnections, "maximum connections exceeded"
	}
	s.mu.Lock()
	running := s.mu.state == stateRunning
	if running {
		s.conns.Add(1)
		s.connections.Add(c)
	}
	s.mu.Unlock()
	if !running {
		raw.Close()
		c.leave()
		return false
	}
	s.debug(c, "Client connection created")
	go c.serve()
	return true
}

// running reports whether Start was called and Shutdown was not.
func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.state == stateRunning
}

func (c *client) leave() {
	if c.entered {
		c.s.connections.Leave()
	}
}

// debug does nothing that costs unless somebody reads it.
func (s *Server) debug(c *client, text string) {
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		c.log().Debug(text)
	}
}

// forget is the last thing a connection does.
func (s *Server) forget(c *client) {
	why := c.reason()
	c.logEnd(why.String())
	s.connections.Remove(c, why)
	c.leave()
	s.conns.Done()
}

// Shutdown closes the doors, then connections, then the store, and returns
// when every goroutine has ended or ctx is done. It works after a failed Start
// too, and again, but not while Start runs.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if s.mu.state == stateStopping {
		s.mu.Unlock()
		select {
		case <-s.stopped:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.state = stateStopping
	s.mu.Unlock()
	defer close(s.stopped)
	s.log.Info("Initiating Shutdown...")
	s.reloading.Lock() // what a reload begins is stopped too, and none begins any more
	s.reloading.Unlock()
	if s.systemUp {
		s.system.leave()
	}
	if l := s.clients.Load(); l != nil {
		l.Close()
	}
	var errs []error
	if s.socket != nil {
		errs = append(errs, s.socket.Close())
	}
	s.closeWebSocket()
	if st := s.store.Load(); st != nil {
		st.engine.EndRequests()
	}
	for i := s.begun - 1; i >= 0; i-- {
		if err := s.modules[i].Stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stopping %s: %w", s.modules[i].Name(), err))
		}
	}
	for _, c := range s.connections.Open() {
		if c, ok := c.(*client); ok {
			c.fail(wire.ReasonServerShutdown, "")
		}
	}
	if err := waitFor(ctx, &s.conns); err != nil {
		errs = append(errs, fmt.Errorf("closing client connections: %w", err))
	}
	if err := s.embedded.end(ctx); err != nil {
		errs = append(errs, fmt.Errorf("the program around the server: a handler or a Publish did not return: %w", err))
	}
	if s.systemUp {
		if err := s.system.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("the system account: a reload, profile or purge that was asked for did not return: %w", err))
		}
	}
	errs = append(errs, s.closeStore(ctx))
	s.closeMonitor(ctx)
	errs = append(errs, s.removePortsFile())
	s.connections.rested.end()
	s.memory.end()
	s.lines.stop()
	s.log.Info("Server Exiting..")
	return errors.Join(errs...)
}

func waitFor(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ClientAddr is where clients connect; nil before Start.
func (s *Server) ClientAddr() net.Addr {
	if l := s.clients.Load(); l != nil {
		return l.Addr()
	}
	return nil
}

// advertised is the address that clients are told.
func (s *Server) advertised(o *config.Options) (host string, port int) {
	host, port = o.Host, o.Port
	if l := s.clients.Load(); l != nil {
		port = l.Port()
	}
	return announced(o.ClientAdvertise, host, port)
}

// announced is what advertise says, or where the listener is.
func announced(advertise, host string, port int) (string, int) {
	if advertise != "" {
		if h, p, err := config.SplitAdvertise(advertise, port); err == nil {
			return h, p
		}
	}
	return host, port
}

// describeModules collects what the modules tell.
func (s *Server) describeModules(d *monitor.Description) *monitor.Description {
	for _, m := range s.modules {
		m.Describe(d)
	}
	return d
}
