package config

import (
	"errors"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nkeys"
)

func leafTable() *block[Leaf] {
	type l = Leaf
	return &block[l]{
		unknown: unknownField,
		fields: []field[l]{
			row(Restart, "listen", "port or host:port", "off", "the leaf port", "127.0.0.1:7422", setListen(func(l *l) *string { return &l.Host }, func(l *l) *int { return &l.Port })),
			row(Restart, "host net", "string", "0.0.0.0", "the interface of the leaf port", "127.0.0.1", setString(func(l *l) *string { return &l.Host })),
			row(Restart, "port", "integer -1..65535", "off", "the leaf port, usually 7422", "7422", setPort(func(l *l) *int { return &l.Port })),
			row(Live, "authorization authentication", "map", "as the client port", "who may link", "{user: u, password: p}", setLeafAuth),
			row(Restart, "tls", "map", "off", "TLS on the leaf port", "{cert_file: CERT, key_file: KEY}", setServerTLS(func(l *l) **TLS { return &l.TLS })),
			row(Restart, "leafnode_advertise advertise", "host or host:port", "", "what other servers are told instead of the own address", "example.com", setAdvertise(func(l *l) *string { return &l.Advertise })),
			row(Restart, "no_advertise", "boolean", "false", "tell other servers no address; a nats-server before 2.15 does not link then", "true", setBool(func(l *l) *bool { return &l.NoAdvertise })),
			row(Live, "min_version minimum_version", "version from 2.8.0", "", "refuse older servers", "2.10.0", setMinServer),
			row(Live, "compression", "boolean, mode, or map", "s2_auto", "off, accept, s2_auto, s2_fast, s2_better, s2_best; a map has mode and rtt_thresholds", "s2_fast", setCompression(func(l *l) *Compression { return &l.Compression })),
			row(Live, "isolate_leafnode_interest isolate", "boolean", "false", "do not tell one link what another wants", "true", setBool(func(l *l) *bool { return &l.Isolate })),
			own(row(Restart, "collect", "string", "", "make a stream of that name, and the stream EDGE of each edge that links a source of it", "ALL", setString(func(l *l) *string { return &l.Collect }))),
			own(row(Live, "unique_domains", "boolean", "false", "refuse a second server of one JetStream domain, where nats-server takes both", "true", setBool(func(l *l) *bool { return &l.UniqueDomains }))),
			row(Live, "reconnect reconnect_delay reconnect_interval", "duration", "1s", "between two attempts to link, at most; shorter at first when a link was lost", "5s", setDuration(func(l *l) *time.Duration { return &l.Reconnect })),
			row(Live, "dial_timeout", "duration", "1s", "to connect", "5s", setDuration(func(l *l) *time.Duration { return &l.DialTimeout })),
			row(Live, "write_deadline", "duration", "that of the server", "one write to a link may take that long", "5s", setDuration(func(l *l) *time.Duration { return &l.WriteDeadline })),
			row(Live, "ping_interval", "duration", "that of the server, at most 15s", "between two PINGs on a link that is quiet", "10s", setDuration(func(l *l) *time.Duration { return &l.PingInterval })),
			row(Live, "ping_max", "integer", "that of the server", "unanswered PINGs before a link is given up", "3", setInt(func(l *l) *int { return &l.PingMax }, 0, math.MaxInt32)),
			row(Live, "remotes", "list of maps", "", "links this server makes", "[{url: \"nats://hub\"}]", setRemotes),
			notYet[l]("write_timeout", "what happens when write_deadline passes", ""),
		},
	}
}

