package core

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/frondmq/frond/core/config"
)

// PortError is a port that could not be opened.
type PortError struct {
	Option string // that sets it: "port", "http_port", "leafnodes.port", "mqtt.port" and so on
	Addr   string
	Err    error
}

func (e *PortError) Error() string {
	return fmt.Sprintf("listening on port %s (option %s): %v", e.Addr, e.Option, e.Err)
}

// Unwrap is the system's error.
func (e *PortError) Unwrap() error { return e.Err }

// CheckPorts looks whether all ports of o can be opened at this moment. Each that
// can't be is a *PortError.
func CheckPorts(o *config.Options) error { return (&Server{o: o}).freePorts() }

// freePorts looks whether all ports can be opened before anything is made: a
// server that can't start must not leave a store behind. They are opened for
// good later, each by who serves it, when there is something to serve.
func (s *Server) freePorts() error {
	o := s.o
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
		l, err := net.Listen("tcp", addr)
		switch {
		case err == nil && seen[addr] != "":
			err = fmt.Errorf("it is that of %s too", seen[addr])
			l.Close()
		case err == nil:
			l.Close()
		}
		if err != nil {
			var op *net.OpError
			if errors.As(err, &op) {
				err = op.Err
			}
			errs = append(errs, &PortError{Option: p.option, Addr: addr, Err: err})
		}
		seen[addr] = p.option
	}
	return errors.Join(errs...)
}
