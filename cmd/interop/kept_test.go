package interop

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// TestMQTT_kept_killed kills a server with -9 that has acknowledged 20,000 messages
// for a client that is away, and once while the client reads them. The client gets
// all of them, in order; the first time none twice.
func TestMQTT_kept_killed(t *testing.T) {
	const all = 20_000
	s := frondOnly(t)
	r := newKeptReader(t)
	c := r.connect(t, s)
	token(t, c.Subscribe("plant/#", 1, nil))
	c.Disconnect(250)

	p := client3(t, s.MQTTAddr(), func(o *mqtt.ClientOptions) {
		o.SetClientID("pub").SetCleanSession(false).SetStore(mqtt.NewFileStore(t.TempDir()))
	})
	acks := newAckLog(t)
	publish := func(from, upTo int) {
		var tokens []mqtt.Token
		for i := from; i < upTo; i++ {
			tokens = append(tokens, p.Publish(fmt.Sprintf("plant/line%d", i%7), 1, false, fmt.Sprintf("%06d", i)))
			if len(tokens) == 500 || i == upTo-1 {
				for k, tk := range tokens {
					token(t, tk)
					acks.add(t, fmt.Sprintf("%06d", i+1-len(tokens)+k), 1)
				}
				tokens = tokens[:0]
			}
		}
	}
	publish(0, all)
	s.Kill()
	restart(t, s)
	c = r.connect(t, s)
	r.wait(t, all)
	c.Disconnect(250)
	got := r.lines(t)
	if len(got) != all {
		t.Errorf("%d lines", len(got))
	}
	for i, line := range got {
		if want := fmt.Sprintf("%06d", i); line != want {
			t.Fatalf("line %d is %s, want %s", i, line, want)
		}
	}
	if n := len(acks.read(t)); n != all {
		t.Errorf("%d were acknowledged", n)
	}

	p = client3(t, s.MQTTAddr(), func(o *mqtt.ClientOptions) { o.SetClientID("pub2") })
	const more = 5_000
	publish(all, all+more)
	c = r.connect(t, s)
	r.wait(t, all+more/4)
	s.Kill()
	restart(t, s)
	c = r.connect(t, s)
	r.wait(t, all+more)
	c.Disconnect(250)
	// What the row did not know comes again; each for the first time is in order.
	next, again := 0, 0
	for _, line := range r.lines(t) {
		switch want := fmt.Sprintf("%06d", next); {
		case line == want:
			next++
		case line < want:
			again++
		default:
			t.Fatalf("%s came, and %s did not", line, want)
		}
	}
	if next != all+more {
		t.Errorf("%d of %d came", next, all+more)
	}
	t.Logf("%d came again behind the second kill", again)
}

// keptReader is a client with a kept session, and the file with what came to it.
type keptReader struct {
	f     *os.File
	came  chan string
	first map[string]bool
}

func newKeptReader(t *testing.T) *keptReader {
	f := must[*os.File](t)(os.Create(filepath.Join(t.TempDir(), "came")))
	t.Cleanup(func() { f.Close() })
	return &keptReader{f, make(chan string, 100_000), make(map[string]bool)}
}

func (r *keptReader) connect(t *testing.T, s *peers.Server) mqtt.Client {
	t.Helper()
	return client3(t, s.MQTTAddr(), func(o *mqtt.ClientOptions) {
		o.SetClientID("reader").SetCleanSession(false).SetAutoReconnect(false)
		o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			fmt.Fprintf(r.f, "%s\n", m.Payload())
			r.came <- string(m.Payload())
		})
	})
}

// wait returns when so many different ones have come.
func (r *keptReader) wait(t *testing.T, n int) {
	t.Helper()
	end := time.After(3 * time.Minute)
	for len(r.first) < n {
		select {
		case line := <-r.came:
			r.first[line] = true
		case <-end:
			t.Fatalf("%d of %d came", len(r.first), n)
		}
	}
}

func (r *keptReader) lines(t *testing.T) []string {
	t.Helper()
	ok(t, r.f.Sync())
	return strings.Fields(string(must[[]byte](t)(os.ReadFile(r.f.Name()))))
}

// TestMQTT_kept_mosquitto_clients: mosquitto_sub -c at frond and at a mosquitto.
func TestMQTT_kept_mosquitto_clients(t *testing.T) {
	pub, sub := mosquittoTool(t, "mosquitto_pub"), mosquittoTool(t, "mosquitto_sub")
	s := frondOnly(t)
	m := must[*peers.Mosquitto](t)(peers.StartMosquitto(within(t, time.Minute), t.TempDir(), ""))
	t.Cleanup(m.Kill)
	run := func(addr, tool string, args ...string) string {
		host, port, _ := net.SplitHostPort(addr)
		out, err := exec.CommandContext(within(t, time.Minute), tool, append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
		var e *exec.ExitError
		if err != nil && (!errors.As(err, &e) || e.ExitCode() != 27) { // 27: nothing came in time
			t.Fatalf("%s %v: %v: %s", tool, args, err, out)
		}
		return string(out)
	}
	var results []string
	for _, addr := range []string{s.MQTTAddr(), m.Addr} {
		var told []string
		for _, v := range [][]string{{"-V", "mqttv311"}, {"-V", "mqttv5", "-x", "60"}} {
			id := "dev" + v[1]
			as := func(more ...string) []string {
				return append(append([]string{"-c", "-i", id, "-q", "1"}, v...), more...)
			}
			run(addr, sub, as("-t", "a/#", "-E")...)
			for _, text := range []string{"one", "two", "three"} {
				run(addr, pub, "-t", "a/b", "-q", "1", "-m", text)
			}
			run(addr, pub, "-t", "a/b", "-q", "0", "-m", "zero")
			told = append(told, v[1], run(addr, sub, as("-t", "a/#", "-W", "3", "-F", "%t %q %p")...))
			// All is acknowledged.
			told = append(told, "again", run(addr, sub, as("-t", "a/#", "-W", "1", "-F", "%t %q %p")...))
			run(addr, sub, "-i", id, "-t", "x", "-E")
			run(addr, pub, "-t", "a/b", "-q", "1", "-m", "gone")
			told = append(told, "clean", run(addr, sub, as("-t", "a/#", "-W", "1", "-F", "%t %q %p")...))
		}
		results = append(results, strings.Join(told, "\n"))
	}
	if results[0] != results[1] || !strings.Contains(results[0], "a/b 1 two") {
		t.Errorf("frond:\n%s\nmosquitto:\n%s", results[0], results[1])
	}
}
