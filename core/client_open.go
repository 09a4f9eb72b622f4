package core

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/wire"
)

// firstPing is when a client is first asked for a sign of life, for its RTT.
const firstPing = 2 * time.Second

// open says INFO, does TLS, and makes what the connection needs to begin.
func (c *client) open() error {
	o := c.s.o
	c.parser = wire.NewClientParser(c, wire.Limits{MaxControlLine: o.MaxControlLine, MaxPayload: o.MaxPayload, Buffers: &c.s.buffers})
	c.origin = account.NewOrigin(c, account.RoleClient, "")
	c.connect = initialConnect()
	c.session.Store(&session{echo: true})
	c.subs.bySID = make(map[string]*account.Sub)
	if c.s.doors.client.HasNKeys() {
		c.nonce = NewNonce()
	}
	if err := c.greet(); err != nil {
		return err
	}
	c.out = newOutbound(c.conn, &c.s.chunks, o.MaxPending, o.WriteDeadline, o.WriteTimeout == "retry")
	c.life.Lock()
	c.life.out, c.life.tls = c.out, c.tls
	c.life.Unlock()
	if c.s.doors.client.Required() {
		c.startTimer(o.Auth.AuthTimeout(o.TLS), c.authTimeout)
	} else {
		c.startTimer(o.PingInterval, c.pingTick)
	}
	return nil
}

// greet sends INFO and does the TLS handshake, in the order that the
// configuration and the client want.
func (c *client) greet() error {
	c.conn = c.raw
	t := c.s.o.TLS
	if t == nil {
		return c.sendInfo()
	}
	if t.HandshakeFirst {
		wait := t.HandshakeFirstFallback
		if wait == 0 {
			if err := c.handshake(c.raw); err != nil {
				return err
			}
			return c.sendInfo()
		}
		begun, err := c.peek(wait, 1)
		if err != nil {
			return err
		}
		if len(begun) > 0 {
			if err := c.handshake(replay(begun, c.raw)); err != nil {
				return err
			}
			return c.sendInfo()
		}
	}
	if err := c.sendInfo(); err != nil {
		return err
	}
	if !c.s.o.AllowNonTLS {
		return c.handshake(c.raw)
	}
	begun, err := c.peek(t.Timeout, 1)
	switch {
	case err != nil:
		return err
	case len(begun) == 0:
		return nil
	case begun[0] == tlsRecordHandshake:
		return c.handshake(replay(begun, c.raw))
	default:
		c.conn = replay(begun, c.raw)
		return nil
	}
}

const tlsRecordHandshake = 0x16

func (c *client) sendInfo() error {
	i := c.s.clientInfo()
	i.ClientID, i.ClientIP, i.Nonce = c.id, c.remote.Addr().String(), c.nonce
	line := i.line()
	c.trace.out(string(line))
	return c.writeNow(line)
}

// writeNow writes before the writer goroutine exists.
func (c *client) writeNow(b []byte) error {
	c.raw.SetWriteDeadline(time.Now().Add(c.s.o.WriteDeadline))
	_, err := c.conn.Write(b)
	c.raw.SetWriteDeadline(time.Time{})
	return err
}

func (c *client) handshake(on net.Conn) error {
	conn := tls.Server(on, c.s.tls)
	c.raw.SetDeadline(time.Now().Add(c.s.o.TLS.Timeout))
	if err := conn.Handshake(); err != nil {
		c.why = err.Error()
		c.raw.SetWriteDeadline(time.Now().Add(farewell))
		c.raw.Write(wire.AppendErr(nil, "Secure Connection - TLS Required"))
		return &wire.Error{Reason: wire.ReasonTLSHandshake}
	}
	c.raw.SetDeadline(time.Time{})
	state := conn.ConnectionState()
	c.conn, c.tls = conn, &state
	if c.failed() {
		return io.EOF // the deadline that fail had set is gone: see to it here
	}
	return nil
}

// peek waits for up to n bytes; nothing within the time is no error.
func (c *client) peek(wait time.Duration, n int) ([]byte, error) {
	c.raw.SetReadDeadline(time.Now().Add(wait))
	b := make([]byte, n)
	got, err := c.raw.Read(b)
	c.raw.SetReadDeadline(time.Time{})
	if c.failed() {
		return nil, io.EOF
	}
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		err = nil
	}
	return b[:got], err
}

// replayed is a connection of which the first bytes were read already.
type replayed struct {
	net.Conn
	first *bytes.Reader
}

func replay(first []byte, c net.Conn) net.Conn { return &replayed{c, bytes.NewReader(first)} }

func (r *replayed) Read(b []byte) (int, error) {
	if r.first.Len() > 0 {
		return r.first.Read(b)
	}
	return r.Conn.Read(b)
}

// startTimer replaces the connection's one timer.
func (c *client) startTimer(d time.Duration, f func()) {
	c.life.Lock()
	defer c.life.Unlock()
	if c.life.timer != nil {
		c.life.timer.Stop()
	}
	if c.life.reason == wire.ReasonUnknown && d > 0 {
		c.life.timer = time.AfterFunc(d, f)
	}
}

func (c *client) authTimeout() { c.fail(wire.ReasonAuthTimeout, "Authentication Timeout") }

// rttFresh is how long a measured round trip is good.
const rttFresh = time.Hour

// pingTick asks a silent peer for a sign of life, or gives it up.
func (c *client) pingTick() {
	now := time.Now()
	interval := c.s.o.PingInterval
	c.life.Lock()
	if c.life.reason != wire.ReasonUnknown {
		c.life.Unlock()
		return
	}
	last := c.stats.lastActive.Load()
	busy := last != 0 && Ticks(now)-last < int64(interval)
	ping := !busy || c.life.rtt == 0 || now.Sub(c.life.rttAt) > rttFresh
	stale := ping && c.life.pings+1 > c.s.o.PingMax
	if ping && !stale {
		c.life.pings++
		c.life.pinged = now
	}
	c.life.timer.Reset(interval)
	c.life.Unlock()
	switch {
	case stale:
		c.fail(wire.ReasonStale, "Stale Connection")
	case ping:
		c.trace.out(wire.PingLine)
		c.out.append(wire.PingLine)
		c.out.wakeWriter()
	}
}

func (c *client) authRequest() *auth.Request {
	return &auth.Request{
		Kind:     auth.KindClient,
		User:     c.connect.User,
		Password: c.connect.Pass,
		Token:    c.connect.Token,
		NKey:     c.connect.NKey,
		Sig:      c.connect.Sig,
		JWT:      c.connect.JWT,
		Nonce:    c.nonce,
		Remote:   c.remote,
		TLS:      c.tls,
	}
}
