package core

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/frondmq/frond/core/monitor"
)

// monitorDoors is the HTTP listener for monitoring.
type monitorDoors struct {
	*listener
	server *monitor.Server
	scheme string
	conns  uint64 // accepted so far; of the accepting goroutine
}

// openMonitor opens the monitoring port if there is one.
func (s *Server) openMonitor() error {
	port, scheme := s.o.HTTPPort, "http"
	if port == 0 {
		port, scheme = s.o.HTTPSPort, "https"
	}
	if port == 0 {
		return nil
	}
	host := s.o.HTTPHost
	if host == "" {
		host = s.o.Host
	}
	l, err := listen(host, port)
	if err != nil {
		return err
	}
	d := &monitorDoors{listener: l, scheme: scheme, server: monitor.NewServer(monitor.NewHandler(s, s.o.HTTPBasePath))}
	s.monitor = d
	var secure *tls.Config
	if scheme == "https" {
		// Who looks needs no certificate, even where clients do.
		secure = s.tls.Clone()
		secure.ClientAuth, secure.VerifyConnection = tls.NoClientCert, nil
	}
	l.run(s.log, "http", func(c net.Conn) {
		if secure != nil {
			c = tls.Server(c, secure)
		}
		d.conns++
		d.server.Accept(c, PeerLogger(s.log, "http", d.conns, c.RemoteAddr()))
	})
	s.log.Info("Starting " + scheme + " monitor on " + ListenAddr(host, l.Addr()))
	return nil
}

func (s *Server) closeMonitor(ctx context.Context) {
	if s.monitor != nil {
		s.monitor.close()
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
