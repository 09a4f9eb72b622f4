package interop

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

var mqttServer = peers.Config{JetStream: true, MQTT: true}

// mqtt3 connects a 3.1.1 client.
func mqtt3(t testing.TB, s *peers.Server, id string) mqtt.Client {
	t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + s.MQTTAddr()).SetClientID(id).
		SetProtocolVersion(4).SetAutoReconnect(false).SetConnectTimeout(step))
	token(t, c.Connect())
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func token(t testing.TB, k mqtt.Token) {
	t.Helper()
	if !k.WaitTimeout(step) {
		t.Fatal("the server did not answer")
	}
	ok(t, k.Error())
}

// inbox subscribes and returns "topic qos payload" of what comes.
func inbox(t testing.TB, c mqtt.Client, filter string, qos byte) <-chan string {
	t.Helper()
	got := make(chan string, 10_000)
	k := c.Subscribe(filter, qos, func(_ mqtt.Client, m mqtt.Message) {
		got <- fmt.Sprintf("%s %d %s", m.Topic(), m.Qos(), m.Payload())
	})
	token(t, k)
	if granted := k.(*mqtt.SubscribeToken).Result()[filter]; granted != qos {
		t.Fatalf("filter %s granted %#x, want %d", filter, granted, qos)
	}
	return got
}

func comes(t testing.TB, got <-chan string, want string) {
	t.Helper()
	select {
	case m := <-got:
		if m != want {
			t.Fatalf("got %q, want %q", m, want)
		}
	case <-time.After(step):
		t.Fatalf("nothing came, want %q", want)
	}
}

func TestMQTT3_between_clients(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, mqttServer)
		// One subscription a client: paho hands one packet to every handler
		// whose filter matches.
		a, b, c := mqtt3(t, s, "a"), mqtt3(t, s, "b"), mqtt3(t, s, "c")
		zero := inbox(t, c, "home/+/temp", 0)
		one := inbox(t, b, "home/#", 1)
		token(t, a.Publish("home/kitchen/temp", 0, false, "20"))
		comes(t, zero, "home/kitchen/temp 0 20")
		comes(t, one, "home/kitchen/temp 0 20")
		token(t, a.Publish("home", 1, false, "parent"))
		comes(t, one, "home 1 parent")
		token(t, a.Publish("home/.dot//x", 1, false, "odd levels"))
		comes(t, one, "home/.dot//x 1 odd levels")
		token(t, b.Unsubscribe("home/#"))
		token(t, a.Publish("home/1/temp", 1, false, "21"))
		comes(t, zero, "home/1/temp 0 21")
		select {
		case m := <-one:
			t.Fatalf("after unsubscribe: %q", m)
		default:
		}
		// Order and completeness with many in flight.
		const n = 2000
		many := inbox(t, b, "many", 1)
		var last mqtt.Token
		for i := range n {
			last = a.Publish("many", 1, false, fmt.Sprint(i))
		}
		token(t, last)
		for i := range n {
			comes(t, many, fmt.Sprintf("many 1 %d", i))
		}
	})
}

func TestMQTT3_and_NATS(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, mqttServer)
		nc := connect(t, s)
		c := mqtt3(t, s, "dev")
		sub := must[*nats.Subscription](t)(nc.SubscribeSync("plant.>"))
		ok(t, nc.Flush())
		token(t, c.Publish("plant/7/state", 1, false, "on"))
		m := must[*nats.Msg](t)(sub.NextMsg(step))
		if m.Subject != "plant.7.state" || string(m.Data) != "on" {
			t.Fatalf("got %s %q", m.Subject, m.Data)
		}
		got := inbox(t, c, "cmd/#", 1)
		ok(t, nc.Publish("cmd.7", []byte("off")))
		comes(t, got, "cmd/7 0 off")
	})
}

