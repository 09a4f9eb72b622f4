package config

import (
	"math"
	"strconv"
)

// unixSocketTable is a socket in the file system, beside the client port or the
// MQTT port.
func unixSocketTable() *block[UnixSocket] {
	type u = UnixSocket
	return &block[u]{
		unknown: unknownField,
		fields: []field[u]{
			row(Restart, "path", "path", "", "of the socket; one that a killed server left is replaced", "/run/x.sock", setString(func(u *u) *string { return &u.Path })),
			row(Restart, "mode", "octal", "0660", "rights of the socket: who may write to it may connect", "0666", setMode),
			row(Restart, "group", "name or number", "the process's", "group of the socket", "dialout", setID(func(u *u) *string { return &u.Group })),
			row(Live, "users", "list of maps", "", "who needs no password; the first that fits holds. The system says who connects (Linux)", "[{uid: 1000, user: u}]", setPeerUsers),
		},
	}
}

// peerUserTable is one row of users.
func peerUserTable() *block[PeerUser] {
	type p = PeerUser
	return &block[p]{
		unknown: unknownField,
		fields: []field[p]{
			row(Live, "uid", "name or number", "any", "user of the system", "1000", setID(func(p *p) *string { return &p.UID })),
			row(Live, "gid", "name or number", "any", "group of the system, the main one of the process or another", "20", setID(func(p *p) *string { return &p.GID })),
			row(Live, "user", "string", "", "user of the authorization, by name or nkey, that this peer is", "u", setString(func(p *p) *string { return &p.User })),
		},
	}
}

// setUnixSocket takes a path, or a map with more about it.
func setUnixSocket[T any](at func(*T) *UnixSocket) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		u := UnixSocket{Mode: DefaultSocketMode}
		switch it.v.Kind {
		case KindString:
			u.Path = it.v.Str
		case KindMap:
			unixSocketTable().decode(d, &u, it.path, it.v.Map)
		default:
			d.wrongType(it, "a path or a map")
			return
		}
		if u.Path == "" {
			d.errorf(it.pos, "%q has no path", it.key)
			return
		}
		*at(t) = u
	}
}

// setMode reads what stands there as octal, quoted or not, as chmod does.
func setMode(d *decoder, u *UnixSocket, it item) {
	text := it.v.Str
	switch it.v.Kind {
	case KindString:
	case KindInt:
		text = strconv.FormatInt(it.v.Int, 10)
	default:
		d.wrongType(it, "an octal number such as 0660")
		return
	}
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n > 0o777 {
		d.errorf(it.pos, "%q must be octal, at most 0777, got %s", it.key, text)
		return
	}
	u.Mode = uint32(n)
}

// setID takes the name or the number of a user or group of the system.
func setID[T any](at func(*T) *string) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		if it.v.Kind == KindString && it.v.Str != "" {
			*at(t) = it.v.Str
			return
		}
		if it.v.Kind != KindInt {
			d.wrongType(it, "a name or a number")
			return
		}
		if n, ok := d.integer(it, 0, math.MaxUint32-1); ok {
			*at(t) = strconv.FormatInt(n, 10)
		}
	}
}

func setPeerUsers(d *decoder, u *UnixSocket, it item) {
	u.Users = nil
	d.items(it, func(_ int, it item) {
		var p PeerUser
		before := len(d.errs)
		if !peerUserTable().decodeMap(d, &p, it) || len(d.errs) > before {
			return
		}
		switch {
		case p.User == "":
			d.errorf(it.pos, "a row of users says no user")
		case p.UID == "" && p.GID == "":
			d.errorf(it.pos, "a row of users says neither uid nor gid: everybody would be the user %q", p.User)
		default:
			u.Users = append(u.Users, p)
		}
	})
}
