package mqtt

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/wire"
)

// broker is a server reduced to what an MQTT module needs.
type broker struct {
	reloaded atomic.Pointer[config.Options] // nil: opts hold
	t        *testing.T
	opts     *config.Options
	acc      *account.Account
	auth     func(*auth.Request) (*auth.Grant, error)
	renew    func(*auth.Grant) (*auth.Grant, bool) // nil: nothing changed
	logs     logLines
	conns    *core.Connections
	pool     outbound.Pool
	m        *Module

	logger    *slog.Logger
	stopLines func() // tells of the lines that were only counted
}

// makeBroker makes one that is not started.
func makeBroker(t *testing.T) *broker {
	b := &broker{t: t, opts: config.Defaults(), acc: account.New(config.GlobalAccount), conns: core.NewConnections(0, 100)}
	lines, stopLines := core.NewPeerHandler(slog.NewTextHandler(&b.logs, nil))
	b.logger, b.stopLines = slog.New(lines), stopLines
	b.auth = func(*auth.Request) (*auth.Grant, error) { return &auth.Grant{Account: config.GlobalAccount}, nil }
	return b
}

func startBroker(t *testing.T, change func(*broker)) *broker {
	t.Helper()
	b := makeBroker(t)
	b.opts.MQTT.Host, b.opts.MQTT.Port, b.opts.MQTT.Set = "127.0.0.1", -1, true
	b.opts.MQTT.Auth.Timeout = 20 * time.Second
	if change != nil {
		change(b)
	}
	b.conns = core.NewConnections(b.opts.MaxConns, b.opts.MaxClosedConns)
	b.pool.Budget.SetLimit(b.opts.MaxPendingTotal)
	b.m = New()
	if err := b.m.Verify(nil, b.opts); err != nil {
		t.Fatal(err)
	}
	if err := b.m.Start(b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.m.Stop(ctx); err != nil {
			t.Error(err)
		}
		b.stopLines()
	})
	return b
}

func (b *broker) Options() *config.Options {
	if o := b.reloaded.Load(); o != nil {
		return o
	}
	return b.opts
}

// reload drives the module as a server does.
func (b *broker) reload(change func(o *config.Options)) error {
	from := b.Options()
	to := *from
	change(&to)
	if err := b.m.Verify(from, &to); err != nil {
		return err
	}
	b.reloaded.Store(&to)
	b.m.Commit(from, &to)
	return nil
}
func (b *broker) Logger() *slog.Logger                              { return b.logger }
func (b *broker) ServerID() string                                  { return "NB" }
func (b *broker) StoreID() string                                   { return "" }
func (b *broker) ServerName() string                                { return "B" }
func (b *broker) ClusterName() string                               { return "" }
func (b *broker) Domain() string                                    { return "" }
func (b *broker) JetStream() bool                                   { return true }
func (b *broker) Version() string                                   { return "2.12.0" }
func (b *broker) APILevel() int                                     { return 2 }
func (b *broker) OutboundLinks() *outbound.Pool                     { return new(outbound.Pool) }
func (b *broker) Outbound() *outbound.Pool                          { return &b.pool }
func (b *broker) Connections() *core.Connections                    { return b.conns }
func (b *broker) Account(name string) (*account.Account, bool)      { return b.acc, name == b.acc.Name() }
func (b *broker) Authenticate(r *auth.Request) (*auth.Grant, error) { return b.auth(r) }
func (b *broker) Renew(_ auth.Kind, g *auth.Grant) (*auth.Grant, bool) {
	if b.renew != nil {
		return b.renew(g)
	}
	return g, true
}

// wasGone reports whether a client ended for that reason.
func (b *broker) wasGone(reason string) bool {
	return slices.ContainsFunc(b.conns.Closed(), func(c *monitor.ConnInfo) bool { return c.Reason == reason && c.MQTTClient == "dev" })
}

func (b *broker) StreamClient(a *account.Account, domain string) (*jsclient.Client, error) {
	return core.NewStreamClient(a, jsclient.Options{Domain: domain})
}

var _ core.Services = (*broker)(nil)

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never happened: %s", what)
		}
	}
}

type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) contains(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), s)
}

// line is the first line with s, or nothing.
func (l *logLines) line(s string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, s) {
			return line
		}
	}
	return ""
}

func (l *logLines) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Len()
}

func (l *logLines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
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
	if err := b.acc.Subscribe(&account.Sub{Subject: subj, Sink: s}); err != nil {
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
	return b.acc.Route(o, &m)
}

// client speaks MQTT packet by packet.
type client struct {
	t       *testing.T
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
