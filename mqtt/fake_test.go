package mqtt

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/wire"
)

// broker is a server with an MQTT module.
type broker struct {
	*servertest.Services
	t testing.TB
	m *Module
}

// makeBroker makes one that is not started.
func makeBroker(t testing.TB) *broker {
	b := &broker{Services: servertest.NewServices(t, "B"), t: t}
	return b
}

func startBroker(t *testing.T, change func(*broker)) *broker {
	t.Helper()
	b := makeBroker(t)
	b.Opts.MQTT.Host, b.Opts.MQTT.Port, b.Opts.MQTT.Set = "127.0.0.1", -1, true
	b.Opts.MQTT.Auth.Timeout = 20 * time.Second
	if change != nil {
		change(b)
	}
	b.Conns = core.NewConnections(b.Opts.MaxConns, b.Opts.MaxClosedConns)
	b.Clients.Budget.SetLimit(b.Opts.MaxPendingTotal)
	b.m = New()
	b.Run(b.m)
	return b
}

// wasGone reports whether a client ended for that reason.
func (b *broker) wasGone(reason string) bool {
	return slices.ContainsFunc(b.Conns.Closed(), func(c *monitor.ConnInfo) bool { return c.Reason == reason && c.MQTTClient == "dev" })
}

// stream is a sink that takes messages as a stream does: it expects them while
// they are routed, and stores them when the test says so.
type stream struct {
	plain    bool // asks for no receipts
	mu       sync.Mutex
	msgs     []string
	receipts []wire.Receipt
}

func (s *stream) Role() account.Role { return account.RoleInternal }
func (s *stream) Cluster() string    { return "" }
func (s *stream) Flush()             {}
func (s *stream) Deliver(_ *account.Sub, m *wire.Msg) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.msgs = append(s.msgs, fmt.Sprintf("%s %q %s", m.Subject, m.Header, m.Body))
	if m.Receipt != nil && !s.plain {
		m.Receipt.Expect()
		s.receipts = append(s.receipts, m.Receipt)
	}
	return true
}

func (s *stream) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.msgs...)
}

// store finishes the i-th receipt.
func (s *stream) store(i int, err error) {
	s.mu.Lock()
	r := s.receipts[i]
	s.mu.Unlock()
	r.Stored("S", uint64(i+1), false, err)
}

func (b *broker) capture(subj string) *stream {
	s := &stream{}
	b.subscribe(subj, s)
	return s
}

func (b *broker) subscribe(subj string, s account.Sink) {
	if err := b.Acc.Subscribe(&account.Sub{Subject: subj, Sink: s}); err != nil {
		b.t.Fatal(err)
	}
}

// sinkFunc is called with what is delivered.
type sinkFunc func(*wire.Msg)

func (sinkFunc) Role() account.Role { return account.RoleClient }
func (sinkFunc) Cluster() string    { return "" }
func (sinkFunc) Flush()             {}
func (f sinkFunc) Deliver(_ *account.Sub, m *wire.Msg) bool {
	f(m)
	return true
}

func (b *broker) publish(m wire.Msg) int {
	o := account.NewOrigin(nil, account.RoleClient, "")
	defer o.Flush()
	return b.Acc.Route(o, &m)
}

// client speaks MQTT packet by packet.
type client struct {
	t       testing.TB
	c       net.Conn
	r       framer
	version byte
}

func (b *broker) dial(version byte) *client {
	b.t.Helper()
	nc, err := net.Dial("tcp", b.m.Addr().String())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{b.t, nc, framer{in: bufio.NewReader(nc), limit: 1 << 28, pool: &b.m.readBuffers}, version}
}

func (b *broker) connect(version byte, id string) *client {
	b.t.Helper()
	c := b.dial(version)
	c.send(c.connectPacket(id, nil))
	if pk := c.expect(packets.Connack); pk.ReasonCode != 0 {
		b.t.Fatalf("CONNACK %d", pk.ReasonCode)
	}
	return c
}

