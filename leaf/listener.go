package leaf

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/transport"
	"github.com/frondmq/frond/core/wire"
)

// listener accepts links from spokes. It owns their goroutines.
type listener struct {
	m    *Module
	ln   *transport.Listener
	tls  atomic.Pointer[tls.Config] // nil without
	urls []string                   // what INFO tells spokes
}

func (m *Module) listen(o *config.Options) (*listener, error) {
	l := &listener{m: m}
	l.tls.Store(m.nextTLS)
	ln, err := transport.Listen("leafnodes.port", o.Leaf.Host, o.Leaf.Port)
	if err != nil {
		return nil, err
	}
	l.ln = ln
	if !o.Leaf.NoAdvertise {
		l.urls = advertised(o.Leaf.Advertise, ln.Addr().(*net.TCPAddr))
	}
	return l, nil
}

// advertised lists how spokes can reach the listener.
func advertised(configured string, addr *net.TCPAddr) []string {
	port := strconv.Itoa(addr.Port)
	if host, p, err := config.SplitAdvertise(configured, addr.Port); configured != "" && err == nil {
		return []string{net.JoinHostPort(host, strconv.Itoa(p))}
	}
	if !addr.IP.IsUnspecified() {
		return []string{net.JoinHostPort(addr.IP.String(), port)}
	}
	var urls []string
	addrs, _ := net.InterfaceAddrs() // none known is none told
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			urls = append(urls, net.JoinHostPort(n.IP.String(), port))
		}
	}
	if len(urls) == 0 {
		urls = []string{net.JoinHostPort("127.0.0.1", port)}
	}
	return urls
}

// serve begins to accept. Every link is a goroutine of the module.
func (l *listener) serve(ctx context.Context) {
	l.ln.Run(l.m.log, kind, func(conn net.Conn) {
		l.m.work.Go(func() { l.handle(ctx, conn) })
	})
}

func (l *listener) handle(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	who := visitor{id: l.m.services.Connections().NextID()}
	link, err := l.accept(conn, &who)
	stop()
	if err != nil {
		conn.Close()
		log := core.PeerLogger(l.m.log, kind, who.id, conn.RemoteAddr())
		if who.user != "" {
			log = log.With("user", who.user)
		}
		if who.name != "" {
			log = log.With("client", who.name)
		}
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, io.EOF): // a health check, or a peer that changed its mind
			log.Debug("Leafnode connection went before CONNECT")
		default:
			log.Error("Leafnode connection refused", "err", err)
		}
		return
	}
	// With a stack of its own: that of the handshake is large.
	l.m.work.Go(func() { l.m.runLink(ctx, link) })
}

// kind of peer, in the log.
const kind = "leafnode"

// visitor is what is known of one who knocks, for the log.
type visitor struct {
	id         uint64
	user, name string
}

// accept does the acceptor's side of the handshake, in the order of the
// protocol: INFO, TLS, compression, CONNECT, INFO with connect_info.
func (l *listener) accept(conn net.Conn, who *visitor) (*link, error) {
	o := l.m.services.Options()
	begin := time.Now()
	hello := l.info(o)
	hello.ConnID = who.id
	hello.Nonce = auth.NewNonce()
	if mode := o.Leaf.Compression.Mode; mode != config.CompressNotSupported {
		hello.Compression = mode
	}

	conn, t, err := l.greet(conn, o, hello)
	if err != nil {
		return nil, err
	}
	c, mode, err := l.readConnect(t, o, hello)
	if err != nil {
		refuse(t, err)
		return nil, err
	}
	rtt := time.Since(begin)
	who.user, who.name = firstOf(c.User, c.NKey), firstOf(c.Name, c.ServerID)
	grant, err := l.m.services.Authenticate(l.request(conn, c, hello.Nonce))
	if err != nil {
		t.refuse("Authorization Violation")
		return nil, err
	}
	if err := l.checkPeer(c, o); err != nil {
		refuse(t, err)
		return nil, err
	}
	link, err := l.build(conn, t, o, c, grant, hello.ConnID)
	if err != nil {
		refuse(t, err)
		return nil, err
	}
	link.mode, link.compress, link.nonceRTT = mode, o.Leaf.Compression, rtt

	welcome := l.info(o)
	welcome.ConnID = hello.ConnID
	welcome.ConnectInfo = true
	welcome.RemoteAccount = link.account.Name()
	welcome.IsSystem = welcome.RemoteAccount == o.SystemAccount
	if p := grant.Permissions; p != nil {
		welcome.Import = permissionsOf(p.SubRules())
		welcome.Export = permissionsOf(p.PubRules())
	}
	line, err := welcome.line()
	if err != nil {
		return nil, err
	}
	if err := t.out(line); err != nil {
		return nil, fmt.Errorf("answer CONNECT: %w", err)
	}
	link.in, link.heard = t.in, t.heard
	return link, conn.SetDeadline(time.Time{})
}

