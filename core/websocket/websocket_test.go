package websocket

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"nhooyr.io/websocket"
)

// The key is that of RFC 6455, section 1.3, which says what the answer to it is.
const ask = "GET /any/path HTTP/1.1\r\nHost: h.example:8080\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

func serving(o Options) *Options {
	if o.Serves == nil {
		o.Serves = func(path string) (string, bool) { return "", !strings.HasSuffix(path, "/none") }
	}
	return &o
}

// pipe is a connection to this machine, which has all that a socket has.
func pipe(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{client, server} {
		c.SetDeadline(time.Now().Add(20 * time.Second))
		t.Cleanup(func() { c.Close() })
	}
	return client, server
}

// request sends text and returns the answer, and what Upgrade says.
func request(t *testing.T, o *Options, overTLS bool, text string) (*http.Response, *Request, error) {
	t.Helper()
	client, server := pipe(t)
	done := make(chan struct{})
	var q *Request
	var err error
	go func() {
		defer close(done)
		var c *Conn
		if c, q, err = Upgrade(server, overTLS, o); err == nil {
			defer c.Close()
		} else {
			defer server.Close()
		}
	}()
	if _, err := io.WriteString(client, text); err != nil {
		t.Fatal(err)
	}
	r, rerr := http.ReadResponse(bufio.NewReader(client), nil)
	<-done
	if rerr != nil {
		t.Fatalf("no answer: %v (%v)", rerr, err)
	}
	return r, q, err
}

func TestUpgrade_refuses(t *testing.T) {
	listed := map[Origin]bool{{"https", "page.example", "443"}: true}
	for _, tt := range []struct {
		name   string
		text   string
		o      Options
		tls    bool
		status int
		why    string
	}{
		{"good", ask, Options{}, false, 101, ""},
		{"no HTTP", "CONNECT {}\r\n", Options{}, false, 400, "malformed"},
		{"a path that nobody serves", strings.Replace(ask, "/any/path", "/none", 1), Options{}, false, 404, `path "/none"`},
		{"a method", strings.Replace(ask, "GET", "POST", 1), Options{}, false, 405, "POST"},
		{"no host", strings.Replace(ask, "Host: h.example:8080\r\n", "Host:\r\n", 1), Options{}, false, 400, "no host"},
		{"no upgrade", strings.Replace(ask, "Upgrade: websocket", "X: y", 1), Options{}, false, 400, "Upgrade"},
		{"another upgrade", strings.Replace(ask, "Upgrade: websocket", "Upgrade: h2c", 1), Options{}, false, 400, "Upgrade"},
		{"one of several upgrades", strings.Replace(ask, "Upgrade: websocket", "Upgrade: h2c, WebSocket", 1), Options{}, false, 101, ""},
		{"no connection", strings.Replace(ask, "keep-alive, Upgrade", "keep-alive", 1), Options{}, false, 400, "Connection"},
		{"no key", strings.Replace(ask, "Sec-WebSocket-Key", "X-Key", 1), Options{}, false, 400, "Sec-WebSocket-Key"},
		{"a short key", strings.Replace(ask, "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", 1), Options{}, false, 400, "16 bytes"},
		{"two keys", ask + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", Options{}, false, 400, "Sec-WebSocket-Key"},
		{"another version", strings.Replace(ask, "Version: 13", "Version: 8", 1), Options{}, false, 400, "13"},
		{"several versions", strings.Replace(ask, "Version: 13", "Version: 8, 13", 1), Options{}, false, 101, ""},
		{"HTTP 1.0", strings.Replace(ask, "HTTP/1.1", "HTTP/1.0", 1), Options{}, false, 400, "1.1"},
		{"bytes behind", ask + "\r\nCONNECT {}", Options{}, false, 400, "behind"},
		{"long header", ask + "X: " + strings.Repeat("x", maxRequest), Options{}, false, 431, "more than"},

		{"no origin is no page", ask, Options{SameOrigin: true, Origins: listed}, false, 101, ""},
		{"the same", ask + "Origin: http://H.example:8080\r\n", Options{SameOrigin: true}, false, 101, ""},
		{"another host", ask + "Origin: http://evil.example:8080\r\n", Options{SameOrigin: true}, false, 403, "not same origin"},
		{"another port", ask + "Origin: http://h.example\r\n", Options{SameOrigin: true}, false, 403, "not same origin"},
		{"another scheme", ask + "Origin: https://h.example:8080\r\n", Options{SameOrigin: true}, false, 403, "not same origin"},
		{"the same over TLS", ask + "Origin: https://h.example:8080\r\n", Options{SameOrigin: true}, true, 101, ""},
		{"the usual port", strings.Replace(ask, ":8080", "", 1) + "Origin: http://h.example:80\r\n", Options{SameOrigin: true}, false, 101, ""},
		{"listed", ask + "Origin: https://page.example\r\n", Options{Origins: listed}, false, 101, ""},
		{"not listed", ask + "Origin: https://page.example:8443\r\n", Options{Origins: listed}, false, 403, "allowed list"},
		{"listed and not the same", ask + "Origin: https://page.example\r\n", Options{SameOrigin: true, Origins: listed}, false, 403, "not same"},
		{"a draft's name", ask + "Sec-WebSocket-Origin: https://evil.example\r\n", Options{Origins: listed}, false, 403, "allowed list"},
		{"no origin at all", ask + "Origin: null\r\n", Options{SameOrigin: true}, false, 403, "null"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := tt.text
			if !strings.Contains(text, "\r\n\r\n") {
				text += "\r\n"
			}
			r, _, err := request(t, serving(tt.o), tt.tls, text)
			if r.StatusCode != tt.status {
				t.Fatalf("status %d, want %d (%v)", r.StatusCode, tt.status, err)
			}
			var refused *RequestError
			switch {
			case tt.status == 101 && err != nil:
				t.Fatal(err)
			case tt.status == 101:
			case !errors.As(err, &refused) || refused.Status != tt.status || !strings.Contains(err.Error(), tt.why):
				t.Fatalf("error %v, want one about %q", err, tt.why)
			case r.Header.Get("Sec-Websocket-Version") != "13":
				t.Errorf("the answer does not name the version: %v", r.Header)
			}
		})
	}
}

