package interop

import (
	"errors"
	"maps"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// withoutFrond are mosquitto's topics that frond has not: what is of its allocator, and
// what it has other words for.
var withoutFrond = regexp.MustCompile(`^\$SYS/broker/(heap/|load/sockets/|clients/expired$|shared_subscriptions/)`)

// TestSysTopics: what mosquitto tells its clients of itself frond tells them too, under
// the same names and in the same form, and both count a known load alike. NATS hears
// nothing of it.
func TestSysTopics(t *testing.T) {
	pub, sub := mosquittoTool(t, "mosquitto_pub"), mosquittoTool(t, "mosquitto_sub")
	m := must[*peers.Mosquitto](t)(peers.StartMosquitto(within(t, time.Minute), t.TempDir(), "sys_interval 1\n"))
	t.Cleanup(m.Kill)
	s := start(t, peers.FrondKind, peers.Config{JetStream: true, MQTT: true, MQTTOptions: `sys_interval: "1s"`})
	nc := connect(t, s)
	heard := must[*nats.Subscription](t)(nc.SubscribeSync("$SYS.broker.>"))
	ok(t, nc.Flush())

	all := func(addr string) map[string]string {
		t.Helper()
		host, port, _ := net.SplitHostPort(addr)
		run := func(tool string, args ...string) string {
			t.Helper()
			out, err := exec.CommandContext(within(t, step), tool, append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
			var e *exec.ExitError
			if err != nil && !(tool == sub && errors.As(err, &e) && e.ExitCode() == 27) { // 27: -W
				t.Fatalf("%s %s: %v: %s", filepath.Base(tool), strings.Join(args, " "), err, out)
			}
			return string(out)
		}
		for range 5 {
			run(pub, "-t", "plant/line 1", "-m", "1234567890", "-q", "1", "-r")
		}
		run(sub, "-t", "plant/#", "-C", "1")
		got := make(map[string]string)
		// Rounds that come by the interval have what the first one counted late. What
		// has not changed is there with the second subscription at the latest.
		told := run(sub, "-t", "$SYS/broker/#", "-W", "4", "-F", "%t %p") + run(sub, "-t", "$SYS/broker/#", "-W", "4", "-F", "%t %p")
		for line := range strings.Lines(told) {
			if !strings.HasPrefix(line, "$SYS/") {
				continue // "Timed out"
			}
			line = strings.TrimSuffix(line, "\n")
			for i := range line { // a topic may hold a blank
				if line[i] == ' ' && !strings.HasPrefix(line[i:], " messages/count") {
					got[line[:i]] = line[i+1:]
					break
				}
			}
		}
		return got
	}
	theirs := all(m.Addr)
	ours := all(s.MQTTAddr())
	for _, topic := range slices.Sorted(maps.Keys(theirs)) {
		if _, there := ours[topic]; !there && !withoutFrond.MatchString(topic) {
			t.Errorf("%s is missing: mosquitto has %q", topic, theirs[topic])
		}
		if form(ours[topic]) != form(theirs[topic]) && ours[topic] != "" && topic != "$SYS/broker/version" {
			t.Errorf("%s: %q, with mosquitto %q", topic, ours[topic], theirs[topic])
		}
	}
	for topic := range ours {
		if _, there := theirs[topic]; !there {
			t.Errorf("%s is not mosquitto's", topic)
		}
	}
	for _, name := range []string{"publish/bytes/received", "publish/messages/dropped", "clients/connected", "clients/total",
		"clients/disconnected", "subscriptions/count"} {
		if topic := "$SYS/broker/" + name; ours[topic] != theirs[topic] {
			t.Errorf("%s: %q, with mosquitto %q", topic, ours[topic], theirs[topic])
		}
	}
	// Mosquitto counts the retained messages of $SYS, and 2.0.11 no publications.
	if r, p := ours["$SYS/broker/retained messages/count"], ours["$SYS/broker/publish/messages/received"]; r != "1" || p != "5" {
		t.Errorf("%s retained messages and %s publications", r, p)
	}
	if n, _, _ := heard.Pending(); n != 0 {
		t.Errorf("NATS heard %d messages", n)
	}
}

var digits = regexp.MustCompile(`\d+`)

// form is a payload without its numbers.
func form(payload string) string { return digits.ReplaceAllString(payload, "0") }
