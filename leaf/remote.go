package leaf

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/wire"
)

const (
	// loopDelay is how long a dialer stays away from a hub that found a loop or
	// the same cluster name, versionDelay from one that wants a newer version.
	loopDelay    = 30 * time.Second
	versionDelay = 5 * time.Second
	// connectInfoTimeout bounds the wait for the answer to CONNECT.
	connectInfoTimeout = 2 * time.Second
)

// remote dials one configured hub, again and again until it is stopped.
type remote struct {
	m       *Module
	config  *config.Remote
	account *account.Account
	signer  *auth.Signer // nil without
	begin   int          // where in the list dialing starts
	up      atomic.Bool  // linked

	ctx    context.Context
	cancel context.CancelFunc // ends run
	done   chan struct{}      // closed when it has ended

	mu struct {
		sync.Mutex
		learned []string        // host:port, told by the hub
		told    map[string]bool // subjects of tellCapture
	}
}

func (m *Module) newRemote(c *config.Remote) (*remote, error) {
	r := &remote{m: m, config: c, done: make(chan struct{})}
	name := firstOf(c.Account, config.GlobalAccount)
	var ok bool
	if r.account, ok = m.services.Account(name); !ok {
		return nil, fmt.Errorf("%s: cannot find local account %q specified in leafnode remote", c.Pos, name)
	}
	switch {
	case c.Credentials != "":
		r.signer = auth.NewCredsSigner(c.Credentials)
	case c.NKey != "":
		r.signer = auth.NewSeedSigner(c.NKey)
	}
	if !c.NoRandomize && len(c.URLs) > 0 {
		r.begin = rand.IntN(len(c.URLs))
	}
	return r, nil
}

// run dials until it is canceled, behind the end of others: of two links of one
// server a hub would close one.
func (r *remote) run(behind []*remote) {
	defer close(r.done)
	for _, b := range behind {
		<-b.done
	}
	ctx, log := r.ctx, r.m.log
	failures, linked := 0, false
	var again redial
	for n := 0; ctx.Err() == nil; n++ {
		u := r.url(n)
		link, err := r.dial(ctx, u)
		var delay time.Duration
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			var quick bool
			delay, quick = again.pause(time.Now(), err, r.config.ReconnectInterval, delayAfter(err))
			if failures == 0 || !quick { // the quick ones are many and say the same
				failures++
				if r.report(failures, linked) {
					// By host: while it is away this is said again and again.
					core.DialLogger(log, kind, u.Host).Error("Error trying to connect as leafnode to remote server", "url", config.ShownURL(u), "attempt", failures, "err", err)
				}
			}
		} else {
			failures, linked = 0, true
			r.up.Store(true)
			end := r.m.runLink(ctx, link)
			r.up.Store(false)
			now := time.Now()
			again.ended(link.started, now, link.replaced)
			delay, _ = again.pause(now, nil, r.config.ReconnectInterval, max(link.delay, delayAfter(end.err)))
			n = -1 // begin again with the configured addresses
		}
		if !sleep(ctx, delay) {
			return
		}
	}
}

// report decides which of many failures in a row are logged. How often is
// configured apart for a hub that was never reached and for one that was.
func (r *remote) report(failures int, linked bool) bool {
	o := r.m.services.Options()
	every := o.ConnectErrorReports
	if linked {
		every = o.ReconnectErrorReports
	}
	return failures == 1 || every <= 1 || failures%every == 0
}

// delayAfter is how long the text of an error asks to stay away.
func delayAfter(err error) time.Duration {
	var pe *peerError
	if !errors.As(err, &pe) {
		return 0
	}
	switch {
	case strings.Contains(pe.text, "Loop detected"), strings.Contains(pe.text, "same cluster name"):
		return loopDelay
	case strings.Contains(pe.text, "minimum version required"):
		return versionDelay
	}
	return 0
}

// url picks the address of the n-th attempt: the configured ones first, then
// what the hub told. (Stock servers begin with what they were told; behind
// NAT that address is rarely one that a device can reach.)
func (r *remote) url(n int) *url.URL {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := len(r.config.URLs)
	i := n % (known + len(r.mu.learned))
	if i < known {
		return r.config.URLs[(i+r.begin)%known]
	}
	first := r.config.URLs[0]
	return &url.URL{Scheme: first.Scheme, User: first.User, Host: r.mu.learned[i-known]}
}

// learn takes the addresses that the hub told of, but for configured ones.
func (r *remote) learn(urls []string) {
	if r.config.IgnoreDiscovered {
		return
	}
	var fresh []string
	for _, u := range urls {
		configured := slices.ContainsFunc(r.config.URLs, func(c *url.URL) bool { return hostPort(c) == u })
		if _, _, err := net.SplitHostPort(u); err == nil && !configured {
			fresh = append(fresh, u)
		}
	}
	r.mu.Lock()
	r.mu.learned = fresh
	r.mu.Unlock()
}

