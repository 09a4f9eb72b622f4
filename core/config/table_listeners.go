//go:build !lite

package config

import (
	"math"
	"net"
	"slices"
	"strconv"
)

// listenersRow are the MQTT ports beside that of the block.
func listenersRow() field[MQTT] {
	return own(row(Live, "listeners", "list of maps", "", "more MQTT ports, each with its TLS and its users", "[{listen: \"127.0.0.1:8883\"}]", setMQTTListeners))
}

func listenerSections() []Section {
	return []Section{
		mqttListenerTable().section("mqtt.listeners[]"),
		mqttListenerAuthTable().section("mqtt.listeners[].authorization"),
		mqttUserTable().section("mqtt.listeners[].authorization.users[]"),
	}
}

// mqttListenerTable is one port of several. A reload opens, changes and closes them.
func mqttListenerTable() *block[MQTTListener] {
	type l = MQTTListener
	return &block[l]{
		unknown: unknownField,
		fields: []field[l]{
			row(Live, "name", "string", "its address", "what monitoring calls it", "outside", setString(func(l *l) *string { return &l.Name })),
			row(Live, "listen", "port or host:port", "", "the port", "127.0.0.1:8883", setListen(func(l *l) *string { return &l.Host }, func(l *l) *int { return &l.Port })),
			row(Live, "host net", "string", "0.0.0.0", "its interface", "127.0.0.1", setString(func(l *l) *string { return &l.Host })),
			row(Live, "port", "integer -1..65535", "", "the port", "8883", setPort(func(l *l) *int { return &l.Port })),
			row(Live, "tls", "map", "off", "TLS on it", "{cert_file: CERT, key_file: KEY}", setServerTLS(func(l *l) **TLS { return &l.TLS })),
			row(Live, "authorization authentication", "map", "as the block", "who may connect here, and nobody else", "{user: u, password: p}", setMQTTListenerAuth),
			row(Live, "no_auth_user", "string", "nobody", "the user of connections that present nothing", "u", setString(func(l *l) *string { return &l.NoAuthUser })),
			row(Live, "max_connections max_conn", "integer", "0, no limit of its own", "clients of this port at a time", "10", setInt(func(l *l) *int { return &l.MaxConns }, 0, math.MaxInt32)),
		},
	}
}

func setMQTTListeners(d *decoder, m *MQTT, it item) {
	m.Listeners = mapsOf(d, it, "Expected an MQTT listener to be a map, got %s", mqttListenerTable(), MQTTListener{Host: DefaultHost}, func(l *MQTTListener, it item) {
		if l.Port == 0 {
			d.errorf(it.pos, "an MQTT listener needs a port")
		}
	})
}

func setMQTTListenerAuth(d *decoder, l *MQTTListener, it item) {
	l.Auth = Authorization{}
	if mqttListenerAuthTable().decodeMap(d, &l.Auth, it) {
		checkAuth(d, &l.Auth, it, "Can not")
	}
}

// mqttListenerAuthTable is the authorization block of one MQTT port of several.
func mqttListenerAuthTable() *block[Authorization] {
	type a = Authorization
	t := &block[a]{unknown: unknownField}
	t.fields = slices.Concat(mqttAuthTable().fields, []field[a]{
		row(Live, "users", "list of maps", "", "who may connect", "[{user: u, password: p}]", setUsers(mqttUserTable)),
		row(Live, "default_permissions default_permission permissions", "map", "all", "permissions of users without own ones", "{publish: a}", func(d *decoder, a *a, it item) { setPermissions(d, &a.DefaultPermissions, it) }),
	})
	return t
}

func mqttUserTable() *block[User] {
	type u = User
	t := &block[u]{unknown: unknownField}
	notHere := func(f field[u]) bool { return f.Status != Supported } // of nats-server elsewhere
	t.fields = slices.Concat(slices.DeleteFunc(leafUserTable().fields, notHere), []field[u]{
		row(Live, "permissions permission authorization", "map", "all", "what the user may do", "{publish: a}", func(d *decoder, u *u, it item) { setPermissions(d, &u.Permissions, it) }),
	})
	return t
}

// mqttListeners checks that each has a name and a port of its own, and users who are
// there.
func (v *validator) mqttListeners() {
	m := &v.o.MQTT
	taken := map[string]string{net.JoinHostPort(m.Host, strconv.Itoa(m.Port)): "the port of mqtt"}
	names := make(map[string]bool)
	for i := range m.Listeners {
		l := &m.Listeners[i]
		path := "mqtt.listeners[" + strconv.Itoa(i) + "]"
		if names[l.ID()] {
			v.errorf(path, "there are two MQTT listeners with the name %q", l.ID())
		}
		names[l.ID()] = true
		at := net.JoinHostPort(l.Host, strconv.Itoa(l.Port))
		if l.Port > 0 && taken[at] != "" {
			v.errorf(path, "%s is %s too", at, taken[at])
		}
		taken[at] = "listener " + l.ID()
		auth := path + ".authorization"
		v.hasName(auth, &l.Auth)
		if l.Auth.DefaultPermissions != nil && l.Auth.Empty() {
			v.errorf(auth, "permissions for nobody: the authorization of an MQTT listener without users is that of others")
		}
		for j := range l.Auth.Users {
			v.hasAccount(auth+".users["+strconv.Itoa(j)+"].account", l.Auth.Users[j].Account, "authorization of an MQTT listener")
		}
		if l.Auth.Empty() {
			v.noAuthUser(path+".no_auth_user", l.NoAuthUser)
		} else if l.NoAuthUser != "" && l.NoAuthUser != l.Auth.User && !named(l.Auth.Users, l.NoAuthUser) {
			v.errorf(path+".no_auth_user", "no_auth_user: %q not present in the authorization block of the listener", l.NoAuthUser)
		}
	}
}
