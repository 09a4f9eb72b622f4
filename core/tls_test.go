package core_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/servertest"
)

// mustCertificate writes a certificate for 127.0.0.1 that signs itself.
func mustCertificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, text := range map[string][]byte{certFile: certPEM, keyFile: keyPEM} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, roots
}

func startTLS(t *testing.T, change func(o *config.Options)) (*core.Server, *tls.Config) {
	t.Helper()
	cert, key, roots := mustCertificate(t)
	s := servertest.Start(t, servertest.With(func(o *config.Options) {
		o.TLS = &config.TLS{CertFile: cert, KeyFile: key, Timeout: 10 * time.Second}
		if change != nil {
			change(o)
		}
	}))
	return s, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
}

// talk publishes to itself over an open connection.
func talk(t *testing.T, c net.Conn, r *bufio.Reader) {
	t.Helper()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	payload := strings.Repeat("x", 100_000)
	if _, err := io.WriteString(c, "CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPUB a 100000\r\n"+payload+"\r\n"); err != nil {
		t.Fatal(err)
	}
	want := "MSG a 1 100000\r\n" + payload + "\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("got %.40q, %v", got, err)
	}
}

func readInfo(t *testing.T, c net.Conn, r *bufio.Reader) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	l, err := r.ReadString('\n')
	if err != nil || !strings.HasPrefix(l, "INFO {") {
		t.Fatalf("INFO: %q, %v", l, err)
	}
	return l
}

func TestTLS_afterInfo(t *testing.T) {
	s, tc := startTLS(t, nil)
	raw := servertest.Dial(t, s)
	if info := readInfo(t, raw, bufio.NewReaderSize(raw, 16)); !strings.Contains(info, `"tls_required":true`) {
		t.Errorf("INFO %s", info)
	}
	c := tls.Client(raw, tc)
	talk(t, c, bufio.NewReader(c))
}

func TestTLS_handshakeFirst(t *testing.T) {
	s, tc := startTLS(t, func(o *config.Options) { o.TLS.HandshakeFirst = true })
	c := tls.Client(servertest.Dial(t, s), tc)
	r := bufio.NewReader(c)
	readInfo(t, c, r)
	talk(t, c, r)
}

func TestTLS_handshakeFirstOrAfterInfo(t *testing.T) {
	s, tc := startTLS(t, func(o *config.Options) {
		o.TLS.HandshakeFirst, o.TLS.HandshakeFirstFallback = true, 100*time.Millisecond
	})
	t.Run("a client that begins", func(t *testing.T) {
		c := tls.Client(servertest.Dial(t, s), tc)
		r := bufio.NewReader(c)
		readInfo(t, c, r)
		talk(t, c, r)
	})
	t.Run("a client that waits", func(t *testing.T) {
		raw := servertest.Dial(t, s)
		readInfo(t, raw, bufio.NewReaderSize(raw, 16))
		c := tls.Client(raw, tc)
		talk(t, c, bufio.NewReader(c))
	})
}

func TestTLS_besidePlain(t *testing.T) {
	s, tc := startTLS(t, func(o *config.Options) { o.AllowNonTLS = true })
	t.Run("plain", func(t *testing.T) {
		c := servertest.Dial(t, s)
		r := bufio.NewReader(c)
		if info := readInfo(t, c, r); !strings.Contains(info, `"tls_available":true`) || strings.Contains(info, "tls_required") {
			t.Errorf("INFO %s", info)
		}
		talk(t, c, r)
	})
	t.Run("TLS", func(t *testing.T) {
		raw := servertest.Dial(t, s)
		readInfo(t, raw, bufio.NewReaderSize(raw, 16))
		c := tls.Client(raw, tc)
		talk(t, c, bufio.NewReader(c))
	})
}

func TestTLS_whoDoesNotIsRefused(t *testing.T) {
	s, _ := startTLS(t, func(o *config.Options) { o.TLS.Timeout = 100 * time.Millisecond })
	t.Run("plain text", func(t *testing.T) {
		c := servertest.Dial(t, s)
		r := bufio.NewReader(c)
		readInfo(t, c, r)
		io.WriteString(c, "CONNECT {\"verbose\":false}\r\nPING\r\n")
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if b, _ := io.ReadAll(r); strings.Contains(string(b), "PONG") {
			t.Errorf("was served: %q", b)
		}
	})
	t.Run("silence", func(t *testing.T) {
		c := servertest.Dial(t, s)
		r := bufio.NewReader(c)
		readInfo(t, c, r)
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if b, err := io.ReadAll(r); err != nil || !strings.HasSuffix(string(b), "-ERR 'Secure Connection - TLS Required'\r\n") {
			t.Errorf("got %q, %v", b, err)
		}
	})
	servertest.Eventually(t, "both are closed", func() bool { return len(s.ClosedReasons()) == 2 })
	if got := s.ClosedReasons(); got[0] != "TLS Handshake Failure" || got[1] != got[0] {
		t.Errorf("reasons %q", got)
	}
}

func TestTLS_monitoring(t *testing.T) {
	s, tc := startTLS(t, func(o *config.Options) { o.HTTPHost, o.HTTPSPort = "127.0.0.1", -1 })
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: tc, ForceAttemptHTTP2: true}}
	r, err := c.Get("https://" + s.MonitorAddr().String() + "/varz")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var v monitor.Varz
	if err := json.NewDecoder(r.Body).Decode(&v); err != nil || r.Proto != "HTTP/1.1" || v.HTTPSPort == 0 || v.HTTPPort != 0 {
		t.Errorf("%s %v, ports %d and %d", r.Proto, err, v.HTTPSPort, v.HTTPPort)
	}
}

// With verify: optional a client may have no certificate, but not a wrong one.
func TestTLS_optionalClientCertificate(t *testing.T) {
	s, tc := startTLS(t, func(o *config.Options) { o.TLS.Optional, o.TLS.CAFile = true, o.TLS.CertFile })
	certOf := func(certFile, keyFile string) []tls.Certificate {
		c, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{c}
	}
	strangeCert, strangeKey, _ := mustCertificate(t)
	for _, c := range []struct {
		name  string
		certs []tls.Certificate
		in    bool
	}{
		{"none", nil, true},
		{"one from the authority", certOf(s.Options().TLS.CertFile, s.Options().TLS.KeyFile), true},
		{"one of somebody else", certOf(strangeCert, strangeKey), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := servertest.Dial(t, s)
			if info := readInfo(t, raw, bufio.NewReaderSize(raw, 16)); strings.Contains(info, "tls_verify") {
				t.Errorf("INFO %s", info)
			}
			mine := tc.Clone()
			// Shown whatever the server asks for.
			mine.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(c.certs) == 0 {
					return &tls.Certificate{}, nil
				}
				return &c.certs[0], nil
			}
			conn := tls.Client(raw, mine)
			if c.in {
				talk(t, conn, bufio.NewReader(conn))
				return
			}
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			io.WriteString(conn, "CONNECT {\"verbose\":false}\r\nPING\r\n")
			if b, err := io.ReadAll(conn); err == nil || strings.Contains(string(b), "PONG") {
				t.Errorf("was let in: %q, %v", b, err)
			}
		})
	}
}
