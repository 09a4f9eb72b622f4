package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// TLS is a tls block. The files are read by ServerConfig and ClientConfig, so
// that a reload sees new certificates.
type TLS struct {
	CertFile string     `key:"cert_file"`
	KeyFile  string     `key:"key_file"`
	CAFile   string     `key:"ca_file"`
	Certs    []CertPair `key:"certs"` // instead of CertFile and KeyFile

	Verify   bool          `key:"verify"`   // demand a client certificate
	Optional bool          `key:"verify"`   // check a client certificate if there is one; without Verify
	Insecure bool          `key:"insecure"` // as client: do not check the server's certificate
	Timeout  time.Duration `key:"timeout"`

	// HandshakeFirst starts TLS before INFO. With a Fallback the server waits
	// that long for a client to begin, then sends INFO in clear.
	HandshakeFirst         bool          `key:"handshake_first"`
	HandshakeFirstFallback time.Duration `key:"handshake_first"`

	MinVersion           uint16          `key:"min_version"` // tls.VersionTLS12 or 13
	CipherSuites         []uint16        `key:"cipher_suites"`
	AllowInsecureCiphers bool            `key:"allow_insecure_cipher_suites"`
	Curves               []tls.CurveID   `key:"curve_preferences"`
	PinnedCerts          map[string]bool `key:"pinned_certs"` // SHA-256 of the public key info, lower hex
}

// CertPair is one certificate of several.
type CertPair struct {
	CertFile string `key:"cert_file"`
	KeyFile  string `key:"key_file"`
}

// check holds the rules between the fields.
func (t *TLS) check() error {
	if t.CertFile != "" && len(t.Certs) > 0 {
		return errors.New("cannot combine 'cert_file' option with 'certs' option")
	}
	for _, p := range append([]CertPair{{t.CertFile, t.KeyFile}}, t.Certs...) {
		switch {
		case p.CertFile != "" && p.KeyFile == "":
			return errors.New("missing 'key_file' in TLS configuration")
		case p.CertFile == "" && p.KeyFile != "":
			return errors.New("missing 'cert_file' in TLS configuration")
		}
	}
	if t.Optional && len(t.PinnedCerts) > 0 {
		return errors.New("cannot combine 'verify: optional' with options requiring client certificates")
	}
	if t.AllowInsecureCiphers {
		return nil
	}
	var weak []string
	for _, c := range tls.InsecureCipherSuites() {
		for _, id := range t.CipherSuites {
			if id == c.ID {
				weak = append(weak, c.Name)
			}
		}
	}
	if weak != nil {
		return fmt.Errorf("insecure cipher suites configured without 'allow_insecure_cipher_suites' option set: %s", strings.Join(weak, ", "))
	}
	return nil
}

// ServerConfig builds the configuration of a listener, reading the files.
func (t *TLS) ServerConfig() (*tls.Config, error) {
	c, err := t.base()
	if err != nil {
		return nil, err
	}
	if len(c.Certificates) == 0 {
		return nil, errors.New("missing 'cert_file' in TLS configuration: a listener needs one")
	}
	switch {
	case t.Verify:
		c.ClientAuth = tls.RequireAndVerifyClientCert
	case t.Optional:
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case len(t.PinnedCerts) > 0:
		c.ClientAuth = tls.RequireAnyClientCert
	}
	c.ClientCAs, err = t.pool()
	return c, err
}

// ClientConfig builds the configuration of a dialer, reading the files.
// serverName may be empty when the caller sets it later.
func (t *TLS) ClientConfig(serverName string) (*tls.Config, error) {
	c, err := t.base()
	if err != nil {
		return nil, err
	}
	c.ServerName = serverName
	c.InsecureSkipVerify = t.Insecure
	c.RootCAs, err = t.pool()
	return c, err
}

func (t *TLS) base() (*tls.Config, error) {
	c := &tls.Config{
		MinVersion:       t.MinVersion,
		CipherSuites:     t.CipherSuites,
		CurvePreferences: t.Curves,
	}
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS12
	}
	if len(t.PinnedCerts) > 0 {
		c.VerifyConnection = t.verifyPinned
	}
	pairs := t.Certs
	if t.CertFile != "" {
		pairs = []CertPair{{t.CertFile, t.KeyFile}}
	}
	for _, p := range pairs {
		cert, err := tls.LoadX509KeyPair(p.CertFile, p.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("error parsing X509 certificate/key pair: %w", err)
		}
		c.Certificates = append(c.Certificates, cert)
	}
	return c, nil
}

// verifyPinned accepts the peer only when its leaf certificate is pinned.
func (t *TLS) verifyPinned(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the peer has no certificate, and certificates are pinned")
	}
	sum := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
	if key := hex.EncodeToString(sum[:]); !t.PinnedCerts[key] {
		return fmt.Errorf("the peer's certificate %s is not pinned", key)
	}
	return nil
}

// pool reads the CA file; nil without one, which means the system's roots.
func (t *TLS) pool() (*x509.CertPool, error) {
	if t.CAFile == "" {
		return nil, nil
	}
	pem, err := ReadFile(t.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("failed to parse root ca certificate")
	}
	return pool, nil
}
