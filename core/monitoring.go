package core

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/transport"
)

// monitorDoors is the HTTP listener for monitoring.
type monitorDoors struct {
	*transport.Listener
	server  *monitor.Server
	handler *monitor.Handler
	scheme  string
	conns   uint64 // accepted so far; of the accepting goroutine
}

// openMonitor opens the monitoring port if there is one.
func (s *Server) openMonitor() error {
	o := s.Options()
	option, port, scheme := "http_port", o.HTTPPort, "http"
	if port == 0 {
		option, port, scheme = "https_port", o.HTTPSPort, "https"
	}
	if port == 0 {
		return nil
	}
	host := o.HTTPHost
	if host == "" {
		host = o.Host
	}
	l, err := transport.Listen(option, host, port)
	if err != nil {
		return err
	}
	handler := monitor.NewHandler(s, o.HTTPBasePath)
	d := &monitorDoors{Listener: l, scheme: scheme, handler: handler, server: monitor.NewServer(handler, l.Favor(monitor.MaxConns))}
	s.monitor = d
	l.Run(s.log, "http", func(c net.Conn) {
		if scheme == "https" {
			// Who looks needs no certificate, even where clients do.
			secure := s.current.Load().tls.Clone()
			secure.ClientAuth, secure.VerifyConnection = tls.NoClientCert, nil
			c = tls.Server(c, secure)
		}
		d.conns++
		d.server.Accept(c, PeerLogger(s.log, "http", d.conns, c.RemoteAddr()))
	})
	s.log.Info("Starting " + scheme + " monitor on " + l.Announced())
	return nil
}

func (s *Server) closeMonitor(ctx context.Context) {
	if s.monitor != nil {
		s.monitor.Close()
		s.monitor.server.Shutdown(ctx)
	}
}

// MonitorAddr is where monitoring listens; nil when it does not.
func (s *Server) MonitorAddr() net.Addr {
	if s.monitor == nil {
		return nil
	}
	return s.monitor.Addr()
}

func (s *Server) monitorScheme() string { return s.monitor.scheme }
