//go:build !lite

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/leaf"
	"github.com/frondmq/frond/mqtt"
)

// What MQTT clients are told under $SYS/broker is for them alone, of each account of its
// own: nothing of it reaches NATS clients, streams or the other end of a link.
func TestSysTopics_areOfMQTTClients(t *testing.T) {
	link, edgeMQTT := leaf.New(), mqtt.New()
	hub := serverOf(t, `
		accounts { A { users: [ { user: a, password: a } ] } }
		leafnodes { listen: "127.0.0.1:-1" }`, link)
	edge := serverOf(t, fmt.Sprintf(`
		server_name: edge
		accounts {
			A { users: [ { user: a, password: a } ], jetstream: enabled }
			B { users: [ { user: b, password: b } ], jetstream: enabled }
		}
		jetstream { store_dir: %q, domain: edge }
		mqtt { listen: "127.0.0.1:-1", sys_interval: 1s }
		leafnodes { remotes: [ { url: "nats-leaf://a:a@%s", account: A } ] }`, t.TempDir(), link.Addr()), leaf.New(), edgeMQTT)
	atHub, ofA, ofB := natsOf(t, hub, "a"), natsOf(t, edge, "a"), natsOf(t, edge, "b")
	ofA.ask("$JS.API.STREAM.CREATE.S", `{"name":"S","subjects":["$SYS.>"],"storage":"memory","num_replicas":1,"no_ack":true}`, `"name":"S"`)
	testkit.Eventually(t, "the link is there", func() bool {
		ofA.publish("$SYS.first")
		return atHub.hear()["$SYS.first"]
	})

	first := mqttOf(t, edgeMQTT, "a")
	first.told("version")
	a, b := mqttOf(t, edgeMQTT, "a"), mqttOf(t, edgeMQTT, "b")
	if n := b.told("clients/connected"); n != "1" {
		t.Errorf("%s clients of B", n)
	}
	for a.told("clients/connected") != "2" { // behind an interval
	}
	b.told("uptime")
	b.told("uptime")

	ofA.publish("$SYS.last")
	ofB.publish("$SYS.last")
	for name, n := range map[string]*natsClient{"hub": atHub, "A": ofA, "B": ofB} {
		testkit.Eventually(t, name+" hears what is published", func() bool { return n.hear()["$SYS.last"] })
		for subj := range n.heard {
			if strings.HasPrefix(subj, "$SYS.broker") {
				t.Errorf("%s hears of %s", name, subj)
			}
		}
	}
	ofA.ask("$JS.API.STREAM.INFO.S", `{"subjects_filter":">"}`, `"num_subjects":2`)
}

func serverOf(t *testing.T, text string, modules ...core.Module) *core.Server {
	t.Helper()
	o, _, err := config.Parse("test", []byte(text), config.Source{})
	if err != nil {
		t.Fatal(err)
	}
	o.Host, o.Port = "127.0.0.1", -1
	return servertest.Start(t, servertest.With(func(to *config.Options) { *to = *o }), servertest.Modules(modules...))
}

// natsClient hears all that it may.
type natsClient struct {
	t     *testing.T
	c     net.Conn
	r     *bufio.Reader
	heard map[string]bool // the subjects
}

func natsOf(t *testing.T, s *core.Server, user string) *natsClient {
	t.Helper()
	n := &natsClient{t: t, c: servertest.Dial(t, s), heard: make(map[string]bool)}
	n.r = bufio.NewReader(n.c)
	_ = n.c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(n.c, `CONNECT {"user":%q,"pass":%[1]q,"verbose":false}`+"\r\nSUB > 1\r\nSUB $SYS.> 2\r\n", user)
	n.hear()
	return n
}

// next is the next message; "" behind a PONG.
func (n *natsClient) next() (subj, body string) {
	n.t.Helper()
	for {
		line, err := n.r.ReadString('\n')
		if err != nil {
			n.t.Fatal(err)
		}
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || f[0] == "INFO" || f[0] == "PING":
		case f[0] == "PONG":
			return "", ""
		case f[0] == "MSG" || f[0] == "HMSG":
			var size int
			if _, err := fmt.Sscan(f[len(f)-1], &size); err != nil {
				n.t.Fatal(err)
			}
			b := make([]byte, size+2)
			if _, err := io.ReadFull(n.r, b); err != nil {
				n.t.Fatal(err)
			}
			return f[1], string(b)
		default:
			n.t.Fatalf("the server says %s", line)
		}
	}
}

// hear reads all that has come.
func (n *natsClient) hear() map[string]bool {
	n.t.Helper()
	fmt.Fprint(n.c, "PING\r\n")
	for subj, _ := n.next(); subj != ""; subj, _ = n.next() {
		n.heard[subj] = true
	}
	return n.heard
}

func (n *natsClient) publish(subj string) { fmt.Fprintf(n.c, "PUB %s 1\r\nx\r\n", subj) }

// ask wants an answer that holds something.
func (n *natsClient) ask(subj, body, want string) {
	n.t.Helper()
	fmt.Fprintf(n.c, "PUB %s answer %d\r\n%s\r\n", subj, len(body), body)
	for {
		subj, got := n.next()
		n.heard[subj] = true
		if subj == "answer" {
			if !strings.Contains(got, want) {
				n.t.Errorf("%s is answered with %s", subj, got)
			}
			return
		}
	}
}

// mqttClient is subscribed to all that the server tells.
type mqttClient struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func mqttOf(t *testing.T, m *mqtt.Module, user string) *mqttClient {
	t.Helper()
	c, err := net.Dial("tcp", m.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	pk := packets.Packet{ProtocolVersion: 4, FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	pk.Connect = packets.ConnectParams{ProtocolName: []byte("MQTT"), Clean: true, UsernameFlag: true, PasswordFlag: true, Username: []byte(user), Password: []byte(user)}
	var b bytes.Buffer
	if err := pk.ConnectEncode(&b); err != nil {
		t.Fatal(err)
	}
	b.WriteString("\x82\x0b\x00\x01\x00\x06$SYS/#\x00")
	if _, err := c.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	return &mqttClient{t, c, bufio.NewReader(c)}
}

// told waits for a topic below $SYS/broker.
func (m *mqttClient) told(name string) string {
	m.t.Helper()
	for {
		var fh packets.FixedHeader
		first, err := m.r.ReadByte()
		if err == nil {
			err = fh.Decode(first)
		}
		var n int
		if err == nil {
			n, _, err = packets.DecodeLength(m.r)
		}
		body := make([]byte, n)
		if err == nil {
			_, err = io.ReadFull(m.r, body)
		}
		if err != nil {
			m.t.Fatal(err)
		}
		pk := packets.Packet{ProtocolVersion: 4, FixedHeader: fh}
		if fh.Type == packets.Publish && pk.PublishDecode(body) == nil && pk.TopicName == "$SYS/broker/"+name {
			return string(pk.Payload)
		}
	}
}