func TestUpgrade_answer(t *testing.T) {
	o := serving(Options{
		Compression: true, Header: map[string]string{"X-Site": "north"},
		Serves: func(path string) (string, bool) { return "mqtt", true },
	})
	more := "Sec-WebSocket-Protocol: x, mqtt\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" +
		"Cookie: a=1; b=2; a=3\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"
	r, q, err := request(t, o, false, ask+more)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Sec-Websocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Upgrade": "websocket", "Connection": "Upgrade", "X-Site": "north",
		"Sec-Websocket-Protocol": "mqtt", "Sec-Websocket-Extensions": "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if q.Path != "/any/path" || q.Cookies["a"] != "1" || q.Cookies["b"] != "2" || q.Forwarded.String() != "192.0.2.7" {
		t.Errorf("request %+v", q)
	}
	// Who asks for nothing is told nothing, as the standard has it.
	if r, _, _ := request(t, o, false, ask+"\r\n"); r.Header.Get("Sec-Websocket-Protocol") != "" || r.Header.Get("Sec-Websocket-Extensions") != "" {
		t.Errorf("told unasked: %v", r.Header)
	}
	if _, q, _ := request(t, o, false, ask+"X-Forwarded-For: 192.0.2.7, 192.0.2.8\r\n\r\n"); q.Forwarded.IsValid() {
		t.Errorf("forwarded for %v, of two", q.Forwarded)
	}
}

// open makes a WebSocket. client is the socket of the other side, behind the answer.
func open(t *testing.T, o *Options, more string) (client net.Conn, in *bufio.Reader, c *Conn) {
	t.Helper()
	client, server := pipe(t)
	in, c = openOn(t, o, more, client, server)
	return client, in, c
}

