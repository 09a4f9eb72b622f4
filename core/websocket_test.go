//go:build !lite

package core_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/testkit"
)

const webPort = "websocket { listen: \"127.0.0.1:-1\", no_tls: true, %s }\n"

func withWebSocket(t *testing.T, more, top string) *core.Server {
	t.Helper()
	return servertest.Start(t, configured(t, fmt.Sprintf(webPort, more)+top))
}

// web is a client over a WebSocket.
type web struct {
	t    *testing.T
	ws   *websocket.Conn
	ctx  context.Context
	have string
	code websocket.StatusCode // once it was closed
	why  string
}

func dialWeb(t *testing.T, s *core.Server, header http.Header) (*web, error) {
	t.Helper()
	return dialURL(t, "ws://"+s.WebSocketAddr().String(), header, nil)
}

func dialURL(t *testing.T, url string, header http.Header, tc *tls.Config) (*web, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	transport := &http.Transport{TLSClientConfig: tc}
	ws, r, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: header, HTTPClient: &http.Client{Transport: transport}})
	t.Cleanup(func() {
		if ws != nil {
			ws.CloseNow()
		}
		transport.CloseIdleConnections()
		cancel()
	})
	if err != nil {
		if r != nil {
			return nil, fmt.Errorf("status %d: %w", r.StatusCode, err)
		}
		return nil, err
	}
	ws.SetReadLimit(-1)
	return &web{t: t, ws: ws, ctx: ctx}, nil
}

