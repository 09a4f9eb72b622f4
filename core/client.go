package core

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/inbound"
	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
)

// client is one connection on the client port. Its reader goroutine (serve)
// owns it from beginning to end; its outbound buffer has a writer of its own. Everybody else only delivers to it (client_out.go) or ends it (fail).
type client struct {
	// Fixed once serve has opened the connection.
	id        uint64
	s         *Server
	began     *snapshot // the current one when it began
	raw       net.Conn  // the socket
	conn      net.Conn  // raw, or TLS on it
	out       *outbound.Buffer
	remote    netip.AddrPort
	peer      *auth.Peer // nil but on a Unix socket
	tls       *tls.ConnectionState
	start     time.Time
	entered   bool      // counts for max_connections
	inProcess bool      // no socket
	plain     bool      // TLS is not offered: it never leaves the machine, or TLS is done
	web       *Upgraded // nil but over a WebSocket
	nonce     string
	trace     *tracer // nil unless the protocol is logged

	// Owned by the reader.
	set       *snapshot // the newest that it has seen: limits of what comes
	parser    *wire.ClientParser
	part      inbound.Part     // of a message that is not whole
	origin    *account.Origin  // nil before the first message: many clients only listen
	account   *account.Account // nil before it is known who this is
	within    *account.Account // that counts this client
	connect   *connectOptions  // of the last CONNECT; immutable
	begun     bool             // the first byte was seen
	connected bool             // CONNECT was accepted
	why       string           // more than the reason tells of why it ended
	told      bool             // the second INFO was sent
	out503    []byte
	asks      *askInfo                    // nil before a question to another account
	in        struct{ msgs, bytes int64 } // since the last time they were added to stats
	spoke     bool                        // out has something for the writer to be woken for
	active    bool                        // something that counts as life arrived

	// Guarded by the lock of out: messages queued since the beginning, and their
	// headers and bodies.
	sent struct{ msgs, bytes int64 }

	// session is what deliveries must know; a CONNECT makes a new one.
	session atomic.Pointer[session]
	stats   clientStats

	subs struct {
		sync.Mutex
		bySID map[string]*account.Sub
		// used are those whose last message was delivered: the next Flush
		// takes them away, since a delivery must not.
		used []*account.Sub
	}
	hasUsed atomic.Bool // used is not empty

	life struct {
		sync.Mutex
		reason wire.CloseReason // ReasonUnknown while open
		text   string           // of the -ERR to be sent
		why    string           // for the log, if it is more than text
		timer  *time.Timer      // authentication, then pings
		pings  int              // unanswered
		pinged time.Time        // when the last PING was sent
		rtt    time.Duration
		rttAt  time.Time
		info   *connectOptions // what monitoring is told; nil before CONNECT
		grant  *auth.Grant     // nil before it is known who this is
		user   string
		acc    string
		// claimed is who somebody said to be that did not get in.
		claimed struct {
			user    string
			connect *connectOptions // nil: nobody
		}
		out *outbound.Buffer     // nil before the connection is open
		tls *tls.ConnectionState // nil without TLS
	}
}

// session is immutable.
type session struct {
	account *account.Account // nil before it is known who this is
	echo    bool
	headers bool
	perms   *subject.Permissions     // nil: everything is allowed
	replies *subject.ResponseTracker // nil: replies give no rights
}

// limit gives it the rights of g.
func (s *session) limit(g *auth.Grant) {
	s.perms, s.replies = g.Permissions, nil
	if g.Permissions != nil && g.Permissions.Responses() != nil {
		s.replies = subject.NewResponseTracker(g.Permissions.Responses())
	}
}

type clientStats struct {
	inMsgs, inBytes atomic.Int64
	stalls          atomic.Int64
	lastActive      atomic.Int64 // Ticks
}

// Role is part of account.Sink.
func (c *client) Role() account.Role { return account.RoleClient }

// Cluster is part of account.Sink.
func (c *client) Cluster() string { return "" }

// fail ends the connection from any goroutine. The first reason holds; text is
// sent as -ERR if there is one.
func (c *client) fail(reason wire.CloseReason, text string) {
	c.life.Lock()
	first := c.life.reason == wire.ReasonUnknown
	if first {
		c.life.reason, c.life.text = reason, text
	}
	c.life.Unlock()
	if first {
		// The reader wakes up, says goodbye and cleans up.
		c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// Kick is part of Connection. As in nats-server the client is not told why.
func (c *client) Kick() { c.fail(wire.ReasonKicked, "") }

// HeldTooMuch is part of inbound.Owner.
func (c *client) HeldTooMuch() {
	c.life.Lock()
	if c.life.reason == wire.ReasonUnknown {
		c.life.why = inbound.ErrTooMuch.Error()
	}
	c.life.Unlock()
	c.fail(wire.ReasonStale, wire.ReasonStale.String())
}

// reason is why the connection ended, or ReasonUnknown.
func (c *client) reason() wire.CloseReason {
	c.life.Lock()
	defer c.life.Unlock()
	return c.life.reason
}

// failed reports whether the connection is about to end.
func (c *client) failed() bool { return c.reason() != wire.ReasonUnknown }

// cut ends the connection without a goodbye.
func (c *client) cut(reason wire.CloseReason) {
	c.life.Lock()
	if c.life.reason == wire.ReasonUnknown {
		c.life.reason = reason
	}
	c.life.Unlock()
	c.raw.Close()
}

// say queues p for this client and remembers to wake the writer at the end of
// the read buffer. For the reader goroutine only.
func (c *client) say(p string) {
	c.trace.out(p)
	if errors.Is(c.out.Append([]byte(p)), outbound.ErrSlowPending) {
		c.cut(wire.ReasonSlowPending)
	}
	c.spoke = true
}

func (c *client) sayErr(text string) { c.say("-ERR '" + text + "'\r\n") }

// refuse tells peer and log that something was not done; the connection stays.
func (c *client) refuse(what, text string, attrs ...any) {
	c.log().Error(what, append(attrs, "err", text)...)
	c.sayErr(text)
}

// log is for the few lines that a connection is worth; it is made for each.
func (c *client) log() *slog.Logger {
	l := c.web.Named(PeerLogger(c.s.log, "client", c.id, c.raw.RemoteAddr()))
	c.life.Lock()
	user, name := c.life.user, ""
	if c.life.info != nil {
		name = c.life.info.Name
	}
	if user == "" && c.life.claimed.connect != nil {
		user, name = c.life.claimed.user, c.life.claimed.connect.Name
	}
	c.life.Unlock()
	if user != "" {
		l = l.With(peerUser, user)
	}
	if name != "" {
		l = l.With(peerClient, name)
	}
	return l
}
