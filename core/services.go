package core

import (
	"cmp"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/inbound"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/subject"
)

// services is what the server offers its modules.
type services struct{ s *Server }

var _ Services = services{}

func (v services) Options() *config.Options          { return v.s.Options() }
func (v services) Logger() *slog.Logger              { return v.s.log }
func (v services) ServerID() string                  { return v.s.ServerID() }
func (v services) StoreID() string                   { return v.s.storeID }
func (v services) ServerName() string                { return v.s.ServerName() }
func (v services) ClusterName() string               { return v.s.clusterName(v.s.Options()) }
func (v services) Domain() string                    { return v.s.domain() }
func (v services) JetStream() bool                   { return v.s.jetStream() }
func (v services) StreamsIn(a *account.Account) bool { return v.s.streamsIn(a) }
func (v services) Version() string                   { return Level }
func (v services) APILevel() int                     { return apiLevel }
func (v services) Connections() *Connections         { return v.s.connections }
func (v services) Outbound() *outbound.Pool          { return &v.s.pool }
func (v services) OutboundLinks() *outbound.Pool     { return &v.s.links }
func (v services) Inbound() *inbound.Parts           { return &v.s.parts }

func (v services) Account(name string) (*account.Account, bool) {
	return v.s.accounts.Lookup(name)
}

func (v services) StreamClient(a *account.Account, domain string) (*jsclient.Client, error) {
	return v.s.streamClient(a, domain)
}

// streamClient asks the server's own domain without a detour.
func (s *Server) streamClient(a *account.Account, domain string) (*jsclient.Client, error) {
	here := s.streamsIn(a)
	if domain == s.domain() && here {
		domain = ""
	}
	return NewStreamClient(a, jsclient.Options{Domain: domain, Local: domain == "" && here})
}

func (v services) Authenticate(r *auth.Request) (*auth.Grant, error) {
	d := v.s.door(r.Kind, r.Listener)
	if d == nil { // a reload has taken it away
		return nil, fmt.Errorf("%w: there is no listener %q", auth.ErrDenied, r.Listener)
	}
	return d.Authenticate(r)
}

func (v services) Renew(k auth.Kind, g *auth.Grant) (*auth.Grant, bool) {
	if d := v.s.door(k, g.Listener()); d != nil {
		return d.Renew(g)
	}
	return nil, false
}

// ServerID is the public key of this run of the server.
func (s *Server) ServerID() string { return s.identity.id }

// ServerName is the configured name, or the id.
func (s *Server) ServerName() string {
	if name := s.Options().ServerName; name != "" {
		return name
	}
	return s.identity.id
}

// clusterName is the server's name when it has leaf remotes: then it counts as
// a cluster of one. Otherwise there is none.
func (s *Server) clusterName(o *config.Options) string {
	if len(o.Leaf.Remotes) > 0 {
		return s.ServerName()
	}
	return ""
}

// domain is that of JetStream.
func (s *Server) domain() string { return s.Options().JetStream.Domain }

// jetStream reports whether streams are there.
func (s *Server) jetStream() bool { return s.Options().JetStream.Enabled }

// streamsIn reports whether they are in that account.
func (s *Server) streamsIn(a *account.Account) bool {
	return s.jetStream() && s.Options().StreamsIn(a.Name())
}

// door is nil for a listener that is not there.
func (s *Server) door(k auth.Kind, listener string) *auth.Directory {
	d := &s.current.Load().doors
	if listener != "" {
		return d.mqttListeners[listener]
	}
	switch k {
	case auth.KindLeaf:
		return d.leaf
	case auth.KindMQTT:
		return d.mqtt
	default:
		return d.client
	}
}

// newDoors gives every door its directory. Leaf and MQTT listeners without an
// authorization of their own use the server's.
func newDoors(o *config.Options) (d doors, err error) {
	if d.client, err = newDirectory(&o.Auth, o.Accounts, o.NoAuthUser); err != nil {
		return d, optionError(o, "authorization", err)
	}
	d.web = d.client
	w := &o.WebSocket
	switch {
	case !w.Auth.Empty():
		d.web, err = newDirectory(&w.Auth, nil, w.NoAuthUser)
	case w.NoAuthUser != "":
		d.web, err = newDirectory(&o.Auth, o.Accounts, w.NoAuthUser)
	}
	if err != nil {
		return d, optionError(o, "websocket.authorization", err)
	}
	d.leaf = d.client
	if !o.Leaf.Auth.Empty() {
		if d.leaf, err = newDirectory(&o.Leaf.Auth, nil, ""); err != nil {
			return d, optionError(o, "leafnodes.authorization", err)
		}
	}
	d.mqtt = d.client
	stand := o.MQTT.NoAuthUser
	switch {
	case !o.MQTT.Auth.Empty():
		d.mqtt, err = newDirectory(&o.MQTT.Auth, nil, stand)
	case stand != "":
		d.mqtt, err = newDirectory(&o.Auth, o.Accounts, stand)
	}
	if err != nil {
		return d, optionError(o, "mqtt.authorization", err)
	}
	if err = newListenerDoors(&d, o); err != nil {
		return d, err
	}
	if d.mqtt, err = withPeers(o, d.mqtt, "mqtt.unix_socket", &o.MQTT.Unix); err != nil {
		return d, err
	}
	d.client, err = withPeers(o, d.client, "unix_socket", &o.Unix)
	return d, err
}

// newListenerDoors are those of the MQTT listeners beside the port of the block. Who
// presents nothing is let in where the listener itself says so.
func newListenerDoors(d *doors, o *config.Options) (err error) {
	d.mqttListeners = make(map[string]*auth.Directory, len(o.MQTT.Listeners))
	for i := range o.MQTT.Listeners {
		l := &o.MQTT.Listeners[i]
		users, accounts := &l.Auth, []config.Account(nil)
		if users.Empty() {
			users = &o.MQTT.Auth
		}
		if users.Empty() {
			users, accounts = &o.Auth, o.Accounts
		}
		if d.mqttListeners[l.ID()], err = newDirectory(users, accounts, l.NoAuthUser); err != nil {
			return optionError(o, "mqtt.listeners["+strconv.Itoa(i)+"]", err)
		}
	}
	return nil
}

// newDirectory is of the users of a door, and of those of the accounts.
func newDirectory(a *config.Authorization, accounts []config.Account, stand string) (*auth.Directory, error) {
	var users []auth.User
	if a.User != "" || a.NKey != "" {
		p, err := newPermissions(a.DefaultPermissions)
		if err != nil {
			return nil, err
		}
		users = append(users, auth.User{Name: a.User, Password: a.Password, NKey: a.NKey, Account: a.Account, Permissions: p})
	}
	users, err := addUsers(users, a.Users, "", a.DefaultPermissions)
	for i := range accounts {
		if t := &accounts[i]; err == nil {
			users, err = addUsers(users, t.Users, t.Name, t.DefaultPermissions)
		}
	}
	if err != nil {
		return nil, err
	}
	return auth.NewDirectory(users, a.Token, stand)
}

// addUsers are users of an account, or of the one that each of them names.
func addUsers(to []auth.User, list []config.User, account string, usual *config.Permissions) ([]auth.User, error) {
	for i := range list {
		u := &list[i]
		p, err := newPermissions(cmp.Or(u.Permissions, usual))
		if err != nil {
			return nil, fmt.Errorf("user %q: %w", u.User+u.NKey, err)
		}
		to = append(to, auth.User{
			Name: u.User, Password: u.Password, NKey: u.NKey, Account: cmp.Or(account, u.Account), Permissions: p, Doors: u.ConnTypes,
		})
	}
	return to, nil
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
