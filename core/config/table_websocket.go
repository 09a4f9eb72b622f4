//go:build !lite

package config

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// webSocketRow is the listener for WebSockets.
func webSocketRow() field[Options] {
	return row(Restart, "websocket ws", "map", "off", "clients over WebSockets, and MQTT at the path /mqtt", "{port: 8080, no_tls: true}", setWebSocket)
}

func webSocketSections() []Section {
	return []Section{webSocketTable().section("websocket"), webSocketAuthTable().section("websocket.authorization")}
}

func webSocketTable() *block[WebSocket] {
	type w = WebSocket
	return &block[w]{
		unknown: unknownField,
		fields: []field[w]{
			row(Restart, "listen", "port or host:port", "off", "the WebSocket port", "127.0.0.1:8080", setListen(func(w *w) *string { return &w.Host }, func(w *w) *int { return &w.Port })),
			row(Restart, "host net", "string", "0.0.0.0", "the interface of the WebSocket port", "127.0.0.1", setString(func(w *w) *string { return &w.Host })),
			row(Restart, "port", "integer -1..65535", "off", "the WebSocket port", "8080", setPort(func(w *w) *int { return &w.Port })),
			row(Live, "advertise", "host or host:port", "", "the address that clients are told", "x.example:443", setAdvertise(func(w *w) *string { return &w.Advertise })),
			row(Live, "tls", "map", "off", "TLS on the WebSocket port", "{cert_file: CERT, key_file: KEY}", setServerTLS(func(w *w) **TLS { return &w.TLS })),
			row(Live, "no_tls", "boolean", "false", "plain HTTP is meant: a listener has tls or this", "true", setBool(func(w *w) *bool { return &w.NoTLS })),
			row(Live, "same_origin", "boolean", "false", "let in only pages of the host that they connect to", "true", setBool(func(w *w) *bool { return &w.SameOrigin })),
			row(Live, "allowed_origins allowed_origin allow_origins allow_origin origins origin", "string or list", "all", "URLs of the hosts whose pages may connect", "[\"https://www.example.com\"]", setOrigins),
			row(Live, "handshake_timeout", "seconds or duration", "10s", "time for TLS and the request that opens a WebSocket", "5", setSeconds(func(w *w) *time.Duration { return &w.HandshakeTimeout })),
			row(Live, "compression compress", "boolean", "false", "compress messages for those who can read that", "true", setBool(func(w *w) *bool { return &w.Compression })),
			row(Live, "headers", "map of strings", "", "header fields of the answer that opens a WebSocket", "{X-Site: north}", setWebHeaders),
			row(Live, "authorization authentication", "map", "as the client port", "who may connect", "{user: u, password: p}", setWebAuth),
			row(Live, "no_auth_user", "string", "as the client port", "the user of connections that present nothing", "u", setString(func(w *w) *string { return &w.NoAuthUser })),
			row(Live, "user_cookie", "string", "", "the cookie with the user, for those who present none", "u", setString(func(w *w) *string { return &w.UserCookie })),
			row(Live, "pass_cookie", "string", "", "the cookie with the password, for those who present none", "p", setString(func(w *w) *string { return &w.PassCookie })),
			row(Live, "token_cookie", "string", "", "the cookie with the token, for those who present none", "t", setString(func(w *w) *string { return &w.TokenCookie })),
			row(Live, "ping_interval", "duration", "as the client port", "how often silent clients are asked for a sign of life", `"1m"`, setDuration(func(w *w) *time.Duration { return &w.PingInterval })),
			notYet[w]("jwt_cookie", "the cookie with the JWT of the user", "this version has no operator mode"),
		},
	}
}

func webSocketAuthTable() *block[Authorization] {
	type a = Authorization
	t := &block[a]{unknown: unknownField}
	t.fields = slices.Concat(singleUserRows(), []field[a]{
		row(Live, "token", "string", "", "what everyone presents", "t", setString(func(a *a) *string { return &a.Token })),
	})
	return t
}

func setWebSocket(d *decoder, o *Options, it item) {
	if it.v.Kind != KindMap {
		d.errorf(it.pos, "Expected websocket to be a map, got %s", it.v.Kind)
		return
	}
	webSocketTable().decode(d, &o.WebSocket, it.path, it.v.Map)
}

func setWebAuth(d *decoder, w *WebSocket, it item) {
	w.Auth = Authorization{}
	if webSocketAuthTable().decodeMap(d, &w.Auth, it) {
		checkAuth(d, &w.Auth, it, "Can not")
	}
}

// setOrigins takes absolute URLs: a browser tells scheme, host and port of a page.
func setOrigins(d *decoder, w *WebSocket, it item) {
	list, ok := d.strings(it)
	if !ok {
		return
	}
	for _, s := range list {
		u, err := url.ParseRequestURI(s)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			d.errorf(it.pos, "unable to parse allowed origin %q: want http:// or https:// and a host", s)
		}
	}
	w.AllowedOrigins = list
}

// webHeaders are header fields that the answer has by the protocol, in lower case.
var webHeaders = []string{"host", "content-length", "connection", "upgrade", "nats-no-masking"}

func setWebHeaders(d *decoder, w *WebSocket, it item) {
	setStrings(d, &w.Headers, it)
	if it.v.Kind != KindMap {
		return
	}
	for _, e := range it.v.Map.Entries {
		name, value := e.Key, e.Value.Str
		low := strings.ToLower(name)
		switch {
		case slices.Contains(webHeaders, low) || strings.HasPrefix(low, "sec-websocket-"):
			d.errorf(e.Pos, "websocket: invalid header %q not allowed", name)
		case !isToken(name):
			d.errorf(e.Pos, "websocket: header %q is no name of a header field", name)
		case strings.ContainsAny(value, "\r\n\x00"):
			d.errorf(e.Pos, "websocket: the value of header %q has more than one line", name)
		}
	}
}

// isToken is RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for _, c := range s {
		if c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, c) {
			return false
		}
	}
	return s != ""
}

func (v *validator) webSocket() {
	o := v.o
	w := &o.WebSocket
	if w.Port == 0 {
		return
	}
	if w.TLS == nil && !w.NoTLS {
		v.errorf("websocket", "websocket requires TLS configuration, or no_tls: true")
	}
	if o.HasUsers() {
		if w.Auth.User != "" {
			v.errorf("websocket.authorization", "websocket authentication username not compatible with presence of users/nkeys")
		}
		if w.Auth.Token != "" {
			v.errorf("websocket.authorization", "websocket authentication token not compatible with presence of users/nkeys")
		}
	}
}
