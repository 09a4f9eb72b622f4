package core_test

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/testkit"
)

var twin = flag.String("twin", "", "run the transcripts that need no options against the server at host:port instead")

// TestTranscripts plays the stories in testdata/transcripts over real sockets.
// A line is:
//
//	# comment
//	! key value       option of the server, at the top
//	> text            client 1 sends text and CR LF; "2>" for client 2, and so on
//	>> text           the same without CR LF; \r \n \t \x00 are escapes in both
//	< text            client 1 reads exactly this line; '*' stands for anything
//	< EOF             client 1 reads the end of the connection
//	= 2               client 2 does PING and reads PONG: all before was handled
//
// A client connects when it first appears, and its INFO is read. At the end
// every client that is still there must have nothing more to read.
func TestTranscripts(t *testing.T) {
	testkit.Stories(t, "testdata/transcripts/*.txt", func(t *testing.T, s testkit.Story) {
		if *twin == "" {
			t.Parallel()
		}
		playTranscript(t, s.File, s.Text)
	})
}

type player struct {
	t       *testing.T
	addr    string
	at      string
	clients map[string]*peer
}

type peer struct {
	net.Conn
	r     *bufio.Reader
	ended bool
}

func playTranscript(t *testing.T, file, text string) {
	lines := strings.Split(text, "\n")
	p := &player{t: t, clients: map[string]*peer{}}
	var opts []servertest.Option
	for _, l := range lines {
		if o, ok := strings.CutPrefix(l, "! "); ok {
			opts = append(opts, transcriptOption(t, o))
		}
	}
	switch {
	case *twin == "":
		p.addr = servertest.Start(t, opts...).ClientAddr().String()
	case len(opts) > 0:
		t.Skip("needs options")
	default:
		p.addr = *twin
	}
	for i, l := range lines {
		p.at = fmt.Sprintf("%s:%d", file, i+1)
		p.line(l)
	}
	p.at = file + ": at the end"
	for name, c := range p.clients {
		if !c.ended {
			p.barrier(name)
		}
	}
}

func (p *player) line(l string) {
	p.t.Helper()
	i := strings.IndexAny(l, "#!<>=")
	if l == "" || i < 0 || l[i] == '#' || l[i] == '!' {
		return
	}
	name, rest := l[:i], strings.TrimPrefix(l[i+1:], " ")
	switch {
	case l[i] == '=':
		p.barrier(rest)
	case l[i] == '<':
		p.expect(name, rest)
	case strings.HasPrefix(rest, "> ") || rest == ">":
		p.send(name, strings.TrimPrefix(rest[1:], " "), "")
	default:
		p.send(name, rest, "\r\n")
	}
}

func (p *player) peer(name string) *peer {
	p.t.Helper()
	if name == "" {
		name = "1"
	}
	if c, ok := p.clients[name]; ok {
		return c
	}
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatalf("%s: %v", p.at, err)
	}
	p.t.Cleanup(func() { conn.Close() })
	c := &peer{Conn: conn, r: bufio.NewReader(conn)}
	p.clients[name] = c
	p.expect(name, "INFO {*} ")
	return c
}

func (p *player) send(name, text, end string) {
	p.t.Helper()
	raw, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	if err != nil {
		p.t.Fatalf("%s: %v", p.at, err)
	}
	if _, err := p.peer(name).Write([]byte(raw + end)); err != nil {
		p.t.Fatalf("%s: %v", p.at, err)
	}
}

func (p *player) expect(name, want string) {
	p.t.Helper()
	c := p.peer(name)
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	got, err := c.r.ReadString('\n')
	if err != nil {
		if ne, ok := err.(net.Error); want == "EOF" && got == "" && !(ok && ne.Timeout()) {
			c.ended = true
			return
		}
		p.t.Fatalf("%s: want %q, got %q and %v", p.at, want, got, err)
	}
	got = strings.TrimSuffix(got, "\r\n")
	if got == "PING" && want != "PING" { // one of the server's own, on a slow machine
		p.expect(name, want)
		return
	}
	if ok, err := path.Match(escape(want), strings.ReplaceAll(got, "/", "|")); err != nil || !ok {
		p.t.Fatalf("%s: want %q, got %q", p.at, want, got)
	}
}

// escape leaves '*' as the only wildcard of path.Match.
func escape(s string) string {
	return strings.NewReplacer(`\*`, `\*`, "[", `\[`, "?", `\?`, "/", "|").Replace(s)
}

func (p *player) barrier(name string) {
	p.t.Helper()
	c := p.peer(name)
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		p.t.Fatalf("%s: %v", p.at, err)
	}
	p.expect(name, "PONG")
}

func transcriptOption(t *testing.T, text string) servertest.Option {
	t.Helper()
	key, value, _ := strings.Cut(text, " ")
	number := func() int {
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatalf("option %s: %v", key, err)
		}
		return n
	}
	return servertest.With(func(o *config.Options) {
		switch key {
		case "max_payload":
			o.MaxPayload = number()
		case "max_control_line":
			o.MaxControlLine = number()
		case "max_connections":
			o.MaxConns = number()
		case "max_subscriptions":
			o.MaxSubs = number()
		case "max_subscription_tokens":
			o.MaxSubTokens = number()
		case "token":
			o.Auth.Token = value
		case "no_auth_user":
			o.NoAuthUser = value
		case "user": // name password
			name, password, _ := strings.Cut(value, " ")
			o.Auth.Users = append(o.Auth.Users, config.User{User: name, Password: password, Permissions: &config.Permissions{}})
		case "publish", "deny_publish", "subscribe", "deny_subscribe": // of the user before
			setPermission(o.Auth.Users[len(o.Auth.Users)-1].Permissions, key, strings.Split(value, ", "))
		case "allow_responses":
			o.Auth.Users[len(o.Auth.Users)-1].Permissions.Responses = &config.Responses{Max: number(), Expires: time.Minute}
		case "auth_timeout":
			d, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			o.Auth.Timeout = d
		case "ping_interval":
			d, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			o.PingInterval = d
		default:
			t.Fatalf("unknown option %q", key)
		}
	})
}

func setPermission(p *config.Permissions, key string, subjects []string) {
	if p.Publish == nil {
		p.Publish = &config.Rules{}
	}
	if p.Subscribe == nil {
		p.Subscribe = &config.Rules{}
	}
	switch key {
	case "publish":
		p.Publish.Allow = subjects
	case "deny_publish":
		p.Publish.Deny = subjects
	case "subscribe":
		p.Subscribe.Allow = subjects
	case "deny_subscribe":
		p.Subscribe.Deny = subjects
	}
}
