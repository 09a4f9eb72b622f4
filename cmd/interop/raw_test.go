package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// TestRaw plays the scripts in testdata/raw. A script is a text file:
//
//	# comment               ("# jetstream" in the first line switches it on)
//	#! option               a line of the server's configuration
//	#~ field field          JSON fields of which only the presence is compared
//	#- field field          JSON fields that are not compared
//	A> SUB foo 1            connection A sends the line (CR LF is added)
//	A> "PUB foo 2\r\nok\r\n"  sends exactly these bytes (Go syntax)
//	A> SEND subject reply | Key: value | payload
//	                        publishes; reply and headers may be left out
//	A> PING                 a fence: reads until the PONG
//	A> REQ subject | Key: value | payload
//	                        publishes with a reply subject and headers, and
//	                        reads until the reply is there
//	A> ANSWER | Key: value | payload
//	                        publishes to the reply subject of the last message
//	                        that A has read
//	A> NEXT 3               reads until 3 more messages are there
//	A> EOF                  reads until the server closes the connection
//	A< PONG                 what A received at a fence
//
// <id> in a line that is sent is the id of the server, <cid> that of the connection.
//
// Lines with < are recorded from the stock server (-rewrite) and compared with
// what the server under test sends. Ids, times and versions are replaced by
// their names. The order of several deliveries of one message to one
// connection means nothing, so they are sorted. PINGs of the server are
// answered and left out.
func TestRaw(t *testing.T) {
	files, err := filepath.Glob("testdata/raw/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			eachServer(t, func(t *testing.T, kind peers.Kind) { playFile(t, kind, file) })
		})
	}
}

func playFile(t *testing.T, kind peers.Kind, file string) {
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var extra string
	for line := range strings.Lines(string(want)) {
		if option, ok := strings.CutPrefix(line, "#! "); ok {
			extra += option
		}
	}
	s := start(t, kind, peers.Config{Name: "raw", JetStream: bytes.HasPrefix(want, []byte("# jetstream\n")), Extra: "max_payload: 65536\n" + extra})
	p := &player{t: t, addr: s.ClientAddr(), conns: map[string]*rawConn{}, masked: map[string]bool{}, left: map[string]bool{}}
	for line := range strings.Lines(string(want)) {
		for prefix, set := range map[string]map[string]bool{"#~ ": p.masked, "#- ": p.left} {
			if names, ok := strings.CutPrefix(line, prefix); ok {
				for _, name := range strings.Fields(names) {
					set[name] = true
				}
			}
		}
	}
	for i, line := range strings.Split(strings.TrimSuffix(string(want), "\n"), "\n") {
		p.play(i+1, line)
	}
	for _, c := range p.conns {
		c.Close()
	}
	got := p.out.String()
	if kind == peers.StockKind && *rewriteFlag {
		ok(t, os.WriteFile(file, []byte(got), 0o644))
		return
	}
	if d := difference(string(want), got); d != "" {
		t.Errorf("%s differs from what the stock server sends (- stock, + %s):\n%s", file, kind, d)
	}
}

// player runs a script and writes it anew with what the server sends.
type player struct {
	t     *testing.T
	addr  string
	conns map[string]*rawConn
	out   bytes.Buffer
	id    string // of the server

	masked, left map[string]bool // JSON fields, see TestRaw
}

type rawConn struct {
	net.Conn
	r        *bufio.Reader
	requests int
	reply    string // of the last message
	cid      string
	dead     bool
}

var scriptLine = regexp.MustCompile(`^([A-Z])([<>])\s?(.*)$`)

func (p *player) play(n int, line string) {
	p.t.Helper()
	m := scriptLine.FindStringSubmatch(line)
	if m == nil {
		if line != "" && line[0] != '#' {
			p.t.Fatalf("line %d: %q is neither a comment nor a step", n, line)
		}
		fmt.Fprintln(&p.out, line)
		return
	}
	if m[2] == "<" {
		return // recorded anew
	}
	name, text := m[1], m[3]
	fmt.Fprintln(&p.out, line)
	c := p.conns[name]
	if c == nil {
		c = p.open(name)
	}
	text = strings.NewReplacer("<id>", p.id, "<cid>", c.cid).Replace(text)
	verb, rest, _ := strings.Cut(text, " ")
	switch {
	case text == "EOF":
		p.read(name, c, func(string) bool { return false })
	case text == "PING":
		p.send(c, "PING\r\n")
		p.read(name, c, func(l string) bool { return l == "PONG" })
	case verb == "REQ":
		p.request(name, c, rest)
	case verb == "ANSWER":
		p.publish(c, c.reply+" "+rest, "")
	case verb == "SEND":
		p.publish(c, rest, "")
	case verb == "NEXT":
		count, err := strconv.Atoi(rest)
		ok(p.t, err)
		p.read(name, c, func(l string) bool {
			if strings.HasPrefix(l, "MSG ") || strings.HasPrefix(l, "HMSG ") {
				count--
			}
			return count == 0
		})
	case strings.HasPrefix(text, `"`):
		raw, err := strconv.Unquote(text)
		if err != nil {
			p.t.Fatalf("line %d: %v", n, err)
		}
		p.send(c, raw)
	default:
		p.send(c, text+"\r\n")
	}
}

