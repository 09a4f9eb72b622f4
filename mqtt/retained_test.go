package mqtt

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/testkit"
)

// TestRetained runs the stories of testdata/retained against a server with streams.
// Each line is a step:
//
//	NAME connect [v5] [will=TOPIC:PAYLOAD] [q1] [retain]
//	NAME pub TOPIC PAYLOAD [q1] [q2] [retain] [expiry=SECONDS] [KEY=VALUE]  "-" is no payload
//	NAME sub FILTER [q1] [rh1] [rh2] [rap] [nolocal]
//	NAME gets TOPIC PAYLOAD [q1] [retain] [expiry=SECONDS] [KEY=VALUE]      the next that comes
//	NAME silent                                                           nothing more comes
//	NAME unsub FILTER | NAME leave | NAME drop
//	nats SUBJECT PAYLOAD [KEY=VALUE]                                      as a NATS client
//	keeps N                                                               messages in the stream
//	restart
func TestRetained(t *testing.T) {
	files, err := filepath.Glob("testdata/retained/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories: ", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &story{t: t, dir: t.TempDir(), clients: make(map[string]*client)}
			s.start()
			for in := bufio.NewScanner(strings.NewReader(string(text))); in.Scan(); {
				s.at++
				if line := strings.TrimSpace(in.Text()); line != "" && line[0] != '#' {
					s.step(strings.Fields(line))
				}
			}
		})
	}
}

// story is a server with streams, and clients that have names.
type story struct {
	t       *testing.T
	at      int // line
	dir     string
	server  *core.Server
	tap     *servertest.Tap
	m       *Module
	clients map[string]*client
}

func (s *story) start() {
	s.m, s.tap = New(), new(servertest.Tap)
	s.server = servertest.Start(s.t, servertest.Modules(s.tap, s.m), servertest.With(func(o *config.Options) {
		o.JetStream.Enabled, o.JetStream.StoreDir, o.JetStream.MaxStore, o.JetStream.MaxMemory = true, s.dir, 1<<30, 64<<20
		o.MQTT.Host, o.MQTT.Port, o.MQTT.Set = "127.0.0.1", -1, true
	}))
}

// retainedStreams is JetStream in the account.
func (s *story) streams() *jsclient.Client {
	acc, _ := s.tap.Account(config.GlobalAccount)
	c, err := s.tap.StreamClient(acc, "")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

func (s *story) fatalf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("line %d: %s", s.at, fmt.Sprintf(format, args...))
}

// marks are what stands behind the fixed words of a step.
type marks struct {
	v5, retain, rap, nolocal bool
	qos, handling            byte
	expiry                   uint32
	will                     string
	user                     []packets.UserProperty
}

func (s *story) marks(words []string) (k marks) {
	for _, w := range words {
		key, value, pair := strings.Cut(w, "=")
		switch {
		case w == "v5":
			k.v5 = true
		case w == "retain":
			k.retain = true
		case w == "rap":
			k.rap = true
		case w == "nolocal":
			k.nolocal = true
		case w == "q1", w == "q2":
			k.qos = w[1] - '0'
		case w == "rh1", w == "rh2":
			k.handling = w[2] - '0'
		case key == "will":
			k.will = value
		case key == "expiry":
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				s.fatalf("%v", err)
			}
			k.expiry = uint32(n)
		case pair:
			k.user = append(k.user, packets.UserProperty{Key: key, Val: value})
		default:
			s.fatalf("what is %q?", w)
		}
	}
	return k
}

func (s *story) step(words []string) {
	s.t.Helper()
	switch words[0] {
	case "restart":
		servertest.Stop(s.t, s.server)
		s.start()
		return
	case "keeps":
		c := s.streams()
		testkit.Eventually(s.t, fmt.Sprintf("line %d: %s messages in the stream", s.at, words[1]), func() bool {
			i, err := c.Info(s.t.Context(), retainedStream)
			return err == nil && fmt.Sprint(i.State.Msgs) == words[1]
		})
		return
	case "nats":
		h := "NATS/1.0\r\n"
		for _, p := range s.marks(words[3:]).user {
			h += p.Key + ":" + p.Val + "\r\n"
		}
		if _, err := s.streams().Publish(s.t.Context(), &jsclient.Outgoing{Subject: words[1], Data: []byte(words[2]), Header: []byte(h + "\r\n")}); err != nil {
			s.fatalf("%v", err)
		}
		return
	}
	c := s.clients[words[0]]
	if c == nil && words[1] != "connect" {
		s.fatalf("%s has not connected", words[0])
	}
	switch words[1] {
	case "connect":
		s.connect(words[0], s.marks(words[2:]))
	case "pub":
		s.publish(c, words[2], words[3], s.marks(words[4:]))
	case "sub":
		s.subscribe(c, words[2], s.marks(words[3:]))
	case "gets":
		s.gets(c, words[2], words[3], s.marks(words[4:]))
	case "silent":
		s.silent(c, words[0])
	case "unsub":
		pk := &packets.Packet{ProtocolVersion: c.version, PacketID: 78, Filters: packets.Subscriptions{{Filter: words[2]}}}
		pk.FixedHeader = packets.FixedHeader{Type: packets.Unsubscribe, Qos: 1}
		c.send(c.encoded(pk.UnsubscribeEncode))
		c.expect(packets.Unsuback)
	case "leave", "drop":
		if words[1] == "leave" {
			c.send([]byte{packets.Disconnect << 4, 0})
		}
		c.c.Close()
		testkit.Eventually(s.t, "the client is gone", func() bool { return s.conn(words[0]) == nil })
	default:
		s.fatalf("what is %q?", words[1])
	}
}