// greet sends the first INFO and does TLS, in the order that the
// configuration asks for. What follows has the time that there is for logging in.
func (l *listener) greet(conn net.Conn, o *config.Options, hello *info) (net.Conn, *talk, error) {
	line, err := hello.line()
	if err != nil {
		return nil, nil, err
	}
	timeout := o.Leaf.Auth.AuthTimeout(o.Leaf.TLS)
	g := transport.Greeting{
		Hello: func(on net.Conn) error {
			if _, err := on.Write(line); err != nil {
				return fmt.Errorf("send INFO: %w", err)
			}
			return nil
		},
		Rest: func() error { return conn.SetDeadline(time.Now().Add(timeout)) },
	}
	if t := o.Leaf.TLS; t != nil {
		g.TLS, g.Timeout, g.First, g.Fallback = l.tls.Load(), min(timeout, t.Timeout), t.HandshakeFirst, t.HandshakeFirstFallback
	}
	if err := g.Rest(); err != nil {
		return nil, nil, err
	}
	on, err := g.Open(conn)
	if err != nil {
		return nil, nil, err
	}
	return on, newTalk(on), nil
}

// readConnect reads up to CONNECT, with the compression in front of it when
// the peer asks for it.
func (l *listener) readConnect(t *talk, o *config.Options, hello *info) (*connect, string, error) {
	mode := config.CompressOff
	if hello.Compression == "" {
		mode = config.CompressNotSupported
	}
	negotiated := false
	for {
		verb, args, err := t.line()
		var ne net.Error
		switch {
		case errors.As(err, &ne) && ne.Timeout():
			return nil, "", &wire.Error{Text: "Authentication Timeout", Reason: wire.ReasonAuthTimeout}
		case err != nil:
			return nil, "", err
		case verb == "CONNECT":
			c, err := parseConnect(args)
			return c, mode, err
		case verb == "INFO" && !negotiated && hello.Compression != "":
			negotiated = true
			i, err := parseInfo(args)
			if err != nil {
				return nil, "", err
			}
			if mode, err = negotiate(o.Leaf.Compression.Mode, i.Compression); err != nil {
				return nil, "", err
			}
			if compresses(mode) {
				t.compress(compressUncompressed)
				line, err := hello.line()
				if err != nil {
					return nil, "", err
				}
				if err := t.out(line); err != nil {
					return nil, "", err
				}
			}
		default:
			return nil, "", errUnauthorized
		}
	}
}

var errUnauthorized = &wire.Error{Text: "Authorization Violation", Reason: wire.ReasonProtocolViolation}

// refuse tells the peer the text of err, if it has one, and closes.
func refuse(t *talk, err error) {
	var we *wire.Error
	if errors.As(err, &we) && we.Text != "" {
		t.refuse(we.Text)
		return
	}
	t.conn.Close()
}

func (l *listener) request(conn net.Conn, c *connect, nonce string) *auth.Request {
	r := &auth.Request{
		Kind: auth.KindLeaf,
		User: c.User, Password: c.Password, Token: c.Token,
		NKey: c.NKey, Sig: c.Sig, JWT: c.JWT, Nonce: nonce,
	}
	r.Remote, r.TLS = transport.AddrPort(conn.RemoteAddr()), transport.TLSState(conn)
	return r
}

