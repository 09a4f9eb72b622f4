package core

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/transport"
	"github.com/frondmq/frond/core/wire"
)

// firstPing is when a client is first asked for a sign of life, for its RTT.
const firstPing = 2 * time.Second

// open says INFO, does TLS, and makes what the connection needs to begin.
func (c *client) open() error {
	o := c.began.o
	c.set = c.began
	c.part.Init(&c.s.parts, c)
	c.parser = wire.NewClientParser(c, wire.Limits{MaxControlLine: o.MaxControlLine, MaxPayload: o.MaxPayload, Buffers: &c.s.buffers, Held: &c.part})
	c.connect = initialConnect
	c.session.Store(&session{echo: true})
	if c.door(c.began).HasNKeys() {
		c.nonce = auth.NewNonce()
	}
	if err := c.greet(); err != nil {
		return err
	}
	c.out = outbound.New(&c.began.outbound, c.conn, c)
	c.life.Lock()
	c.life.out, c.life.tls = c.out, c.tls
	c.life.Unlock()
	if c.door(c.began).RequiredOf(c.peer) {
		c.startTimer(c.authTime(o), c.authTimeout)
	} else {
		c.startTimer(c.pingInterval(o), c.pingTick)
	}
	return nil
}

// door is who may come in by the way that this client came.
func (c *client) door(n *snapshot) *auth.Directory {
	if c.web != nil {
		return n.doors.web
	}
	return n.doors.client
}

// authTime is how long the client has to say who it is.
func (c *client) authTime(o *config.Options) time.Duration {
	if w := &o.WebSocket; c.web != nil && (w.Auth.Timeout > 0 || !w.Auth.Empty()) {
		return w.Auth.AuthTimeout(w.TLS)
	}
	return o.Auth.AuthTimeout(o.TLS)
}

func (c *client) pingInterval(o *config.Options) time.Duration {
	if c.web != nil && o.WebSocket.PingInterval > 0 {
		return o.WebSocket.PingInterval
	}
	return o.PingInterval
}

// greet sends INFO and does the TLS handshake, in the order that the
// configuration and the client want.
func (c *client) greet() error {
	c.conn = c.raw
	g := transport.Greeting{Hello: c.sendInfo, Rest: c.noDeadline}
	if t := c.began.o.TLS; t != nil && !c.plain {
		g.TLS, g.Timeout, g.AllowPlain = c.began.tls, t.Timeout, c.began.o.AllowNonTLS
		g.First, g.Fallback = t.HandshakeFirst, t.HandshakeFirstFallback
	}
	conn, err := g.Open(c.raw)
	var failed *transport.HandshakeError
	if errors.As(err, &failed) {
		c.why = failed.Err.Error()
		c.raw.SetWriteDeadline(time.Now().Add(farewell))
		c.raw.Write(wire.AppendErr(nil, "Secure Connection - TLS Required"))
		return &wire.Error{Reason: wire.ReasonTLSHandshake}
	}
	if err != nil {
		return err
	}
	if c.conn, c.tls = conn, transport.TLSState(conn); c.web != nil {
		c.tls = c.web.TLS
	}
	return nil
}

// noDeadline ends the greeting if fail was called meanwhile: its deadline is
// gone with the others. Who comes when there is no room is greeted to the end, to
// be told so.
func (c *client) noDeadline() error {
	c.raw.SetDeadline(time.Time{})
	if c.entered && c.failed() {
		return io.EOF
	}
	return nil
}

// info is what this client is told of the server.
func (c *client) info(n *snapshot) info {
	i := c.s.clientInfo(n)
	i.ClientID, i.ClientIP = c.id, c.host()
	i.AuthRequired, i.MaxPayload = c.door(n).RequiredOf(c.peer), c.maxPayload(n)
	if c.plain {
		i.TLSRequired, i.TLSAvailable, i.TLSVerify = false, false, false
	}
	if c.web != nil {
		// Of the listener that it came to, where TLS is done before.
		w := &n.o.WebSocket
		i.Host, i.Port = announced(w.Advertise, w.Host, c.s.webPort())
		i.TLSRequired, i.TLSVerify = c.web.TLS != nil, w.TLS != nil && w.TLS.Verify
	}
	return i
}

// host is the peer's address without the port; that of a pipe is "pipe", that of
// a Unix socket "unix:PATH".
func (c *client) host() string {
	if c.remote.IsValid() {
		return c.remote.Addr().String()
	}
	return c.raw.RemoteAddr().String()
}

// sendInfo writes before there is anything to be written by others.
func (c *client) sendInfo(conn net.Conn) error {
	i := c.info(c.began)
	i.Nonce = c.nonce
	line := i.line()
	c.trace.out(string(line))
	c.raw.SetWriteDeadline(time.Now().Add(c.began.o.WriteDeadline))
	_, err := conn.Write(line)
	c.raw.SetWriteDeadline(time.Time{})
	return err
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
	o := c.s.Options()
	interval := c.pingInterval(o)
	c.life.Lock()
	if c.life.reason != wire.ReasonUnknown {
		c.life.Unlock()
		return
	}
	last := c.stats.lastActive.Load()
	busy := last != 0 && Ticks(now)-last < int64(interval)
	ping := !busy || c.life.rtt == 0 || now.Sub(c.life.rttAt) > rttFresh
	stale := ping && c.life.pings+1 > o.PingMax
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
		c.out.Append([]byte(wire.PingLine))
		c.out.WriteNow()
	}
}

func (c *client) authRequest() *auth.Request {
	r := &auth.Request{
		Kind:     auth.KindClient,
		User:     c.connect.User,
		Password: c.connect.Pass,
		Token:    c.connect.Token,
		NKey:     c.connect.NKey,
		Sig:      c.connect.Sig,
		JWT:      c.connect.JWT,
		Nonce:    c.nonce,
		Remote:   c.remote,
		Peer:     c.peer,
		TLS:      c.tls,
	}
	c.web.Present(r, c.set.o)
	return r
}