func remoteTable() *block[Remote] {
	type r = Remote
	const noWebsocket = "no build has WebSocket yet"
	return &block[r]{
		unknown: unknownField,
		fields: []field[r]{
			row(Live, "url urls", "URL or list", "", "where to, nats-leaf://host:7422; nats:// and tls:// mean the same", `"nats://hub"`, setURLs),
			row(Live, "account local", "string", "$G", "the account that is linked", "A", setString(func(r *r) *string { return &r.Account })),
			row(Live, "credentials creds", "path", "", "file with JWT and seed", "/x.creds", setCredentials),
			row(Live, "nkey seed", "user seed", "", "key to log in with", exampleSeed, setSeed),
			row(Live, "tls", "map", "off", "TLS of the link", "{ca_file: CERT}", setClientTLS(func(r *r) **TLS { return &r.TLS })),
			row(Live, "no_randomize dont_randomize", "boolean", "false", "dial the URLs in their order", "true", setBool(func(r *r) *bool { return &r.NoRandomize })),
			row(Live, "hub", "boolean", "false", "this side is the hub of the link", "true", setBool(func(r *r) *bool { return &r.Hub })),
			row(Live, "deny_imports deny_import", "subject or list", "", "never take these from the other side", "a", setDeny(func(r *r) *[]string { return &r.DenyImports })),
			row(Live, "deny_exports deny_export", "subject or list", "", "never send these to the other side", "a", setDeny(func(r *r) *[]string { return &r.DenyExports })),
			row(Live, "compression", "boolean, mode, or map", "as the block", "", "s2_fast", setCompression(func(r *r) *Compression { return &r.Compression })),
			row(Live, "isolate_leafnode_interest isolate", "boolean", "as the block", "do not tell this link what another wants", "true", setBool(func(r *r) *bool { return &r.Isolate })),
			row(Live, "request_isolation", "boolean", "false", "ask the other side to isolate us", "true", setBool(func(r *r) *bool { return &r.RequestIsolation })),
			own(row(Live, "no_heartbeat_connection", "boolean", "false", "link to a nats-server by one connection only: none beside it with heartbeats while a message is long on the line", "true", setBool(func(r *r) *bool { return &r.NoHeartbeatConnection }))),
			row(Live, "first_info_timeout", "duration", "1s", "wait for the first line of the other side", "5s", setDuration(func(r *r) *time.Duration { return &r.FirstInfoTimeout })),
			row(Live, "dial_timeout", "duration", "as the block", "to connect", "5s", setDuration(func(r *r) *time.Duration { return &r.DialTimeout })),
			row(Live, "disabled", "boolean", "false", "do not link", "true", setBool(func(r *r) *bool { return &r.Disabled })),
			row(Live, "ignore_discovered_servers", "boolean", "false", "do not dial addresses that the other side names", "true", setBool(func(r *r) *bool { return &r.IgnoreDiscovered })),
			notYet[r]("ws_compression ws_compress websocket_compress websocket_compression", "compression of WebSocket links", noWebsocket),
			notYet[r]("ws_no_masking websocket_no_masking", "masking of WebSocket links", noWebsocket),
			notYet[r]("proxy", "link through an HTTP proxy", ""),
			without[r]("jetstream_cluster_migrate js_cluster_migrate", "it only matters in a cluster"),
		},
	}
}

// exampleSeed belongs to exampleNKey and to nobody.
const exampleSeed = "SUAJXTUSQA3FR2ELOSGTYTAXJULQOZWPGWLOFPSXL7FZ3TT4YJC45LMVZE"

func setLeaf(d *decoder, o *Options, it item) {
	if it.v.Kind != KindMap {
		d.errorf(it.pos, "Expected map to define a leafnode, got %s", it.v.Kind)
		return
	}
	l := &o.Leaf
	l.Set = true
	leafTable().decode(d, l, it.path, it.v.Map)
	// What a remote leaves open comes from the block, wherever it stands.
	for i := range l.Remotes {
		r := &l.Remotes[i]
		if r.Compression.Mode == "" {
			r.Compression = l.Compression
		}
		if r.DialTimeout == 0 {
			r.DialTimeout = l.DialTimeout
		}
		if d.positions[it.path+".remotes["+strconv.Itoa(i)+"].isolate_leafnode_interest"].IsZero() {
			r.Isolate = l.Isolate
		}
		r.ReconnectInterval = l.Reconnect
	}
}

func setLeafAuth(d *decoder, l *Leaf, it item) {
	l.Auth = Authorization{}
	if leafAuthTable().decodeMap(d, &l.Auth, it) {
		checkAuth(d, &l.Auth, it, "can not")
	}
}

func setRemotes(d *decoder, l *Leaf, it item) {
	fresh := Remote{Account: GlobalAccount, FirstInfoTimeout: firstInfoTimeout}
	l.Remotes = mapsOf(d, it, "Expected remote leafnode entry to be a map/struct, got %s", remoteTable(), fresh, func(r *Remote, it item) {
		r.Pos = it.pos
		switch {
		case len(r.URLs) == 0:
			d.errorf(it.pos, "a remote needs a url")
		case r.Credentials != "" && r.NKey != "":
			d.errorf(it.pos, "Remote leafnode can not have both creds and nkey defined")
		}
	})
}

