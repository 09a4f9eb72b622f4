//go:build !lite

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/leaf"
	"github.com/frondmq/frond/mqtt"
)

func ofFile(t *testing.T, text string) servertest.Option {
	t.Helper()
	o, _, err := config.Parse("x.conf", []byte("listen: \"127.0.0.1:-1\"\n"+text), config.Source{ReadFile: os.ReadFile, Env: os.LookupEnv})
	if err != nil {
		t.Fatal(err)
	}
	return servertest.With(func(to *config.Options) { *to = *o })
}

// talker is a NATS client, line by line.
type talker struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

func talk(t *testing.T, s *core.Server, user string) *talker {
	t.Helper()
	c := &talker{servertest.Dial(t, s), nil, t}
	c.r = bufio.NewReader(c.Conn)
	c.say(`CONNECT {"verbose":false,"user":"` + user + `","pass":"p"}` + "\r\nSUB > 1\r\n")
	c.fence()
	return c
}

func (c *talker) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// next is the next line but INFO and PING.
func (c *talker) next() string {
	c.t.Helper()
	for {
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		l, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		if !strings.HasPrefix(l, "INFO ") && l != "PING\r\n" {
			return strings.TrimSuffix(l, "\r\n")
		}
	}
}

func (c *talker) expect(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		if got := c.next(); got != want {
			c.t.Fatalf("%q, want %q", got, want)
		}
	}
}

func (c *talker) fence() {
	c.t.Helper()
	c.say("PING\r\n")
	c.expect("PONG")
}

// A link carries the account of its user at the hub and that of its remote here, and
// an account lets in as many as it may.
func TestAccounts_overLinks(t *testing.T) {
	m := leaf.New()
	hub := servertest.Start(t, servertest.Modules(m), ofFile(t, `
accounts {
	A { users [ {user: a, password: p} ], limits { max_leafs: 1 } }
	B { users [ {user: b, password: p} ] }
}
leafnodes { listen: "127.0.0.1:-1", authorization { users [ {user: la, password: p, account: A} ] } }`))
	edge := func() *core.Server {
		return servertest.Start(t, servertest.Modules(leaf.New()), ofFile(t, fmt.Sprintf(`
accounts {
	X { users [ {user: x, password: p} ] }
	Y { users [ {user: y, password: p} ] }
}
leafnodes { remotes [ {url: "nats-leaf://la:p@%s", account: X} ] }`, m.Addr())))
	}
	one := edge()
	a, b, x, y := talk(t, hub, "a"), talk(t, hub, "b"), talk(t, one, "x"), talk(t, one, "y")
	servertest.Eventually(t, "the link", func() bool { return hub.Leafz(nil).NumLeafs == 1 })
	edge()
	full := func() bool {
		z, err := hub.Connz(&monitor.ConnzOptions{State: monitor.ConnClosed})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range z.Conns {
			if c.Kind == monitor.KindLeaf && c.Reason == "Maximum Account Connections Exceeded" {
				return true
			}
		}
		return false
	}
	servertest.Eventually(t, "the end of the second link", full)
	knows := func(s *core.Server) bool {
		z := s.Leafz(nil)
		return len(z.Leafs) == 1 && z.Leafs[0].Subscriptions > 0
	}
	servertest.Eventually(t, "interest over the link", func() bool { return knows(hub) && knows(one) })
	x.say("PUB up 1\r\nx\r\n")
	x.expect("MSG up 1 1", "x")
	a.expect("MSG up 1 1", "x")
	a.say("PUB down 1\r\na\r\n")
	a.expect("MSG down 1 1", "a")
	x.expect("MSG down 1 1", "a")
	for _, c := range []*talker{a, b, x, y} {
		c.fence() // and nothing else
	}
}

func mqttText(s string) string { return string([]byte{0, byte(len(s))}) + s }

// mqttConnect logs in and returns the code of the answer.
func mqttConnect(t *testing.T, m *mqtt.Module, user string) (net.Conn, byte) {
	t.Helper()
	c, ack := mqttLogin(t, m, user, user, 0xc2)
	return c, ack[3]
}

