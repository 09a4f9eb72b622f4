//go:build !lite

package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
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

func mqttText(s string) string { return string([]byte{0, byte(len(s))}) + s }

// mqttConnect logs in and returns the code of the answer.
func mqttConnect(t *testing.T, m *mqtt.Module, user string) (net.Conn, byte) {
	t.Helper()
	c, err := net.Dial("tcp", m.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	body := mqttText("MQTT") + "\x04\xc2\x00\x3c" + mqttText(user) + mqttText(user) + mqttText("p")
	io.WriteString(c, "\x10"+string([]byte{byte(len(body))})+body)
	var ack [4]byte
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(c, ack[:]); err != nil {
		t.Fatal(user, err)
	}
	return c, ack[3]
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