func mustDialWeb(t *testing.T, s *core.Server, header http.Header) *web {
	t.Helper()
	w, err := dialWeb(t, s, header)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *web) send(text string) {
	w.t.Helper()
	if err := w.ws.Write(w.ctx, websocket.MessageText, []byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

// line is the next one, and "" when the server has closed.
func (w *web) line() string {
	w.t.Helper()
	for {
		if line, rest, ok := strings.Cut(w.have, "\r\n"); ok {
			w.have = rest
			return line
		}
		_, b, err := w.ws.Read(w.ctx)
		if err != nil {
			var closed websocket.CloseError
			if w.code = websocket.CloseStatus(err); w.code == -1 {
				w.t.Fatalf("not closed as a WebSocket is: %v", err)
			}
			if errors.As(err, &closed) {
				w.why = closed.Reason
			}
			return ""
		}
		w.have += string(b)
	}
}

func (w *web) expect(want string) {
	w.t.Helper()
	if got := w.line(); got != want {
		w.t.Fatalf("%q, want %q", got, want)
	}
}

// login sends CONNECT and waits until it was taken.
func (w *web) login(fields string) *web {
	w.t.Helper()
	if line := w.line(); !strings.HasPrefix(line, "INFO {") {
		w.t.Fatalf("%q is no INFO", line)
	}
	w.send(`CONNECT {"verbose":false` + fields + "}\r\nPING\r\n")
	w.expect("PONG")
	return w
}

// closed waits for the end.
func (w *web) closed(code websocket.StatusCode, why string) {
	w.t.Helper()
	for w.line() != "" {
	}
	if w.code != code || w.why != why {
		w.t.Fatalf("closed with %d %q, want %d %q", w.code, w.why, code, why)
	}
}

func TestWebSocket(t *testing.T) {
	s := withWebSocket(t, `compression: true`, `http: "127.0.0.1:-1"`)
	w := mustDialWeb(t, s, nil)
	line := w.line()
	port := fmt.Sprintf(`"port":%d`, s.WebSocketAddr().(*net.TCPAddr).Port)
	if !strings.Contains(line, port) || strings.Contains(line, "tls_required") {
		t.Errorf("INFO without %s, or with TLS: %s", port, line)
	}
	w.send("CONNECT {\"verbose\":false,\"name\":\"page\"}\r\nSUB a.* 1\r\nPING\r\n")
	w.expect("PONG")
	c := connect(t, s, "")
	c.send("SUB b 2\r\nPUB a.b 5\r\nhello\r\n")
	w.expect("MSG a.b 1 5")
	w.expect("hello")
	w.send("PU") // frames cut a line anywhere
	w.send("B b 2\r\n")
	w.send("hi\r\n")
	c.expect("MSG b 2 2")
	c.expect("hi")
	large := strings.Repeat("x", 900_000)
	c.send("PUB a.c 900000\r\n" + large + "\r\n")
	w.expect("MSG a.c 1 900000")
	w.expect(large)

	z := mustGet[monitor.Connz](t, s, "/connz")
	types := map[string]int{}
	for _, i := range z.Conns {
		types[i.Type]++
		if i.Type == monitor.TypeWebsocket && (i.Name != "page" || i.IP != "127.0.0.1" || i.Port == 0) {
			t.Errorf("connz %+v", i)
		}
	}
	if types[monitor.TypeWebsocket] != 1 || types[monitor.TypeNATS] != 1 {
		t.Errorf("types %v", types)
	}
	if v := mustGet[monitor.Varz](t, s, "/varz").Websocket; v.Port != s.WebSocketAddr().(*net.TCPAddr).Port || !v.NoTLS || !v.Compression {
		t.Errorf("varz %+v", v)
	}
	w.ws.Close(websocket.StatusNormalClosure, "")
	servertest.Eventually(t, "it has gone", func() bool { return len(s.ClosedReasons()) == 1 })
	if why := s.ClosedReasons()[0]; why != "Client Closed" {
		t.Errorf("closed by %q", why)
	}
}

// Each way to be ended has a code of its own.
func TestWebSocket_closeCodes(t *testing.T) {
	users := "authorization: {users: [{user: ann, password: x}]}\n"
	for _, tt := range []struct {
		name, more, top string
		do              func(s *core.Server, w *web)
		said            string
		code            websocket.StatusCode
		why             string
	}{
		{"kicked", "", "", func(s *core.Server, _ *web) { s.Modules().Connections().KickAll("", "") }, "", 1011, "Kicked"},
		{"unknown verb", "", "", func(_ *core.Server, w *web) { w.send("NONSENSE\r\n") }, "-ERR 'Unknown Protocol Operation'", 1002, "Protocol Violation"},
		{"too large", "", "", func(_ *core.Server, w *web) { w.send("PUB a 9999999\r\n") }, "-ERR 'Maximum Payload Violation'", 1009, "Maximum Message Payload Exceeded"},
		{"long line", "", "", func(_ *core.Server, w *web) { w.send("SUB " + strings.Repeat("a", 5000)) }, "-ERR 'maximum control line exceeded'", 1008, "Maximum Control Line Exceeded"},
		{"stop", "", "", func(s *core.Server, _ *web) { servertest.Stop(t, s) }, "", 1001, "Server Shutdown"},
		{"wrong password", "", users, nil, "-ERR 'Authorization Violation'", 1008, "Authentication Failure"},
		{"says nothing", "authorization: {user: u, password: p, timeout: \"50ms\"}", "", func(*core.Server, *web) {}, "-ERR 'Authentication Timeout'", 1008, "Authentication Timeout"},
		{"too many", "", "max_connections: -1", func(*core.Server, *web) {}, "-ERR 'maximum connections exceeded'", 1008, "Maximum Connections Exceeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := withWebSocket(t, tt.more, tt.top)
			w := mustDialWeb(t, s, nil)
			switch {
			case tt.do == nil:
				w.line()
				w.send(`CONNECT {"user":"ann","pass":"y"}` + "\r\n")
			case tt.name == "says nothing" || tt.name == "too many":
				w.line()
			default:
				w.login("")
			}
			if tt.do != nil {
				tt.do(s, w)
			}
			if tt.said != "" {
				w.expect(tt.said)
			}
			w.closed(tt.code, tt.why)
		})
	}
}

func TestWebSocket_whoComesIn(t *testing.T) {
	const users = `authorization: {users: [
		{user: ann, password: x}
		{user: page, password: x, allowed_connection_types: [WEBSOCKET]}
		{user: device, password: x, allowed_connection_types: [STANDARD]}]}
`
	cookie := func(text string) http.Header { return http.Header{"Cookie": {text}} }
	for _, tt := range []struct {
		name, more, top string
		header          http.Header
		connect         string
		user            string // "": refused
	}{
		{"a user", "", users, nil, `,"user":"ann","pass":"x"`, "ann"},
		{"of this door", "", users, nil, `,"user":"page","pass":"x"`, "page"},
		{"of another door", "", users, nil, `,"user":"device","pass":"x"`, ""},
		{"nobody", "", users, nil, "", ""},
		{"a stand-in", "no_auth_user: ann", users, nil, "", "ann"},
		{"cookies", "user_cookie: u, pass_cookie: p", users, cookie("u=ann; p=x"), "", "ann"},
		{"wrong cookies", "user_cookie: u, pass_cookie: p", users, cookie("u=ann; p=y"), "", ""},
		{"cookies that nobody asked for", "", users, cookie("u=ann; p=x"), "", ""},
		{"what is said goes before cookies", "user_cookie: u, pass_cookie: p", users, cookie("u=ann; p=x"), `,"user":"page","pass":"x"`, "page"},
		{"a token of its own", "authorization: {token: t}", "", nil, `,"auth_token":"t"`, "[REDACTED]"},
		{"a token in a cookie", "authorization: {token: t}, token_cookie: k", "", cookie("k=t"), "", "[REDACTED]"},
		{"no token", "authorization: {token: t}", "", nil, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := withWebSocket(t, tt.more, tt.top+"http: \"127.0.0.1:-1\"\n")
			w := mustDialWeb(t, s, tt.header)
			if line := w.line(); strings.Contains(line, `"auth_required":true`) == (tt.name == "a stand-in") {
				t.Errorf("INFO %s", line)
			}
			w.send(`CONNECT {"verbose":false` + tt.connect + "}\r\nPING\r\n")
			if tt.user == "" {
				w.expect("-ERR 'Authorization Violation'")
				w.closed(1008, "Authentication Failure")
				return
			}
			w.expect("PONG")
			if z := mustGet[monitor.Connz](t, s, "/connz?auth=1"); len(z.Conns) != 1 || z.Conns[0].AuthorizedUser != tt.user {
				t.Errorf("connz %+v", z.Conns)
			}
		})
	}
	t.Run("the client port is another door", func(t *testing.T) {
		s := withWebSocket(t, "authorization: {token: t}", "")
		connect(t, s, "")
	})
}

