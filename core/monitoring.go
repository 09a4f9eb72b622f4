package core

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/frondmq/frond/core/monitor"
)

// monitorDoors is the HTTP listener for monitoring.
type monitorDoors struct {
	net.Listener
	server *http.Server
	scheme string
	done   chan struct{}
}

// headTimeout is how long a monitoring request may take to arrive.
const headTimeout = 5 * time.Second

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
	d := &monitorDoors{Listener: l.Listener, scheme: scheme, done: make(chan struct{})}
	d.server = &http.Server{
		Handler:           monitor.NewHandler(s, s.o.HTTPBasePath),
		ReadHeaderTimeout: headTimeout,
		TLSConfig:         s.tls,
	}
	s.monitor = d
	go func() {
		defer close(d.done)
		var err error
		if scheme == "https" {
			err = d.server.ServeTLS(d.Listener, "", "")
		} else {
			err = d.server.Serve(d.Listener)
		}
		if err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("Monitoring ended", "err", err)
		}
	}()
	s.log.Info("Starting " + scheme + " monitor on " + l.Addr().String())
	return nil
}

func (s *Server) closeMonitor(ctx context.Context) error {
	if s.monitor == nil {
		return nil
	}
	if err := s.monitor.server.Shutdown(ctx); err != nil {
		s.monitor.server.Close()
	}
	<-s.monitor.done
	return nil
}

// MonitorAddr is where monitoring listens; nil when it does not.
func (s *Server) MonitorAddr() net.Addr {
	if s.monitor == nil {
		return nil
	}
	return s.monitor.Addr()
}

func (s *Server) monitorScheme() string { return s.monitor.scheme }
