package core

import (
	"fmt"
	"log/slog"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/subject"
)

var _ Services = (*Server)(nil)

// Options is part of Services.
func (s *Server) Options() *config.Options { return s.o }

// Logger is part of Services.
func (s *Server) Logger() *slog.Logger { return s.log }

// ServerID is the public key of this run of the server.
func (s *Server) ServerID() string { return s.identity.id }

// StoreID is the identity of the data folder.
func (s *Server) StoreID() string { return s.storeID }

// ServerName is the configured name, or the id.
func (s *Server) ServerName() string {
	if s.o.ServerName != "" {
		return s.o.ServerName
	}
	return s.identity.id
}

// ClusterName is the server's name when it has leaf remotes: then it counts as
// a cluster of one. Otherwise there is none.
func (s *Server) ClusterName() string {
	if len(s.o.Leaf.Remotes) > 0 {
		return s.ServerName()
	}
	return ""
}

// Domain is the JetStream domain.
func (s *Server) Domain() string { return s.o.JetStream.Domain }

// JetStream reports whether streams are there.
func (s *Server) JetStream() bool { return s.o.JetStream.Enabled }

// Version is the nats-server level announced to peers.
func (s *Server) Version() string { return Level }

// APILevel is the level of the JetStream API.
func (s *Server) APILevel() int { return apiLevel }

// Connections are those of all protocols.
func (s *Server) Connections() *Connections { return s.connections }

// Budget is what waits for all clients together.
func (s *Server) Budget() *Budget { return &s.chunks.budget }

// Account finds an account by name.
func (s *Server) Account(name string) (*account.Account, bool) {
	a, ok := s.accounts[name]
	return a, ok
}

func (s *Server) door(k auth.Kind) *auth.Directory {
	switch k {
	case auth.KindLeaf:
		return s.doors.leaf
	case auth.KindMQTT:
		return s.doors.mqtt
	default:
		return s.doors.client
	}
}

// Authenticate finds out who a peer is.
func (s *Server) Authenticate(r *auth.Request) (*auth.Grant, error) {
	return s.door(r.Kind).Authenticate(r)
}

// newDoors gives every door its directory. Leaf and MQTT listeners without an
// authorization of their own use the server's.
func newDoors(o *config.Options) (d doors, err error) {
	if d.client, err = newDirectory(&o.Auth, o.NoAuthUser); err != nil {
		return d, optionError(o, "authorization", err)
	}
	d.leaf = d.client
	if !o.Leaf.Auth.Empty() {
		if d.leaf, err = newDirectory(&o.Leaf.Auth, ""); err != nil {
			return d, optionError(o, "leafnodes.authorization", err)
		}
	}
	d.mqtt = d.client
	stand := o.MQTT.NoAuthUser
	switch {
	case !o.MQTT.Auth.Empty():
		d.mqtt, err = newDirectory(&o.MQTT.Auth, stand)
	case stand != "":
		d.mqtt, err = newDirectory(&o.Auth, stand)
	}
	if err != nil {
		return d, optionError(o, "mqtt.authorization", err)
	}
	return d, nil
}

func newDirectory(a *config.Authorization, stand string) (*auth.Directory, error) {
	var users []auth.User
	if a.User != "" || a.NKey != "" {
		p, err := newPermissions(a.DefaultPermissions)
		if err != nil {
			return nil, err
		}
		users = append(users, auth.User{Name: a.User, Password: a.Password, NKey: a.NKey, Account: a.Account, Permissions: p})
	}
	for i := range a.Users {
		u := &a.Users[i]
		given := u.Permissions
		if given == nil {
			given = a.DefaultPermissions
		}
		p, err := newPermissions(given)
		if err != nil {
			return nil, fmt.Errorf("user %q: %w", u.User+u.NKey, err)
		}
		users = append(users, auth.User{
			Name: u.User, Password: u.Password, NKey: u.NKey, Account: u.Account, Permissions: p, Doors: u.ConnTypes,
		})
	}
	return auth.NewDirectory(users, a.Token, stand)
}

func newPermissions(p *config.Permissions) (*subject.Permissions, error) {
	if p == nil {
		return nil, nil
	}
	rules := func(r *config.Rules) *subject.Rules {
		if r == nil {
			return nil
		}
		s := &subject.Rules{Deny: r.Deny}
		if len(r.Allow) > 0 {
			s.Allow = r.Allow
		}
		return s
	}
	var resp *subject.Responses
	if p.Responses != nil {
		resp = &subject.Responses{Max: p.Responses.Max, Expires: p.Responses.Expires}
	}
	return subject.NewPermissions(rules(p.Publish), rules(p.Subscribe), resp)
}
