//go:build !lite

package core

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/transport"
	"github.com/frondmq/frond/core/websocket"
	"github.com/frondmq/frond/core/wire"
)

// handshakeTime is how long TLS and the request of a WebSocket may take where nothing
// else is configured. In nats-server that is any time.
const handshakeTime = 10 * time.Second

// maxStrangers bounds connections above max_connections that are served as far as to
// tell them so.
const maxStrangers = 64

// webSnapshot is what options make of the WebSocket listener; nil without one.
type webSnapshot struct {
	tls     *tls.Config // nil for plain HTTP
	options websocket.Options
}

func (s *Server) newWebSnapshot(o *config.Options) (*webSnapshot, error) {
	w := &o.WebSocket
	if w.Port == 0 {
		return nil, nil
	}
	n := &webSnapshot{options: websocket.Options{
		SameOrigin: w.SameOrigin, Origins: make(map[websocket.Origin]bool), Compression: w.Compression, Header: w.Headers, Serves: s.serves,
	}}
	for _, text := range w.AllowedOrigins {
		origin, err := websocket.ParseOrigin(text)
		if err != nil {
			return nil, optionError(o, "websocket.allowed_origins", err)
		}
		n.options.Origins[origin] = true
	}
	if w.TLS != nil {
		var err error
		if n.tls, err = w.TLS.ServerConfig(); err != nil {
			return nil, optionError(o, "websocket.tls", err)
		}
	}
	return n, nil
}

// webDoor is the WebSocket listener, on which clients and modules are served.
type webDoor struct {
	ln        *transport.Listener // nil when there is none; fixed by Start
	ctx       context.Context     // done when handshakes are to end
	stop      context.CancelFunc
	work      sync.WaitGroup // handshakes
	strangers atomic.Int32
}

// openWebSocket opens the listener, if there is one.
func (s *Server) openWebSocket() error {
	o := s.Options()
	if o.WebSocket.Port == 0 {
		return nil
	}
	l, err := transport.Listen("websocket.port", o.WebSocket.Host, o.WebSocket.Port)
	if err != nil {
		return err
	}
	d := &s.web
	d.ctx, d.stop = context.WithCancel(context.Background())
	scheme := "ws://"
	if o.WebSocket.TLS != nil {
		scheme = "wss://"
	} else {
		s.log.Warn("Websocket not configured with TLS: passwords and messages can be read on the way")
	}
	s.log.Info("Listening for websocket clients on " + scheme + l.Announced())
	d.ln = l
	l.Run(s.log, "websocket", s.acceptWebSocket)
	return nil
}

// closeWebSocket closes the door and ends handshakes; who is in stays.
func (s *Server) closeWebSocket() {
	d := &s.web
	if d.ln == nil {
		return
	}
	d.ln.Close()
	d.stop()
	d.work.Wait()
}

// WebSocketAddr is where the WebSocket listener is, nil without one.
func (s *Server) WebSocketAddr() net.Addr {
	if s.web.ln == nil {
		return nil
	}
	return s.web.ln.Addr()
}

func (s *Server) webPort() int {
	if s.web.ln == nil {
		return 0
	}
	return s.web.ln.Port()
}

// WebSocketModule is a Module that is also spoken over WebSockets.
type WebSocketModule interface {
	Module
	// WebSocket is the last element of the path at which it is spoken, and the
	// subprotocol of the WebSocket. ok is false while it is switched off.
	WebSocket() (element, subprotocol string, ok bool)
	// ServeWebSocket takes over a connection. It does not wait for its end.
	ServeWebSocket(c net.Conn, w *Upgraded)
}

// served finds the module that is spoken at a path; nil stands for the client protocol.
// Only the last element counts, so that a proxy can put any path in front. The
// path may be escaped, and is taken as it is.
func (s *Server) served(escaped string) (WebSocketModule, string) {
	last := path.Base(escaped)
	for _, m := range s.modules {
		if w, ok := m.(WebSocketModule); ok {
			if element, subprotocol, _ := w.WebSocket(); strings.HasSuffix(last, element) {
				return w, subprotocol
			}
		}
	}
	return nil, ""
}

func (s *Server) serves(escaped string) (subprotocol string, ok bool) {
	m, subprotocol := s.served(escaped)
	if m != nil {
		_, _, ok = m.WebSocket()
		return subprotocol, ok
	}
	// Who wants a leaf link would be told INFO of a client.
	return "", !strings.HasSuffix(escaped, "/leafnode")
}

