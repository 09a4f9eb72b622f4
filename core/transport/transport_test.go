package transport

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestListener_isAnnouncedAsItWasConfigured(t *testing.T) {
	for _, c := range []struct{ host, want string }{{"0.0.0.0", "0.0.0.0:%d"}, {"::", "[::]:%d"}, {"localhost", "localhost:%d"}} {
		l, err := Listen("port", c.host, -1)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := l.Announced(), fmt.Sprintf(c.want, l.Port()); got != want {
			t.Errorf("%s: announced as %s, want %s", c.host, got, want)
		}
		l.Close()
	}
}

func TestListen_saysWhichOptionIsTaken(t *testing.T) {
	l, err := Listen("port", "127.0.0.1", -1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Listen("mqtt.port", "127.0.0.1", l.Port())
	var port *PortError
	if !errors.As(err, &port) || port.Option != "mqtt.port" || port.Addr != l.Addr().String() {
		t.Errorf("error %v", err)
	}
	if strings.Count(err.Error(), port.Addr) != 1 {
		t.Errorf("the address is not told once: %v", err)
	}
}

// One address is one text, whether the system tells it of a socket for both
// families or not: permissions and logs compare texts.
func TestAddrPort(t *testing.T) {
	for _, a := range []net.Addr{
		&net.TCPAddr{IP: net.ParseIP("10.1.2.3"), Port: 4},
		&net.TCPAddr{IP: net.ParseIP("10.1.2.3").To4(), Port: 4},
		fakeAddr("10.1.2.3:4"),
	} {
		if got := AddrPort(a).String(); got != "10.1.2.3:4" {
			t.Errorf("%#v: %s", a, got)
		}
	}
	if got := AddrPort(fakeAddr("pipe")); got.IsValid() {
		t.Errorf("no address: %s", got)
	}
}

type fakeAddr string

func (fakeAddr) Network() string  { return "fake" }
func (a fakeAddr) String() string { return string(a) }

// A peer that begins TLS and then takes nothing is not waited for without end.
func TestGreeting_peerThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		gone := make(chan struct{})
		go tls.Client(deaf{there, gone}, &tls.Config{InsecureSkipVerify: true}).Handshake()
		g := Greeting{TLS: selfSigned(t), Timeout: time.Second, First: true}
		begin := time.Now()
		_, err := g.Open(here)
		var late net.Error
		if !errors.As(err, &late) || !late.Timeout() || time.Since(begin) != time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		close(gone)
	})
}

// deaf is a connection from which its end reads nothing.
type deaf struct {
	net.Conn
	gone chan struct{}
}

func (d deaf) Read([]byte) (int, error) { <-d.gone; return 0, io.EOF }

func TestListener_acceptsNobodyOnceItIsClosed(t *testing.T) {
	l, err := Listen("port", "127.0.0.1", -1)
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 1)
	l.Run(slog.New(slog.DiscardHandler), "client", func(c net.Conn) { accepted <- c })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	(<-accepted).Close()
	if err := errors.Join(l.Close(), l.Close()); err != nil { // twice is once
		t.Error(err)
	}
	close(accepted) // a call of accepted after Close would panic
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("the port is still open")
	}
}

// selfSigned is a server's TLS that nobody checks.
func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// peer is the other end of a greeting; what it returns it has read.
type peer func(net.Conn) (string, error)

const line = "INFO {}\r\n"

// readsLine reads the first line, and then says what it wants in the clear.
func readsLine(then string) peer {
	return func(c net.Conn) (string, error) {
		b := make([]byte, len(line))
		if _, err := io.ReadFull(c, b); err != nil {
			return "", err
		}
		_, err := io.WriteString(c, then)
		return string(b), err
	}
}

// upgrades reads the first line before or in TLS, and speaks in it.
func upgrades(lineFirst bool, then string) peer {
	return func(c net.Conn) (string, error) {
		before := make([]byte, len(line))
		if lineFirst {
			if _, err := io.ReadFull(c, before); err != nil {
				return "", err
			}
		}
		tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // of a test
		if err := tc.Handshake(); err != nil {
			return "", err
		}
		if !lineFirst {
			if _, err := io.ReadFull(tc, before); err != nil {
				return "", err
			}
		}
		_, err := io.WriteString(tc, then)
		return string(before), err
	}
}

