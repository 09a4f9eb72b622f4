package config

import (
	"crypto/tls"
	"math"
	"slices"
	"strings"
	"time"
)

const unknownTLS = "error parsing tls config, unknown field %q"

func tlsTable() *block[TLS] {
	type t = TLS
	return &block[t]{
		unknown: unknownTLS,
		fields: []field[t]{
			row(Live, "cert_file", "path", "", "certificate, PEM", "CERT", setString(func(t *t) *string { return &t.CertFile })),
			row(Live, "key_file", "path", "", "its private key", "KEY", setString(func(t *t) *string { return &t.KeyFile })),
			row(Live, "ca_file", "path", "the system's", "certificates that the peer's must come from", "CERT", setString(func(t *t) *string { return &t.CAFile })),
			row(Live, "certs certificates", "list of {cert_file, key_file}", "", "several certificates, chosen by name", "[{cert_file: CERT, key_file: KEY}]", setCerts),
			row(Live, "verify", "boolean or optional", "false", "demand a client certificate; optional checks one that is given", "true", setVerify),
			row(Live, "insecure", "boolean", "false", "as client: believe any server", "true", setBool(func(t *t) *bool { return &t.Insecure })),
			row(Live, "timeout", "seconds or duration", "2s", "for the handshake", "5", setTLSTimeout),
			row(Live, "pinned_certs", "list of hex", "", "SHA-256 of the public key info of the peers that are welcome", `["`+strings.Repeat("ab", 32)+`"]`, setPinned),
			row(Live, "cipher_suites", "list", "Go's", "names of cipher suites for TLS 1.2", "[TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]", setCiphers),
			row(Live, "allow_insecure_cipher_suites", "boolean", "false", "let cipher_suites hold weak ones", "true", setBool(func(t *t) *bool { return &t.AllowInsecureCiphers })),
			row(Live, "curve_preferences", "list", "Go's", "X25519, CurveP256, CurveP384, CurveP521, X25519MLKEM768, SecP256r1MLKEM768, SecP384r1MLKEM1024", "[X25519]", setCurves),
			row(Live, "min_version", "1.2 or 1.3, in quotes", "1.2", "", `"1.3"`, setMinVersion),
			row(Live, "handshake_first first immediate", "boolean, auto, or a duration", "false", "TLS before INFO; with a duration INFO comes in clear to who has not begun by then, auto is 50ms", "true", setHandshakeFirst),
			notYet[t]("verify_and_map", "let the client certificate name the user", ""),
			notYet[t]("verify_cert_and_check_known_urls", "for clusters and gateways", ""),
			notYet[t]("connection_rate_limit", "handshakes a second", ""),
			notYet[t]("ocsp_peer", "OCSP for peers", ""),
			notYet[t]("cert_store", "the Windows store", "cert_file and key_file work"),
			notYet[t]("cert_match_by", "the Windows store", ""),
			notYet[t]("cert_match", "the Windows store", ""),
			notYet[t]("ca_certs_match", "the Windows store", ""),
			notYet[t]("cert_match_skip_invalid", "the Windows store", ""),
		},
	}
}

func certPairTable() *block[CertPair] {
	type c = CertPair
	return &block[c]{
		unknown: unknownTLS,
		fields: []field[c]{
			row(Live, "cert_file", "path", "", "certificate, PEM", "CERT", setString(func(c *c) *string { return &c.CertFile })),
			row(Live, "key_file", "path", "", "its private key", "KEY", setString(func(c *c) *string { return &c.KeyFile })),
		},
	}
}

func setCerts(d *decoder, t *TLS, it item) {
	t.Certs = nil
	d.items(it, func(_ int, it item) {
		var c CertPair
		if certPairTable().decodeMap(d, &c, it) {
			t.Certs = append(t.Certs, c)
		}
	})
}

func setVerify(d *decoder, t *TLS, it item) {
	switch {
	case it.v.Kind == KindBool:
		t.Verify, t.Optional = it.v.Bool, false
	case it.v.Kind == KindString && it.v.Str == "optional":
		t.Verify, t.Optional = false, true
	default:
		d.errorf(it.pos, "error parsing tls config, expected 'verify' to be a boolean or 'optional'")
	}
}

func setTLSTimeout(d *decoder, t *TLS, it item) {
	setSeconds(func(t *TLS) *time.Duration { return &t.Timeout })(d, t, it)
	if t.Timeout == 0 {
		t.Timeout = defaultTLSTimeout
	}
}

