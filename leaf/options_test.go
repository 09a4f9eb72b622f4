package leaf

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/testkit"
)

// mustRemotes are the remotes of a configuration text.
func mustRemotes(t *testing.T, text string) []config.Remote {
	t.Helper()
	o, _, err := config.Parse("leaf.conf", []byte("leafnodes { remotes [ "+text+" ] }"), config.Source{})
	if err != nil {
		t.Fatal(err)
	}
	return o.Leaf.Remotes
}

func TestRemote_errorReports(t *testing.T) {
	n := newNode(t, "EDGE")
	n.Opts.ConnectErrorReports, n.Opts.ReconnectErrorReports = 4, 2
	m := New()
	m.services = n
	r := &remote{m: m}
	for _, test := range []struct {
		linked bool
		want   []int
	}{{false, []int{1, 4, 8}}, {true, []int{1, 2, 4, 6, 8}}} {
		var got []int
		for i := 1; i <= 8; i++ {
			if r.report(i, test.linked) {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("linked before %v: reported %v, want %v", test.linked, got, test.want)
		}
	}
}

func TestRemote_addresses(t *testing.T) {
	hosts := func(text string, learned ...string) []string {
		n := newNode(t, "EDGE")
		m := New()
		m.services = n
		r, err := m.newRemote(&mustRemotes(t, text)[0])
		if err != nil {
			t.Fatal(err)
		}
		r.learn(learned)
		var all []string
		for i := range 4 {
			all = append(all, r.url(i).Host)
		}
		return all
	}
	t.Run("those that the hub tells of come last", func(t *testing.T) {
		want := []string{"a:1", "b:2", "c:3", "a:1"}
		if got := hosts(`{urls: ["nats://a:1", "nats://b:2"], no_randomize: true}`, "c:3", "a:1"); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("ignore_discovered_servers forgets them", func(t *testing.T) {
		want := []string{"a:1", "b:2", "a:1", "b:2"}
		got := hosts(`{urls: ["nats://a:1", "nats://b:2"], no_randomize: true, ignore_discovered_servers: true}`, "c:3")
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("without no_randomize any may be the first", func(t *testing.T) {
		first := map[string]bool{}
		testkit.Eventually(t, "both were first", func() bool {
			first[hosts(`{urls: ["nats://a:1", "nats://b:2"]}`)[0]] = true
			return len(first) == 2
		})
	})
}

func TestModule_disabledRemote(t *testing.T) {
	n := newNode(t, "EDGE")
	n.Opts.Leaf.Remotes = mustRemotes(t, `{url: "nats://127.0.0.1:1", disabled: true}, {url: "nats://127.0.0.1:2"}`)
	if n.start(); len(n.m.dialers()) != 1 || n.m.dialers()[0].config.URLs[0].Host != "127.0.0.1:2" {
		t.Errorf("remotes %v", n.m.dialers())
	}
}

func TestListener_advertises(t *testing.T) {
	all := &net.TCPAddr{IP: net.IPv4zero, Port: 7422}
	one := &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 7422}
	for _, test := range []struct {
		configured string
		addr       *net.TCPAddr
		want       string
	}{
		{"", one, "10.1.2.3:7422"}, {"hub.example.com", all, "hub.example.com:7422"}, {"hub.example.com:1", one, "hub.example.com:1"},
		{"[::1]:5", one, "[::1]:5"}, {"hub:0", one, "hub:7422"}, {"[::1]", one, "[::1]:7422"},
	} {
		if got := advertised(test.configured, test.addr); len(got) != 1 || got[0] != test.want {
			t.Errorf("advertise %q on %v: %q, want %q", test.configured, test.addr, got, test.want)
		}
	}
	for _, hide := range []bool{false, true} {
		hub := startHub(t, func(n *node) { n.Opts.Leaf.Advertise, n.Opts.Leaf.NoAdvertise = "hub.example.com:1", hide })
		i, err := parseInfo([]byte(dialRaw(t, hub.addr()).until("INFO ")[len("INFO "):]))
		if err != nil {
			t.Fatal(err)
		}
		if hide && len(i.LeafURLs) != 0 || !hide && !slices.Equal(i.LeafURLs, []string{"hub.example.com:1"}) {
			t.Errorf("no_advertise %v: told %q", hide, i.LeafURLs)
		}
	}
}

// Interest of one spoke reaches another over the hub, unless one of three
// switches isolates the other.
func TestLink_isolation(t *testing.T) {
	for name, test := range map[string]struct {
		hub    func(*config.Leaf)
		remote func(*config.Remote)
		heard  bool
	}{
		"none":              {func(*config.Leaf) {}, func(*config.Remote) {}, true},
		"of the hub":        {func(l *config.Leaf) { l.Isolate = true }, func(*config.Remote) {}, false},
		"asked for":         {func(*config.Leaf) {}, func(r *config.Remote) { r.RequestIsolation = true }, false},
		"of a hub's remote": {nil, func(r *config.Remote) { r.Hub, r.Isolate = true, true }, false},
		"a hub's remote":    {nil, func(r *config.Remote) { r.Hub = true }, true},
	} {
		t.Run(name, func(t *testing.T) {
			// Where the hub dials, the roles are exchanged.
			hub := startHub(t, func(n *node) {
				if test.hub != nil {
					test.hub(&n.Opts.Leaf)
				}
			})
			other := startSpoke(t, hub.addr(), func(n *node, r *config.Remote) {
				n.Name, n.Opts.Leaf.Port = "OTHER", -1
				test.remote(r)
			})
			center, quiet := hub, other
			if test.hub == nil {
				center, quiet = other, hub
			}
			testkit.Eventually(t, "the link", func() bool { return len(hub.m.Links()) == 1 })
			third := startSpoke(t, center.addr(), func(n *node, _ *config.Remote) { n.Name = "THIRD" })
			third.subscribe("far", "")
			center.subscribe("near", "")
			testkit.Eventually(t, "interest of the center", func() bool { return quiet.Acc.HasInterest("near") })
			testkit.Eventually(t, "interest at the center", func() bool { return center.Acc.HasInterest("far") })
			// What is told later is told in order: "last" says that "far" was not
			// told before.
			center.subscribe("last", "")
			testkit.Eventually(t, "later interest", func() bool { return quiet.Acc.HasInterest("last") })
			if got := quiet.Acc.HasInterest("far"); got != test.heard {
				t.Errorf("hears of another spoke's interest: %v, want %v", got, test.heard)
			}
		})
	}
}

// mustCertificate writes a certificate that signs itself.
func mustCertificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, b := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// The time to present oneself does not make the handshake longer.
func TestListener_tlsTimeout(t *testing.T) {
	cert, key := mustCertificate(t)
	hub := startHub(t, func(n *node) {
		n.Opts.Leaf.Auth.Timeout = time.Hour
		n.Opts.Leaf.TLS = &config.TLS{CertFile: cert, KeyFile: key, Timeout: 50 * time.Millisecond}
	})
	r := dialRaw(t, hub.addr())
	r.until("INFO ")
	r.until("") // silence is cut off, before the test's own patience ends
	testkit.Eventually(t, "the reason is in the log", func() bool { return hub.Log.Contains("TLS handshake") })
}
