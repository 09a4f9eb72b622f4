package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"
)

// TLS is a tls block. The files are read by ServerConfig and ClientConfig, so
// that a reload sees new certificates.
type TLS struct {
	CertFile string
	KeyFile  string
	CAFile   string
	Certs    []CertPair // instead of CertFile and KeyFile

	Verify       bool // demand a client certificate
	VerifyAndMap bool // and let it name the user
	Insecure     bool // as client: do not check the server's certificate
	Timeout      time.Duration

	// HandshakeFirst starts TLS before INFO. With a Fallback the server waits
	// that long for a client to begin, then sends INFO in clear.
	HandshakeFirst         bool
	HandshakeFirstFallback time.Duration

	MinVersion   uint16 // tls.VersionTLS12 or 13
	CipherSuites []uint16
	Curves       []tls.CurveID
	PinnedCerts  map[string]bool // SHA-256 of the public key info, lower hex
	RateLimit    int             // handshakes a second on the listener, 0 is unlimited
}

// CertPair is one certificate of several.
type CertPair struct{ CertFile, KeyFile string }

// ServerConfig builds the configuration of a listener, reading the files.
func (t *TLS) ServerConfig() (*tls.Config, error) {
	c, err := t.base()
	if err != nil {
		return nil, err
	}
	if len(c.Certificates) == 0 {
		return nil, errors.New("tls: a listener needs 'cert_file' and 'key_file'")
	}
	if t.Verify || t.VerifyAndMap {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.ClientCAs, err = t.pool()
	return c, err
}

// ClientConfig builds the configuration of a dialer; serverName may be empty
// when the caller sets it later.
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

// pool reads the CA file; nil without one, which means the system's roots.
func (t *TLS) pool() (*x509.CertPool, error) {
	if t.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("failed to parse root ca certificate %q", t.CAFile)
	}
	return pool, nil
}