// acceptWebSocket begins a connection; it runs on the accepting goroutine.
func (s *Server) acceptWebSocket(raw net.Conn) {
	d := &s.web
	entered := s.connections.Enter()
	if !entered {
		if d.strangers.Add(1) > maxStrangers {
			d.strangers.Add(-1)
			raw.Close()
			return
		}
	}
	d.work.Go(func() {
		c, request, state, err := s.shakeHands(raw)
		// The protocol counts it again, and refuses it in its own way.
		if entered {
			s.connections.Leave()
		} else {
			d.strangers.Add(-1)
		}
		if err != nil {
			raw.Close()
			s.logHandshake(raw, err)
			return
		}
		w := &Upgraded{TLS: state, Forwarded: request.Forwarded, cookies: request.Cookies}
		if m, _ := s.served(request.Path); m != nil {
			m.ServeWebSocket(c, w)
			return
		}
		s.begin(c, false, w)
	})
}

// shakeHands does TLS and reads the request.
func (s *Server) shakeHands(raw net.Conn) (c *websocket.Conn, r *websocket.Request, state *tls.ConnectionState, err error) {
	now := s.current.Load()
	end := time.Now().Add(cmp.Or(now.o.WebSocket.HandshakeTimeout, handshakeTime))
	stop := context.AfterFunc(s.web.ctx, func() { raw.Close() })
	defer stop()
	on := raw
	if t := now.web.tls; t != nil {
		g := transport.Greeting{TLS: t, Timeout: now.o.WebSocket.TLS.Timeout, First: true, Rest: func() error { return raw.SetDeadline(end) }}
		if on, err = g.Open(raw); err != nil {
			return nil, nil, nil, err
		}
		state = transport.TLSState(on)
	}
	if err := raw.SetDeadline(end); err != nil {
		return nil, nil, nil, err
	}
	if c, r, err = websocket.Upgrade(on, state != nil, &now.web.options); err != nil {
		return nil, nil, nil, err
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		c.Close()
		return nil, nil, nil, err
	}
	return c, r, state, nil
}

// logHandshake tells of a connection that came to nothing. Who only looks whether
// the port is open is no error.
func (s *Server) logHandshake(raw net.Conn, err error) {
	l := PeerLogger(s.log, "websocket", s.connections.NextID(), raw.RemoteAddr())
	var refused *websocket.RequestError
	var failed *transport.HandshakeError
	if errors.As(err, &refused) || errors.As(err, &failed) {
		l.Error("websocket handshake error", "err", err)
		return
	}
	l.Debug("websocket handshake error", "err", err)
}

// closeCode is one of RFC 6455, section 7.4.1, by why a connection ends; what has none
// there is 1011.
func closeCode(why wire.CloseReason) int {
	switch why {
	case wire.ReasonClientClosed:
		return 1000
	case wire.ReasonServerShutdown, wire.ReasonStale, wire.ReasonReadError, wire.ReasonWriteError:
		return 1001
	case wire.ReasonParseError, wire.ReasonProtocolViolation, wire.ReasonBadProtocolVersion:
		return 1002
	case wire.ReasonAuthTimeout, wire.ReasonAuthFailure, wire.ReasonAuthExpired, wire.ReasonRevoked, wire.ReasonMissingAccount,
		wire.ReasonSlowPending, wire.ReasonSlowDeadline, wire.ReasonAccountConnections, wire.ReasonConnections,
		wire.ReasonControlLine, wire.ReasonSubscriptions:
		return 1008
	case wire.ReasonPayload:
		return 1009
	}
	return 1011
}

// Goodbye ends a connection in the words that it has for that: only one over a
// WebSocket has any. It is for the goroutine that reads, when nobody writes any more.
func Goodbye(c net.Conn, why wire.CloseReason) {
	if w, ok := c.(*websocket.Conn); ok {
		w.Goodbye(closeCode(why), why.String(), farewell)
	}
}

// describeWebSocket is the listener's part of monitoring.
func (s *Server) describeWebSocket(v *monitor.WebsocketVarz) {
	o := s.Options()
	w := &o.WebSocket
	if s.web.ln == nil {
		return
	}
	*v = monitor.WebsocketVarz{
		Host: w.Host, Port: s.webPort(), Advertise: w.Advertise, NoAuthUser: w.NoAuthUser, HandshakeTimeout: w.HandshakeTimeout,
		AuthTimeout: w.Auth.AuthTimeout(w.TLS).Seconds(), NoTLS: w.NoTLS, SameOrigin: w.SameOrigin,
		AllowedOrigins: w.AllowedOrigins, Compression: w.Compression,
	}
}
