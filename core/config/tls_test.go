package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// selfSigned makes a certificate for "localhost" that is its own authority.
func selfSigned(t *testing.T) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "localhost"},
		DNSNames:              []string{"localhost"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kder})
}

// pair writes a certificate and returns a block that uses it, and its pin.
func pair(t *testing.T) (*TLS, string) {
	t.Helper()
	cert, key := selfSigned(t)
	dir := t.TempDir()
	b := &TLS{CertFile: filepath.Join(dir, "c.pem"), KeyFile: filepath.Join(dir, "k.pem"), CAFile: filepath.Join(dir, "c.pem")}
	for path, text := range map[string][]byte{b.CertFile: cert, b.KeyFile: key} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	block, _ := pem.Decode(cert)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return b, hex.EncodeToString(sum[:])
}

// shake does a handshake and one byte in each direction.
func shake(t *testing.T, server, client *TLS, name string) error {
	t.Helper()
	sc, err := server.ServerConfig()
	if err != nil {
		t.Fatal(err)
	}
	cc, err := client.ClientConfig(name)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	deadline := time.Now().Add(time.Minute)
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer conn.Close()
		conn.SetDeadline(deadline)
		_, err = tls.Server(conn, sc).Write([]byte{1})
		done <- err
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(deadline)
	_, cerr := tls.Client(conn, cc).Read(make([]byte, 1))
	conn.Close()
	if err := <-done; err != nil {
		return err
	}
	return cerr
}

func TestTLS_handshakes(t *testing.T) {
	s, pin := pair(t)
	other, otherPin := pair(t)
	trust := &TLS{CAFile: s.CAFile}
	with := func(b *TLS, f func(*TLS)) *TLS { c := *b; f(&c); return &c }
	for _, c := range []struct {
		name           string
		server, client *TLS
		host           string
		want           string // part of the error, "" for none
	}{
		{"a client that trusts the authority", s, trust, "localhost", ""},
		{"a client that does not", s, &TLS{CAFile: other.CAFile}, "localhost", "bad certificate"},
		{"a client that believes anyone", s, &TLS{Insecure: true}, "x", ""},
		{"another name", s, trust, "example.com", "bad certificate"},
		{"verify without a client certificate", with(s, func(b *TLS) { b.Verify = true }), trust, "localhost", "client didn't provide a certificate"},
		{"verify with one", with(s, func(b *TLS) { b.Verify = true }), s, "localhost", ""},
		{"verify with a strange one", with(s, func(b *TLS) { b.Verify = true }), with(other, func(b *TLS) { b.CAFile = s.CAFile }), "localhost", "certificate"},
		{"pinned", with(s, func(b *TLS) { b.PinnedCerts = map[string]bool{pin: true} }), s, "localhost", ""},
		{"not pinned", with(s, func(b *TLS) { b.PinnedCerts = map[string]bool{otherPin: true} }), s, "localhost", "is not pinned"},
		{"pinned and no certificate", with(s, func(b *TLS) { b.PinnedCerts = map[string]bool{pin: true} }), trust, "localhost", "certificate"},
		{"the server is pinned", s, with(trust, func(b *TLS) { b.PinnedCerts = map[string]bool{pin: true} }), "localhost", ""},
		{"the server is not pinned", s, with(trust, func(b *TLS) { b.PinnedCerts = map[string]bool{otherPin: true} }), "localhost", "bad certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := shake(t, c.server, c.client, c.host)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestTLS_readsItsFilesAnew(t *testing.T) {
	b, _ := pair(t)
	first, err := b.ServerConfig()
	if err != nil {
		t.Fatal(err)
	}
	cert, key := selfSigned(t)
	if err := os.WriteFile(b.CertFile, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ServerConfig(); err == nil || !strings.Contains(err.Error(), "private key does not match") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(b.KeyFile, key, 0o600); err != nil {
		t.Fatal(err)
	}
	second, err := b.ServerConfig()
	if err != nil || bytes.Equal(first.Certificates[0].Certificate[0], second.Certificates[0].Certificate[0]) {
		t.Errorf("got the old certificate, %v", err)
	}
}