func (c *client) connectPacket(id string, change func(*packets.Packet)) []byte {
	pk := &packets.Packet{ProtocolVersion: c.version, FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	pk.Connect.ProtocolName = []byte("MQTT")
	pk.Connect.Clean, pk.Connect.ClientIdentifier, pk.Connect.Keepalive = true, id, 60
	if change != nil {
		change(pk)
	}
	return c.encoded(pk.ConnectEncode)
}

func (c *client) encoded(f func(*bytes.Buffer) error) []byte {
	c.t.Helper()
	b, err := encode(f)
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

func (c *client) send(b []byte) {
	c.t.Helper()
	if _, err := c.c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) publish(topic, payload string, qos byte, id uint16, user ...string) {
	pk := &packets.Packet{ProtocolVersion: c.version, PacketID: id, TopicName: topic, Payload: []byte(payload)}
	pk.FixedHeader = packets.FixedHeader{Type: packets.Publish, Qos: qos}
	for i := 0; i < len(user); i += 2 {
		pk.Properties.User = append(pk.Properties.User, packets.UserProperty{Key: user[i], Val: user[i+1]})
	}
	c.send(c.encoded(pk.PublishEncode))
}

func (c *client) subscribe(filter string, qos byte) byte {
	c.t.Helper()
	pk := &packets.Packet{ProtocolVersion: c.version, PacketID: 77}
	pk.FixedHeader = packets.FixedHeader{Type: packets.Subscribe, Qos: 1}
	pk.Filters = packets.Subscriptions{{Filter: filter, Qos: qos}}
	c.send(c.encoded(pk.SubscribeEncode))
	return c.expect(packets.Suback).ReasonCodes[0]
}

// next reads one packet.
func (c *client) next() (*packets.Packet, error) {
	f, err := c.r.next()
	if err != nil {
		return nil, err
	}
	pk := &packets.Packet{ProtocolVersion: c.version}
	if err := pk.FixedHeader.Decode(f.first); err != nil {
		return nil, err
	}
	pk.FixedHeader.Remaining = len(f.body)
	body := bytes.Clone(f.body)
	switch pk.FixedHeader.Type {
	case packets.Connack:
		err = pk.ConnackDecode(body)
	case packets.Publish:
		err = pk.PublishDecode(body)
	case packets.Puback:
		err = pk.PubackDecode(body)
	case packets.Pubrec:
		err = pk.PubrecDecode(body)
	case packets.Pubrel:
		err = pk.PubrelDecode(body)
	case packets.Pubcomp:
		err = pk.PubcompDecode(body)
	case packets.Suback:
		err = pk.SubackDecode(body)
	case packets.Unsuback:
		err = pk.UnsubackDecode(body)
	case packets.Disconnect:
		err = pk.DisconnectDecode(body)
	}
	return pk, err
}

func (c *client) expect(kind byte) *packets.Packet {
	c.t.Helper()
	pk, err := c.next()
	if err != nil {
		c.t.Fatalf("waiting for packet type %d: %v", kind, err)
	}
	if pk.FixedHeader.Type != kind {
		c.t.Fatalf("got packet type %d, want %d: %+v", pk.FixedHeader.Type, kind, pk)
	}
	return pk
}

// expectEnd wants the connection closed, for MQTT 5 behind a DISCONNECT.
func (c *client) expectEnd(code byte) {
	c.t.Helper()
	for {
		pk, err := c.next()
		if err != nil {
			if code != 0 {
				c.t.Fatalf("closed without a DISCONNECT: %v", err)
			}
			return
		}
		if pk.FixedHeader.Type == packets.Disconnect {
			if pk.ReasonCode != code {
				c.t.Fatalf("DISCONNECT %#x, want %#x", pk.ReasonCode, code)
			}
			code = 0
		}
	}
}

// fence returns when everything sent before was handled.
func (c *client) fence() {
	c.t.Helper()
	c.send([]byte{packets.Pingreq << 4, 0})
	c.expect(packets.Pingresp)
}

// appendPublish appends a whole PUBLISH.
func appendPublish(dst []byte, version, qos byte, id uint16, topic, props, payload []byte) []byte {
	size := publishSize(version, qos, topic, props, payload)
	return append(appendPublishHead(dst, version, qos, id, topic, props, size), payload...)
}