// tellCapture says once that a stream stores what the link brings: then what one
// edge publishes is stored on all that do the same.
func (r *remote) tellCapture(subj string) {
	r.mu.Lock()
	first := !r.mu.told[subj] && len(r.mu.told) < maxTold
	if first {
		if r.mu.told == nil {
			r.mu.told = make(map[string]bool)
		}
		r.mu.told[subj] = true
	}
	r.mu.Unlock()
	if first {
		r.m.log.Warn("A stream here stores what is published on a subject, and the link to the hub brings what others publish there, so it is stored here too: with the subject in deny_imports of the remote only what is published here is",
			"subject", subj, "hub", config.ShownURL(r.config.URLs[0]))
	}
}

// maxTold bounds it, for a server that makes and removes streams for ever.
const maxTold = 1000

func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return net.JoinHostPort(u.Hostname(), strconv.Itoa(config.DefaultLeafPort))
}

// dial connects and does the dialer's side of the handshake.
func (r *remote) dial(ctx context.Context, u *url.URL) (*link, error) {
	timeout := r.config.DialTimeout
	if timeout <= 0 {
		timeout = time.Second
	}
	begin := time.Now()
	d := net.Dialer{Timeout: timeout}
	conn, err := d.DialContext(ctx, "tcp", hostPort(u))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	link, err := r.handshake(conn, u, begin)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return link, nil
}

// handshake is the dialer's order of work: INFO, TLS, compression, CONNECT,
// INFO with connect_info.
func (r *remote) handshake(conn net.Conn, u *url.URL, begin time.Time) (*link, error) {
	hello, conn, t, err := r.hello(conn, u, r.config.FirstInfoTimeout)
	if err != nil {
		return nil, err
	}
	r.learn(hello.LeafURLs)
	rtt := time.Since(begin)
	mode, err := r.compression(t, hello, rtt)
	if err != nil {
		refuse(t, err)
		return nil, err
	}
	c, err := r.connect(u, hello, mode, rtt)
	if err != nil {
		return nil, err
	}
	line, err := c.line()
	if err != nil {
		return nil, err
	}
	if err := t.out(line); err != nil {
		return nil, fmt.Errorf("send CONNECT: %w", err)
	}
	welcome := &info{}
	if hello.InfoOnConnect {
		if welcome, err = r.welcome(t); err != nil {
			return nil, err
		}
	}
	link, err := r.build(conn, t, hello, welcome)
	if err != nil {
		return nil, err
	}
	if hello.Frond == nil && hello.Headers && !r.config.Hub && !r.config.NoHeartbeatConnection {
		link.lifeline = newLifeline(link, func(ctx context.Context) (*talk, error) { return r.dialLifeline(ctx, u) })
	}
	link.mode, link.compress, link.nonceRTT = mode, r.config.Compression, rtt
	return link, conn.SetDeadline(time.Time{})
}

// hello reads the first INFO, inside TLS or before it.
func (r *remote) hello(conn net.Conn, u *url.URL, wait time.Duration) (*info, net.Conn, *talk, error) {
	if wait <= 0 {
		wait = time.Second
	}
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return nil, nil, nil, err
	}
	first := r.config.TLS != nil && r.config.TLS.HandshakeFirst
	var err error
	if first {
		if conn, err = r.startTLS(conn, u); err != nil {
			return nil, nil, nil, err
		}
	}
	t := newTalk(conn)
	hello, err := t.expectInfo(func(*info) bool { return true })
	if err != nil {
		return nil, nil, nil, fmt.Errorf("first INFO: %w", err)
	}
	if hello.ConnID == 0 || len(hello.LeafURLs) == 0 && !hello.InfoOnConnect {
		return nil, nil, nil, fmt.Errorf("attempted to connect to wrong port: %w", errWrongPort)
	}
	if strings.ContainsAny(hello.Cluster, " \t") {
		t.refuse("cluster name cannot contain spaces")
		return nil, nil, nil, fmt.Errorf("cluster name of the hub, %q, contains a blank", hello.Cluster)
	}
	if hello.Cluster == "_" {
		t.refuse("cluster name is reserved")
		return nil, nil, nil, errors.New("cluster name of the hub, \"_\", is reserved")
	}
	if !first && (hello.TLSRequired || r.config.TLS != nil) {
		if conn, err = r.startTLS(conn, u); err != nil {
			return nil, nil, nil, err
		}
		t = newTalk(conn)
	}
	return hello, conn, t, nil
}

func (r *remote) startTLS(conn net.Conn, u *url.URL) (net.Conn, error) {
	t := r.config.TLS
	if t == nil {
		t = &config.TLS{MinVersion: tls.VersionTLS12, Timeout: 2 * time.Second}
	}
	c, err := t.ClientConfig(r.serverName(u))
	if err != nil {
		return nil, err
	}
	if t.Timeout > 0 {
		if err := conn.SetDeadline(time.Now().Add(t.Timeout)); err != nil {
			return nil, err
		}
	}
	tc := tls.Client(conn, c)
	if err := tc.Handshake(); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return tc, nil
}

