package core_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
)

// conn is a client of a test, past INFO and CONNECT.
type conn struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func connect(t testing.TB, s *core.Server, options string) *conn {
	t.Helper()
	c := &conn{Conn: servertest.Dial(t, s), t: t}
	c.r = bufio.NewReaderSize(c.Conn, 64<<10)
	if l := c.line(); !strings.HasPrefix(l, "INFO {") {
		t.Fatalf("want INFO, got %q", l)
	}
	c.send(`CONNECT {"verbose":false` + options + "}\r\n")
	c.barrier()
	return c
}

func (c *conn) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// line reads one line. The server's own PINGs are passed over.
func (c *conn) line() string {
	c.t.Helper()
	for {
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		l, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("read: %v after %q", err, l)
		}
		if l != "PING\r\n" {
			return strings.TrimSuffix(l, "\r\n")
		}
	}
}

func (c *conn) expect(want string) {
	c.t.Helper()
	if got := c.line(); got != want {
		c.t.Fatalf("want %q, got %q", want, got)
	}
}

func (c *conn) barrier() {
	c.t.Helper()
	c.send("PING\r\n")
	c.expect("PONG")
}

// rest reads up to the end of the connection.
func (c *conn) rest() string {
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	b, _ := io.ReadAll(c.r)
	return string(b)
}

// flood publishes payloads on flood until the server has cut the reader off.
func flood(t *testing.T, s *core.Server, size int) {
	t.Helper()
	p := connect(t, s, "")
	msg := []byte(fmt.Sprintf("PUB flood %d\r\n%s\r\n", size, strings.Repeat("x", size)))
	burst := bytes.Repeat(msg, 1+(256<<10)/len(msg))
	servertest.Eventually(t, "the slow consumer is cut", func() bool {
		p.SetWriteDeadline(time.Now().Add(20 * time.Second))
		if _, err := p.Write(burst); err != nil {
			t.Fatalf("publisher: %v", err)
		}
		return len(s.ClosedReasons()) > 0
	})
	p.barrier()
}

func TestClient_slowConsumerIsCutWithoutAWord(t *testing.T) {
	t.Run("too much pending", func(t *testing.T) {
		s := servertest.Start(t, servertest.With(func(o *config.Options) {
			o.MaxPending, o.MaxPayload = 128<<10, 64<<10
		}))
		slow := connect(t, s, "")
		slow.send("SUB flood 1\r\n")
		slow.barrier()
		flood(t, s, 16<<10)
		if got := s.ClosedReasons(); got[0] != "Slow Consumer (Pending Bytes)" {
			t.Errorf("reason %q", got)
		}
		if rest := slow.rest(); strings.Contains(rest, "-ERR") {
			t.Error("was told something")
		}
		if n := s.SlowConsumers(); n != 1 {
			t.Errorf("%d slow consumers counted", n)
		}
	})
	t.Run("too long a write", func(t *testing.T) {
		s := servertest.Start(t, servertest.With(func(o *config.Options) { o.WriteDeadline = 50 * time.Millisecond }))
		slow := connect(t, s, "")
		slow.send("SUB flood 1\r\n")
		slow.barrier()
		flood(t, s, 64<<10)
		if got := s.ClosedReasons(); got[0] != "Slow Consumer (Write Deadline)" {
			t.Errorf("reason %q", got)
		}
		slow.rest()
	})
}

func TestClient_fastPublisherWaitsForItsReceivers(t *testing.T) {
	s := servertest.Start(t, servertest.With(func(o *config.Options) { o.MaxPending = 4 << 20 }))
	sub := connect(t, s, "")
	sub.send("SUB flood 1\r\n")
	sub.barrier()
	pub := connect(t, s, "")
	msg := "PUB flood 65536\r\n" + strings.Repeat("x", 65536) + "\r\n"
	servertest.Eventually(t, "a publisher is stalled", func() bool {
		pub.send(msg)
		return s.Stalls() > 0
	})
	sub.Close()
	pub.barrier()
}

func TestClient_errorsArriveThoughMuchWasPipelined(t *testing.T) {
	s := servertest.Start(t, servertest.With(func(o *config.Options) { o.MaxPayload = 1000 }))
	for range 20 {
		c := connect(t, s, "")
		c.Write([]byte("PUB foo 300000\r\n" + strings.Repeat("x", 300000) + "\r\n"))
		if got := c.rest(); got != "-ERR 'Maximum Payload Violation'\r\n" {
			t.Fatalf("got %q", got)
		}
	}
}

func TestClient_everyMessageInOrder(t *testing.T) {
	s := servertest.Start(t)
	const subs, msgs = 5, 5000
	var wg sync.WaitGroup
	for i := range subs {
		c := connect(t, s, "")
		c.send(fmt.Sprintf("SUB n.* %d\r\n", i))
		c.barrier()
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := range msgs {
				body := fmt.Sprint(n)
				for _, want := range []string{fmt.Sprintf("MSG n.x %d %d", i, len(body)), body} {
					got, err := c.r.ReadString('\n')
					for err == nil && got == "PING\r\n" { // the server's, on a slow machine
						got, err = c.r.ReadString('\n')
					}
					if err != nil || got != want+"\r\n" {
						t.Errorf("client %d: want %q, got %q, %v", i, want, got, err)
						return
					}
				}
			}
		}()
	}
	var b bytes.Buffer
	for n := range msgs {
		fmt.Fprintf(&b, "PUB n.x %d\r\n%d\r\n", len(fmt.Sprint(n)), n)
	}
	p := connect(t, s, "")
	p.send(b.String())
	p.barrier()
	wg.Wait()
}