func setURLs(d *decoder, r *Remote, it item) {
	list, ok := d.strings(it)
	if !ok {
		return
	}
	r.URLs = nil
	for _, s := range list {
		u, err := LeafURL(s)
		if err != nil {
			d.errorf(it.pos, "error parsing leafnode url %q: %s", withoutUser(s), err)
			continue
		}
		r.URLs = append(r.URLs, u)
	}
}

// LeafURL reads the address of a remote and puts in the default port. An error
// does not repeat the text, which may hold a password.
func LeafURL(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	switch {
	case err != nil && strings.Contains(s, "@"):
		// What exactly is wrong may be a part of the password.
		return nil, errors.New("it is no URL; in a user and a password, characters like '/', '%' and '#' are written as %2F, %25 and %23")
	case err != nil:
		return nil, err.(*url.Error).Err
	}
	switch strings.ToLower(u.Scheme) {
	case "nats", "tls", "nats-leaf", "leaf":
	case "ws", "wss":
		return nil, errors.New("WebSocket links are not supported yet by this version of frond")
	default:
		return nil, errors.New("it must begin with nats-leaf://, nats:// or tls://")
	}
	if u.Hostname() == "" {
		return nil, errors.New("it names no host")
	}
	if strings.Contains(u.Hostname(), ":") && u.Host[0] != '[' {
		return nil, errors.New("an IPv6 address stands in brackets")
	}
	if p := u.Port(); p == "" {
		u.Host = strings.TrimSuffix(u.Host, ":") + ":" + strconv.Itoa(DefaultLeafPort)
	} else if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
		return nil, errors.New("its port is not between 1 and 65535")
	}
	return u, nil
}

// withoutUser leaves out of a URL, which need not be a correct one, what may be
// a password.
func withoutUser(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s
	}
	scheme, _, ok := strings.Cut(s[:at], "://")
	if !ok || strings.Contains(scheme, ":") {
		return "..." + s[at:]
	}
	return scheme + "://..." + s[at:]
}

// ShownURL is the address of a remote without its secrets: the password, or what
// stands alone in front of the host, which is a token.
func ShownURL(u *url.URL) string {
	if u.User != nil {
		if _, is := u.User.Password(); !is {
			v := *u
			v.User = url.User("xxxxx")
			return v.String()
		}
	}
	return u.Redacted()
}

// setCredentials expands "~" and "$VAR" of the environment.
func setCredentials(d *decoder, r *Remote, it item) {
	if it.v.Kind != KindString {
		d.wrongType(it, "a path")
		return
	}
	r.Credentials = d.expandPath(it.v.Str)
}

func setSeed(d *decoder, r *Remote, it item) {
	if it.v.Kind == KindString {
		if kp, err := nkeys.FromSeed([]byte(it.v.Str)); err == nil {
			pub, err := kp.PublicKey()
			kp.Wipe()
			if err == nil && nkeys.IsValidPublicUserKey(pub) {
				r.NKey = it.v.Str
				return
			}
		}
	}
	// The text is left out: it may well be a secret.
	d.errorf(it.pos, "Remote leafnode nkey is not a valid seed")
}

func setDeny(at func(*Remote) *[]string) func(*decoder, *Remote, item) {
	return func(d *decoder, r *Remote, it item) { *at(r) = d.ruleSubjects(it, false) }
}

// setMinServer takes the version of a server.
func setMinServer(d *decoder, l *Leaf, it item) {
	if it.v.Kind != KindString {
		d.wrongType(it, "a version")
		return
	}
	v, ok := parseVersion(it.v.Str)
	switch {
	case !ok:
		d.errorf(it.pos, "invalid leafnode's minimum version: invalid semver")
	case slices.Compare(v[:], []int{2, 8, 0}) < 0:
		d.errorf(it.pos, "the minimum version should be at least 2.8.0")
	default:
		l.MinVersion = it.v.Str
	}
}

// parseVersion reads "2.10.0", with an optional "v" before and "-suffix"
// behind.
func parseVersion(s string) (v [3]int, ok bool) {
	s, _, _ = strings.Cut(strings.TrimPrefix(s, "v"), "-")
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return v, false
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 {
			return v, false
		}
		v[i] = n
	}
	return v, true
}