func (p *player) open(name string) *rawConn {
	p.t.Helper()
	nc, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	c := &rawConn{Conn: nc, r: bufio.NewReader(nc)}
	p.conns[name] = c
	p.read(name, c, func(l string) bool { return strings.HasPrefix(l, "INFO") })
	return c
}

// send ignores errors: a script may write to a connection that the server has
// closed, and sees it at the next fence.
func (p *player) send(c *rawConn, text string) { _, _ = io.WriteString(c, text) }

func (p *player) request(name string, c *rawConn, rest string) {
	c.requests++
	if c.requests == 1 {
		p.send(c, fmt.Sprintf("SUB _INBOX.%s.* inbox\r\n", name))
	}
	p.publish(c, rest, fmt.Sprintf(" _INBOX.%s.%d", name, c.requests))
	p.read(name, c, func(l string) bool {
		f := strings.Fields(l)
		return len(f) > 3 && strings.HasSuffix(f[0], "MSG") && f[2] == "inbox"
	})
}

// publish sends "subject | Key: value | payload" as PUB or HPUB; the headers
// may be left out, reply is appended to the subject.
func (p *player) publish(c *rawConn, text, reply string) {
	parts := strings.Split(text, " | ")
	subject, payload, head := parts[0]+reply, "", ""
	if len(parts) > 1 {
		payload = parts[len(parts)-1]
		for _, h := range parts[1 : len(parts)-1] {
			head += h + "\r\n"
		}
	}
	if head == "" {
		p.send(c, fmt.Sprintf("PUB %s %d\r\n%s\r\n", subject, len(payload), payload))
		return
	}
	head = "NATS/1.0\r\n" + head + "\r\n"
	p.send(c, fmt.Sprintf("HPUB %s %d %d\r\n%s%s\r\n", subject, len(head), len(head)+len(payload), head, payload))
}

// read records what arrives until a line satisfies last, the server closes
// the connection, or nothing comes for ten seconds.
func (p *player) read(name string, c *rawConn, last func(string) bool) {
	p.t.Helper()
	if c.dead {
		fmt.Fprintf(&p.out, "%s< (closed)\n", name)
		return
	}
	var got []received
	defer func() {
		sortCopies(got)
		for _, r := range got {
			for _, l := range r.lines {
				fmt.Fprintf(&p.out, "%s< %s\n", name, l)
			}
		}
	}()
	for {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		line, err := c.r.ReadString('\n')
		line = strings.TrimSuffix(line, "\r\n")
		switch {
		case line == "PING":
			p.send(c, "PONG\r\n")
			continue
		case line != "":
			got = append(got, p.receive(c, line))
		}
		if err != nil {
			c.dead = true
			end := "(closed)"
			if ne, isNet := err.(net.Error); isNet && ne.Timeout() {
				end = "(nothing came)"
			}
			got = append(got, received{lines: []string{end}})
			return
		}
		if last(line) {
			return
		}
	}
}

// received is one thing the server sent: a line, or a message with its
// headers and payload below.
type received struct {
	message string // subject, headers and payload; "" when it is no message
	lines   []string
}

// sortCopies sorts neighbours that are copies of one message by their first
// line, which has the sid.
func sortCopies(got []received) {
	for i := 0; i < len(got); {
		j := i + 1
		for got[i].message != "" && j < len(got) && got[j].message == got[i].message {
			j++
		}
		slices.SortStableFunc(got[i:j], func(a, b received) int { return strings.Compare(a.lines[0], b.lines[0]) })
		i = j
	}
}