func TestClient_queueGroupsShare(t *testing.T) {
	s := servertest.Start(t)
	var members []*conn
	for range 3 {
		c := connect(t, s, "")
		c.send("SUB work.* grp 1\r\n")
		c.barrier()
		members = append(members, c)
	}
	p := connect(t, s, "")
	const n = 600
	p.send(strings.Repeat("PUB work.1 0\r\n\r\n", n))
	p.barrier()
	total := 0
	for i, c := range members {
		c.send("PING\r\n")
		got := 0
		for c.line() != "PONG" {
			got++
		}
		got /= 2
		if got < n/3-80 || got > n/3+80 {
			t.Errorf("member %d got %d of %d", i, got, n)
		}
		total += got
	}
	if total != n {
		t.Errorf("%d delivered, want %d", total, n)
	}
}

func TestClient_subscriptionsEndWithTheConnection(t *testing.T) {
	s := servertest.Start(t)
	c := connect(t, s, "")
	c.send("SUB a 1\r\nSUB b.> q 2\r\n")
	c.barrier()
	a, _ := s.Modules().Account(config.GlobalAccount)
	if n := a.Subscriptions(); n != 2 {
		t.Errorf("%d subscriptions", n)
	}
	c.Close()
	servertest.Eventually(t, "no subscriptions", func() bool { return a.Subscriptions() == 0 && !a.HasInterest("b.c") })
	// Its last act, after its subscriptions, is to be remembered.
	servertest.Eventually(t, "the connection is among the closed ones", func() bool { return len(s.ClosedReasons()) == 1 })
	if got := s.ClosedReasons(); len(got) != 1 || got[0] != "Client Closed" {
		t.Errorf("reasons %q", got)
	}
}

func TestClient_autoUnsubscribeUnderConcurrency(t *testing.T) {
	s := servertest.Start(t)
	sub := connect(t, s, "")
	const limit, publishers, each = 50, 4, 100
	sub.send(fmt.Sprintf("SUB x 1\r\nUNSUB 1 %d\r\n", limit))
	sub.barrier()
	var wg sync.WaitGroup
	for range publishers {
		p := connect(t, s, "")
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range each {
				io.WriteString(p.Conn, "PUB x 0\r\n\r\n")
			}
			p.barrier()
		}()
	}
	wg.Wait()
	sub.send("PING\r\n")
	n := 0
	for sub.line() != "PONG" {
		n++
	}
	if n/2 != limit {
		t.Errorf("%d delivered, want %d", n/2, limit)
	}
	a, _ := s.Modules().Account(config.GlobalAccount)
	servertest.Eventually(t, "the subscription is gone", func() bool { return a.Subscriptions() == 0 })
}

func TestClient_sidIsFreeAfterItsLastMessage(t *testing.T) {
	s := servertest.Start(t)
	p := connect(t, s, "")
	p.send("SUB ask 1\r\n")
	p.barrier()
	c := connect(t, s, "")
	for range 200 {
		c.send("SUB in 7\r\nUNSUB 7 1\r\nPUB ask in 0\r\n\r\n")
		p.line()
		p.line()
		p.send("PUB in 0\r\n\r\n")
		c.expect("MSG in 7 0")
		c.expect("")
	}
}

func TestServer_life(t *testing.T) {
	t.Run("ends connections at shutdown", func(t *testing.T) {
		s := servertest.Start(t)
		c := connect(t, s, "")
		servertest.Stop(t, s)
		if rest := c.rest(); rest != "" {
			t.Errorf("was told %q", rest)
		}
		if got := s.ClosedReasons(); len(got) != 1 || got[0] != "Server Shutdown" {
			t.Errorf("reasons %q", got)
		}
		if _, err := net.Dial("tcp", s.ClientAddr().String()); err == nil {
			t.Error("the door is still open")
		}
	})
	t.Run("can be shut down before it was started, and twice", func(t *testing.T) {
		s, err := servertest.New(t)
		if err != nil {
			t.Fatal(err)
		}
		servertest.Stop(t, s)
		servertest.Stop(t, s)
		if err := s.Start(); err == nil {
			t.Error("started after Shutdown")
		}
	})
	t.Run("a busy port is an error", func(t *testing.T) {
		first := servertest.Start(t)
		s, err := servertest.New(t, servertest.With(func(o *config.Options) {
			o.Port = first.ClientAddr().(*net.TCPAddr).Port
		}))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(); err == nil || !strings.Contains(err.Error(), "listening on port") {
			t.Errorf("start: %v", err)
		}
		servertest.Stop(t, s)
	})
	t.Run("a block without a module is an error", func(t *testing.T) {
		for _, f := range []func(*config.Options){
			func(o *config.Options) { o.Leaf.Set = true },
			func(o *config.Options) { o.MQTT.Set = true },
		} {
			if _, err := servertest.New(t, servertest.With(f)); err == nil {
				t.Error("was taken")
			}
		}
	})
}

func TestServer_request(t *testing.T) {
	s := servertest.Start(t)
	c := connect(t, s, "")
	c.send("SUB svc 1\r\n")
	c.barrier()
	done := make(chan string)
	go func() {
		b, err := s.Request(t.Context(), "svc", []byte("hi"))
		done <- fmt.Sprint(string(b), err)
	}()
	f := strings.Fields(c.line())
	c.expect("hi")
	if len(f) != 5 {
		t.Fatalf("request %q", f)
	}
	c.send("PUB " + f[3] + " 2\r\nok\r\n")
	if got := <-done; got != "ok<nil>" {
		t.Errorf("answer %q", got)
	}
	if _, err := s.Request(t.Context(), "nobody", nil); err == nil {
		t.Error("nobody answered, but no error")
	}
}