// serverName is what the hub's certificate is checked against. An address
// that the hub told of is checked against a configured name.
func (r *remote) serverName(u *url.URL) string {
	if net.ParseIP(u.Hostname()) == nil {
		return u.Hostname()
	}
	for _, c := range r.config.URLs {
		if net.ParseIP(c.Hostname()) == nil {
			return c.Hostname()
		}
	}
	return u.Hostname()
}

// compression negotiates and switches. The INFO that asks for it is the last
// plain line, and the hub repeats its own INFO in the new form.
func (r *remote) compression(t *talk, hello *info, rtt time.Duration) (string, error) {
	if err := t.conn.SetDeadline(time.Now().Add(connectInfoTimeout)); err != nil {
		return "", err
	}
	mode, err := negotiate(r.config.Compression.Mode, hello.Compression)
	if err != nil || !compresses(mode) {
		return mode, err
	}
	ask := &info{ConnID: hello.ConnID, Compression: mode}
	line, err := ask.line()
	if err != nil {
		return "", err
	}
	if err := t.out(line); err != nil {
		return "", err
	}
	t.compress(levelFor(r.config.Compression, mode, rtt))
	if _, err := t.expectInfo(func(*info) bool { return true }); err != nil {
		return "", fmt.Errorf("INFO after compression: %w", err)
	}
	return mode, nil
}

func (r *remote) connect(u *url.URL, hello *info, mode string, rtt time.Duration) (*connect, error) {
	s := r.m.services
	c := &connect{
		Version: s.Version(), ServerID: s.ServerID(), Name: s.ServerName(),
		Cluster: r.m.clusterName(), Domain: s.Domain(), JetStream: s.JetStream(),
		Headers: !s.Options().NoHeaders, Hub: r.config.Hub,
		DenyPub: r.config.DenyImports, Isolate: r.config.RequestIsolation,
		Compression:   levelFor(r.config.Compression, mode, rtt),
		RemoteAccount: r.account.Name(), Protocol: protocolVersion, Frond: r.m.extra(),
	}
	if user := firstUser(u, r.config.URLs); user != nil {
		c.User = user.Username()
		if pass, ok := user.Password(); ok {
			c.Password = pass
		} else {
			c.Token = c.User
		}
	}
	if r.signer != nil {
		proof, err := r.signer.Sign(hello.Nonce)
		if err != nil {
			return nil, err
		}
		c.JWT, c.NKey, c.Sig = proof.JWT, proof.NKey, proof.Sig
	}
	return c, nil
}

// firstUser is the user of the address, or of a configured one: addresses
// that a hub tells of never have one.
func firstUser(u *url.URL, configured []*url.URL) *url.Userinfo {
	if u.User != nil {
		return u.User
	}
	for _, c := range configured {
		if c.User != nil {
			return c.User
		}
	}
	return nil
}

func (r *remote) welcome(t *talk) (*info, error) {
	if err := t.conn.SetDeadline(time.Now().Add(connectInfoTimeout)); err != nil {
		return nil, err
	}
	i, err := t.expectInfo(func(i *info) bool { return i.ConnectInfo })
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		t.refuse("Stale Leaf Node Connection - Closing")
	}
	if err != nil {
		return nil, fmt.Errorf("answer to CONNECT: %w", err)
	}
	return i, nil
}

func (r *remote) build(conn net.Conn, t *talk, hello, welcome *info) (*link, error) {
	c := r.config
	k := &link{
		m: r.m, id: r.m.services.Connections().NextID(), conn: conn, in: t.in, heard: t.heard, dialed: true, remote: r,
		account: r.account, remoteAcc: welcome.RemoteAccount, role: account.RoleHub, isolated: c.Isolate,
		peer: peer{name: firstOf(hello.ServerName, hello.ServerID), cluster: hello.Cluster, headers: hello.Headers, run: hello.ServerID,
			side: side{domain: hello.Domain, jetstream: hello.JetStream}},
		started: time.Now(),
	}
	k.bounds = r.m.boundsOf(k.peer.name, hello.Frond, hello.MaxPayload)
	if c.Hub {
		k.role = account.RoleSpoke
	}
	user, err := newPermissions(welcome.Export, welcome.Import)
	if err != nil {
		return nil, fmt.Errorf("permissions from the hub: %w", err)
	}
	if k.rules, err = newRules(c.Hub, false, user, r.m.here(), k.peer.side, c.DenyExports, c.DenyImports); err != nil {
		return nil, &wire.Error{Reason: wire.ReasonProtocolViolation, Text: ""}
	}
	return k, nil
}
