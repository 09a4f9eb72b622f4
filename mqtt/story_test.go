package mqtt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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
//	NAME connect [v5] [will=TOPIC:PAYLOAD] [q1] [retain] [delay=SECONDS] [keep]
//	    [expiry=SECONDS] [present] [refused=CODE] [grants=SECONDS] [id=RECEIVE-MAXIMUM] [login=USER] [as=CLIENT-ID] [alias=MAXIMUM]
//	NAME pub TOPIC PAYLOAD [q1] [q2] [retain] [expiry=SECONDS] [alias=N] [KEY=VALUE]  "-" is no payload, or no topic
//	NAME sub FILTER [q1] [rh1] [rh2] [rap] [nolocal] [sub=IDENTIFIER]
//	NAME gets TOPIC PAYLOAD [q1] [retain] [expiry=SECONDS] [alias=N] [KEY=VALUE]      the next that comes,
//	    [dup] [hold] [id=N] [sub=IDENTIFIER]...                             which is not acknowledged by hold
//	NAME acks N                                                           acknowledges a packet identifier
//	NAME pubrefused TOPIC PAYLOAD | NAME pubends TOPIC PAYLOAD             a PUBLISH with QoS 1 that gets 0x97, or refused=CODE, or the end
//	NAME silent                                                           nothing more comes
//	NAME unsub FILTER | NAME leave | NAME drop
//	nats SUBJECT PAYLOAD [KEY=VALUE]                                      as a NATS client
//	NAME ended CODE                                                       the server ends the connection
//	NAME bye SECONDS                                                      DISCONNECT with a session expiry
//	keeps N [STREAM]                                                      messages in the stream
//	options KEY=VALUE                                                     for the next start: msgs, bytes, sessions, seconds, sparkplug
//	users NAME...                                                         for the next start
//	restart
//	purges STREAM
//	crash                                                                 goes on with a copy of the files as they are
//	NAME begins PAYLOAD TOPIC id=N [dup] [refused=CODE]                   a PUBLISH with QoS 2, up to its PUBREC
//	NAME completes N [refused=CODE]                                       PUBREL, up to its PUBCOMP
//	NAME recs N [refused=CODE] | NAME comps N                             PUBREC, PUBCOMP of the client
//	NAME rels N [refused=CODE]                                            a PUBREL that comes
func TestRetained(t *testing.T) { runStories(t, "testdata/retained/*.txt") }

// TestKept runs those about sessions that outlive their connections.
func TestKept(t *testing.T) { runStories(t, "testdata/kept/*.txt") }

func runStories(t *testing.T, pattern string) {
	testkit.Stories(t, pattern, func(t *testing.T, told testkit.Story) {
		s := &story{t: t, dir: t.TempDir(), clients: make(map[string]*client)}
		s.start()
		for at, line := range told.Steps() {
			s.at = at
			s.step(strings.Fields(line))
		}
	})
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
	limits  func(o *config.MQTT)
	users   []config.User
}