func TestWebSocket_pagesOfOthers(t *testing.T) {
	s := withWebSocket(t, `same_origin: true, headers: {X-Site: north}`, "")
	if _, err := dialWeb(t, s, http.Header{"Origin": {"https://evil.example"}}); err == nil || !strings.Contains(err.Error(), "status 403") {
		t.Errorf("a page of another host: %v", err)
	}
	mustDialWeb(t, s, http.Header{"Origin": {"http://" + s.WebSocketAddr().String()}}).login("")
	if _, err := dialURL(t, "ws://"+s.WebSocketAddr().String()+"/leafnode", nil, nil); err == nil || !strings.Contains(err.Error(), "status 404") {
		t.Errorf("a leaf link: %v", err)
	}
	// Without the module it is a path like others.
	if _, err := dialURL(t, "ws://"+s.WebSocketAddr().String()+"/a/mqtt", nil, nil); err != nil {
		t.Error(err)
	}
}

func TestWebSocket_TLSAndReload(t *testing.T) {
	block := func(cert, key, more string) string {
		return fmt.Sprintf("websocket { listen: \"127.0.0.1:-1\", tls: {cert_file: %q, key_file: %q, timeout: 20}, %s }\n", cert, key, more)
	}
	cert, key, roots := mustCertificate(t)
	s := servertest.Start(t, configured(t, block(cert, key, "")))
	url := "wss://" + s.WebSocketAddr().String()
	old, err := dialURL(t, url, nil, &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	if line := old.line(); !strings.Contains(line, `"tls_required":true`) {
		t.Errorf("INFO %s", line)
	}
	old.send("CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPING\r\n")
	old.expect("PONG")

	// Another certificate, and another rule for pages: for who comes from now on.
	cert2, key2, roots2 := mustCertificate(t)
	mustReload(t, s, block(cert2, key2, "same_origin: true"))
	if _, err := dialURL(t, url, nil, &tls.Config{RootCAs: roots}); err == nil {
		t.Error("the old certificate is shown still")
	}
	fresh, err := dialURL(t, url, nil, &tls.Config{RootCAs: roots2})
	if err != nil {
		t.Fatal(err)
	}
	fresh.login("")
	if _, err := dialURL(t, url, http.Header{"Origin": {"https://evil.example"}}, &tls.Config{RootCAs: roots2}); err == nil {
		t.Error("a page of another host comes in behind the reload")
	}
	fresh.send("PUB a 4\r\nstay\r\n")
	old.expect("MSG a 1 4")
	old.expect("stay")

	// The port itself stays.
	if _, err := reload(t, s, ""); err == nil || !strings.Contains(err.Error(), "websocket") {
		t.Errorf("a reload without the listener: %v", err)
	}
}

// A reload finds clients of this door by this door's users.
func TestWebSocket_usersGone(t *testing.T) {
	block := func(token string) string { return fmt.Sprintf(webPort, "authorization: {token: "+token+"}") }
	s := servertest.Start(t, configured(t, block("one")))
	w := mustDialWeb(t, s, nil).login(`,"auth_token":"one"`)
	plain := connect(t, s, "")
	mustReload(t, s, block("two"))
	w.expect("-ERR 'Authorization Violation'")
	w.closed(1008, "Authentication Failure")
	plain.send("PING\r\n")
	plain.expect("PONG")
}

// Who does not come to an end with the request is not waited for.
func TestWebSocket_halfRequests(t *testing.T) {
	s := withWebSocket(t, `handshake_timeout: "50ms"`, "")
	half, err := net.Dial("tcp", s.WebSocketAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	io.WriteString(half, "GET / HTTP/1.1\r\nHost: x\r\n")
	half.SetReadDeadline(time.Now().Add(20 * time.Second))
	if b, err := io.ReadAll(half); err != nil || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}

	// And a stop does not wait for those that could go on.
	slow := withWebSocket(t, `handshake_timeout: "10m"`, "")
	c, err := net.Dial("tcp", slow.WebSocketAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\n")
	servertest.Stop(t, slow)
}

// The log says whom a proxy has a connection from, beside the proxy.
func TestWebSocket_forwarded(t *testing.T) {
	for name, want := range map[string]string{"192.0.2.7": " forwarded_for=192.0.2.7", "192.0.2.7, 192.0.2.8": "", "": ""} {
		var d testkit.Log
		s := servertest.Start(t, servertest.Logger(ownLogger(&d)), configured(t, fmt.Sprintf(webPort, "")))
		w := mustDialWeb(t, s, http.Header{"X-Forwarded-For": {name}}).login("")
		w.send("NONSENSE\r\n")
		w.expect("-ERR 'Unknown Protocol Operation'")
		servertest.Eventually(t, "a line in the log", func() bool { return strings.Contains(d.String(), "[ERR]") })
		if text := d.String(); want != "" && !strings.Contains(text, want) || want == "" && strings.Contains(text, "forwarded_for") {
			t.Errorf("%q: %s", name, text)
		}
	}
}

func TestWebSocket_portsFile(t *testing.T) {
	dir := t.TempDir()
	s := withWebSocket(t, "", fmt.Sprintf("ports_file_dir: %q\n", dir))
	files, err := filepath.Glob(filepath.Join(dir, "*.ports"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if want := `"websocket":["ws://` + s.WebSocketAddr().String() + `"]`; !strings.Contains(string(b), want) {
		t.Errorf("%s without %s", b, want)
	}
}
