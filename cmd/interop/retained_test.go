package interop

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// retainedInbox subscribes and returns "topic qos retain payload" of what comes.
func retainedInbox(t testing.TB, c mqtt.Client, filter string, qos byte) <-chan string {
	t.Helper()
	got := make(chan string, 200_000)
	token(t, c.Subscribe(filter, qos, func(_ mqtt.Client, m mqtt.Message) {
		got <- fmt.Sprintf("%s %d %v %s", m.Topic(), m.Qos(), m.Retained(), m.Payload())
	}))
	return got
}

// gathered is the next n that come, sorted.
func gathered(t testing.TB, _ mqtt.Client, got <-chan string, n int) []string {
	t.Helper()
	var list []string
	for len(list) < n {
		select {
		case m := <-got:
			list = append(list, m)
		case <-time.After(step):
			t.Fatalf("%d of %d came: %q", len(list), n, list)
		}
	}
	slices.Sort(list)
	return list
}

func client3(t testing.TB, addr string, change func(*mqtt.ClientOptions)) mqtt.Client {
	t.Helper()
	o := mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetProtocolVersion(4).SetAutoReconnect(false).SetConnectTimeout(step)
	if change != nil {
		change(o)
	}
	c := mqtt.NewClient(o)
	token(t, c.Connect())
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

// TestMQTT_retained_home_assistant: discovery, birth and will as Home Assistant and
// its devices use them, at each server and at a mosquitto, with one result.
func TestMQTT_retained_home_assistant(t *testing.T) {
	mosquittoTool(t, "mosquitto")
	t.Parallel()
	results := make(map[string]string)
	addrs := make(map[string]string)
	m := must[*peers.Mosquitto](t)(peers.StartMosquitto(within(t, time.Minute), t.TempDir(), ""))
	t.Cleanup(m.Kill)
	addrs["mosquitto"] = m.Addr
	for _, kind := range []peers.Kind{peers.StockKind, peers.FrondKind} {
		if tested(kind) {
			addrs[string(kind)] = start(t, kind, mqttServer).MQTTAddr()
		}
	}
	for name, addr := range addrs {
		var told []string
		tell := func(what string, list []string) { told = append(told, what+"\n  "+strings.Join(list, "\n  ")) }
		bridge := client3(t, addr, func(o *mqtt.ClientOptions) {
			o.SetClientID("zigbee2mqtt").SetWill("zigbee2mqtt/bridge/state", `{"state":"offline"}`, 1, true)
		})
		token(t, bridge.Publish("zigbee2mqtt/bridge/state", 1, true, `{"state":"online"}`))
		for i := range 20 {
			token(t, bridge.Publish(fmt.Sprintf("homeassistant/sensor/0x%02x/temperature/config", i), 1, true, fmt.Sprintf(`{"name":"sensor %d"}`, i)))
		}
		// A device that is gone is removed from discovery, and one that never was.
		token(t, bridge.Publish("homeassistant/sensor/0x03/temperature/config", 1, true, ""))
		token(t, bridge.Publish("homeassistant/switch/never/config", 1, true, ""))
		ha := client3(t, addr, func(o *mqtt.ClientOptions) {
			o.SetClientID("ha").SetWill("homeassistant/status", "offline", 0, true)
		})
		tell("discovery", gathered(t, ha, retainedInbox(t, ha, "homeassistant/#", 0), 19))
		tell("state", gathered(t, ha, retainedInbox(t, ha, "zigbee2mqtt/+/state", 1), 1))
		status := retainedInbox(t, bridge, "homeassistant/status", 0)
		token(t, ha.Publish("homeassistant/status", 1, true, "online"))
		tell("birth", gathered(t, bridge, status, 1))
		other := client3(t, addr, func(o *mqtt.ClientOptions) { o.SetClientID("other") })
		last := retainedInbox(t, other, "zigbee2mqtt/#", 1)
		tell("before", gathered(t, other, last, 1))
		cut(t, addr, "cut", "zigbee2mqtt/cut")
		tell("will", gathered(t, other, last, 1))
		late := client3(t, addr, func(o *mqtt.ClientOptions) { o.SetClientID("late") })
		tell("late", gathered(t, late, retainedInbox(t, late, "#", 0), 22))
		results[name] = strings.Join(told, "\n")
	}
	// What nats-server does is shown only: it removes a retained message a moment
	// behind the answer, so that at times it is there still.
	for name, got := range results {
		report := t.Logf
		if name == string(peers.FrondKind) {
			report = t.Errorf
		}
		if got != results["mosquitto"] {
			report("%s:\n%s\nmosquitto:\n%s", name, got, results["mosquitto"])
		}
	}
}

// cut connects with a retained will, and goes without a word.
func cut(t testing.TB, addr, id, topic string) {
	t.Helper()
	c := must[net.Conn](t)(net.Dial("tcp", addr))
	defer c.Close()
	payload := "\x00\x04MQTT\x04\x2e\x00\x3c" + text16(id) + text16(topic) + text16("gone")
	must[int](t)(fmt.Fprintf(c, "\x10%c%s", len(payload), payload))
	must[int](t)(c.Read(make([]byte, 4)))
}

func text16(s string) string { return fmt.Sprintf("\x00%c%s", len(s), s) }

// TestMQTT_retained_mosquitto_clients: -r, -R and --retained-only with mosquitto's
// clients, at frond and at a mosquitto.
func TestMQTT_retained_mosquitto_clients(t *testing.T) {
	pub, sub := mosquittoTool(t, "mosquitto_pub"), mosquittoTool(t, "mosquitto_sub")
	s := frondOnly(t)
	m := must[*peers.Mosquitto](t)(peers.StartMosquitto(within(t, time.Minute), t.TempDir(), ""))
	t.Cleanup(m.Kill)
	run := func(addr, tool string, args ...string) string {
		host, port, _ := net.SplitHostPort(addr)
		out, err := exec.CommandContext(within(t, time.Minute), tool, append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
		if e, exited := err.(*exec.ExitError); err != nil && (!exited || e.ExitCode() != 27) { // 27: nothing came in time
			t.Fatalf("%s %v: %v: %s", tool, args, err, out)
		}
		return string(out)
	}
	var results []string
	for _, addr := range []string{s.MQTTAddr(), m.Addr} {
		var told []string
		for _, v := range []string{"mqttv311", "mqttv5"} {
			run(addr, pub, "-V", v, "-q", "1", "-r", "-t", "r/1", "-m", "one")
			run(addr, pub, "-V", v, "-q", "0", "-r", "-t", "r/2", "-m", "two")
			run(addr, pub, "-V", v, "-q", "2", "-r", "-t", "r/3", "-m", "three")
			run(addr, pub, "-V", v, "-q", "1", "-r", "-t", "r/4", "-m", "four")
			run(addr, pub, "-V", v, "-q", "1", "-r", "-t", "r/4", "-n")
			for _, more := range [][]string{{}, {"-R"}, {"--retained-only"}} {
				out := run(addr, sub, append([]string{"-V", v, "-q", "1", "-t", "r/#", "-F", "%t %q %r %p", "-W", "2"}, more...)...)
				lines := strings.Split(strings.TrimSpace(out), "\n")
				slices.Sort(lines)
				told = append(told, fmt.Sprint(v, more, lines))
			}
		}
		results = append(results, strings.Join(told, "\n"))
	}
	if results[0] != results[1] {
		t.Errorf("frond:\n%s\nmosquitto:\n%s", results[0], results[1])
	}
}

// TestMQTT_retained_survives_kill: what was acknowledged is there after kill -9, and
// what was removed is not.
func TestMQTT_retained_survives_kill(t *testing.T) {
	s := frondOnly(t)
	c := mqtt3(t, s, "dev")
	var tokens []mqtt.Token
	for i := range 500 {
		tokens = append(tokens, c.Publish(fmt.Sprintf("state/%d", i%300), 1, true, fmt.Sprint(i)))
	}
	for i := range 50 {
		tokens = append(tokens, c.Publish(fmt.Sprintf("state/%d", i), 1, true, ""))
	}
	for _, k := range tokens {
		token(t, k)
	}
	s.Kill()
	restart(t, s)
	late := client3(t, s.MQTTAddr(), nil)
	got := gathered(t, late, retainedInbox(t, late, "state/#", 1), 250)
	for i := range 250 {
		last := i + 50
		if last < 200 {
			last += 300
		}
		if want := fmt.Sprintf("state/%d 1 true %d", i+50, last); !slices.Contains(got, want) {
			t.Errorf("%s is missing", want)
		}
	}
}

// TestMQTT_retained_and_NATS: the stream looks as nats-server's to a NATS client,
// whose messages with its headers are retained ones too.
func TestMQTT_retained_and_NATS(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, mqttServer)
		c := mqtt3(t, s, "dev")
		token(t, c.Publish("a/b.c/ü", 1, true, "one"))
		token(t, c.Publish("a/b", 0, true, "zero"))
		token(t, c.Publish("a/2", 2, true, "two"))
		token(t, c.Publish("a/gone", 1, true, "x"))
		token(t, c.Publish("a/gone", 1, true, ""))
		js := stream(t, connect(t, s))
		str := must[jetstream.Stream](t)(js.Stream(t.Context(), "$MQTT_rmsgs"))
		var subjects map[string]uint64
		eventually(t, step, func() error { // the marker of the removal goes
			subjects = must[*jetstream.StreamInfo](t)(str.Info(t.Context(), jetstream.WithSubjectFilter(">"))).State.Subjects
			if want := map[string]uint64{"$MQTT.rmsgs.a.b//c.ü": 1, "$MQTT.rmsgs.a.b": 1, "$MQTT.rmsgs.a.2": 1}; fmt.Sprint(subjects) != fmt.Sprint(want) {
				return fmt.Errorf("subjects %v", subjects)
			}
			return nil
		})
		cfg := str.CachedInfo().Config
		if fmt.Sprint(cfg.Subjects) != "[$MQTT.rmsgs.>]" || cfg.MaxMsgsPerSubject != 1 || cfg.Storage != jetstream.FileStorage || cfg.Retention != jetstream.LimitsPolicy {
			t.Errorf("configuration %+v", cfg)
		}
		for subject, want := range map[string]string{"$MQTT.rmsgs.a.b//c.ü": "a/b.c/ü 3 one", "$MQTT.rmsgs.a.b": "a/b 1 zero", "$MQTT.rmsgs.a.2": "a/2 5 two"} {
			m := must[*jetstream.RawStreamMsg](t)(str.GetLastMsgForSubject(t.Context(), subject))
			if got := m.Header.Get("Nmqtt-RTopic") + " " + m.Header.Get("Nmqtt-RFlags") + " " + string(m.Data); got != want || len(m.Header.Get("Nmqtt-ROrigin")) != 8 {
				t.Errorf("%s: got %q, want %q", subject, got, want)
			}
		}
		h := nats.NewMsg("$MQTT.rmsgs.from.nats")
		h.Data = []byte("hello")
		h.Header = nats.Header{"Nmqtt-RTopic": {"from/nats"}, "Nmqtt-RFlags": {"1"}}
		must[*jetstream.PubAck](t)(js.PublishMsg(t.Context(), h))
		must[*jetstream.PubAck](t)(js.Publish(t.Context(), "$MQTT.rmsgs.from.bare", []byte("no retained message")))
		eventually(t, step, func() error { // the stock server hears of it a moment later
			late := client3(t, s.MQTTAddr(), nil)
			got := retainedInbox(t, late, "from/+", 1)
			select {
			case m := <-got:
				if m != "from/nats 0 true hello" {
					t.Fatalf("got %q", m)
				}
				return nil
			case <-time.After(200 * time.Millisecond):
				return context.DeadlineExceeded
			}
		})
	})
}
