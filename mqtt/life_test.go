package mqtt

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

func TestModule_announcesTheConfiguredHost(t *testing.T) {
	b := startBroker(t, func(b *broker) { b.Opts.MQTT.Host = "localhost" })
	want := fmt.Sprintf("mqtt://localhost:%d", b.m.Addr().(*net.TCPAddr).Port)
	if !b.Log.Contains(want) {
		t.Errorf("no %s in the log", want)
	}
}

// Many at once under one name: the last one stays, and only that.
func TestConn_manyOfOneName(t *testing.T) {
	b := startBroker(t, nil)
	const n = 30
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = b.dial(v5)
	}
	var work sync.WaitGroup
	var alive atomic.Int32
	for _, c := range clients {
		work.Go(func() {
			_, _ = c.c.Write(append(c.connectPacket("same", nil), unhex(t, "82 07 00 01 00 00 01 61 00")...))
			for {
				pk, err := c.next()
				if err != nil || pk.FixedHeader.Type == packets.Disconnect {
					return
				}
				if pk.FixedHeader.Type == packets.Publish {
					alive.Add(1)
					return
				}
			}
		})
	}
	testkit.Eventually(t, "one is left", func() bool {
		var v monitor.Varz
		b.Conns.Count(&v)
		return v.TotalConnections == n && b.Conns.Clients() == 1
	})
	testkit.Eventually(t, "its subscription", func() bool { return b.Acc.Subscriptions() == 1 })
	b.publish(wire.Msg{Subject: []byte("a")})
	work.Wait()
	if alive.Load() != 1 {
		t.Errorf("%d are alive", alive.Load())
	}
}

func TestModule_maxConnections(t *testing.T) {
	b := startBroker(t, func(b *broker) { b.Opts.MaxConns = 2 })
	one, two := b.connect(v5, "one"), b.connect(v5, "two")
	b.dial(v5).expectEnd(0)
	one.fence()
	two.c.Close()
	testkit.Eventually(t, "there is room again", func() bool {
		c := b.dial(v5)
		defer c.c.Close()
		_, _ = c.c.Write(c.connectPacket("three", nil))
		pk, err := c.next()
		return err == nil && pk.FixedHeader.Type == packets.Connack
	})
	if !b.Log.Contains("maximum connections exceeded") {
		t.Error("not in the log")
	}
}

// What was published must not wait for the rest of the next packet.
func TestConn_halfAPacketHoldsNothingUp(t *testing.T) {
	b := startBroker(t, nil)
	sub, pub := b.connect(v311, "sub"), b.connect(v311, "pub")
	sub.subscribe("a", 0)
	pub.send(append(unhex(t, "30 04 00 01 61 31"), 0x30))
	if p := sub.expect(packets.Publish); string(p.Payload) != "1" {
		t.Errorf("got %q", p.Payload)
	}
}

func TestConn_largePackets(t *testing.T) {
	b := startBroker(t, nil)
	sub, pub := b.connect(v5, "sub"), b.connect(v5, "pub")
	sub.subscribe("a", 0)
	for _, n := range []int{readBytes - 8, readBytes, readBytes + 1, keepBytes, keepBytes + 1, 300_000, 10, 1_000_000} {
		body := strings.Repeat(fmt.Sprint(n%7), n)
		pub.publish("a", body, 0, 0)
		if p := sub.expect(packets.Publish); string(p.Payload) != body {
			t.Errorf("%d bytes came as %d", n, len(p.Payload))
		}
	}
}

func TestConn_disconnectReasons(t *testing.T) {
	for _, c := range []struct {
		packet string
		will   bool
	}{{"e0 00", false}, {"e0 01 00", false}, {"e0 01 04", true}, {"e0 01 81", true}, {"e0 02 80 00", true}} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			s := b.capture("w")
			x := b.pipeConnected(v5, "c", func(pk *packets.Packet) {
				pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, "w", []byte("x")
			})
			x.send(unhex(t, c.packet))
			x.expectEnd(0)
			b.stop()
			if got := len(s.got()) == 1; got != c.will {
				t.Errorf("DISCONNECT %s: will %v", c.packet, got)
			}
		})
	}
}