// receive normalises one server line and, for MSG and HMSG, reads the rest.
func (p *player) receive(c *rawConn, line string) received {
	f := strings.Fields(line)
	switch f[0] {
	case "INFO":
		var info struct {
			ID  string `json:"server_id"`
			CID uint64 `json:"client_id"`
		}
		ok(p.t, json.Unmarshal([]byte(line[5:]), &info))
		p.id, c.cid = info.ID, strconv.FormatUint(info.CID, 10)
		return received{lines: []string{"INFO " + p.normalJSON([]byte(line[5:]))}}
	case "MSG", "HMSG":
	default:
		return received{lines: []string{line}}
	}
	size, err := strconv.Atoi(f[len(f)-1])
	ok(p.t, err)
	body := make([]byte, size+2)
	_, err = io.ReadFull(c.r, body)
	ok(p.t, err)
	body = body[:size]
	var head []byte
	if f[0] == "HMSG" {
		n, err := strconv.Atoi(f[len(f)-2])
		ok(p.t, err)
		head, body = body[:n], body[n:]
	}
	r := received{message: fmt.Sprintf("%s %q %q", f[1], head, body)}
	c.reply = ""
	if f[0] == "MSG" && len(f) == 5 || f[0] == "HMSG" && len(f) == 6 {
		c.reply = f[3]
	}
	text := fmt.Sprintf("%q", body)
	if isJSON(body) {
		f[len(f)-1] = "#" // its length changes with the ids in it
		text = p.normalJSON(body)
	}
	if stamp.Match(head) || bytes.Contains(head, []byte(requestInfo)) {
		f[len(f)-2], f[len(f)-1] = "#", "#" // a time drops its trailing zeros
	}
	r.lines = append(r.lines, p.normalText(strings.Join(f, " ")))
	for _, h := range strings.Split(strings.TrimSuffix(string(head), "\r\n\r\n"), "\r\n") {
		if info, is := strings.CutPrefix(h, requestInfo); is {
			h = requestInfo + p.normalJSON([]byte(info))
		}
		if h != "" {
			r.lines = append(r.lines, "  "+p.normalText(h))
		}
	}
	r.lines = append(r.lines, "  "+text)
	return r
}

func isJSON(b []byte) bool { return len(b) > 1 && b[0] == '{' && json.Valid(b) }

// volatile are the JSON fields whose values differ from run to run, or from
// server to server, or with the level of the protocol: their presence is
// compared, their value is not.
var volatile = map[string]bool{
	"server_id": true, "version": true, "git_commit": true, "go": true, "port": true,
	"host": true, "client_id": true, "client_ip": true, "nonce": true,
	"created": true, "ts": true, "time": true, "first_ts": true, "last_ts": true, "last_active": true, "bytes": true,
	"storage_used": true, "id": true, "timestamp": true, "pause_remaining": true,
	"start": true, "api_lvl": true, "level": true, "_nats.ver": true, "_nats.level": true,
}

// unmatched are fields that only the stock server has a use for, or that are there
// once a PING of the server was answered.
var unmatched = map[string]bool{"xkey": true, "rtt": true}

func (p *player) normalJSON(b []byte) string {
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return string(b)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(p.normalValue(v))
	return strings.TrimSpace(out.String())
}

func (p *player) normalValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if unmatched[k] || p.left[k] {
				delete(v, k)
			} else if volatile[k] && !isContainer(x) || p.masked[k] {
				v[k] = "<" + k + ">"
			} else {
				v[k] = p.normalValue(x)
			}
		}
		return v
	case []any:
		for i := range v {
			v[i] = p.normalValue(v[i])
		}
		return v
	case string:
		return p.normalText(v)
	}
	return v
}

func isContainer(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

const requestInfo = "Nats-Request-Info: "

var (
	// replyToken is the reply subject of a question that crosses accounts.
	replyToken = regexp.MustCompile(`\b_R_(\.\w+)+`)
	stamp      = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	ackStamp   = regexp.MustCompile(`(\$JS\.ACK\.\S+?\.\d+\.\d+\.\d+)\.\d{18,}\.(\d+)`)
)

func (p *player) normalText(s string) string {
	if p.id != "" {
		s = strings.ReplaceAll(s, p.id, "<id>")
	}
	s = replyToken.ReplaceAllString(s, "_R_.<token>")
	return ackStamp.ReplaceAllString(stamp.ReplaceAllString(s, "<time>"), "$1.<time>.$2")
}

// difference lists the lines that are not in both, with a line of context.
func difference(want, got string) string {
	if want == got {
		return ""
	}
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	// Longest common subsequence: the files are short.
	lcs := make([][]int, len(a)+1)
	for i := range lcs {
		lcs[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				lcs[i][j] = lcs[i+1][j+1] + 1
			} else {
				lcs[i][j] = max(lcs[i+1][j], lcs[i][j+1])
			}
		}
	}
	var out strings.Builder
	context := ""
	i, j := 0, 0
	flush := func() {
		if context != "" {
			fmt.Fprintf(&out, "    %s\n", context)
			context = ""
		}
	}
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			if strings.Contains(a[i], ">") {
				context = a[i]
			}
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && lcs[i+1][j] >= lcs[i][j+1]:
			flush()
			fmt.Fprintf(&out, "  - %s\n", a[i])
			i++
		default:
			flush()
			fmt.Fprintf(&out, "  + %s\n", b[j])
			j++
		}
	}
	return out.String()
}
