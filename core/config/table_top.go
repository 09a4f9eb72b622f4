package config

import (
	"math"
	"slices"
	"strings"
	"time"
)

// topTable is the file itself.
func topTable() *block[Options] {
	type o = Options
	t := &block[o]{unknown: unknownField}
	t.fields = slices.Concat(networkRows(), limitRows(), logRows(), monitorRows(), []field[o]{
		row(Live, "authorization authentication", "map", "everyone", "who may connect", "{user: u, password: p}", setAuth),
		row(Live, "no_auth_user", "string", "", "the user of connections that present nothing", "u", setString(func(o *o) *string { return &o.NoAuthUser })),
		row(Live, "tls", "map", "off", "TLS on the client port", "{cert_file: CERT, key_file: KEY}", setServerTLS(func(o *o) **TLS { return &o.TLS })),
		row(Live, "allow_non_tls", "boolean", "false", "let plain clients in beside TLS", "true", setBool(func(o *o) *bool { return &o.AllowNonTLS })),
		row(Restart, "jetstream", "map, boolean, enabled or disabled", "disabled", "storage", "enabled", setJetStream),
		row(Restart, "store_dir storedir", "path", "", "same as jetstream.store_dir", "/data", setStoreDir),
		own(row(Restart, "edge_store", "subject or list", "", "make the stream EDGE and keep these subjects in it", "[\"plant.>\"]", setSubjects(func(o *o) *[]string { return &o.EdgeStore }))),
		of("leafnodes", "full", row(Restart, "leafnodes leaf", "map", "off", "links to and from other servers", "{port: 7422}", setLeaf)),
		of("mqtt", "full", row(Restart, "mqtt", "map", "off", "MQTT 3.1, 3.1.1 and 5", "{port: 1883}", setMQTT)),
		webSocketRow(),
	}, accountRows(), topOthers())
	return t
}

func networkRows() []field[Options] {
	type o = Options
	return []field[o]{
		row(Restart, "listen", "port or host:port", "0.0.0.0:4222", "the client port; port 0 is the default", "127.0.0.1:4333", setClientListen),
		row(Restart, "host net", "string", "0.0.0.0", "the interface of the client port", "127.0.0.1", setString(func(o *o) *string { return &o.Host })),
		row(Restart, "port", "integer -1..65535", "4222", "the client port; -1 picks a free one, 0 is the default", "4333", setClientPort),
		own(row(Restart, "unix_socket", "path or map", "off", "a Unix socket for clients, beside the port, without TLS", "/run/x.sock", setUnixSocket(func(o *o) *UnixSocket { return &o.Unix }))),
		row(Live, "client_advertise", "host or host:port", "", "what INFO tells clients instead of the own address", "example.com", setAdvertise(func(o *o) *string { return &o.ClientAdvertise })),
		row(Restart, "server_name", "string", "the server's id", "the name of this server, without blanks", "edge1", setServerName),
		row(Live, "server_tags", "string or list", "", "labels, lower case", "[a, b]", setTags),
		row(Live, "server_metadata", "map of strings", "", "shown by monitoring", "{site: x}", setMetadata),
		row(Live, "ping_interval", "duration", "2m", "between two PINGs to a client", "30s", setDuration(func(o *o) *time.Duration { return &o.PingInterval })),
		row(Live, "ping_max", "integer", "2", "unanswered PINGs before a connection is closed", "3", setInt(func(o *o) *int { return &o.PingMax }, 0, math.MaxInt32)),
		row(Live, "write_deadline", "duration", "10s", "one write to a client may take that long, then it is closed", "5s", setDuration(func(o *o) *time.Duration { return &o.WriteDeadline })),
		row(Live, "write_timeout", "default, close or retry", "default", "what happens to a client when write_deadline passes; default closes it", "retry", setWriteTimeout),
		row(Restart, "no_header_support", "boolean", "false", "refuse messages with headers", "true", setBool(func(o *o) *bool { return &o.NoHeaders })),
		row(Live, "connect_error_reports", "integer", "3600", "of a leaf remote that was never linked, log the first failed dial and every n-th", "10", setInt(func(o *o) *int { return &o.ConnectErrorReports }, 1, math.MaxInt32)),
		row(Live, "reconnect_error_reports", "integer", "1", "of a leaf remote that was linked before, log the first failed dial and every n-th", "10", setInt(func(o *o) *int { return &o.ReconnectErrorReports }, 1, math.MaxInt32)),
		row(Restart, "pid_file pidfile", "path", "", "file for the process id", "/run/x.pid", setString(func(o *o) *string { return &o.PidFile })),
		row(Restart, "ports_file_dir", "path", "", "folder for a file with the ports", "/run", setString(func(o *o) *string { return &o.PortsFileDir })),
	}
}

