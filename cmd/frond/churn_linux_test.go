package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/testkit"
)

// Connections of all kinds that come, say something and go, in good order or
// not, leave nothing behind: no goroutine, no descriptor, no memory. The long
// form is for soak:
//
//	FROND_SOAK=1 go test -run Churn -v ./cmd/frond
func TestChurn_leavesNothing(t *testing.T) {
	rounds, each := 4, 40 // of each kind
	if os.Getenv("FROND_SOAK") != "" {
		rounds, each = 10, 500
	}
	doors := churnServer(t)
	churn := func(n int) { // so many rounds
		for range n {
			var work sync.WaitGroup
			for _, d := range doors {
				for i := range each {
					work.Go(func() { d.visit(t, i) })
					if i%20 == 19 {
						work.Wait()
					}
				}
			}
			work.Wait()
		}
	}
	churn(2) // what is made once is there
	var first int
	settle := func() (goroutines, files int, heap uint64) {
		testkit.Eventually(t, "goroutines to end", func() bool {
			before := goroutines
			goroutines = runtime.NumGoroutine()
			return goroutines == before && (first == 0 || goroutines <= first+5)
		})
		first = goroutines
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		runtime.GC() // pools are emptied by the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return goroutines, len(open), m.HeapAlloc
	}
	g1, f1, h1 := settle()
	churn(rounds)
	g2, f2, h2 := settle()
	n := rounds * each * len(doors)
	t.Logf("%d connections: goroutines %d, then %d; descriptors %d, then %d; heap %d, then %d", n, g1, g2, f1, f2, h1, h2)
	if g2 > g1+5 || f2 > f1+5 {
		t.Errorf("%d connections leave goroutines (%d, then %d) or descriptors (%d, then %d)", n, g1, g2, f1, f2)
	}
	// What is remembered of connections that are gone is bounded, see churnServer.
	if h2 > h1+1<<20 {
		t.Errorf("%d connections leave %d bytes in the heap", n, h2-h1)
	}
}

// door is a port, and what is said there.
type door struct {
	kind, addr string
	// says is sent in one piece by the visitor of that number; the answer holds
	// hears.
	says  func(i int) string
	hears string
}

func churnServer(t *testing.T) []door {
	o := config.Defaults()
	o.Host, o.Port = "127.0.0.1", -1
	o.HTTPHost, o.HTTPPort = "127.0.0.1", -1
	o.MaxClosedConns = 10
	mods := modules()
	for _, m := range mods {
		switch m.Name() {
		case "mqtt":
			o.MQTT.Set, o.MQTT.Host, o.MQTT.Port = true, "127.0.0.1", -1
		case "leafnodes":
			o.Leaf.Set, o.Leaf.Host, o.Leaf.Port = true, "127.0.0.1", -1
		}
	}
	s, err := core.New(o, mods, nil)
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	doors := []door{
		{"NATS", s.ClientAddr().String(), func(i int) string {
			return fmt.Sprintf("CONNECT {\"verbose\":false}\r\nSUB churn.%d 1\r\nPUB churn.%d 5\r\nhello\r\nPING\r\n", i, i)
		}, "PONG"},
		{"monitoring", s.MonitorAddr().String(), func(int) string { return "GET /varz HTTP/1.1\r\nHost: x\r\n\r\n" }, "server_id"},
	}
	for _, m := range mods {
		d := door{kind: m.Name(), addr: m.(interface{ Addr() net.Addr }).Addr().String()}
		switch d.kind {
		case "mqtt":
			d.hears = "hello"
			d.says = func(i int) string {
				id, topic := fmt.Sprintf("churn-%04d", i), fmt.Sprintf("\x00\x0achurn/%04d", i)
				return "\x10\x16\x00\x04MQTT\x04\x02\x00\x0a\x00\x0a" + id + "\x82\x0f\x00\x01" + topic + "\x00" + "\x30\x11" + topic + "hello"
			}
		case "leafnodes":
			d.hears = "PONG"
			d.says = func(i int) string {
				return fmt.Sprintf("CONNECT {\"version\":\"2.12.0\",\"name\":\"churn-%d\",\"server_id\":\"churn-%d\",\"headers\":true,\"isolate\":true,\"remote_account\":\"$G\"}\r\n"+
					"LS+ leaf.%d\r\nLMSG leaf.%d 5\r\nhello\r\nPING\r\n", i, i, i, i)
			}
		}
		doors = append(doors, d)
	}
	return doors
}

// visit is one connection. Every other one goes without a word, and with what it
// was sent unread.
func (d *door) visit(t *testing.T, i int) {
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, d.says(i)); err != nil {
		t.Errorf("%s: %v", d.kind, err)
		return
	}
	var all strings.Builder
	in := bufio.NewReader(io.TeeReader(c, &all))
	for !strings.Contains(all.String(), d.hears) {
		if _, err := in.ReadByte(); err != nil {
			t.Errorf("%s: %v behind %q", d.kind, err, all.String())
			return
		}
	}
	if i%2 == 0 {
		_ = c.(*net.TCPConn).SetLinger(0) // a reset
	}
}