// An operator ends a connection: MQTT 5 has a word for it, and either leaves its
// will.
func TestConn_kicked(t *testing.T) {
	for version, code := range map[byte]byte{v311: 0, v5: packets.ErrAdministrativeAction.Code} {
		b := startBroker(t, nil)
		s := b.capture("w")
		c := b.dial(version)
		c.send(c.connectPacket("dev", func(pk *packets.Packet) {
			pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, "w", []byte("x")
		}))
		c.expect(packets.Connack)
		if n := b.Conns.KickAll("", config.GlobalAccount); n != 1 {
			t.Fatalf("%d connections", n)
		}
		c.expectEnd(code)
		testkit.Eventually(t, "the will, and the reason", func() bool { return len(s.got()) == 1 && b.wasGone("Kicked") })
	}
}

// Who is let in no more hears of a DISCONNECT only behind a CONNACK.
func TestConn_noDisconnectBeforeConnack(t *testing.T) {
	here, there := net.Pipe()
	b := newBroker(t)
	defer b.stop()
	c := b.m.newConn(1, here, nil, b.Opts)
	c.version = v5
	got := make(chan []byte, 1)
	go func() {
		all, _ := io.ReadAll(there)
		got <- all
	}()
	c.fail(errShutdown)
	c.out.Wait()
	if err := c.welcome([]byte("CONNACK")); err != errShutdown {
		t.Errorf("it is let in: %v", err)
	}
	here.Close()
	if all := <-got; len(all) > 0 {
		t.Errorf("it was sent % x", all)
	}
}

func TestConn_goneFromSubscribersWhenItEnds(t *testing.T) {
	b := startBroker(t, nil)
	c := b.connect(v5, "c")
	for i := range 50 {
		c.subscribe(fmt.Sprintf("a/%d/#", i), 1)
	}
	if n := b.Acc.Subscriptions(); n != 100 {
		t.Errorf("%d subscriptions", n)
	}
	c.c.Close()
	testkit.Eventually(t, "no interest is left", func() bool { return b.Acc.Subscriptions() == 0 })
}

// Whatever is refused leaves a line that says what is not supported.
func TestRefusals_areLogged(t *testing.T) {
	b := startBroker(t, nil)
	connect := func(version byte, change func(*packets.Packet)) {
		c := b.dial(version)
		c.send(c.connectPacket("the-client", change))
	}
	packet := func(version byte, hex string) {
		b.connect(version, "the-client").send(unhex(t, hex))
	}
	for _, c := range []struct {
		line string
		do   func()
	}{
		{"sessions that outlive the connection are kept in streams", func() { connect(v311, func(pk *packets.Packet) { pk.Connect.Clean = false }) }},
		{"longer ones are kept in streams", func() {
			connect(v5, func(pk *packets.Packet) {
				pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = 9, true
			})
		}},
		{"MQTT message taken without its RETAIN flag", func() {
			connect(v311, func(pk *packets.Packet) {
				pk.Connect.WillFlag, pk.Connect.WillRetain, pk.Connect.WillTopic, pk.Connect.WillPayload = true, true, "w", []byte("x")
			})
		}},
		{"enhanced authentication is not supported", func() {
			connect(v5, func(pk *packets.Packet) { pk.Properties.AuthenticationMethod = "SCRAM" })
		}},
		{`protocol name \"MQIsdq\": only MQTT 3.1, 3.1.1 and 5 are supported`, func() {
			b.dial(v311).send(unhex(t, "10 10 00 06 4d 51 49 73 64 71 03 02 00 3c 00 02 63 31"))
		}},
		{"topic alias 33, the highest is 32", func() { packet(v5, "30 07 00 01 61 03 23 00 21") }},
	} {
		t.Run(c.line, func(t *testing.T) {
			c.do()
			testkit.Eventually(t, "the line is in the log", func() bool { return b.Log.Contains(c.line) })
		})
	}
	if !b.Log.Contains("client=the-client") {
		t.Error("the log does not name the client")
	}
}

