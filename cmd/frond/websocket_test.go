//go:build !lite

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/mqtt"
)

// mqttOverWeb opens a WebSocket for MQTT, and says what it takes for CONNECT.
func mqttOverWeb(t *testing.T, s *core.Server, path string, header http.Header) (net.Conn, *websocket.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	dialer := &http.Transport{}
	ws, _, err := websocket.Dial(ctx, "ws://"+s.WebSocketAddr().String()+path, &websocket.DialOptions{
		Subprotocols: []string{"mqtt"}, HTTPHeader: header, HTTPClient: &http.Client{Transport: dialer},
	})
	t.Cleanup(func() {
		if ws != nil {
			ws.CloseNow()
		}
		dialer.CloseIdleConnections()
		cancel()
	})
	if err != nil {
		return nil, nil, err
	}
	if ws.Subprotocol() != "mqtt" {
		t.Errorf("subprotocol %q", ws.Subprotocol())
	}
	return websocket.NetConn(ctx, ws, websocket.MessageBinary), ws, nil
}

// connectText is CONNECT of MQTT 3.1.1 with a user, if there is one.
func connectText(id, user, password, keepAlive string) string {
	flags, more := "\x02", mqttText(id)
	if user != "" {
		flags, more = "\xc2", more+mqttText(user)+mqttText(password)
	}
	body := mqttText("MQTT") + "\x04" + flags + keepAlive + more
	return "\x10" + string([]byte{byte(len(body))}) + body
}

func mustRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("% x, want % x (%v)", got, want, err)
	}
}

const noKeepAlive = "\x00\x00"

// MQTT is spoken at the path /mqtt, whatever is in front of it, by the users of the MQTT
// port, and packets are cut anywhere.
func TestMQTT_overWebSocket(t *testing.T) {
	s := serverOf(t, `
		jetstream { store_dir: "`+t.TempDir()+`" }
		authorization { users [ {user: ann, password: p}, {user: web, password: p, allowed_connection_types: [MQTT_WS]} ] }
		http: "127.0.0.1:-1"
		mqtt { listen: "127.0.0.1:-1" }
		websocket { listen: "127.0.0.1:-1", no_tls: true, user_cookie: u, pass_cookie: p }`, mqtt.New())
	c, ws, err := mqttOverWeb(t, s, "/behind/a/proxy/mqtt", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []byte(connectText("one", "web", "p", noKeepAlive)) {
		c.Write([]byte{b})
	}
	mustRead(t, c, "\x20\x02\x00\x00")
	c.Write([]byte("\x82\x08\x00\x01" + mqttText("a/b") + "\x01"))
	mustRead(t, c, "\x90\x03\x00\x01\x01")

	// By cookies, and QoS 1 between two of them.
	d, _, err := mqttOverWeb(t, s, "/mqtt", http.Header{"Cookie": {"u=ann; p=p"}})
	if err != nil {
		t.Fatal(err)
	}
	d.Write([]byte(connectText("two", "", "", noKeepAlive)))
	mustRead(t, d, "\x20\x02\x00\x00")
	d.Write([]byte("\x32\x09" + mqttText("a/b") + "\x00\x07hi"))
	mustRead(t, d, "\x40\x02\x00\x07")
	mustRead(t, c, "\x32\x09"+mqttText("a/b")+"\x00\x01hi")

	z, err := s.Connz(&monitor.ConnzOptions{})
	if err != nil || len(z.Conns) != 2 {
		t.Fatal(z, err)
	}
	for _, i := range z.Conns {
		if i.Type != monitor.TypeMQTT || i.IP != "127.0.0.1" {
			t.Errorf("connz %+v", i)
		}
	}
	servertest.Stop(t, s)
	_, _, err = ws.Read(context.Background())
	if websocket.CloseStatus(err) != websocket.StatusGoingAway && websocket.CloseStatus(err) != -1 {
		t.Errorf("a stop is told as %v", err)
	}
}

func TestMQTT_overWebSocketRefused(t *testing.T) {
	conf := `
		jetstream { store_dir: "` + t.TempDir() + `" }
		authorization { users [ {user: dev, password: p, allowed_connection_types: [MQTT]} ] }
		websocket { listen: "127.0.0.1:-1", no_tls: true }
`
	s := serverOf(t, conf+`mqtt { listen: "127.0.0.1:-1" }`, mqtt.New())
	c, ws, err := mqttOverWeb(t, s, "/mqtt", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte(connectText("one", "dev", "p", noKeepAlive))) // of the port alone
	mustRead(t, c, "\x20\x02\x00\x05")
	if _, _, err := ws.Read(context.Background()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("closed by %v", err)
	}
	servertest.Stop(t, s)

	off := serverOf(t, conf, mqtt.New())
	if _, _, err := mqttOverWeb(t, off, "/mqtt", nil); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("without the block: %v", err)
	}
}

// Keep alive holds between frames, whatever of a WebSocket comes meanwhile, and ends a
// client that is silent.
func TestMQTT_overWebSocketKeepsAlive(t *testing.T) {
	s := serverOf(t, `
		jetstream { store_dir: "`+t.TempDir()+`" }
		mqtt { listen: "127.0.0.1:-1" }
		websocket { listen: "127.0.0.1:-1", no_tls: true }`, mqtt.New())
	c, ws, err := mqttOverWeb(t, s, "/mqtt", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte(connectText("one", "", "", "\x00\x01")))
	mustRead(t, c, "\x20\x02\x00\x00")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	go ws.Ping(ctx) // which is no sign of life in MQTT
	_, _, err = ws.Read(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Error("a silent client is kept")
	}
}