func openOn(t *testing.T, o *Options, more string, client, server net.Conn) (in *bufio.Reader, c *Conn) {
	t.Helper()
	failed := make(chan error, 1)
	go func() {
		var err error
		c, _, err = Upgrade(server, false, o)
		failed <- err
	}()
	if _, err := io.WriteString(client, ask+more+"\r\n"); err != nil {
		t.Fatal(err)
	}
	in = bufio.NewReader(client)
	if _, err := http.ReadResponse(in, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return in, c
}

// watched tells when its deadline is moved far away.
type watched struct {
	net.Conn
	cleared chan struct{}
}

func (w watched) SetReadDeadline(t time.Time) error {
	if time.Until(t) > restOfMessage/2 {
		w.cleared <- struct{}{}
	}
	return w.Conn.SetReadDeadline(t)
}

// masked is a short frame of a client, with a mask that changes nothing.
func masked(first byte, payload string) []byte {
	return append([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
}

// frame reads one of the server: its first byte, and what is in it.
func frame(t *testing.T, r *bufio.Reader) (byte, string) {
	t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	if head[1]&0x80 != 0 {
		t.Fatal("a frame of the server has a mask")
	}
	n := int(head[1])
	for more := map[int]int{126: 2, 127: 8}[n]; more > 0; more-- {
		if n >= 126 && (more == 2 && head[1] == 126 || more == 8) {
			n = 0
		}
		b, err := r.ReadByte()
		if err != nil {
			t.Fatal(err)
		}
		n = n<<8 | int(b)
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(r, p); err != nil {
		t.Fatal(err)
	}
	return head[0], string(p)
}

func TestConn_reads(t *testing.T) {
	client, in, c := open(t, serving(Options{}), "")
	var sent []byte
	sent = append(sent, masked(0x82, "one ")...)
	sent = append(sent, masked(0x81, "two ")...) // text is bytes like others
	sent = append(sent, masked(0x82, "")...)
	sent = append(sent, masked(0x02, "thr")...)
	sent = append(sent, masked(0x89, "are you there")...) // within a message
	sent = append(sent, masked(0x80, "ee")...)
	if _, err := client.Write(sent); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("one two three"))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "one two three" {
		t.Fatalf("%q, %v", got, err)
	}
	if first, text := frame(t, in); first != 0x8a || text != "are you there" {
		t.Errorf("pong %x %q", first, text)
	}
	client.Write(masked(0x88, "\x03\xe8bye"))
	if _, err := c.Read(got); !errors.Is(err, io.EOF) {
		t.Errorf("behind a close frame: %v", err)
	}
	if first, text := frame(t, in); first != 0x88 || !strings.HasPrefix(text, "\x03\xe8") {
		t.Errorf("close %x %q", first, text)
	}
	c.Goodbye(1000, "Client Closed", time.Second) // nothing follows the close frame
	c.Close()
	if b, err := in.ReadByte(); err == nil {
		t.Errorf("a byte %x behind the close frame", b)
	}
}

func TestConn_brokenFrames(t *testing.T) {
	for name, b := range map[string][]byte{
		"no mask":                    {0x82, 1, 'x'},
		"a reserved bit":             masked(0xa2, "x"),
		"compressed without consent": masked(0xc2, "x"),
		"an unknown kind":            masked(0x83, "x"),
		"a continuation of nothing":  masked(0x80, "x"),
		"a control frame in parts":   masked(0x09, "x"),
		"a bad code":                 masked(0x88, "\x00\x01"),
	} {
		t.Run(name, func(t *testing.T) {
			client, _, c := open(t, serving(Options{}), "")
			client.Write(b)
			var broken *FrameError
			if _, err := c.Read(make([]byte, 9)); !errors.As(err, &broken) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A deadline leaves all as it is, between frames and within one. Only what ends the
// connection breaks into one.
func TestConn_deadlines(t *testing.T) {
	client, server := pipe(t)
	cleared := make(chan struct{}, 1)
	_, c := openOn(t, serving(Options{}), "", client, watched{server, cleared})
	p := make([]byte, 9)
	for range 2 {
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	whole := masked(0x82, "hello")
	client.Write(whole[:3])
	got := make(chan string, 1)
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	go func() {
		n, err := c.Read(p)
		if err != nil {
			got <- err.Error()
			return
		}
		got <- string(p[:n])
	}()
	select {
	case text := <-got:
		t.Fatalf("half a frame ended in %q", text)
	case <-cleared: // it was over, and the read goes on
	}
	client.Write(whole[3:])
	if text := <-got; text != "hello" {
		t.Fatal(text)
	}

	client.Write(whole[:4])
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	go func() {
		_, err := c.Read(p)
		got <- err.Error()
	}()
	<-cleared // it waits for the rest
	c.SetReadDeadline(time.Unix(1, 0))
	select {
	case text := <-got:
		if !strings.Contains(text, "timeout") {
			t.Errorf("ended by %q", text)
		}
	case <-time.After(10 * time.Second):
		client.Close()
		t.Errorf("it waits still; the end of the other side ends it: %s", <-got)
	}
}

func TestConn_writes(t *testing.T) {
	_, in, c := open(t, serving(Options{}), "")
	for _, n := range []int{0, 1, 125, 126, 4 << 10, 65535, 65536, 200_000} {
		p := bytes.Repeat([]byte{'x'}, n)
		done := make(chan error, 1)
		go func() {
			_, err := c.Write(p)
			done <- err
		}()
		first, text := frame(t, in)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if first != 0x82 || text != string(p) {
			t.Errorf("%d bytes: %x and %d bytes", n, first, len(text))
		}
	}
	long := strings.Repeat("ä", 100)
	c.Goodbye(1008, long, time.Second)
	if first, text := frame(t, in); first != 0x88 || text != "\x03\xf0"+long[:120]+"..." {
		t.Errorf("close %x %q", first, text)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("written behind the close frame: %v", err)
	}
}

// One message is one frame, compressed if that was agreed and it is not short.
func TestConn_compresses(t *testing.T) {
	o := serving(Options{Compression: true})
	_, in, c := open(t, o, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
	text := strings.Repeat("temperature ", 1000)
	c.Write([]byte(text))
	if first, p := frame(t, in); first != 0xc2 || len(p) > len(text)/4 {
		t.Errorf("%x and %d bytes of %d", first, len(p), len(text))
	}
	c.Write([]byte("short"))
	if first, p := frame(t, in); first != 0x82 || p != "short" {
		t.Errorf("%x %q", first, p)
	}

	// Both ways with a client.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		c, _, err := Upgrade(raw, false, o)
		if err == nil {
			_, err = io.CopyN(c, c, 3*int64(len(text)))
		}
		c.Close()
		done <- err
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+l.Addr().String(), &websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	nc := websocket.NetConn(ctx, ws, websocket.MessageBinary)
	go nc.Write([]byte(text + text + text))
	got := make([]byte, 3*len(text))
	if _, err := io.ReadFull(nc, got); err != nil || string(got) != text+text+text {
		t.Errorf("came back other than sent (%v)", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestConn_writesWithoutAllocating(t *testing.T) {
	client, _, c := open(t, serving(Options{}), "")
	go io.Copy(io.Discard, client)
	p := make([]byte, 8<<10)
	if n := testing.AllocsPerRun(100, func() { c.Write(p) }); n > 0 {
		t.Errorf("%v allocations for a message", n)
	}
}

// A control frame between two messages is no part of one: deadlines go on.
func TestConn_controlBetweenMessages(t *testing.T) {
	client, in, c := open(t, serving(Options{}), "")
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	client.Write(append(masked(0x8a, "unasked"), masked(0x89, "here?")...))
	if _, err := c.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if first, text := frame(t, in); first != 0x8a || text != "here?" {
		t.Errorf("%x %q", first, text)
	}
	// With a mask that changes something.
	client.Write([]byte{0x89, 0x82, 1, 2, 3, 4, 'a' ^ 1, 'b' ^ 2, 0x82, 0x81, 0, 0, 0, 0, 'x'})
	c.SetReadDeadline(time.Time{})
	p := make([]byte, 9)
	if n, err := c.Read(p); err != nil || string(p[:n]) != "x" {
		t.Fatal(n, err)
	}
	if first, text := frame(t, in); first != 0x8a || text != "ab" {
		t.Errorf("%x %q", first, text)
	}
}

// The rest of a message is not waited for for ever by who has a deadline.
func TestConn_restOfMessage(t *testing.T) {
	client, server := pipe(t)
	_, c := openOn(t, serving(Options{}), "", client, server)
	client.Write(masked(0x82, "hello")[:4])
	c.base.inside, c.base.since = true, time.Now().Add(-restOfMessage)
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	p := make([]byte, 9)
	for range 2 { // what had come, and then nothing
		n, err := c.base.Read(p)
		if n > 0 {
			c.base.since = time.Now().Add(-restOfMessage)
			continue
		}
		if !errors.Is(err, errRest) || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
}