func TestConn_healthChecksAreNoErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		c := b.pipe(v311)
		synctest.Wait()
		c.c.Close()
		synctest.Wait()
		b.stop()
		if b.Log.Contains("refused") {
			t.Error("the log has an error")
		}
	})
}

// NATS lets pass what MQTT clients would disconnect for.
func TestDelivery_whatNATSAllowsAndMQTTDoesNot(t *testing.T) {
	b := startBroker(t, nil)
	c := b.connect(v5, "c")
	c.subscribe("#", 0)
	for _, subj := range []string{"a.+", "#", "a.#.b", "x\xff", "/"} {
		b.publish(wire.Msg{Subject: []byte(subj), Body: []byte("bad")})
	}
	long := strings.Repeat("l", 70_000)
	b.publish(wire.Msg{Subject: []byte("ok"), Body: []byte("good"), Header: []byte("NATS/1.0\r\n" +
		"Good: v\r\nBad: \xff\r\nLong: " + long + "\r\nNul: a\x00b\r\n" +
		"Nmqtt-Content-Type: " + long + "\r\nNmqtt-Response-Topic: a/#\r\nNmqtt-Correlation-Data: %%%\r\n\r\n")})
	p := c.expect(packets.Publish)
	if string(p.Payload) != "good" || len(p.Properties.User) != 1 || p.Properties.User[0].Val != "v" ||
		p.Properties.ContentType != "" || p.Properties.ResponseTopic != "" || len(p.Properties.CorrelationData) != 0 {
		t.Errorf("got %+v", p)
	}
	c.fence()
}

func TestDelivery_maximumPacketSize(t *testing.T) {
	b := startBroker(t, nil)
	const limit = 60
	c := b.dial(v5)
	c.send(c.connectPacket("c", func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = limit }))
	c.expect(packets.Connack)
	c.subscribe("a", 1)
	// Fixed header 2, topic 3, packet identifier 2, property length 1.
	fits := limit - 8
	for qos, header := range []string{"", "NATS/1.0\r\nNmqtt-Pub:1\r\n\r\n"} {
		m := wire.Msg{Subject: []byte("a"), Header: []byte(header)}
		if header == "" {
			m.Header = nil
		}
		room := fits + 2*(1-qos) // without an identifier for QoS 0
		m.Body = make([]byte, room+1)
		if n := b.publish(m); n != 0 {
			t.Errorf("QoS %d: one byte too many was sent", qos)
		}
		m.Body = m.Body[:room]
		b.publish(m)
		if p := c.expect(packets.Publish); len(p.Payload) != room || int(p.FixedHeader.Qos) != qos {
			t.Errorf("QoS %d: got %d bytes with QoS %d", qos, len(p.Payload), p.FixedHeader.Qos)
		}
	}
}

