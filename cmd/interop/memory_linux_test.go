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
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// A process that may take 64 MB stays below them while subscribers of all kinds
// read nothing, under a publisher that sends as fast as it can and goes on: those
// who do not read are closed.
func TestMemory_stalledSubscribers(t *testing.T) {
	if !tested(peers.FrondKind) {
		t.Skip("frond is not among -servers")
	}
	const limit = 64 << 20
	stalled, times := 60, 1
	if os.Getenv("FROND_SOAK") != "" {
		stalled, times = 200, 8
	}
	for _, c := range []struct {
		name         string
		size, volume int
		cgroup       bool
	}{
		{"small messages", 200, 10 << 20, false},
		{"large messages", 20_000, 300 << 20, false},
		{"in a cgroup", 20_000, 300 << 20, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			size, volume, from := c.size, times*c.volume, "GOMEMLIMIT"
			begin := []string{"/usr/bin/env", "GOMEMLIMIT=" + strconv.Itoa(limit)}
			if c.cgroup {
				begin, from = memoryCgroup(t, limit), "cgroup"
			}
			e := startSmall(t, begin)
			for i := range stalled {
				e.stallNATS(t, i)
				e.stallMQTT(t, i)
				e.stallLeaf(t, i)
			}
			pub := must[net.Conn](t)(net.Dial("tcp", net.JoinHostPort("127.0.0.1", e.client)))
			defer pub.Close()
			_, err := io.WriteString(pub, "CONNECT {\"verbose\":false}\r\n")
			ok(t, err)
			one := fmt.Appendf(nil, "PUB load %d\r\n%s\r\n", size, bytes.Repeat([]byte("x"), size))
			burst := bytes.Repeat(one, 1+60_000/size)
			high := 0
			for sent := 0; sent < volume; sent += len(burst) {
				ok(t, pub.SetWriteDeadline(time.Now().Add(step)))
				_, err := pub.Write(burst)
				ok(t, err)
				if sent/len(burst)%10 == 0 {
					high = max(high, e.anonymous(t))
				}
			}
			_, err = io.WriteString(pub, "PING\r\n")
			ok(t, err)
			ok(t, pub.SetReadDeadline(time.Now().Add(step)))
			for r := bufio.NewReader(pub); ; {
				if line := must[string](t)(r.ReadString('\n')); line == "PONG\r\n" {
					break
				}
			}
			m := e.memory(t)
			t.Logf("%d MB at most of %d, %d closed as slow, %+v", high>>20, limit>>20, e.slow(t), m)
			if high > limit {
				t.Errorf("%d bytes in memory, the limit is %d", high, limit)
			}
			if e.slow(t) == 0 {
				t.Error("nobody was closed: too little was sent")
			}
			if m.Limit != limit || m.From != from {
				t.Errorf("/varz tells %+v", m)
			}
		})
	}
}

type smallEdge struct {
	edge
	leaf string
}

// memoryCgroup makes a cgroup and gives the words that begin a program in it.
func memoryCgroup(t *testing.T, limit int) []string {
	t.Helper()
	dir := filepath.Join("/sys/fs/cgroup/memory", fmt.Sprintf("frond-test-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skip("no cgroup of version 1 can be made here: ", err)
	}
	t.Cleanup(func() { ok(t, os.Remove(dir)) }) // behind the end of the process
	ok(t, os.WriteFile(filepath.Join(dir, "memory.limit_in_bytes"), []byte(strconv.Itoa(limit)), 0o644))
	return []string{"/bin/sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, dir}
}

// startSmall is a process with all kinds of ports, whose command line begins so.
func startSmall(t *testing.T, begin []string) *smallEdge {
	t.Helper()
	e := &smallEdge{edge{client: freePort(t), mqtt: freePort(t), http: freePort(t)}, freePort(t)}
	dir := t.TempDir()
	file := filepath.Join(dir, "frond.conf")
	ok(t, os.WriteFile(file, fmt.Appendf(nil, `
		listen: "127.0.0.1:%s", http: "127.0.0.1:%s"
		mqtt { listen: "127.0.0.1:%s" }
		leafnodes { listen: "127.0.0.1:%s", no_advertise: true }
		jetstream { store_dir: %q }
	`, e.client, e.http, e.mqtt, e.leaf, dir), 0o600))
	var err error
	e.proc, err = peers.Spawn("edge", begin[0], append(begin[1:], binary(t, peers.FrondKind), "-c", file)...)
	ok(t, err)
	t.Cleanup(func() { ok(t, e.proc.Stop(20*time.Second)) })
	must[[]string](t)(e.proc.Await(within(t, step), regexp.MustCompile("is ready")))
	return e
}

// stallLeaf is a link that asks for everything and reads nothing.
func (e *smallEdge) stallLeaf(t *testing.T, i int) {
	c := dial(t, e.leaf)
	ok(t, c.SetReadDeadline(time.Now().Add(step)))
	r := bufio.NewReader(c)
	must[string](t)(r.ReadString('\n')) // INFO
	_, err := fmt.Fprintf(c, "CONNECT {\"name\":\"leaf%d\",\"server_id\":\"leaf%d\",\"version\":\"2.15.3\"}\r\nLS+ load\r\nPING\r\n", i, i)
	ok(t, err)
	for {
		if line := must[string](t)(r.ReadString('\n')); strings.HasPrefix(line, "PONG") || strings.HasPrefix(line, "LMSG") {
			return
		}
	}
}

// anonymous is what the process has of its own in memory.
func (e *smallEdge) anonymous(t *testing.T) int {
	t.Helper()
	text := string(must[[]byte](t)(os.ReadFile(fmt.Sprintf("/proc/%d/status", e.proc.Pid()))))
	_, rest, _ := strings.Cut(text, "RssAnon:")
	return must[int](t)(strconv.Atoi(strings.Fields(rest)[0])) << 10
}

type memoryBlock struct {
	Limit        int    `json:"limit"`
	From         string `json:"limit_from"`
	InUse        int    `json:"in_use"`
	Waiting      int    `json:"waiting"`
	WaitingLimit int    `json:"waiting_limit"`
}

func (e *smallEdge) memory(t *testing.T) memoryBlock {
	t.Helper()
	r := must[*http.Response](t)(http.Get("http://" + net.JoinHostPort("127.0.0.1", e.http) + "/varz"))
	defer r.Body.Close()
	var v struct {
		Memory memoryBlock `json:"memory"`
	}
	ok(t, json.NewDecoder(r.Body).Decode(&v))
	return v.Memory
}
