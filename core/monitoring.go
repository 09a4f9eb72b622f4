package core

import (
	"context"
	"errors"
	"net"
)

// monitorDoors is the HTTP listener for monitoring.
type monitorDoors struct{ net.Listener }

func (s *Server) openMonitor() error {
	if s.o.HTTPPort != 0 || s.o.HTTPSPort != 0 {
		return errors.New("monitoring is not in this build yet")
	}
	return nil
}

func (s *Server) closeMonitor(context.Context) error { return nil }

// MonitorAddr is where monitoring listens; nil when it does not.
func (s *Server) MonitorAddr() net.Addr { return nil }

func (s *Server) monitorScheme() string { return "http" }