// checkPeer refuses whoever came by the wrong door, in the order of the
// protocol.
func (l *listener) checkPeer(c *connect, o *config.Options) error {
	own := l.m.clusterName()
	switch {
	case c.Lang != "":
		return &wire.Error{Text: "attempted to connect to leaf node port", Reason: wire.ReasonWrongPort}
	case strings.ContainsAny(c.Cluster, " \t"):
		return &wire.Error{Text: "cluster name cannot contain spaces", Reason: wire.ReasonProtocolViolation}
	case c.Cluster == "_":
		return &wire.Error{Text: "cluster name is reserved", Reason: wire.ReasonProtocolViolation}
	case own != "" && own == c.Cluster:
		return &wire.Error{Text: "remote leafnode has same cluster name", Reason: wire.ReasonClusterNamesIdentical}
	case c.Gateway != "":
		return &wire.Error{
			Text:   fmt.Sprintf("Rejecting connection from gateway %q on the leafnode port", c.Gateway),
			Reason: wire.ReasonWrongGateway,
		}
	case o.Leaf.MinVersion != "" && olderThan(c.Version, o.Leaf.MinVersion):
		return &wire.Error{
			Text:   fmt.Sprintf("connection rejected since minimum version required is %q", o.Leaf.MinVersion),
			Reason: wire.ReasonMinimumVersion,
		}
	}
	return nil
}

func (l *listener) build(conn net.Conn, t *talk, o *config.Options, c *connect, g *auth.Grant, id uint64) (*link, error) {
	acc, ok := l.m.services.Account(g.Account)
	if !ok {
		return nil, &wire.Error{Text: "Authorization Violation", Reason: wire.ReasonMissingAccount}
	}
	k := &link{
		m: l.m, id: id, conn: conn, account: acc, user: g.User, grant: g,
		role: account.RoleSpoke, remoteAcc: c.RemoteAccount,
		isolated: c.Isolate || o.Leaf.Isolate,
		peer: peer{name: firstOf(c.Name, c.ServerID, conn.RemoteAddr().String()), cluster: c.Cluster, headers: c.Headers, run: c.ServerID,
			side: side{domain: c.Domain, jetstream: c.JetStream}},
		started: time.Now(),
	}
	if c.Frond != nil {
		k.peer.store = c.Frond.Store
	}
	k.bounds = l.m.boundsOf(k.peer.name, c.Frond, 0)
	if c.Hub {
		k.role = account.RoleHub
	}
	var err error
	if k.rules, err = newRules(!c.Hub, true, g.Permissions, l.m.here(), k.peer.side, c.DenyPub, nil); err != nil {
		return nil, &wire.Error{Text: "Authorization Violation", Reason: wire.ReasonProtocolViolation}
	}
	return k, nil
}

// info is what this server tells of itself, but for what differs by link.
func (l *listener) info(o *config.Options) *info {
	i := l.m.info()
	addr := l.ln.Addr().(*net.TCPAddr)
	i.Host, i.Port = addr.IP.String(), addr.Port
	i.IP = net.JoinHostPort(i.Host, strconv.Itoa(i.Port))
	i.AuthRequired = true // by protocol, whatever the configuration
	i.TLSRequired = o.Leaf.TLS != nil
	i.TLSVerify = o.Leaf.TLS != nil && o.Leaf.TLS.Verify
	i.MaxPayload = o.MaxPayload
	i.InfoOnConnect = true
	i.LeafURLs = l.urls
	return i
}

func firstOf(names ...string) string {
	for _, n := range names {
		if n != "" {
			return n
		}
	}
	return ""
}

// olderThan compares the numbers of two versions "a.b.c"; anything behind
// them is ignored.
func olderThan(v, limit string) bool {
	a, b := numbers(v), numbers(limit)
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

func numbers(v string) (n [3]int) {
	v, _, _ = strings.Cut(strings.TrimPrefix(v, "v"), "-")
	for i, part := range strings.SplitN(v, ".", 3) {
		n[i], _ = strconv.Atoi(part) // no number counts as 0: older than all
	}
	return n
}
