package core

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"

	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/transport"
)

// PortError is a port that could not be opened.
type PortError = transport.PortError

// CheckPorts looks whether all ports and Unix sockets of o can be opened at this
// moment. Each that can't be is a *PortError. A start does it before anything is made: a server that
// can't start must not leave a store behind. The ports are opened for good later,
// each by who serves it, when there is something to serve.
func CheckPorts(o *config.Options) error {
	monitorHost := o.HTTPHost
	if monitorHost == "" {
		monitorHost = o.Host
	}
	var errs []error
	seen := map[string]string{}
	type port struct {
		option, host string
		port         int
	}
	ports := []port{
		{"port", o.Host, o.Port},
		{"http_port", monitorHost, o.HTTPPort},
		{"https_port", monitorHost, o.HTTPSPort},
		{"leafnodes.port", o.Leaf.Host, o.Leaf.Port},
		{"mqtt.port", o.MQTT.Host, o.MQTT.Port},
		{"websocket.port", o.WebSocket.Host, o.WebSocket.Port},
	}
	for i := range o.MQTT.Listeners {
		l := &o.MQTT.Listeners[i]
		ports = append(ports, port{"mqtt.listeners[" + strconv.Itoa(i) + "]", l.Host, l.Port})
	}
	for _, p := range ports {
		if p.port <= 0 { // off, or any
			continue
		}
		addr := net.JoinHostPort(p.host, strconv.Itoa(p.port))
		l, err := transport.Listen(p.option, p.host, p.port)
		switch {
		case err != nil:
			errs = append(errs, err)
		case seen[addr] != "":
			errs = append(errs, &PortError{Option: p.option, Addr: addr, Err: fmt.Errorf("it is that of %s too", seen[addr])})
		}
		if l != nil {
			l.Close()
		}
		seen[addr] = p.option
	}
	for _, u := range []transport.UnixSocket{unixSocket("unix_socket", &o.Unix), unixSocket("mqtt.unix_socket", &o.MQTT.Unix)} {
		if u.Path == "" {
			continue
		}
		if err := transport.CheckUnix(u); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// ListenUnix opens a Unix socket of the configuration, which calls it option, as
// transport.Listen does a port.
func ListenUnix(option string, u *config.UnixSocket) (*transport.Listener, error) {
	return transport.ListenUnix(unixSocket(option, u))
}

func unixSocket(option string, u *config.UnixSocket) transport.UnixSocket {
	return transport.UnixSocket{Option: option, Path: u.Path, Mode: fs.FileMode(u.Mode), Group: u.Group}
}

// UnixPeer is who the system says is at the other end of c; nil for one that is
// not on a Unix socket, and where the system says nothing.
func UnixPeer(c net.Conn) *auth.Peer {
	p := transport.PeerOf(c)
	if p == nil || !p.Known {
		return nil
	}
	return &auth.Peer{UID: p.UID, Groups: p.Groups}
}

// withPeers makes d the directory of a Unix socket. path is its option.
func withPeers(o *config.Options, d *auth.Directory, path string, u *config.UnixSocket) (*auth.Directory, error) {
	if u.Group != "" {
		// Where it listens this is an error, too; here -t tells it.
		if _, err := transport.LookupGroup(u.Group); err != nil {
			return nil, optionError(o, path+".group", err)
		}
	}
	if len(u.Users) == 0 {
		return d, nil
	}
	at := func(i int, err error) error { return optionError(o, fmt.Sprintf("%s.users[%d]", path, i), err) }
	if !transport.KnowsPeers {
		return nil, at(0, errors.New("this system does not tell who connects to a Unix socket; Linux does"))
	}
	users := make([]auth.PeerUser, len(u.Users))
	for i, p := range u.Users {
		uid, err := systemID(p.UID, transport.LookupUser)
		if err != nil {
			return nil, at(i, err)
		}
		gid, err := systemID(p.GID, transport.LookupGroup)
		if err != nil {
			return nil, at(i, err)
		}
		users[i] = auth.PeerUser{UID: uid, GID: gid, User: p.User}
	}
	with, i, err := d.WithPeers(users)
	if err != nil {
		return nil, at(i, fmt.Errorf("unix_socket: %w of the authorization", err))
	}
	return with, nil
}

func systemID(who string, lookup func(string) (uint32, error)) (*uint32, error) {
	if who == "" {
		return nil, nil
	}
	n, err := lookup(who)
	if err == nil && n == transport.Nobody {
		err = fmt.Errorf("nobody comes in as %s: %d is the number of all whom the system has no number for", who, n)
	}
	return &n, err
}