func (s *story) connect(name string, k marks) {
	version := byte(v311)
	if k.v5 {
		version = v5
	}
	c := (&broker{t: s.t, m: s.m}).dial(version)
	c.send(c.connectPacket(name, func(pk *packets.Packet) {
		if topic, payload, ok := strings.Cut(k.will, ":"); ok {
			pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, topic, []byte(payload)
			pk.Connect.WillRetain, pk.Connect.WillQos = k.retain, k.qos
		}
	}))
	if pk := c.expect(packets.Connack); pk.ReasonCode != 0 || pk.Properties.RetainAvailableFlag {
		s.fatalf("CONNACK %+v", pk)
	}
	s.clients[name] = c
}

func (s *story) publish(c *client, topic, payload string, k marks) {
	pk := &packets.Packet{ProtocolVersion: c.version, PacketID: 9, TopicName: topic, Payload: []byte(strings.TrimPrefix(payload, "-"))}
	pk.FixedHeader = packets.FixedHeader{Type: packets.Publish, Qos: k.qos, Retain: k.retain}
	pk.Properties.User = k.user
	pk.Properties.MessageExpiryInterval = k.expiry
	c.send(c.encoded(pk.PublishEncode))
	switch k.qos {
	case 1:
		if a := c.expect(packets.Puback); a.ReasonCode >= 0x80 {
			s.fatalf("PUBACK %#x", a.ReasonCode)
		}
	case 2:
		c.expect(packets.Pubrec)
		c.send(appendAck(nil, packets.Pubrel, c.version, 9, 0))
		c.expect(packets.Pubcomp)
	}
}

func (s *story) subscribe(c *client, filter string, k marks) {
	pk := &packets.Packet{ProtocolVersion: c.version, PacketID: 77}
	pk.FixedHeader = packets.FixedHeader{Type: packets.Subscribe, Qos: 1}
	pk.Filters = packets.Subscriptions{{Filter: filter, Qos: k.qos, RetainHandling: k.handling, RetainAsPublished: k.rap, NoLocal: k.nolocal}}
	c.send(c.encoded(pk.SubscribeEncode))
	if code := c.expect(packets.Suback).ReasonCodes[0]; code != k.qos {
		s.fatalf("SUBACK %#x", code)
	}
}

func (s *story) gets(c *client, topic, payload string, k marks) {
	s.t.Helper()
	pk, err := c.next()
	if err != nil || pk.FixedHeader.Type != packets.Publish {
		s.fatalf("got %+v, %v", pk, err)
	}
	if pk.TopicName != topic || string(pk.Payload) != strings.TrimPrefix(payload, "-") || pk.FixedHeader.Retain != k.retain || pk.FixedHeader.Qos != k.qos ||
		fmt.Sprint(pk.Properties.User) != fmt.Sprint(k.user) {
		s.fatalf("got %s %q, retain %v, QoS %d, %v", pk.TopicName, pk.Payload, pk.FixedHeader.Retain, pk.FixedHeader.Qos, pk.Properties.User)
	}
	if left := pk.Properties.MessageExpiryInterval; (left > 0) != (k.expiry > 0) || left > k.expiry {
		s.fatalf("it expires in %d s, want %d at most", left, k.expiry)
	}
	if k.qos == 1 {
		c.send(appendAck(nil, packets.Puback, c.version, pk.PacketID, 0))
	}
}

func (s *story) conn(name string) *conn {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.m.mu.clients[config.GlobalAccount+" "+name]
}

// silent wants nothing to come, when all retained messages were sent.
func (s *story) silent(c *client, name string) {
	s.t.Helper()
	c.fence()
	testkit.Eventually(s.t, "the retained messages are delivered", func() bool {
		peer := s.conn(name)
		peer.out.Lock()
		r := peer.replay
		peer.out.Unlock()
		return r.idle()
	})
	c.fence()
}

// idle reports whether nothing is to be delivered. r is fixed once the reader has
// answered behind a SUBSCRIBE.
func (r *replay) idle() bool {
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.cancel == nil
}