// A greeting in each order that a configuration and a peer may want.
func TestGreeting_orders(t *testing.T) {
	secure := selfSigned(t)
	for name, c := range map[string]struct {
		greeting Greeting
		peer     peer
		tls      bool
	}{
		"plain":                       {Greeting{}, readsLine("PING\r\n"), false},
		"TLS":                         {Greeting{TLS: secure}, upgrades(true, "PING\r\n"), true},
		"TLS first":                   {Greeting{TLS: secure, First: true}, upgrades(false, "PING\r\n"), true},
		"TLS first, the peer begins":  {Greeting{TLS: secure, First: true, Fallback: time.Minute}, upgrades(false, "PING\r\n"), true},
		"TLS first, the peer waits":   {Greeting{TLS: secure, First: true, Fallback: time.Millisecond}, upgrades(true, "PING\r\n"), true},
		"TLS allowed, and spoken":     {Greeting{TLS: secure, AllowPlain: true, Timeout: time.Minute}, upgrades(true, "PING\r\n"), true},
		"TLS allowed, and not spoken": {Greeting{TLS: secure, AllowPlain: true, Timeout: time.Minute}, readsLine("PING\r\n"), false},
		"TLS first and not needed, and not spoken":  {Greeting{TLS: secure, First: true, Fallback: time.Millisecond, AllowPlain: true, Timeout: time.Minute}, readsLine("PING\r\n"), false},
		"TLS first and not needed, and spoken late": {Greeting{TLS: secure, First: true, Fallback: time.Millisecond, AllowPlain: true, Timeout: time.Minute}, upgrades(true, "PING\r\n"), true},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := pipe(t)
			g := c.greeting
			if g.Timeout == 0 {
				g.Timeout = time.Minute
			}
			rests := 0
			g.Rest = func() error {
				rests++
				return here.SetDeadline(time.Now().Add(time.Minute))
			}
			g.Hello = func(on net.Conn) error { _, err := io.WriteString(on, line); return err }
			told := make(chan error, 1)
			go func() {
				got, err := c.peer(there)
				if err == nil && got != line {
					err = fmt.Errorf("the first line is %q", got)
				}
				told <- err
			}()
			conn, err := g.Open(here)
			if err != nil {
				t.Fatal(err)
			}
			if got := TLSState(conn) != nil; got != c.tls {
				t.Errorf("TLS: %v", got)
			}
			if Socket(conn) != here {
				t.Error("the socket is not what lies underneath")
			}
			if (rests > 0) != (g.TLS != nil) {
				t.Errorf("the deadline was set again %d times", rests)
			}
			b := make([]byte, 6)
			if _, err := io.ReadFull(conn, b); err != nil || !bytes.Equal(b, []byte("PING\r\n")) {
				t.Errorf("then %q, %v", b, err)
			}
			if err := <-told; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestGreeting_failures(t *testing.T) {
	secure := selfSigned(t)
	t.Run("no TLS where it must be", func(t *testing.T) {
		here, there := pipe(t)
		go io.WriteString(there, "CONNECT {}\r\nPING\r\n")
		g := Greeting{TLS: secure, Timeout: time.Minute}
		_, err := g.Open(here)
		var failed *HandshakeError
		if !errors.As(err, &failed) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("nothing in time", func(t *testing.T) {
		here, _ := pipe(t)
		g := Greeting{TLS: secure, Timeout: time.Millisecond}
		_, err := g.Open(here)
		var late net.Error
		if !errors.As(err, &late) || !late.Timeout() {
			t.Errorf("error %v", err)
		}
	})
	t.Run("the server ends meanwhile", func(t *testing.T) {
		here, _ := pipe(t)
		stopping := errors.New("stopping")
		g := Greeting{TLS: secure, Timeout: time.Minute, First: true, Fallback: time.Millisecond, Rest: func() error { return stopping }}
		if _, err := g.Open(here); !errors.Is(err, stopping) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("the peer goes", func(t *testing.T) {
		here, there := pipe(t)
		there.Close()
		g := Greeting{TLS: secure, Timeout: time.Minute, First: true, Fallback: time.Minute}
		if _, err := g.Open(here); !errors.Is(err, io.EOF) {
			t.Errorf("error %v", err)
		}
	})
}

// pipe is two ends of a TCP connection.
func pipe(t *testing.T) (here, there net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if there, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if here, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}
