package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// The edge preset is for boxes with 256 MB: with forty subscribers that read
// nothing, under a publisher that sends as fast as it can, the process stays
// below 96 MB. In soak there are two hundred.
func TestEdge_fortyStalledSubscribers(t *testing.T) {
	if runtime.GOOS != "linux" || !tested(peers.FrondKind) {
		t.Skip("reads /proc of frond")
	}
	const most = 96 << 20
	stalled := 40
	if os.Getenv("FROND_SOAK") != "" {
		stalled = 200
	}
	for _, protocol := range []string{"NATS", "MQTT"} {
		for _, size := range []int{200, 20_000} {
			t.Run(fmt.Sprintf("%s, %d bytes", protocol, size), func(t *testing.T) {
				e := startEdge(t)
				stall := e.stallNATS
				if protocol == "MQTT" {
					stall = e.stallMQTT
				}
				subs := make([]net.Conn, stalled)
				for i := range subs {
					subs[i] = stall(t, i)
				}
				pub := must[net.Conn](t)(net.Dial("tcp", net.JoinHostPort("127.0.0.1", e.client)))
				defer pub.Close()
				_, err := io.WriteString(pub, "CONNECT {\"verbose\":false}\r\n") // it reads nothing either
				ok(t, err)
				one := fmt.Appendf(nil, "PUB load %d\r\n%s\r\n", size, bytes.Repeat([]byte("x"), size))
				burst := bytes.Repeat(one, 1+60_000/size)
				high, sent := 0, 0
				until := time.Now().Add(patience)
				for e.slow(t) < int64(stalled/2) {
					if time.Now().After(until) { // how much is sent meanwhile is the machine's
						t.Fatalf("%d subscribers were cut off after %d bytes", e.slow(t), sent)
					}
					ok(t, pub.SetWriteDeadline(time.Now().Add(step)))
					for range 20 {
						_, err := pub.Write(burst)
						ok(t, err)
						sent += len(burst)
						high = max(high, e.resident(t))
					}
				}
				t.Logf("%.0f MB at most, %d MB sent", float64(high)/(1<<20), sent>>20)
				if high > most {
					t.Errorf("%d bytes in memory, at most %d", high, most)
				}
			})
		}
	}
}

// edge is a process of the preset.
type edge struct {
	proc               *peers.Process
	client, mqtt, http string
}

func startEdge(t *testing.T) *edge {
	t.Helper()
	e := &edge{client: freePort(t), mqtt: freePort(t), http: freePort(t)}
	var err error
	e.proc, err = peers.Spawn("edge", binary(t, peers.FrondKind), "edge", "--data", t.TempDir(), "--listen", "127.0.0.1",
		"--port", e.client, "--mqtt-port", e.mqtt, "--http-port", e.http)
	ok(t, err)
	t.Cleanup(func() { ok(t, e.proc.Stop(20*time.Second)) })
	must[[]string](t)(e.proc.Await(within(t, step), regexp.MustCompile("is ready")))
	return e
}

// dial connects one that is to stall soon.
func dial(t *testing.T, port string) net.Conn {
	t.Helper()
	c := must[net.Conn](t)(net.Dial("tcp", net.JoinHostPort("127.0.0.1", port)))
	t.Cleanup(func() { _ = c.Close() })
	ok(t, c.(*net.TCPConn).SetReadBuffer(4096))
	return c
}

func (e *edge) stallNATS(t *testing.T, _ int) net.Conn {
	c := dial(t, e.client)
	_, err := c.Write([]byte("CONNECT {\"verbose\":false}\r\nSUB load 1\r\nPING\r\n"))
	ok(t, err)
	ok(t, c.SetReadDeadline(time.Now().Add(step)))
	for r := bufio.NewReader(c); ; {
		if line := must[string](t)(r.ReadString('\n')); line == "PONG\r\n" || strings.HasPrefix(line, "MSG load ") {
			return c
		}
	}
}

func (e *edge) stallMQTT(t *testing.T, i int) net.Conn {
	c := dial(t, e.mqtt)
	id := strconv.Itoa(i)
	packet := []byte{0x10, byte(12 + len(id)), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0}
	packet = append(append(packet, 0, byte(len(id))), id...)
	packet = append(packet, 0x82, 9, 0, 1, 0, 4, 'l', 'o', 'a', 'd', 0)
	_, err := c.Write(packet)
	ok(t, err)
	ok(t, c.SetReadDeadline(time.Now().Add(step)))
	var answers [4 + 5]byte // CONNACK and SUBACK; a message may come between them
	_, err = io.ReadFull(c, answers[:])
	ok(t, err)
	return c
}

// resident is what the process has in memory, in bytes.
func (e *edge) resident(t *testing.T) int {
	t.Helper()
	text := string(must[[]byte](t)(os.ReadFile(fmt.Sprintf("/proc/%d/status", e.proc.Pid()))))
	_, rest, _ := strings.Cut(text, "VmRSS:")
	return must[int](t)(strconv.Atoi(strings.Fields(rest)[0])) << 10
}

func (e *edge) slow(t *testing.T) int64 {
	t.Helper()
	r := must[*http.Response](t)(http.Get("http://" + net.JoinHostPort("127.0.0.1", e.http) + "/varz"))
	defer r.Body.Close()
	var v struct {
		SlowConsumers int64 `json:"slow_consumers"`
	}
	ok(t, json.NewDecoder(r.Body).Decode(&v))
	return v.SlowConsumers
}