// minMemory is about what the process takes before anybody comes. Below it every
// publisher to a stream would be refused: it is a number that lacks its unit.
const minMemory = 8 << 20

func setMaxMemory(d *decoder, o *Options, it item) {
	setInt64(func(o *Options) *int64 { return &o.MaxMemory }, 0, math.MaxInt64)(d, o, it)
	if o.MaxMemory != 0 && o.MaxMemory < minMemory {
		d.errorf(it.pos, "%s must be 0 or at least %d bytes", it.key, minMemory)
	}
}

func limitRows() []field[Options] {
	type o = Options
	return []field[o]{
		row(Live, "max_connections max_conn", "integer", "65536", "clients at a time, of the client port, the MQTT port and Unix sockets together; 0 and below refuse all", "10", setMaxConns),
		row(Live, "max_subscriptions max_subs", "integer", "0", "subscriptions of one connection; 0 is unlimited", "10", setInt(func(o *o) *int { return &o.MaxSubs }, 0, math.MaxInt32)),
		row(Live, "max_sub_tokens max_subscription_tokens", "integer 0..255", "0", "tokens of one subscription; 0 is unlimited", "8", setMaxSubTokens),
		row(Live, "max_control_line", "integer", "4096", "bytes of one protocol line", "1024", setMaxInt32(func(o *o) *int { return &o.MaxControlLine }, 1)),
		row(Live, "max_payload", "integer", "1MB", "bytes of one message", "2MB", setMaxInt32(func(o *o) *int { return &o.MaxPayload }, 0)),
		own(row(Live, "max_pending_total", "integer", "0, none", "bytes waiting for all clients together; while there are more, clients that have much of it are closed as slow", "64MB", setInt64(func(o *o) *int64 { return &o.MaxPendingTotal }, 0, math.MaxInt64))),
		own(row(Restart, "max_memory", "integer", "none", "bytes of memory that the server keeps within, or fewer if the cgroup or GOMEMLIMIT says so: what waits for clients is bounded by what is left, and publishers are held up when nothing is; at least 8MB, 0 is none", "64MB", setMaxMemory)),
		row(Live, "max_pending", "integer", "64MB", "bytes waiting for one client before it is closed as slow", "8MB", setInt64(func(o *o) *int64 { return &o.MaxPending }, 1, math.MaxInt64)),
		row(Live, "max_traced_msg_len", "integer", "0", "bytes of a message shown by trace; 0 is all", "100", setInt(func(o *o) *int { return &o.MaxTracedMsgLen }, 0, math.MaxInt32)),
		row(Restart, "max_closed_clients", "integer", "10000", "closed connections that monitoring remembers", "5", setInt(func(o *o) *int { return &o.MaxClosedConns }, 0, math.MaxInt32)),
	}
}