// TestMQTT3_into_a_stream: QoS 1 publications captured by a stream, and what
// was acknowledged is there after kill -9.
func TestMQTT3_into_a_stream(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, mqttServer)
		ctx := within(t, time.Minute)
		js := stream(t, connect(t, s))
		must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "T", Subjects: []string{"t.>"}}))
		c := mqtt3(t, s, "dev")
		const n = 500
		var last mqtt.Token
		for i := range n {
			last = c.Publish("t/x", 1, false, fmt.Sprint(i))
		}
		token(t, last)
		s.Kill()
		restart(t, s)
		js = stream(t, connect(t, s))
		arrived(t, must[jetstream.Stream](t)(js.Stream(ctx, "T")), n)
	})
}

func TestMQTT3_mosquitto_clients(t *testing.T) {
	pub, err := peers.LookMosquitto("mosquitto_pub")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	sub, err := peers.LookMosquitto("mosquitto_sub")
	ok(t, err)
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, mqttServer)
		versions := []string{"mqttv311"}
		if kind == peers.FrondKind {
			versions = append(versions, "mqttv5")
		}
		host, port, _ := net.SplitHostPort(s.MQTTAddr())
		for _, v := range versions {
			p, err := peers.Spawn("mosquitto_sub", sub, "-V", v, "-h", host, "-p", port, "-i", "sub-"+v,
				"-t", "m/"+v+"/#", "-q", "1", "-C", "2", "-F", "%t is %p")
			ok(t, err)
			t.Cleanup(p.Kill)
			// It prints nothing before it ends, after two messages.
			eventually(t, step, func() error {
				out, err := exec.CommandContext(within(t, step), pub, "-V", v, "-h", host, "-p", port,
					"-t", "m/"+v+"/a", "-q", "1", "-m", "hello").CombinedOutput()
				if err != nil {
					t.Fatalf("mosquitto_pub %s: %v: %s", v, err, out)
				}
				select {
				case <-p.Done():
					return p.Err()
				default:
					return errors.New("mosquitto_sub did not get two messages")
				}
			})
			line := "m/" + v + "/a is hello"
			if got := strings.TrimSpace(p.Output()); got != line+"\n"+line {
				t.Fatalf("%s: got\n%s", v, got)
			}
		}
	})
}

// TestMQTT_broken_packets sends bytes that are no MQTT: the connection ends,
// the server lives.
func TestMQTT_broken_packets(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, mqttServer)
		connect := "\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02zz"
		for name, bytes := range map[string]string{
			"publish before connect":    "\x30\x05\x00\x01ahi",
			"an HTTP request":           "GET / HTTP/1.1\r\n\r\n",
			"a wrong protocol name":     "\x10\x0e\x00\x04MQTX\x04\x02\x00\x3c\x00\x02zz",
			"a length of five bytes":    "\x10\xff\xff\xff\xff\x01",
			"a second connect":          connect + connect,
			"a reserved packet type":    connect + "\xf1\x00",
			"a publish with a wildcard": connect + "\x30\x05\x00\x01#hi",
			"a publish with QoS 3":      connect + "\x36\x07\x00\x01a\x00\x01hi",
			"a packet id of zero":       connect + "\x32\x07\x00\x01a\x00\x00hi",
			"a topic that is no UTF-8":  connect + "\x30\x06\x00\x02\xff\xfehi",
			"a subscribe without topic": connect + "\x82\x02\x00\x01",
			"a body that is cut short":  connect + "\x30\x02\x00\x09",
		} {
			t.Run(name, func(t *testing.T) {
				c := must[net.Conn](t)(net.Dial("tcp", s.MQTTAddr()))
				defer c.Close()
				_, _ = c.Write([]byte(bytes))
				_ = c.SetReadDeadline(time.Now().Add(step))
				buf := make([]byte, 512)
				for {
					_, err := c.Read(buf)
					if ne, is := err.(net.Error); is && ne.Timeout() {
						t.Fatal("the connection stays open")
					}
					if err != nil {
						return
					}
				}
			})
		}
		a := mqtt3(t, s, "after")
		got := inbox(t, a, "alive", 0)
		token(t, a.Publish("alive", 0, false, "yes"))
		comes(t, got, "alive 0 yes")
	})
}
