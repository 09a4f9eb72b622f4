package core_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

// ownLogger writes into log as frond does, at the default level.
func ownLogger(log *testkit.Log) *slog.Logger { return slog.New(core.NewLog(log, &config.Log{})) }

func matches(t *testing.T, pattern, text string) bool {
	t.Helper()
	ok, err := regexp.MatchString(pattern, text)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// TestRefused looks at the log for whoever was refused something or was cut
// off: it must say who, at the default level, in a line of bounded length.
func TestRefused(t *testing.T) {
	hello := func(options string) string { return `CONNECT {"verbose":false,"name":"pump"` + options + "}\r\n" }
	in := hello(`,"user":"dev7","pass":"pw"`)
	long := strings.Repeat("u", 3000)
	for _, c := range []struct {
		name, send, text string
		user             string // in the line; "" when nobody knows it
	}{
		{"a wrong password", hello(`,"user":"dev7","pass":"x"`), `authentication error`, "dev7"},
		{"a user nobody knows", hello(`,"user":"` + long + `","pass":"x"`), `unknown user`, `"uuu`},
		{"an nkey nobody knows", hello(`,"nkey":"UABC","sig":"x"`), `unknown nkey`, "UABC"},
		{"a token", hello(`,"auth_token":"s3cret"`), `authentication error`, ""},
		{"no CONNECT", "PING\r\n", `err="no CONNECT"`, ""},
		{"a CONNECT that is no JSON", "CONNECT {x}\r\n", "Protocol Violation", ""},
		{"an account", hello(`,"user":"dev7","pass":"pw","account":"A"`), "account and new_account are not supported", "dev7"},
		{"a protocol of the future", hello(`,"user":"dev7","pass":"pw","protocol":9`), "invalid client protocol", "dev7"},
		{"publishing where it may not", in + "PUB no 0\r\n\r\n", `publish violation .*subject=no `, "dev7"},
		{"subscribing where it may not", in + "SUB no q 1\r\n", `subscription violation .*subject=no queue=q `, "dev7"},
		{"a reply of servers", in + "PUB ok.a $JS.ACK.x 0\r\n\r\n", "Publish with Reply", "dev7"},
		{"too many subscriptions", in + "SUB ok.1 1\r\nSUB ok.2 2\r\nSUB ok.3 3\r\n", "maximum subscriptions exceeded", "dev7"},
		{"an invalid subject", in + "SUB ok..1 1\r\n", "Invalid Subject", "dev7"},
		{"a verb nobody knows", in + "HELLO\r\n", "Unknown Protocol Operation", "dev7"},
		{"a line that is too long", in + "PUB " + strings.Repeat("a", 9000) + " 0\r\n", "Maximum Control Line Exceeded", "dev7"},
		{"a message that is too big", in + "PUB ok.a 5000\r\n", "Maximum Message Payload Exceeded", "dev7"},
		{"bytes that forge a line", hello(`,"user":"dev7\n[1] [INF] ok","pass":"x"`), `user="dev7\\n`, "dev7"},
		{"silence", "", "Authentication Timeout", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var d testkit.Log
			s := servertest.Start(t, servertest.Logger(ownLogger(&d)), servertest.With(func(o *config.Options) {
				o.Auth.Users = []config.User{{User: "dev7", Password: "pw", Permissions: &config.Permissions{
					Publish: &config.Rules{Allow: []string{"ok.>"}}, Subscribe: &config.Rules{Allow: []string{"ok.>"}},
				}}}
				o.MaxSubs, o.MaxPayload = 2, 1024
				if c.send == "" {
					o.Auth.Timeout = 50 * time.Millisecond
				}
			}))
			n := servertest.Dial(t, s)
			io.WriteString(n, c.send)
			servertest.Eventually(t, "a line in the log", func() bool { return strings.Contains(d.String(), "[ERR]") })
			n.Close()
			servertest.Eventually(t, "the connection has gone", func() bool { return len(s.ClosedReasons()) == 1 })
			var lines []string
			for l := range strings.Lines(d.String()) {
				if strings.Contains(l, "[ERR]") || strings.Contains(l, "[WRN]") {
					lines = append(lines, l)
				}
			}
			want := fmt.Sprintf("kind=client conn=1 remote=%s", n.LocalAddr())
			if len(lines) != 1 || len(lines[0]) > 1024 || !strings.Contains(lines[0], want) || !matches(t, c.text, lines[0]) ||
				c.user != "" && !strings.Contains(lines[0], "user="+c.user) && !strings.Contains(lines[0], `user="`+c.user) ||
				strings.Contains(lines[0], "s3cret") {
				t.Errorf("want one line with %q, user %q and %q; got\n%s", want, c.user, c.text, strings.Join(lines, ""))
			}
		})
	}
}

func TestRefused_tooManyConnections(t *testing.T) {
	var d testkit.Log
	s := servertest.Start(t, servertest.Logger(ownLogger(&d)), servertest.With(func(o *config.Options) { o.MaxConns = 1 }))
	connect(t, s, "")
	n := servertest.Dial(t, s)
	io.Copy(io.Discard, n)
	servertest.Eventually(t, "a line in the log", func() bool {
		return matches(t, `\[ERR\] Client connection closed: Maximum Connections Exceeded .*remote=`+n.LocalAddr().String(), d.String())
	})
}

// There is room again for as many as have left, and for no more.
func TestRefused_untilOneLeaves(t *testing.T) {
	s := servertest.Start(t, servertest.With(func(o *config.Options) { o.MaxConns = 2 }))
	refused := 0
	full := func() {
		t.Helper()
		for range 3 {
			c := servertest.Dial(t, s)
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			said, _ := io.ReadAll(c)
			c.Close()
			refused++
			servertest.Eventually(t, "the server to forget it", func() bool {
				n := 0
				for _, why := range s.ClosedReasons() {
					if why == wire.ReasonConnections.String() {
						n++
					}
				}
				return n >= refused
			})
			if !strings.Contains(string(said), "maximum connections exceeded") {
				t.Fatalf("one more got %q", said)
			}
		}
	}
	stay, leave := connect(t, s, ""), connect(t, s, "")
	for range 3 {
		full()
		leave.Close()
		servertest.Eventually(t, "room for another", func() bool {
			c := &conn{Conn: servertest.Dial(t, s), t: t}
			c.r = bufio.NewReader(c.Conn)
			// May be refused already.
			_, _ = io.WriteString(c.Conn, "CONNECT {\"verbose\":false}\r\nPING\r\n")
			for {
				switch l, err := c.r.ReadString('\n'); {
				case err != nil || strings.HasPrefix(l, "-ERR"):
					return false
				case l == "PONG\r\n":
					leave = c
					return true
				}
			}
		})
	}
	full()
	stay.barrier()
}

func TestRefused_byMonitoring(t *testing.T) {
	var d testkit.Log
	s := servertest.Start(t, servertest.Logger(ownLogger(&d)), servertest.With(func(o *config.Options) { o.HTTPHost, o.HTTPPort = "127.0.0.1", -1 }))
	n, err := net.Dial("tcp", s.MonitorAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	io.WriteString(n, "HELLO\r\n\r\n")
	io.Copy(io.Discard, n)
	want := fmt.Sprintf("[WRN] HTTP request refused kind=http conn=1 remote=%s err=", n.LocalAddr())
	if !strings.Contains(d.String(), want) {
		t.Errorf("logged %q, want %q", d.String(), want)
	}
}
