package transport

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// Greeting is how a connection begins at a server: the first line and TLS.
type Greeting struct {
	TLS     *tls.Config   // nil: none
	Timeout time.Duration // of the handshake, and of waiting for a peer that may begin with or without
	// First: TLS goes before the line. With Fallback a peer that has not begun so
	// long gets the line before TLS all the same.
	First    bool
	Fallback time.Duration
	// AllowPlain lets a peer go on that does not begin with TLS.
	AllowPlain bool
	// Hello writes the first line; nil: there is none.
	Hello func(net.Conn) error
	// Rest is called behind each step that had a deadline of its own: it sets the
	// one that holds otherwise. Its error ends the greeting. nil: none holds.
	Rest func() error
}

// HandshakeError is a TLS handshake that failed.
type HandshakeError struct{ Err error }

func (e *HandshakeError) Error() string { return "TLS handshake: " + e.Err.Error() }

// Unwrap is the error of crypto/tls.
func (e *HandshakeError) Unwrap() error { return e.Err }

// Open greets on raw and returns what is spoken on from there: raw, or raw with
// bytes that were read already, or TLS on it. After an error raw is still open.
func (g *Greeting) Open(raw net.Conn) (net.Conn, error) {
	if g.TLS == nil {
		return raw, g.hello(raw)
	}
	on, first := raw, g.First
	if first && g.Fallback > 0 {
		begun, err := g.begins(raw, g.Fallback)
		if err != nil {
			return nil, err
		}
		on, first = Replay(begun, raw), len(begun) > 0
	}
	if first {
		conn, err := g.handshake(raw, on)
		if err != nil {
			return nil, err
		}
		return conn, g.hello(conn)
	}
	if err := g.hello(raw); err != nil {
		return nil, err
	}
	if g.AllowPlain {
		begun, err := g.begins(raw, g.Timeout)
		switch on = Replay(begun, raw); {
		case err != nil:
			return nil, err
		case len(begun) == 0 || begun[0] != tlsRecordHandshake:
			return on, nil
		}
	}
	return g.handshake(raw, on)
}

// tlsRecordHandshake is what TLS begins with (RFC 8446, section 5.1).
const tlsRecordHandshake = 22

func (g *Greeting) hello(conn net.Conn) error {
	if g.Hello == nil {
		return nil
	}
	return g.Hello(conn)
}

func (g *Greeting) rest(raw net.Conn) error {
	if g.Rest == nil {
		return raw.SetDeadline(time.Time{})
	}
	return g.Rest()
}

// begins waits a while for the first byte of the peer, which may stay out.
func (g *Greeting) begins(raw net.Conn, wait time.Duration) ([]byte, error) {
	if err := raw.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}
	var b [1]byte
	n, err := raw.Read(b[:])
	if restErr := g.rest(raw); restErr != nil {
		return nil, restErr
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		err = nil
	}
	return b[:n], err
}

func (g *Greeting) handshake(raw, on net.Conn) (net.Conn, error) {
	conn := tls.Server(on, g.TLS)
	if g.Timeout > 0 {
		if err := raw.SetDeadline(time.Now().Add(g.Timeout)); err != nil {
			return nil, err
		}
	}
	if err := conn.Handshake(); err != nil {
		return nil, &HandshakeError{err}
	}
	return conn, g.rest(raw)
}

// TLSState is the state of a connection that Open has returned; nil without TLS.
func TLSState(conn net.Conn) *tls.ConnectionState {
	t, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	state := t.ConnectionState()
	return &state
}
