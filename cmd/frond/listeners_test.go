//go:build !lite

package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/leaf"
	"github.com/frondmq/frond/mqtt"
)

// listenersConf is one port in the clear for the LAN, and one outside with TLS and
// users of its own. What a test changes stands between.
func listenersConf(dir, listeners string) string {
	return fmt.Sprintf(`
		jetstream { store_dir: %q }
		accounts {
			A { users: [ { user: ann, password: p } ], jetstream: enabled }
			B { users: [ { user: lan, password: p } ], jetstream: enabled }
		}
		mqtt { listen: "127.0.0.1:-1", no_auth_user: lan, listeners: [ %s ] }
		leafnodes { listen: "127.0.0.1:-1" }`, dir, listeners)
}

func certificates(t *testing.T) (certs string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, secret := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, secret: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("tls { cert_file: %q, key_file: %q }", cert, secret)
}

// knock connects, and returns the code of CONNACK; -1 for none.
func knock(t *testing.T, port int, secure bool, id, user, password string) (net.Conn, int) {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, -1
	}
	if secure {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	pk := packets.Packet{ProtocolVersion: 4, FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	pk.Connect = packets.ConnectParams{ProtocolName: []byte("MQTT"), Clean: true, ClientIdentifier: id}
	if user != "" {
		pk.Connect.UsernameFlag, pk.Connect.PasswordFlag, pk.Connect.Username, pk.Connect.Password = true, true, []byte(user), []byte(password)
	}
	var b bytes.Buffer
	if err := pk.ConnectEncode(&b); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(b.Bytes())
	answer := make([]byte, 4)
	if _, err := bufio.NewReader(c).Read(answer); err != nil {
		return c, -1
	}
	return c, int(answer[3])
}

func portOf(t *testing.T, s *core.Server, name string) int {
	t.Helper()
	for _, l := range s.Varz().MQTT.Listeners {
		if l.Name == name {
			return l.Port
		}
	}
	t.Fatalf("no listener %q: %+v", name, s.Varz().MQTT.Listeners)
	return 0
}

// Each listener has its TLS and lets in its users, and those of no other.
func TestMQTTListeners(t *testing.T) {
	own := mqtt.New()
	s := serverOf(t, listenersConf(t.TempDir(), outsideAndServer(t)), own, leaf.New())
	outside, server := portOf(t, s, "outside"), portOf(t, s, "server")
	lan := own.Addr().(*net.TCPAddr).Port
	const refused = 5
	for _, c := range []struct {
		port           int
		secure         bool
		user, password string
		want           int
	}{
		{lan, false, "", "", 0}, {lan, false, "lan", "p", 0}, {lan, false, "dev", "q", refused},
		{outside, true, "dev", "q", 0}, {outside, true, "of-a", "q", 0}, {outside, true, "dev", "p", refused},
		{outside, true, "lan", "p", refused}, {outside, true, "", "", refused}, {outside, false, "dev", "q", -1},
		{server, false, "lan", "p", 0}, {server, false, "ann", "p", 0}, {server, false, "", "", refused}, {server, false, "dev", "q", refused},
	} {
		if nc, got := knock(t, c.port, c.secure, "", c.user, c.password); got != c.want {
			t.Errorf("%+v: CONNACK %d", c, got)
		} else if nc != nil {
			nc.Close()
		}
	}
	testkit.Eventually(t, "all are gone", func() bool { return connzOf(t, s, monitor.ConnOpen) == "" })
	knock(t, outside, true, "a", "of-a", "q")
	knock(t, outside, true, "b", "dev", "q")
	if _, got := knock(t, outside, true, "c", "dev", "q"); got != -1 {
		t.Errorf("a third of two: CONNACK %d", got)
	}
	if got := connzOf(t, s, monitor.ConnOpen); got != "a of-a A outside\nb dev B outside\n" {
		t.Errorf("there are\n%s", got)
	}
	for _, l := range s.Varz().MQTT.Listeners {
		if l.Name == "outside" && (l.Host != "127.0.0.1" || !l.TLSRequired || !l.OwnUsers || l.Connections != 2 || l.MaxConns != 2 || l.AuthTimeout != 3) {
			t.Errorf("%+v", l)
		}
	}
}

func outsideAndServer(t *testing.T) string {
	return fmt.Sprintf(`{ name: outside, listen: "127.0.0.1:-1", max_connections: 2, %s
		authorization { users: [ { user: dev, password: q, account: B, permissions { publish: "dev.>" } }, { user: of-a, password: q, account: A } ] } }
	{ name: server, listen: "127.0.0.1:-1" }`, certificates(t))
}

func connzOf(t *testing.T, s *core.Server, state monitor.ConnState) string {
	t.Helper()
	z, err := s.Connz(&monitor.ConnzOptions{State: state, Auth: true})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, c := range z.Conns {
		fmt.Fprintln(&b, c.MQTTClient, c.AuthorizedUser, c.Account, c.MQTTListener)
	}
	return b.String()
}

// A reload opens, changes and closes listeners; who is connected by one that stays as it
// was stays, and a reload that is refused leaves no port open.
func TestMQTTListeners_reload(t *testing.T) {
	dir, secure := t.TempDir(), certificates(t)
	const users = `authorization { users: [ { user: a, password: a, account: A }, { user: b, password: b, account: A } ] }`
	first := `{ name: stays, listen: "127.0.0.1:-1", ` + users + ` }, { name: goes, listen: "127.0.0.1:-1" }, { name: turns, listen: "127.0.0.1:-1" },`
	s := serverOf(t, listenersConf(dir, first), mqtt.New(), leaf.New())
	stays, goes, turns := portOf(t, s, "stays"), portOf(t, s, "goes"), portOf(t, s, "turns")
	for id, port := range map[string]int{"goes": goes, "turns": turns} {
		if _, got := knock(t, port, false, id, "lan", "p"); got != 0 {
			t.Fatalf("%s: CONNACK %d", id, got)
		}
	}
	for _, user := range []string{"a", "b"} {
		if _, got := knock(t, stays, false, user, user, user); got != 0 {
			t.Fatalf("%s: CONNACK %d", user, got)
		}
	}
	leaves := "" // more of the leafnodes block
	reload := func(listeners string) error {
		text := strings.Replace(listenersConf(dir, listeners), "leafnodes {", "leafnodes { "+leaves, 1)
		o, _, err := config.Parse("test", []byte(text), config.Source{ReadFile: os.ReadFile})
		if err != nil {
			t.Fatal(err)
		}
		o.Host, o.Port = "127.0.0.1", -1
		_, err = s.Reload(o)
		return err
	}

	free, _ := strconv.Atoi(freePort(t))
	err := reload(first + fmt.Sprintf(`{ name: new, listen: "127.0.0.1:%d" }, { name: taken, listen: "127.0.0.1:%d" }`, free, stays))
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("listening on port 127.0.0.1:%d (option mqtt.listeners[4])", stays)) || !strings.HasPrefix(err.Error(), "nothing was reloaded: test:") {
		t.Fatalf("a port that is taken: %v", err)
	}
	leaves = "no_advertise: true, "
	if err := reload(first + fmt.Sprintf(`{ name: new, listen: "127.0.0.1:%d" }`, free)); err == nil || !strings.Contains(err.Error(), "leafnodes.no_advertise") {
		t.Fatalf("another module refuses: %v", err)
	}
	leaves = ""
	if c, _ := knock(t, free, false, "", "", ""); c != nil {
		t.Error("a port is open that nobody serves")
	}

	if err := reload(fmt.Sprintf(`{ name: turns, listen: "127.0.0.1:-1", %s }
		{ name: stays, listen: "127.0.0.1:-1", authorization { users: [ { user: a, password: a, account: A } ] } }
		{ name: new, listen: "127.0.0.1:%d", no_auth_user: lan }`, secure, free)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the others are gone", func() bool { return connzOf(t, s, monitor.ConnOpen) == "a a A stays\n" })
	if c, _ := knock(t, goes, false, "", "lan", "p"); c != nil {
		t.Error("a listener that is gone is open")
	}
	if _, got := knock(t, turns, true, "", "lan", "p"); got != 0 {
		t.Errorf("TLS: CONNACK %d", got)
	}
	if _, got := knock(t, free, false, "new", "", ""); got != 0 {
		t.Errorf("the new one: CONNACK %d", got)
	}
	if err := reload(fmt.Sprintf(`{ name: renamed, listen: "127.0.0.1:%d", no_auth_user: lan }`, free)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "all are gone", func() bool { return connzOf(t, s, monitor.ConnOpen) == "" })
	for i := range 3 {
		if _, got := knock(t, free, false, fmt.Sprint("n", i), "", ""); got != 0 {
			t.Fatalf("CONNACK %d", got)
		}
	}
	if err := reload(fmt.Sprintf(`{ name: renamed, listen: "127.0.0.1:%d", no_auth_user: lan, max_connections: 1 }`, free)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the newest are gone", func() bool { return connzOf(t, s, monitor.ConnOpen) == "n0 lan B renamed\n" })
}

// A port of a listener that is taken stops the start before a store is made.
func TestMQTTListeners_portTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := filepath.Join(t.TempDir(), "data")
	o, _, err := config.Parse("test", []byte(listenersConf(dir, fmt.Sprintf(`{ listen: %q }`, l.Addr()))), config.Source{})
	if err != nil {
		t.Fatal(err)
	}
	o.Host, o.Port = "127.0.0.1", -1
	s, err := servertest.New(t, servertest.With(func(to *config.Options) { *to = *o }), servertest.Modules(mqtt.New(), leaf.New()))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err == nil || !strings.Contains(err.Error(), "mqtt.listeners[0]") {
		t.Errorf("started: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a store was made")
	}
}
