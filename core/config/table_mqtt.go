package config

import (
	"math"
	"time"
)

func mqttTable() *block[MQTT] {
	type m = MQTT
	return &block[m]{
		unknown: unknownField,
		fields: []field[m]{
			row(Restart, "listen", "port or host:port", "off", "the MQTT port", "127.0.0.1:1883", setListen(func(m *m) *string { return &m.Host }, func(m *m) *int { return &m.Port })),
			row(Restart, "host net", "string", "0.0.0.0", "the interface of the MQTT port", "127.0.0.1", setString(func(m *m) *string { return &m.Host })),
			row(Restart, "port", "integer -1..65535", "off", "the MQTT port, usually 1883", "1883", setPort(func(m *m) *int { return &m.Port })),
			own(row(Restart, "unix_socket", "path or map", "off", "a Unix socket for MQTT, beside the port or without one, without TLS", "/run/x.sock", setUnixSocket(func(m *m) *UnixSocket { return &m.Unix }))),
			row(Restart, "tls", "map", "off", "TLS on the MQTT port", "{cert_file: CERT, key_file: KEY}", setServerTLS(func(m *m) **TLS { return &m.TLS })),
			row(Live, "authorization authentication", "map", "as the client port", "who may connect", "{user: u, password: p}", setMQTTAuth),
			row(Live, "no_auth_user", "string", "as the client port", "the user of connections that present nothing", "u", setString(func(m *m) *string { return &m.NoAuthUser })),
			listenersRow(),
			row(Live, "max_ack_pending max_pending max_inflight", "integer 0..65535", "1024", "messages of QoS 1 and 2 that a client has not acknowledged; more wait", "10", setMQTTAckPending),
			own(row(Live, "max_kept_sessions", "integer 0..65534", "20000", "sessions of an account that outlive their connections; more are refused", "1000", setInt(func(m *m) *int { return &m.MaxKeptSessions }, 0, math.MaxUint16-1))),
			own(row(Live, "max_kept_messages", "integer", "100000", "messages that a kept session may wait for; 0 does not bound. While it waits for as many, publishers to it are refused", "1000", setInt64(func(m *m) *int64 { return &m.MaxKeptMsgs }, 0, math.MaxInt64))),
			own(row(Live, "max_kept_bytes", "size", "64MB", "the same in bytes, with headers", "8MB", setSize(func(m *m) *int64 { return &m.MaxKeptBytes }))),
			own(row(Live, "max_kept_time", "duration", "720h", "the longest that a session is kept behind its connection; then it ends with what it waits for. 0 does not bound", "168h", setDuration(func(m *m) *time.Duration { return &m.MaxKeptTime }))),
			own(row(Live, "max_keepalive", "duration", "0", "the longest keep alive of an MQTT 5 client: one that asks for more, or for none, is told to keep to this. 0 does not bound", "300s", setMaxKeepAlive)),
			own(row(Live, "sys_interval", "duration", "10s", "how often MQTT clients that subscribe to $SYS/broker are told what has changed there; 0 for never", "30s", setSysInterval)),
			own(row(Live, "blanks", "escape or refuse", "escape", "what happens to a topic with a blank, or a level that is '*' or '>'; refuse is nats-server's way", "refuse", setBlanks)),
			own(row(Live, "sparkplug_aware", "boolean", "true", "keep births of Sparkplug as retained messages under $sparkplug/certificates/", "false", setBool(func(m *m) *bool { return &m.SparkplugAware }))),
			row(Live, "reject_qos2_publish", "boolean", "false", "refuse publications with QoS 2", "true", setBool(func(m *m) *bool { return &m.RejectQoS2 })),
			row(Live, "downgrade_qos2_subscribe", "boolean", "false", "grant QoS 1 to who asks for QoS 2", "true", setBool(func(m *m) *bool { return &m.DowngradeQoS2 })),
			own(row(Live, "connection_messages", "boolean", "true", "log clients that come and go", "false", setBool(func(m *m) *bool { return &m.ConnectionMessages }))),
			notYet[m]("js_domain", "JetStream domain that keeps sessions and retained messages", "they are kept by this server: what one edge has done with would be deleted of what others share with it on a hub"),
			without[m]("consumer_memory_storage", "a session has no consumer"),
			without[m]("consumer_inactive_threshold consumer_auto_cleanup", "a session has no consumer, and ends by its expiry and max_kept_time"),
			without[m]("ack_wait ackwait", "what was not acknowledged is sent again when the client comes back, as MQTT has it, and not by time"),
			without[m]("js_api_timeout api_timeout", "nothing is asked of JetStream by requests"),
			without[m]("stream_replicas", "it only matters in a cluster"),
			without[m]("consumer_replicas", "it only matters in a cluster"),
		},
	}
}

func setMQTT(d *decoder, o *Options, it item) {
	if it.v.Kind != KindMap {
		d.errorf(it.pos, "Expected mqtt to be a map, got %s", it.v.Kind)
		return
	}
	o.MQTT.Set = true
	mqttTable().decode(d, &o.MQTT, it.path, it.v.Map)
}

func setMQTTAuth(d *decoder, m *MQTT, it item) {
	m.Auth = Authorization{}
	if mqttAuthTable().decodeMap(d, &m.Auth, it) {
		checkAuth(d, &m.Auth, it, "Can not")
	}
}

// leastSysInterval keeps what nobody can read from being told.
const leastSysInterval = time.Second

func setSysInterval(d *decoder, m *MQTT, it item) {
	v, ok := d.duration(it)
	if ok && v != 0 && v < leastSysInterval {
		d.errorf(it.pos, "mqtt.sys_interval is 0 for never, or %v at least", leastSysInterval)
		return
	}
	if ok {
		m.SysInterval = v
	}
}

func setMaxKeepAlive(d *decoder, m *MQTT, it item) {
	v, ok := d.duration(it)
	if ok && (v < 0 || v%time.Second != 0 || v > math.MaxUint16*time.Second) {
		d.errorf(it.pos, "mqtt.max_keepalive is in whole seconds, up to %d, or 0 for no bound", math.MaxUint16)
		return
	}
	if ok {
		m.MaxKeepAlive = v
	}
}

func setMQTTAckPending(d *decoder, m *MQTT, it item) {
	if it.v.Kind == KindInt && (it.v.Int < 0 || it.v.Int > math.MaxUint16) {
		d.errorf(it.pos, "invalid value %d, should in [0..65535] range", it.v.Int)
		return
	}
	setInt(func(m *MQTT) *int { return &m.MaxAckPending }, 0, math.MaxUint16)(d, m, it)
}

func setBlanks(d *decoder, m *MQTT, it item) {
	switch {
	case it.v.Kind != KindString:
		d.wrongType(it, "a string")
	case it.v.Str == "escape" || it.v.Str == "refuse":
		m.RefuseBlanks = it.v.Str == "refuse"
	default:
		d.errorf(it.pos, "blanks must be 'escape' or 'refuse'")
	}
}