func logRows() []field[Options] {
	type o = Options
	return []field[o]{
		row(Live, "debug", "boolean", "false", "log what an operator rarely wants to know", "true", setBool(func(o *o) *bool { return &o.Log.Debug })),
		row(Live, "trace", "boolean", "false", "log the protocol of the client port; secrets are left out", "true", setBool(func(o *o) *bool { return &o.Log.Trace })),
		row(Live, "trace_verbose", "boolean", "false", "as trace: there is no internal traffic with a protocol", "true", setTraceVerbose),
		row(Live, "trace_headers", "boolean", "false", "of messages log headers only", "true", setTraceHeaders),
		row(Live, "logtime", "boolean", "true", "begin lines with the time", "false", setBool(func(o *o) *bool { return &o.Log.Time })),
		row(Live, "logtime_utc", "boolean", "false", "in UTC", "true", setBool(func(o *o) *bool { return &o.Log.TimeUTC })),
		row(Live, "log_file logfile", "path", "standard error", "file to log to", "/var/log/x", setString(func(o *o) *string { return &o.Log.File })),
		row(Live, "log_size_limit logfile_size_limit", "integer", "0", "bytes of a log file before it is rotated; 0 never", "10MB", setInt64(func(o *o) *int64 { return &o.Log.SizeLimit }, 0, math.MaxInt64)),
		row(Live, "log_max_num logfile_max_num", "integer", "0", "log files kept, the live one counted; 0 keeps all", "3", setInt(func(o *o) *int { return &o.Log.MaxNum }, 0, math.MaxInt32)),
		own(row(Restart, "log_format", "text or json", "text", "what lines look like; json is one object a line", "json", setLogFormat)),
		notYet[o]("syslog", "log to the system's log", "log_file and standard error work"),
		notYet[o]("remote_syslog", "log to a remote system log", "log_file and standard error work"),
	}
}

func monitorRows() []field[Options] {
	type o = Options
	host := func(o *o) *string { return &o.HTTPHost }
	return []field[o]{
		row(Restart, "http", "port or host:port", "off", "monitoring", "127.0.0.1:8222", setListen(host, func(o *o) *int { return &o.HTTPPort })),
		row(Restart, "http_port monitor_port", "integer -1..65535", "off", "monitoring", "8222", setPort(func(o *o) *int { return &o.HTTPPort })),
		row(Restart, "https", "port or host:port", "off", "monitoring over TLS", "127.0.0.1:8443", setListen(host, func(o *o) *int { return &o.HTTPSPort })),
		row(Restart, "https_port", "integer -1..65535", "off", "monitoring over TLS", "8443", setPort(func(o *o) *int { return &o.HTTPSPort })),
		row(Restart, "http_base_path", "string", "/", "path before all monitoring paths", "/nats", setString(func(o *o) *string { return &o.HTTPBasePath })),
		notYet[o]("prof_port", "Go profiles over HTTP", ""),
		without[o]("prof_block_rate", "there is no profiling port"),
	}
}

// topOthers are the keys of nats-server that this version has nothing behind.
func topOthers() []field[Options] {
	type o = Options
	return []field[o]{
		notYet[o]("operator operators root roots root_operator root_operators", "operator mode", ""),
		notYet[o]("trusted_keys trusted", "operator keys", ""),
		notYet[o]("resolver account_resolver accounts_resolver", "account JWTs", ""),
		notYet[o]("resolver_tls", "TLS of a resolver", ""),
		notYet[o]("resolver_preload", "account JWTs", ""),
		notYet[o]("resolver_pinned_accounts", "accounts that may log in", ""),
		notYet[o]("default_sentinel", "JWT of clients without one", ""),
		notYet[o]("default_js_domain", "domains of accounts", ""),
		notYet[o]("cluster", "routes between servers", "no build has clusters yet"),
		notYet[o]("gateway", "gateways between clusters", "no build has gateways yet"),
		notYet[o]("proxy_protocol", "PROXY headers on the client port", ""),
		notYet[o]("proxies", "trusted proxies", ""),
		notYet[o]("ocsp", "OCSP stapling", ""),
		notYet[o]("ocsp_cache", "OCSP responses", ""),
		notYet[o]("lame_duck_duration", "how long a lame duck takes to send its clients away", "a server that is told to stop stops at once"),
		notYet[o]("lame_duck_grace_period", "before it begins with that", "a server that is told to stop stops at once"),
		without[o]("no_system_account no_system no_sys_acc", "the system account is always there; nobody is in it who is no user of it"),
		without[o]("no_fast_producer_stall", "publishers are not stalled for slow subscribers"),
		without[o]("disable_sublist_cache no_sublist_cache", "the cache of matches is bounded and needs no switch"),
		without[o]("feature_flags", "they switch parts of nats-server"),
	}
}