func (s *story) start() {
	s.m, s.tap = New(), new(servertest.Tap)
	s.server = servertest.Start(s.t, servertest.Modules(s.tap, s.m), servertest.With(func(o *config.Options) {
		o.JetStream.Enabled, o.JetStream.StoreDir, o.JetStream.MaxStore, o.JetStream.MaxMemory = true, s.dir, 1<<30, 64<<20
		o.MQTT.Host, o.MQTT.Port, o.MQTT.Set = "127.0.0.1", -1, true
		o.Auth.Users = s.users
		if s.limits != nil {
			s.limits(&o.MQTT)
		}
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
	keep, present, dup, hold bool
	bridge                   bool
	qos, handling, refused   byte
	id, alias                uint16
	expiry, grants, delay    uint32
	will, login, as          string
	ids                      []int // of subscriptions
	user                     []packets.UserProperty
}

func (s *story) marks(words []string) (k marks) {
	flags := map[string]*bool{
		"v5": &k.v5, "retain": &k.retain, "rap": &k.rap, "nolocal": &k.nolocal, "keep": &k.keep,
		"present": &k.present, "dup": &k.dup, "hold": &k.hold, "bridge": &k.bridge,
	}
	texts := map[string]*string{"login": &k.login, "as": &k.as, "will": &k.will}
	short := map[string]*uint16{"id": &k.id, "alias": &k.alias}
	long := map[string]*uint32{"grants": &k.grants, "delay": &k.delay, "expiry": &k.expiry}
	for _, w := range words {
		key, value, pair := strings.Cut(w, "=")
		switch {
		case flags[w] != nil:
			*flags[w] = true
		case w == "q1", w == "q2":
			k.qos = w[1] - '0'
		case w == "rh1", w == "rh2":
			k.handling = w[2] - '0'
		case !pair:
			s.fatalf("what is %q?", w)
		case texts[key] != nil:
			*texts[key] = value
		case short[key] != nil:
			*short[key] = uint16(s.number(value, 16))
		case long[key] != nil:
			*long[key] = uint32(s.number(value, 32))
		case key == "refused":
			k.refused = byte(s.number(value, 8))
		case key == "sub":
			k.ids = append(k.ids, int(s.number(value, 28)))
		default:
			k.user = append(k.user, packets.UserProperty{Key: key, Val: value})
		}
	}
	return k
}

func (s *story) number(text string, bits int) uint64 {
	n, err := strconv.ParseUint(text, 0, bits)
	if err != nil {
		s.fatalf("%v", err)
	}
	return n
}

func (s *story) step(words []string) {
	s.t.Helper()
	switch words[0] {
	case "options":
		key, value, _ := strings.Cut(words[1], "=")
		n := s.marks([]string{"expiry=" + value}).expiry
		s.limits = func(o *config.MQTT) {
			switch key {
			case "msgs":
				o.MaxKeptMsgs = int64(n)
			case "bytes":
				o.MaxKeptBytes = int64(n)
			case "sessions":
				o.MaxKeptSessions = int(n)
			case "seconds":
				o.MaxKeptTime = time.Duration(n) * time.Second
			case "sparkplug":
				o.SparkplugAware = n > 0
			default:
				s.fatalf("what is %q?", key)
			}
		}
		return
	case "users":
		for _, name := range words[1:] {
			s.users = append(s.users, config.User{User: name, Password: name})
		}
		return
	case "restart":
		servertest.Stop(s.t, s.server)
		s.start()
		return
	case "crash":
		copied := s.copied()
		servertest.Stop(s.t, s.server)
		s.dir = copied
		s.start()
		return
	case "purges":
		if _, err := s.streams().Purge(s.t.Context(), words[1], jsclient.PurgeOptions{}); err != nil {
			s.fatalf("%v", err)
		}
		return
	case "keeps":
		c, stream := s.streams(), append(words, retainedStream)[2]
		testkit.Eventually(s.t, fmt.Sprintf("line %d: %s messages in the stream", s.at, words[1]), func() bool {
			i, err := c.Info(s.t.Context(), stream)
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
	case "begins":
		s.begins(c, words[3], words[2], s.marks(words[4:]))
	case "completes":
		k := s.marks(append(words[3:], "id="+words[2]))
		c.send(appendAck(nil, packets.Pubrel, c.version, k.id, 0))
		s.answered(c, packets.Pubcomp, k)
	case "recs":
		k := s.marks(append(words[3:], "id="+words[2]))
		c.send(appendAck(nil, packets.Pubrec, c.version, k.id, k.refused))
	case "comps":
		c.send(appendAck(nil, packets.Pubcomp, c.version, s.marks([]string{"id=" + words[2]}).id, 0))
	case "rels":
		s.answered(c, packets.Pubrel, s.marks(append(words[3:], "id="+words[2])))
	case "acks":
		c.send(appendAck(nil, packets.Puback, c.version, s.marks([]string{"id=" + words[2]}).id, 0))
	case "pubrefused":
		c.publish(words[2], words[3], 1, 9)
		want := packets.ErrQuotaExceeded.Code
		if k := s.marks(words[4:]); k.refused > 0 {
			want = k.refused
		}
		if a := c.expect(packets.Puback); a.ReasonCode != want {
			s.fatalf("PUBACK %#x", a.ReasonCode)
		}
	case "pubends":
		c.publish(words[2], words[3], 1, 9)
		c.expectEnd(0)
	case "ended":
		c.expectEnd(s.marks([]string{"refused=" + words[2]}).refused)
	case "bye":
		pk := &packets.Packet{ProtocolVersion: v5, FixedHeader: packets.FixedHeader{Type: packets.Disconnect}}
		pk.Properties.SessionExpiryIntervalFlag, pk.Properties.SessionExpiryInterval = true, s.marks([]string{"expiry=" + words[2]}).expiry
		c.send(c.encoded(pk.DisconnectEncode))
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
	c, id := (&broker{t: s.t, m: s.m}).dial(version), name
	if k.as != "" {
		id = k.as
	}
	c.send(c.connectPacket(id, func(pk *packets.Packet) {
		if topic, payload, ok := strings.Cut(k.will, ":"); ok {
			pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, topic, []byte(payload)
			pk.Connect.WillRetain, pk.Connect.WillQos = k.retain, k.qos
			pk.Connect.WillProperties.WillDelayInterval = k.delay
		}
		pk.Connect.Clean = !k.keep
		if k.expiry > 0 {
			pk.Properties.SessionExpiryIntervalFlag, pk.Properties.SessionExpiryInterval = true, k.expiry
		}
		if k.login != "" {
			pk.Connect.UsernameFlag, pk.Connect.PasswordFlag = true, true
			pk.Connect.Username, pk.Connect.Password = []byte(k.login), []byte(k.login)
		}
		pk.Properties.ReceiveMaximum, pk.Properties.TopicAliasMaximum = k.id, k.alias
		if k.bridge {
			pk.ProtocolVersion |= bridgeBit
		}
	}))
	if pk := c.expect(packets.Connack); pk.ReasonCode != k.refused || k.refused == 0 && pk.Properties.RetainAvailableFlag || pk.SessionPresent != k.present || pk.Properties.SessionExpiryInterval != k.grants {
		s.fatalf("CONNACK %+v", pk)
	}
	s.clients[name] = c
}

func (s *story) publish(c *client, topic, payload string, k marks) {
	pk := &packets.Packet{ProtocolVersion: c.version, PacketID: 9, TopicName: strings.TrimPrefix(topic, "-"), Payload: []byte(strings.TrimPrefix(payload, "-"))}
	pk.FixedHeader = packets.FixedHeader{Type: packets.Publish, Qos: k.qos, Retain: k.retain}
	pk.Properties.User = k.user
	pk.Properties.MessageExpiryInterval = k.expiry
	pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = k.alias, k.alias > 0
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
	pk.Properties.SubscriptionIdentifier = k.ids
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
	if pk.TopicName != strings.TrimPrefix(topic, "-") || string(pk.Payload) != strings.TrimPrefix(payload, "-") || pk.FixedHeader.Retain != k.retain || pk.FixedHeader.Qos != k.qos ||
		pk.FixedHeader.Dup != k.dup || k.id > 0 && pk.PacketID != k.id ||
		fmt.Sprint(pk.Properties.User) != fmt.Sprint(k.user) || pk.Properties.TopicAlias != k.alias || !slices.Equal(pk.Properties.SubscriptionIdentifier, k.ids) {
		s.fatalf("got %s %q, retain %v, QoS %d, dup %v, id %d, %v, alias %d, of %d", pk.TopicName, pk.Payload, pk.FixedHeader.Retain, pk.FixedHeader.Qos, pk.FixedHeader.Dup, pk.PacketID, pk.Properties.User, pk.Properties.TopicAlias, pk.Properties.SubscriptionIdentifier)
	}
	if left := pk.Properties.MessageExpiryInterval; (left > 0) != (k.expiry > 0) || left > k.expiry {
		s.fatalf("it expires in %d s, want %d at most", left, k.expiry)
	}
	switch {
	case k.hold:
	case k.qos == 1:
		c.send(appendAck(nil, packets.Puback, c.version, pk.PacketID, 0))
	case k.qos == 2:
		c.send(appendAck(nil, packets.Pubrec, c.version, pk.PacketID, 0))
		s.answered(c, packets.Pubrel, marks{id: pk.PacketID})
		c.send(appendAck(nil, packets.Pubcomp, c.version, pk.PacketID, 0))
	}
}

// copied is a copy of the files as they are.
func (s *story) copied() string {
	to := s.t.TempDir()
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(s.dir, path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it was renamed meanwhile
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		case !d.Type().IsRegular():
			return nil // a socket
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), b, 0o600)
	})
	if err != nil {
		s.fatalf("%v", err)
	}
	return to
}

func (s *story) begins(c *client, topic, payload string, k marks) {
	s.t.Helper()
	pk := &packets.Packet{ProtocolVersion: c.version, PacketID: k.id, TopicName: topic, Payload: []byte(payload)}
	pk.FixedHeader = packets.FixedHeader{Type: packets.Publish, Qos: 2, Dup: k.dup}
	c.send(c.encoded(pk.PublishEncode))
	s.answered(c, packets.Pubrec, k)
}

// answered wants a packet of QoS 2.
func (s *story) answered(c *client, kind byte, k marks) {
	s.t.Helper()
	pk, err := c.next()
	code := pk.ReasonCode
	if code == packets.CodeNoMatchingSubscribers.Code {
		code = 0
	}
	if err != nil || pk.FixedHeader.Type != kind || pk.PacketID != k.id || code != k.refused {
		s.fatalf("got type %d, %d, %#x, %q, %v, want type %d with identifier %d and code %#x", pk.FixedHeader.Type, pk.PacketID, pk.ReasonCode, pk.Payload, err, kind, k.id, k.refused)
	}
}

func (s *story) conn(name string) *conn {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.m.mu.clients[config.GlobalAccount+" "+name]
}

// kept is the session of a client that has its CONNACK, which went out behind the lock.
func (s *story) kept(name string) *kept {
	peer := s.conn(name)
	peer.out.Lock()
	defer peer.out.Unlock()
	return peer.kept
}

// silent wants nothing to come, when all retained messages were sent.
func (s *story) silent(c *client, name string) {
	s.t.Helper()
	c.fence()
	testkit.Eventually(s.t, "the retained messages are delivered", func() bool {
		peer := s.conn(name)
		peer.out.Lock()
		r := peer.replay
		full := r != nil && r.roomed != nil // the client allows no more
		peer.out.Unlock()
		return (full || r.idle()) && peer.kept.quiet()
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

// quiet reports whether nothing of the session is being sent. (kept is fixed before
// the client has its CONNACK.)
func (k *kept) quiet() bool {
	if k == nil {
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.mu.running
}
