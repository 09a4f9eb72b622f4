package core

import (
	"errors"
	"net"
)

// ErrNotRunning: the server has not started, or is going down.
var ErrNotRunning = errors.New("the server is not running")

// InProcessConn is a connection of a client in this process, without a socket
// and without TLS, whatever the configuration asks of others; logging in and
// limits are as everywhere. NATS clients take the server itself as what makes
// them (in nats.go: nats.InProcessServer). The error is ErrNotRunning.
func (s *Server) InProcessConn() (net.Conn, error) {
	here, there := net.Pipe()
	if !s.begin(here, true, nil) {
		there.Close()
		return nil, ErrNotRunning
	}
	return there, nil
}
