package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/nats-io/nats.go"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// mosquittoTool is the path of one of mosquitto's programs. CI has them.
func mosquittoTool(t testing.TB, name string) string {
	t.Helper()
	path, err := peers.LookMosquitto(name)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

// mosquitto runs one of the tools against s and gives what it prints.
func mosquitto(t testing.TB, s *peers.Server, tool string, args ...string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(s.MQTTAddr())
	out, err := exec.CommandContext(within(t, step), tool, append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", filepath.Base(tool), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestMQTT5_request_and_reply: a Response Topic is a reply subject, both ways.
func TestMQTT5_request_and_reply(t *testing.T) {
	rr := mosquittoTool(t, "mosquitto_rr")
	s := frondOnly(t)
	nc := connect(t, s)
	must[*nats.Subscription](t)(nc.Subscribe("svc.echo", func(m *nats.Msg) { _ = m.Respond(append(m.Data, '!')) }))
	// A stream that keeps the requests gives no answer of its own.
	must[*nats.StreamInfo](t)(must[nats.JetStreamContext](t)(nc.JetStream()).AddStream(&nats.StreamConfig{Name: "ASKED", Subjects: []string{"svc.>"}}))
	ok(t, nc.Flush())
	for _, qos := range []string{"0", "1"} {
		if got := mosquitto(t, s, rr, "-V", "mqttv5", "-q", qos, "-t", "svc/echo", "-e", "answers/my rr", "-m", "hello", "-W", "20"); got != "hello!\n" {
			t.Errorf("QoS %s: got %q", qos, got)
		}
	}
	t.Run("the JetStream API answers a device too", func(t *testing.T) {
		got := mosquitto(t, s, rr, "-V", "mqttv5", "-t", "$JS/API/STREAM/NAMES", "-e", "answers/names", "-m", "{}", "-W", "20")
		if !strings.Contains(got, `"streams":["ASKED"]`) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("a device is told who it is", func(t *testing.T) {
		got := mosquitto(t, s, rr, "-V", "mqttv5", "-t", "$SYS/REQ/USER/INFO", "-e", "answers/me", "-m", "", "-W", "20")
		if !strings.Contains(got, `"account":"$G"`) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("a device answers a NATS request", func(t *testing.T) {
		c, got, _ := mqtt5(t, s, "responder")
		subscribe5(t, c, "device/7/ask", 0)
		answered := make(chan error, 1)
		go func() {
			p := <-got
			_, err := c.Publish(context.Background(), &paho.Publish{Topic: p.Properties.ResponseTopic, Payload: append(p.Payload, '?')})
			answered <- err
		}()
		m := must[*nats.Msg](t)(nc.Request("device.7.ask", []byte("who"), step))
		if ok(t, <-answered); string(m.Data) != "who?" {
			t.Errorf("got %q", m.Data)
		}
	})
}

// TestMQTT_odd_publications: retained messages and wills, QoS 2 and topics that are
// no subjects, from clients of the field.
func TestMQTT_odd_publications(t *testing.T) {
	pub := mosquittoTool(t, "mosquitto_pub")
	sub := mosquittoTool(t, "mosquitto_sub")
	s := frondOnly(t)
	nc := connect(t, s)
	got := must[*nats.Subscription](t)(nc.SubscribeSync("odd.>"))
	ok(t, nc.Flush())
	expect := func(subject, data string) {
		t.Helper()
		if m := must[*nats.Msg](t)(got.NextMsg(step)); m.Subject != subject || string(m.Data) != data {
			t.Errorf("got %s %q, want %s %q", m.Subject, m.Data, subject, data)
		}
	}
	for _, v := range []string{"mqttv311", "mqttv5"} {
		for _, qos := range []string{"0", "1", "2"} {
			args := []string{"-V", v, "-q", qos, "-t", "odd/Living Room/*", "-m", v + qos,
				"--will-topic", "odd/will", "--will-payload", "gone", "--will-retain", "--will-qos", "2", "-r"}
			mosquitto(t, s, pub, args...)
			expect("odd.Living/%20Room./%2A", v+qos)
		}
	}
	// And back, by a filter with a blank, without what is retained.
	host, port, _ := net.SplitHostPort(s.MQTTAddr())
	p := must[*peers.Process](t)(peers.Spawn("mosquitto_sub", sub, "-h", host, "-p", port, "-t", "odd/Living Room/+", "-R", "-C", "1", "-F", "%t is %p"))
	t.Cleanup(p.Kill)
	eventually(t, step, func() error {
		ok(t, nc.Publish("odd.Living/%20Room.lamp", []byte("on")))
		select {
		case <-p.Done():
			return p.Err()
		default:
			return errors.New("nothing came to mosquitto_sub")
		}
	})
	if got := strings.TrimSpace(p.Output()); got != "odd/Living Room/lamp is on" {
		t.Errorf("got %q", got)
	}
}

// TestMosquitto_bridge runs a mosquitto with the bridge of the README.
func TestMosquitto_bridge(t *testing.T) {
	pub := mosquittoTool(t, "mosquitto_pub")
	sub := mosquittoTool(t, "mosquitto_sub")
	s := frondOnly(t)
	root := must[string](t)(peers.ProductRoot())
	readme := string(must[[]byte](t)(os.ReadFile(filepath.Join(root, "README.md"))))
	_, block, _ := strings.Cut(readme, "```mosquitto.conf\n")
	block, _, found := strings.Cut(block, "```")
	if !found || strings.Count(block, "127.0.0.1:1883") != 1 {
		t.Fatalf("README has no bridge: %q", block)
	}
	// The default again: a bridge with no limit of its own announces a Receive
	// Maximum of 0, which the protocol forbids.
	conf := "max_inflight_messages 20\n" + strings.Replace(block, "127.0.0.1:1883", s.MQTTAddr(), 1)
	m := must[*peers.Mosquitto](t)(peers.StartMosquitto(within(t, time.Minute), t.TempDir(), conf))
	t.Cleanup(m.Kill)
	host, port, _ := net.SplitHostPort(m.Addr)
	nc := connect(t, s)
	up := must[*nats.Subscription](t)(nc.SubscribeSync("plant.>"))
	ok(t, nc.Flush())
	n := 0
	eventually(t, time.Minute, func() error { // until the bridge is up
		n++
		out, err := exec.CommandContext(within(t, step), pub, "-h", host, "-p", port, "-q", "1", "-t", "plant/line 1", "-m", fmt.Sprint(n)).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		got, err := up.NextMsg(time.Second)
		if err == nil && (got.Subject != "plant.line/%201" || len(got.Data) == 0) {
			t.Fatalf("got %s %q", got.Subject, got.Data)
		}
		return err
	})
	p := must[*peers.Process](t)(peers.Spawn("mosquitto_sub", sub, "-h", host, "-p", port, "-t", "commands/#", "-C", "1", "-F", "%t is %p"))
	t.Cleanup(p.Kill)
	eventually(t, step, func() error {
		ok(t, nc.Publish("commands.lamp", []byte("off")))
		select {
		case <-p.Done():
			return p.Err()
		default:
			return errors.New("nothing came down the bridge")
		}
	})
	if got := strings.TrimSpace(p.Output()); got != "commands/lamp is off" {
		t.Errorf("got %q", got)
	}
}