func setClientListen(d *decoder, o *Options, it item) {
	setListen(func(o *Options) *string { return &o.Host }, func(o *Options) *int { return &o.Port })(d, o, it)
	if o.Port == 0 {
		o.Port = DefaultPort
	}
}

func setClientPort(d *decoder, o *Options, it item) {
	setPort(func(o *Options) *int { return &o.Port })(d, o, it)
	if o.Port == 0 {
		o.Port = DefaultPort
	}
}

func setServerName(d *decoder, o *Options, it item) {
	if it.v.Kind == KindString && strings.Contains(it.v.Str, " ") {
		d.errorf(it.pos, "server name cannot contain spaces")
		return
	}
	setString(func(o *Options) *string { return &o.ServerName })(d, o, it)
}

func setTags(d *decoder, o *Options, it item) {
	tags, _ := d.strings(it)
	o.ServerTags = nil
	for _, t := range tags {
		t = strings.ToLower(strings.TrimSpace(t))
		if t != "" && !slices.Contains(o.ServerTags, t) {
			o.ServerTags = append(o.ServerTags, t)
		}
	}
}

func setMetadata(d *decoder, o *Options, it item) { setStrings(d, &o.ServerMetadata, it) }

func setMaxConns(d *decoder, o *Options, it item) {
	n, ok := d.integer(it, math.MinInt32, math.MaxInt32)
	if !ok {
		return
	}
	// 0 does not mean unlimited here; keep nats-server's reading of it.
	if o.MaxConns = int(n); n == 0 {
		o.MaxConns = -1
	}
}

func setMaxSubTokens(d *decoder, o *Options, it item) {
	switch {
	case it.v.Kind == KindInt && it.v.Int > 255:
		d.errorf(it.pos, "%s value is too big", it.key)
	case it.v.Kind == KindInt && it.v.Int < 0:
		d.errorf(it.pos, "%s value can not be negative", it.key)
	default:
		setInt(func(o *Options) *int { return &o.MaxSubTokens }, 0, 255)(d, o, it)
	}
}

func setMaxInt32[T any](at func(*T) *int, lo int64) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		if it.v.Kind == KindInt && it.v.Int > math.MaxInt32 {
			d.errorf(it.pos, "%s value is too big", it.key)
			return
		}
		setInt(at, lo, math.MaxInt32)(d, t, it)
	}
}

// Kinds of trace: each switches tracing on, none switches it off.
func setTraceVerbose(d *decoder, o *Options, it item) {
	on := false
	setBool(func(*Options) *bool { return &on })(d, o, it)
	o.Log.Trace = o.Log.Trace || on
}

func setTraceHeaders(d *decoder, o *Options, it item) {
	setBool(func(o *Options) *bool { return &o.Log.TraceHeaders })(d, o, it)
	o.Log.Trace = o.Log.Trace || o.Log.TraceHeaders
}

func setLogFormat(d *decoder, o *Options, it item) {
	switch {
	case it.v.Kind == KindString && it.v.Str == "text":
		o.Log.JSON = false
	case it.v.Kind == KindString && it.v.Str == "json":
		o.Log.JSON = true
	default:
		d.errorf(it.pos, "log_format must be 'text' or 'json'")
	}
}

func setWriteTimeout(d *decoder, o *Options, it item) {
	switch {
	case it.v.Kind != KindString:
		d.wrongType(it, "a string")
	case it.v.Str == "default" || it.v.Str == "close" || it.v.Str == "retry":
		o.WriteTimeout = it.v.Str
	default:
		d.errorf(it.pos, "write_timeout must be 'default', 'close' or 'retry'")
	}
}
