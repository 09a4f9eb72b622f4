package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/frondmq/frond/core/transport"
)

const (
	pidFileMode   = 0o600
	portsFileMode = 0o666
)

// writePidFile writes our number where other tools look for it. It stays when
// the server ends, as nats-server's does.
func (s *Server) writePidFile() error {
	path := s.Options().PidFile
	if path == "" {
		return nil
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())), pidFileMode); err != nil {
		return fmt.Errorf("pid file: %w", err)
	}
	return nil
}

// portsFile says where the doors of this process are.
type portsFile struct {
	NATS       []string `json:"nats,omitempty"`
	Monitoring []string `json:"monitoring,omitempty"`
	WebSocket  []string `json:"websocket,omitempty"`
}

func (s *Server) portsFilePath() string {
	exe := filepath.Base(os.Args[0])
	return filepath.Join(s.Options().PortsFileDir, fmt.Sprintf("%s_%d.ports", exe, os.Getpid()))
}

func (s *Server) writePortsFile() error {
	if s.Options().PortsFileDir == "" {
		return nil
	}
	scheme := "nats"
	if s.current.Load().tls != nil {
		scheme = "tls"
	}
	p := portsFile{NATS: urlsOf(scheme, s.ClientAddr())}
	if a := s.MonitorAddr(); a != nil {
		p.Monitoring = urlsOf(s.monitorScheme(), a)
	}
	if a := s.WebSocketAddr(); a != nil {
		scheme := "ws"
		if s.Options().WebSocket.TLS != nil {
			scheme = "wss"
		}
		p.WebSocket = urlsOf(scheme, a)
	}
	b, err := json.Marshal(&p)
	if err != nil {
		return err
	}
	// Readers wait for the name, so the file appears complete.
	path := s.portsFilePath()
	if err := os.WriteFile(path+".tmp", b, portsFileMode); err != nil {
		return fmt.Errorf("ports file: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("ports file: %w", err)
	}
	return nil
}

func (s *Server) removePortsFile() error {
	if s.Options().PortsFileDir == "" {
		return nil
	}
	if err := os.Remove(s.portsFilePath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// urlsOf lists a listener's address, for every interface if it is bound to all.
func urlsOf(scheme string, a net.Addr) []string {
	ap := transport.AddrPort(a)
	port := strconv.Itoa(int(ap.Port()))
	if !ap.Addr().IsUnspecified() {
		return []string{scheme + "://" + net.JoinHostPort(ap.Addr().String(), port)}
	}
	var urls []string
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			urls = append(urls, scheme+"://"+net.JoinHostPort(n.IP.String(), port))
		}
	}
	return urls
}
