package servertest

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/inbound"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/testkit"
)

// Services is a server reduced to what a module needs: the test of a module sets
// the fields that matter to it, calls Run, and looks at the fields again. The
// fields must not be changed while the module runs; Reload gives it other options.
type Services struct {
	Opts *config.Options // those of the start
	// ID, Name, Store, and JSDomain are the identity; a server without a JSDomain
	// has no JetStream unless Streams says so.
	ID, Name, Store, JSDomain string
	Streams                   bool
	// Acc is the only account.
	Acc *account.Account
	// Auth lets everybody in unless it is set; Left is what a reload leaves of a
	// grant, nil for all.
	Auth  func(*auth.Request) (*auth.Grant, error)
	Left  func(*auth.Grant) (*auth.Grant, bool)
	Conns *core.Connections
	// Clients and Links are what waits for clients and for links.
	Clients, Links outbound.Pool
	Parts          inbound.Parts
	Log            testkit.Log

	t        testing.TB
	module   core.Module
	reloaded atomic.Pointer[config.Options] // nil: Opts hold
	logger   *slog.Logger
	stopLog  func() // tells of the lines that were only counted
}

var _ core.Services = (*Services)(nil)

// NewServices makes one with the default options.
func NewServices(t testing.TB, name string) *Services {
	s := &Services{
		t: t, Opts: config.Defaults(), Name: name, ID: "N" + name,
		Acc: account.New(config.GlobalAccount), Conns: core.NewConnections(0, 100),
	}
	lines, stop := core.NewPeerHandler(slog.NewTextHandler(&s.Log, nil))
	s.logger, s.stopLog = slog.New(lines), stop
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, s.Log.String())
		}
	})
	return s
}

// Run starts the module, and stops it at the end of the test.
func (s *Services) Run(m core.Module) {
	s.t.Helper()
	s.module = m
	if err := m.Verify(nil, s.Opts); err != nil {
		s.t.Fatal(err)
	}
	if err := m.Start(s); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.Stop)
}

// Stop stops the module, if one was run, and has the log tell of the lines that
// were only counted; again is harmless.
func (s *Services) Stop() {
	if s.module != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.module.Stop(ctx); err != nil {
			s.t.Error(err)
		}
	}
	s.stopLog()
}

// Reload gives the module changed options as a server does, or returns why it
// refuses them.
func (s *Services) Reload(change func(o *config.Options)) error {
	from := s.Options()
	to := *from
	change(&to)
	if err := s.module.Verify(from, &to); err != nil {
		return err
	}
	s.reloaded.Store(&to)
	s.module.Commit(from, &to)
	return nil
}

// Options is part of core.Services.
func (s *Services) Options() *config.Options {
	if o := s.reloaded.Load(); o != nil {
		return o
	}
	return s.Opts
}

// Logger is part of core.Services.
func (s *Services) Logger() *slog.Logger { return s.logger }

// ServerID is part of core.Services.
func (s *Services) ServerID() string { return s.ID }

// ServerName is part of core.Services.
func (s *Services) ServerName() string { return s.Name }

// StoreID is part of core.Services.
func (s *Services) StoreID() string { return s.Store }

// ClusterName is part of core.Services.
func (s *Services) ClusterName() string { return "" }

// Domain is part of core.Services.
func (s *Services) Domain() string { return s.JSDomain }

// JetStream is part of core.Services.
func (s *Services) StreamsIn(*account.Account) bool { return s.JetStream() }

func (s *Services) JetStream() bool { return s.Streams || s.JSDomain != "" }

// Version is part of core.Services.
func (s *Services) Version() string { return core.Level }

// APILevel is part of core.Services.
func (s *Services) APILevel() int { return 2 }

// Connections is part of core.Services.
func (s *Services) Connections() *core.Connections { return s.Conns }

// Outbound is part of core.Services.
func (s *Services) Outbound() *outbound.Pool { return &s.Clients }

// OutboundLinks is part of core.Services.
func (s *Services) OutboundLinks() *outbound.Pool { return &s.Links }

// Inbound is part of core.Services.
func (s *Services) Inbound() *inbound.Parts { return &s.Parts }

// Account is part of core.Services.
func (s *Services) Account(name string) (*account.Account, bool) {
	return s.Acc, name == s.Acc.Name()
}

// StreamClient is part of core.Services.
func (s *Services) StreamClient(a *account.Account, domain string) (*jsclient.Client, error) {
	return core.NewStreamClient(a, jsclient.Options{Domain: domain})
}

// Authenticate is part of core.Services.
func (s *Services) Authenticate(r *auth.Request) (*auth.Grant, error) {
	if s.Auth == nil {
		return &auth.Grant{Account: config.GlobalAccount}, nil
	}
	return s.Auth(r)
}

// Renew is part of core.Services.
func (s *Services) Renew(_ auth.Kind, g *auth.Grant) (*auth.Grant, bool) {
	if s.Left == nil {
		return g, true
	}
	return s.Left(g)
}