func setPinned(d *decoder, t *TLS, it item) {
	keys, _ := d.strings(it)
	t.PinnedCerts = make(map[string]bool, len(keys))
	for _, k := range keys {
		k = strings.ToLower(k)
		if len(k) != 64 || strings.Trim(k, "0123456789abcdef") != "" {
			d.errorf(it.pos, "error parsing tls config, 'pinned_certs' key %s does not look like hex-encoded sha256 of DER encoded SubjectPublicKeyInfo", k)
			continue
		}
		t.PinnedCerts[k] = true
	}
}

func setCiphers(d *decoder, t *TLS, it item) {
	names, ok := d.strings(it)
	if ok && len(names) == 0 {
		d.errorf(it.pos, "error parsing tls config, 'cipher_suites' cannot be empty")
	}
	t.CipherSuites = nil
	all := append(tls.CipherSuites(), tls.InsecureCipherSuites()...)
	for _, n := range names {
		i := slices.IndexFunc(all, func(c *tls.CipherSuite) bool { return c.Name == n })
		if i < 0 {
			d.errorf(it.pos, "unrecognized cipher %s", n)
			continue
		}
		t.CipherSuites = append(t.CipherSuites, all[i].ID)
	}
}

func setCurves(d *decoder, t *TLS, it item) {
	names, ok := d.strings(it)
	if ok && len(names) == 0 {
		d.errorf(it.pos, "error parsing tls config, 'curve_preferences' cannot be empty")
	}
	known := map[string]tls.CurveID{
		"X25519":             tls.X25519,
		"CurveP256":          tls.CurveP256,
		"CurveP384":          tls.CurveP384,
		"CurveP521":          tls.CurveP521,
		"X25519MLKEM768":     tls.X25519MLKEM768,
		"SecP256r1MLKEM768":  tls.SecP256r1MLKEM768,
		"SecP384r1MLKEM1024": tls.SecP384r1MLKEM1024,
	}
	t.Curves = nil
	for _, n := range names {
		c, ok := known[n]
		if !ok {
			d.errorf(it.pos, "unrecognized curve preference %s", n)
			continue
		}
		t.Curves = append(t.Curves, c)
	}
}

func setMinVersion(d *decoder, t *TLS, it item) {
	switch {
	case it.v.Kind != KindString:
		d.errorf(it.pos, "error parsing tls config: 'min_version' wrong type: %s", it.v.Kind)
	case it.v.Str == "1.2":
		t.MinVersion = tls.VersionTLS12
	case it.v.Str == "1.3":
		t.MinVersion = tls.VersionTLS13
	default:
		d.errorf(it.pos, "error parsing tls config: unsupported TLS version: TLS %s", it.v.Str)
	}
}

// autoFallback is how long "auto" waits for a client to begin TLS.
const autoFallback = 50 * time.Millisecond

func setHandshakeFirst(d *decoder, t *TLS, it item) {
	t.HandshakeFirst, t.HandshakeFirstFallback = false, 0
	switch it.v.Kind {
	case KindBool:
		t.HandshakeFirst = it.v.Bool
	case KindString:
		switch strings.ToLower(it.v.Str) {
		case "true", "on":
			t.HandshakeFirst = true
		case "false", "off":
		case "auto", "auto_fallback":
			t.HandshakeFirst, t.HandshakeFirstFallback = true, autoFallback
		default:
			dur, err := time.ParseDuration(it.v.Str)
			if err != nil || dur <= 0 || dur > math.MaxInt32*time.Second {
				d.errorf(it.pos, "field %q's value %q is invalid", it.key, it.v.Str)
				return
			}
			t.HandshakeFirst, t.HandshakeFirstFallback = true, dur
		}
	default:
		d.errorf(it.pos, "field %q should be a boolean or a string, got %s", it.key, it.v.Kind)
	}
}

// setServerTLS reads the block of a listener, setClientTLS that of a dialer.
// Both load the files once, so that a wrong path is found with the rest.
func setServerTLS[T any](at func(*T) **TLS) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		*at(t) = d.tls(it, func(t *TLS) error { _, err := t.ServerConfig(); return err })
	}
}

func setClientTLS[T any](at func(*T) **TLS) func(*decoder, *T, item) {
	return func(d *decoder, t *T, it item) {
		*at(t) = d.tls(it, func(t *TLS) error { _, err := t.ClientConfig(""); return err })
	}
}

func (d *decoder) tls(it item, load func(*TLS) error) *TLS {
	t := &TLS{Timeout: defaultTLSTimeout, MinVersion: tls.VersionTLS12}
	before := len(d.errs)
	if !tlsTable().decodeMap(d, t, it) || len(d.errs) > before {
		return t
	}
	if err := t.check(); err != nil {
		d.errorf(it.pos, "%v", err)
	} else if err := load(t); err != nil {
		d.errorf(it.pos, "%v", err)
	}
	return t
}