// mqttLogin does so as a client of that identifier, and returns the whole answer.
func mqttLogin(t *testing.T, m *mqtt.Module, user, id string, flags byte) (c net.Conn, ack [4]byte) {
	t.Helper()
	c, err := net.Dial("tcp", m.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	body := mqttText("MQTT") + "\x04" + string([]byte{flags}) + "\x00\x3c" + mqttText(id) + mqttText(user) + mqttText("p")
	io.WriteString(c, "\x10"+string([]byte{byte(len(body))})+body)
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(c, ack[:]); err != nil {
		t.Fatal(user, err)
	}
	return c, ack
}

// MQTT clients are in the accounts of their users, and where there are no streams
// there are none.
func TestAccounts_overMQTT(t *testing.T) {
	m := mqtt.New()
	s := servertest.Start(t, servertest.Modules(m), ofFile(t, `
jetstream { store_dir: "`+t.TempDir()+`" }
accounts {
	A { users [ {user: a, password: p}, {user: da, password: p} ], jetstream: enabled, limits { max_conn: 2 } }
	B { users [ {user: b, password: p}, {user: db, password: p} ], jetstream: enabled }
	C { users [ {user: dc, password: p} ] }
}
mqtt { listen: "127.0.0.1:-1" }`))
	a, b := talk(t, s, "a"), talk(t, s, "b")
	da, code := mqttConnect(t, m, "da")
	if code != 0 {
		t.Fatalf("refused with %d", code)
	}
	body := mqttText("x/y") + "hi"
	io.WriteString(da, "\x31"+string([]byte{byte(len(body))})+body) // retained
	for l := a.next(); !strings.HasPrefix(l, "MSG x.y "); l = a.next() {
	}
	b.fence()
	if _, code := mqttConnect(t, m, "da"); code == 0 {
		t.Error("a third client is in the account")
	}
	if _, code := mqttConnect(t, m, "dc"); code != 5 {
		t.Errorf("without streams the answer is %d", code)
	}
	// What A retains is nothing to B.
	db, _ := mqttConnect(t, m, "db")
	filter := "\x00\x01" + mqttText("#") + "\x00"
	io.WriteString(db, "\x82"+string([]byte{byte(len(filter))})+filter)
	var got [5]byte
	if _, err := io.ReadFull(db, got[:]); err != nil || string(got[:]) != "\x90\x03\x00\x01\x00" {
		t.Errorf("% x, %v", got, err)
	}
	io.WriteString(db, "\xc0\x00")
	if _, err := io.ReadFull(db, got[:2]); err != nil || string(got[:2]) != "\xd0\x00" {
		t.Errorf("% x, %v", got[:2], err)
	}
}

// The same client identifier in two accounts is two clients, with a session each.
func TestAccounts_sameClientIdentifier(t *testing.T) {
	m := mqtt.New()
	s := servertest.Start(t, servertest.Modules(m), ofFile(t, `
jetstream { store_dir: "`+t.TempDir()+`" }
accounts {
	A { users [ {user: a, password: p}, {user: da, password: p} ], jetstream: enabled }
	B { users [ {user: b, password: p}, {user: db, password: p} ], jetstream: enabled }
}
mqtt { listen: "127.0.0.1:-1" }`))
	const kept, subscribe = 0xc0, "\x82\x08\x00\x01\x00\x03k/#\x01"
	answers := func(c net.Conn, to, want string) {
		t.Helper()
		got := make([]byte, len(want))
		io.WriteString(c, to)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Fatalf("% x, %v", got, err)
		}
	}
	const ping, pong = "\xc0\x00", "\xd0\x00"
	inA, _ := mqttLogin(t, m, "da", "same", kept)
	answers(inA, subscribe, "\x90\x03\x00\x01\x01")
	inB, ack := mqttLogin(t, m, "db", "same", kept)
	if ack != [4]byte{0x20, 2, 0, 0} {
		t.Errorf("the answer in B is % x", ack)
	}
	answers(inB, subscribe, "\x90\x03\x00\x01\x01")
	answers(inA, ping, pong) // it was not taken over
	inA.Close()
	inB.Close()
	servertest.Eventually(t, "both are gone", func() bool { return s.Varz().Connections == 0 })
	const message = "\x32\x08\x00\x03k/x\x00\x011"
	other, _ := mqttLogin(t, m, "da", "other", 0xc2)
	answers(other, message, "\x40\x02\x00\x01")
	if inB, ack = mqttLogin(t, m, "db", "same", kept); ack != [4]byte{0x20, 2, 1, 0} {
		t.Errorf("the answer in B is % x", ack)
	}
	answers(inB, ping, pong) // and nothing else
	inA, _ = mqttLogin(t, m, "da", "same", kept)
	answers(inA, "", message)
}