func TestConnect_malformed(t *testing.T) {
	for _, c := range []struct{ name, packet string }{
		{"receive maximum 0", "10 12 00 04 4d 51 54 54 05 02 00 3c 03 21 00 00 00 02 63 31"},
		{"maximum packet size 0", "10 14 00 04 4d 51 54 54 05 02 00 3c 05 27 00 00 00 00 00 02 63 31"},
		{"request problem information 2", "10 11 00 04 4d 51 54 54 05 02 00 3c 02 17 02 00 02 63 31"},
		{"authentication data without a method", "10 13 00 04 4d 51 54 54 05 02 00 3c 04 16 00 01 78 00 02 63 31"},
		{"a property of CONNACK", "10 11 00 04 4d 51 54 54 05 02 00 3c 02 24 01 00 02 63 31"},
		{"bytes behind the end", "10 0f 00 04 4d 51 54 54 04 02 00 3c 00 02 63 31 00"},
		{"no client identifier", "10 0a 00 04 4d 51 54 54 04 02 00 3c"},
		{"a user name that is cut off", "10 0e 00 04 4d 51 54 54 04 82 00 3c 00 02 63 31"},
		{"a will topic with a NUL", "10 14 00 04 4d 51 54 54 04 06 00 3c 00 02 63 31 00 01 00 00 01 78"},
		{"a reserved flag", "10 0e 00 04 4d 51 54 54 04 03 00 3c 00 02 63 31"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t)
				x := b.pipe(v5)
				x.send(unhex(t, c.packet))
				pk, err := x.next()
				if err == nil && (pk.FixedHeader.Type != packets.Connack || pk.ReasonCode < 0x80) {
					t.Errorf("got %+v", pk)
				}
				x.c.Close()
				b.stop()
			})
		})
	}
}

var _ account.Gated = (*subscription)(nil)

// A stop does not wait for a peer that has not begun with TLS, or stopped in the
// middle of it, and nothing of that is left.
func TestModule_stopsDuringTLS(t *testing.T) {
	for name, begun := range map[string]string{"nothing came": "", "half a record": "16 03 01 02 00 01 00"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t)
				b.m.own.Store(&listener{tls: new(tls.Config), timeout: time.Minute, auth: time.Minute})
				c := b.pipe(v5)
				if begun != "" {
					c.send(unhex(t, begun))
				}
				synctest.Wait()
				if d := b.stop(); d != 0 {
					t.Errorf("it took %v", d)
				}
				if n, err := c.c.Read(make([]byte, 1)); err == nil {
					t.Errorf("%d bytes, and the connection is open", n)
				}
			})
		})
	}
}

// Who does not speak TLS, or not in time, is let go.
func TestModule_closesWhatIsNotTLS(t *testing.T) {
	for name, begun := range map[string]string{"something else": "47 45 54 20 2f 20 48 54", "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t)
				b.m.own.Store(&listener{tls: new(tls.Config), timeout: time.Minute, auth: time.Minute})
				c := b.pipe(v5)
				// Before anything is sent: a pipe whose other end is closed takes none.
				if err := c.c.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
					t.Fatal(err)
				}
				c.send(unhex(t, begun))
				if _, err := io.ReadAll(c.c); err != nil {
					t.Error(err)
				}
				b.stop()
			})
		})
	}
}

// Who takes a client over is let in behind its will: what the newcomer publishes would
// come in front of it, and a birth in front of a death is a death.
func TestWill_comesBeforeTheNewcomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		var said []string
		hold := make(chan struct{})
		b.subscribe("state", sinkFunc(func(m *wire.Msg) {
			if said = append(said, string(m.Body)); string(m.Body) == "dead" {
				<-hold
			}
		}))
		b.pipeConnected(v5, "node", func(pk *packets.Packet) {
			pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, "state", []byte("dead")
		})
		// The third takes over from the second, which waits still.
		second, third := b.pipe(v5), b.pipe(v5)
		for _, c := range []*client{second, third} {
			c.send(c.connectPacket("node", nil))
			synctest.Wait()
		}
		_ = third.c.SetReadDeadline(time.Now().Add(time.Second))
		if pk, err := third.next(); err == nil {
			t.Errorf("let in with %+v before the will is out", pk)
		}
		_ = third.c.SetReadDeadline(time.Time{})
		close(hold)
		if pk := third.expect(packets.Connack); pk.ReasonCode != 0 {
			t.Fatalf("CONNACK %#x", pk.ReasonCode)
		}
		third.publish("state", "born", 0, 0)
		third.fence()
		if got := strings.Join(said, " "); got != "dead born" {
			t.Errorf("said %q", got)
		}
		b.stop()
	})
}
