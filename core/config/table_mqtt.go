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
			row("listen", "port or host:port", "off", "the MQTT port", "127.0.0.1:1883", setListen(func(m *m) *string { return &m.Host }, func(m *m) *int { return &m.Port })),
			row("host net", "string", "0.0.0.0", "the interface of the MQTT port", "127.0.0.1", setString(func(m *m) *string { return &m.Host })),
			row("port", "integer -1..65535", "off", "the MQTT port, usually 1883", "1883", setPort(func(m *m) *int { return &m.Port })),
			row("tls", "map", "off", "TLS on the MQTT port", "{cert_file: CERT, key_file: KEY}", setServerTLS(func(m *m) **TLS { return &m.TLS })),
			row("authorization authentication", "map", "as the client port", "who may connect", "{user: u, password: p}", setMQTTAuth),
			row("no_auth_user", "string", "as the client port", "the user of connections that present nothing", "u", setString(func(m *m) *string { return &m.NoAuthUser })),
			row("ack_wait ackwait", "duration", "30s", "before an unacknowledged message is sent again to a client that comes back", "10s", setDuration(func(m *m) *time.Duration { return &m.AckWait })),
			row("js_api_timeout api_timeout", "duration", "5s", "for requests to JetStream", "2s", setDuration(func(m *m) *time.Duration { return &m.JSAPITimeout })),
			row("max_ack_pending max_pending max_inflight", "integer 0..65535", "1024", "unacknowledged messages of one subscription", "10", setMQTTAckPending),
			row("js_domain", "name", "", "JetStream domain that keeps sessions and retained messages", "hub", setDomain(func(m *m) *string { return &m.JSDomain })),
			row("consumer_memory_storage", "boolean", "false", "keep what was delivered in memory", "true", setBool(func(m *m) *bool { return &m.ConsumerMemoryStorage })),
			row("consumer_inactive_threshold consumer_auto_cleanup", "duration", "0s", "remove consumers that nobody used for so long; 0 never", "1h", setDuration(func(m *m) *time.Duration { return &m.ConsumerInactiveThreshold })),
			row("reject_qos2_publish", "boolean", "false", "refuse QoS 2 publishes", "true", setBool(func(m *m) *bool { return &m.RejectQoS2Publish })),
			row("downgrade_qos2_subscribe", "boolean", "false", "grant QoS 1 to who asks for 2", "true", setBool(func(m *m) *bool { return &m.DowngradeQoS2Subscribe })),
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

func setMQTTAckPending(d *decoder, m *MQTT, it item) {
	if it.v.Kind == KindInt && (it.v.Int < 0 || it.v.Int > math.MaxUint16) {
		d.errorf(it.pos, "invalid value %d, should in [0..65535] range", it.v.Int)
		return
	}
	setInt(func(m *MQTT) *int { return &m.MaxAckPending }, 0, math.MaxUint16)(d, m, it)
}
