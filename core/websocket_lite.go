//go:build lite

package core

import (
	"net"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/wire"
)

// The lite build has no WebSocket listener: HTTP would not fit in.

type webSnapshot struct{}

type webDoor struct{}

func (s *Server) newWebSnapshot(*config.Options) (*webSnapshot, error) { return nil, nil }
func (s *Server) openWebSocket() error                                 { return nil }
func (s *Server) closeWebSocket()                                      {}
func (s *Server) webPort() int                                         { return 0 }
func (s *Server) describeWebSocket(*monitor.WebsocketVarz)             {}

// WebSocketAddr is where the WebSocket listener is, nil without one.
func (s *Server) WebSocketAddr() net.Addr { return nil }

// Goodbye ends a connection in the words that it has for that: none has any here.
func Goodbye(net.Conn, wire.CloseReason) {}
