package core

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/transport"
)

// PortError is a port that could not be opened.
type PortError = transport.PortError

// CheckPorts looks whether all ports of o can be opened at this moment. Each that
// can't be is a *PortError. A start does it before anything is made: a server that
// can't start must not leave a store behind. The ports are opened for good later,
// each by who serves it, when there is something to serve.
func CheckPorts(o *config.Options) error {
	monitorHost := o.HTTPHost
	if monitorHost == "" {
		monitorHost = o.Host
	}
	var errs []error
	seen := map[string]string{}
	for _, p := range []struct {
		option, host string
		port         int
	}{
		{"port", o.Host, o.Port},
		{"http_port", monitorHost, o.HTTPPort},
		{"https_port", monitorHost, o.HTTPSPort},
		{"leafnodes.port", o.Leaf.Host, o.Leaf.Port},
		{"mqtt.port", o.MQTT.Host, o.MQTT.Port},
	} {
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
	return errors.Join(errs...)
}
