package config

import (
	"strconv"
	"strings"
)

// Validate checks the rules between options. It runs after flags have changed
// what a file said, before anything starts, and finds everything at once.
func (o *Options) Validate() error {
	v := &validator{o: o}
	v.limits()
	v.monitoring()
	v.users()
	v.accounts()
	v.jetStream()
	v.leaf()
	v.mqtt()
	v.webSocket()
	v.unixSockets()
	if len(v.errs) > 0 {
		return v.errs
	}
	return nil
}

type validator struct {
	o *Options
	decoder
}

func (v *validator) errorf(path, format string, args ...any) {
	v.decoder.errorf(v.o.Pos(path), format, args...)
}

func (v *validator) limits() {
	o := v.o
	if o.MaxControlLine <= 0 { // not from a file: the tables refuse it
		v.errorf("max_control_line", "max_control_line must be 1 or more: options begin as config.Defaults makes them")
	}
	if int64(o.MaxPayload) > o.MaxPending {
		v.errorf("max_payload", "max_payload (%d) cannot be higher than max_pending (%d)", o.MaxPayload, o.MaxPending)
	}
	if strings.Contains(o.ServerName, " ") {
		v.errorf("server_name", "server name cannot contain spaces")
	}
	if o.AllowNonTLS && o.TLS == nil {
		v.errorf("allow_non_tls", "allow_non_tls needs a tls block")
	}
}

func (v *validator) monitoring() {
	o := v.o
	if o.HTTPPort != 0 && o.HTTPSPort != 0 {
		v.errorf("https_port", "can't specify both HTTP (%v) and HTTPs (%v) ports", o.HTTPPort, o.HTTPSPort)
	}
	if o.HTTPSPort != 0 && o.TLS == nil {
		v.errorf("https_port", "TLS cert and key required for HTTPS")
	}
}

func (v *validator) users() {
	v.hasName("authorization", &v.o.Auth)
	v.hasName("leafnodes.authorization", &v.o.Leaf.Auth)
	v.hasName("mqtt.authorization", &v.o.MQTT.Auth)
	v.hasName("websocket.authorization", &v.o.WebSocket.Auth)
	v.noAuthUser("no_auth_user", v.o.NoAuthUser)
	v.noAuthUser("mqtt.no_auth_user", v.o.MQTT.NoAuthUser)
	v.noAuthUser("websocket.no_auth_user", v.o.WebSocket.NoAuthUser)
}

// hasName refuses a password that would be nobody's, and leave the door open.
func (v *validator) hasName(path string, a *Authorization) {
	if a.Password != "" && a.User == "" {
		v.errorf(path, "authorization has a password and no user")
	}
}

func (v *validator) noAuthUser(path, name string) {
	switch {
	case name == "":
	case !v.o.HasUsers():
		v.errorf(path, "no_auth_user: %q present, but users/nkeys are not defined", name)
	case !v.o.HasUser(name):
		v.errorf(path, "no_auth_user: %q not present as user or nkey in authorization block or account configuration", name)
	}
}

// accounts checks what users of several places must not share, and that each account
// that is named is there.
func (v *validator) accounts() {
	o := v.o
	seen := map[string]bool{}
	for i := range o.Auth.Users {
		seen[o.Auth.Users[i].User+o.Auth.Users[i].NKey] = true
	}
	for i := range o.Accounts {
		path := "accounts[" + strconv.Itoa(i) + "]"
		for j := range o.Accounts[i].Users {
			u := &o.Accounts[i].Users[j]
			at := path + ".users[" + strconv.Itoa(j) + "]"
			switch id := u.User + u.NKey; {
			case seen[id] && u.NKey != "":
				v.errorf(at, duplicateNKey, id)
			case seen[id]:
				v.errorf(at, duplicateUser, id)
			default:
				seen[id] = true
			}
		}
	}
	if len(o.Auth.Users) == 0 && o.HasUsers() {
		if o.Auth.User != "" {
			v.errorf("authorization", "Can not have a single user/pass and a users array")
		}
		if o.Auth.Token != "" {
			v.errorf("authorization", "Can not have a token and a users array")
		}
	}
	system := o.AccountNamed(o.SystemAccount)
	switch {
	case system == nil && o.SystemAccount != SystemAccount:
		v.errorf("system_account", "system_account %q is none of the accounts", o.SystemAccount)
	case system != nil && system.JetStream.On:
		v.errorf("system_account", "Not allowed to enable JetStream on the system account")
	}
	v.hasAccount("leafnodes.authorization.account", o.Leaf.Auth.Account, "leafnode authorization")
	for i := range o.Leaf.Auth.Users {
		v.hasAccount("leafnodes.authorization.users["+strconv.Itoa(i)+"].account", o.Leaf.Auth.Users[i].Account, "leafnode authorization")
	}
	for i := range o.Leaf.Remotes {
		v.hasAccount("leafnodes.remotes["+strconv.Itoa(i)+"].account", o.Leaf.Remotes[i].Account, "leafnode remote")
	}
}

func (v *validator) hasAccount(path, name, where string) {
	if name != "" && !v.o.HasAccount(name) {
		v.errorf(path, "cannot find local account %q specified in %s", name, where)
	}
}

func (v *validator) jetStream() {
	j := &v.o.JetStream
	if !validDomain(j.Domain) {
		v.errorf("jetstream.domain", domainProblem, j.Domain)
	}
}

func (v *validator) leaf() {
	seen := make(map[string]bool)
	for i := range v.o.Leaf.Remotes {
		r := &v.o.Leaf.Remotes[i]
		urls := make([]string, len(r.URLs))
		for j, u := range r.URLs {
			// The user and password are part of who it is, not of what is said.
			urls[j] = ShownURL(u)
		}
		id := r.identity()
		if seen[id] {
			v.decoder.errorf(r.Pos, "duplicate remote urls=%q, account=%q", urls, r.Account)
		}
		seen[id] = true
	}
}

func (v *validator) mqtt() {
	o := v.o
	m := &o.MQTT
	v.mqttListeners()
	if !m.Set || m.Port == 0 && m.Unix.Path == "" && len(m.Listeners) == 0 {
		return
	}
	if o.HasUsers() {
		if m.Auth.User != "" {
			v.errorf("mqtt.authorization", "mqtt authentication username not compatible with presence of users/nkeys")
		}
		if m.Auth.Token != "" {
			v.errorf("mqtt.authorization", "mqtt authentication token not compatible with presence of users/nkeys")
		}
	}
	if !o.JetStream.Enabled && !o.Leaf.Set {
		v.errorf("mqtt", "mqtt requires JetStream to be enabled if running in standalone mode")
	}
}

func (v *validator) unixSockets() {
	for _, s := range []struct {
		path string
		sock *UnixSocket
	}{{"unix_socket", &v.o.Unix}, {"mqtt.unix_socket", &v.o.MQTT.Unix}} {
		if strings.HasPrefix(s.sock.Path, "@") {
			v.errorf(s.path, "%q is no path: a socket without a file can not be kept from others", s.sock.Path)
		}
	}
	if p := v.o.Unix.Path; p != "" && p == v.o.MQTT.Unix.Path {
		v.errorf("mqtt.unix_socket", "%q is unix_socket of the clients too", p)
	}
}
