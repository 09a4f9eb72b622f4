//go:build !lite

package core_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
)

const market = `
accounts {
	P {
		users [ {user: p, password: p} ]
		exports [
			{stream: "s.>"}, {stream: "priv.*.*", accounts: [Q]}
			{service: "svc.*.*"}, {service: "many", response: stream}, {service: "tok.*.x", account_token_position: 2}
		]
	}
	Q {
		users [ {user: q, password: p} ]
		imports [
			{stream: {account: P, subject: "s.>"}, prefix: imp}, {stream: {account: P, subject: "priv.*.*"}, to: "loc.$2.$1"}
			{service: {account: P, subject: "svc.*.*"}, to: "ask.$2.{{wildcard(1)}}"}, {service: {account: P, subject: "svc.add.1"}, to: plus, share: true}
			{service: {account: P, subject: many}}, {service: {account: P, subject: "tok.Q.x"}, to: tok}
		]
	}
}`

// asked reads a question that came over a service, and returns subject, reply and
// headers.
func (c *conn) asked() (subj, reply, header string) {
	c.t.Helper()
	f := strings.Fields(c.line())
	if len(f) != 6 || f[0] != "HMSG" || !strings.HasPrefix(f[3], "_R_.") {
		c.t.Fatalf("%q is no question", f)
	}
	for l := c.line(); l != ""; l = c.line() {
		header += l + "\n"
	}
	c.line() // the body
	return f[1], f[3], header
}

func (c *conn) publish(subj, reply, body string) {
	c.t.Helper()
	c.send("PUB " + subj + " " + reply + " " + strconv.Itoa(len(body)) + "\r\n" + body + "\r\n")
}

func TestImports_streams(t *testing.T) {
	s := servertest.Start(t, configured(t, market))
	p, q := login(t, s, "p"), login(t, s, "q")
	q.send("SUB imp.> 1\r\nSUB loc.> 2\r\nSUB s.> 3\r\n")
	q.barrier()
	p.publish("s.a.b", "back", "hi")
	p.publish("priv.x.y", "", "k")
	p.barrier()
	for _, want := range []string{"MSG imp.s.a.b 1 back 2", "hi", "MSG loc.y.x 2 1", "k"} {
		q.expect(want)
	}
	// It goes one way.
	p.send("SUB > 1\r\n")
	p.barrier()
	q.publish("imp.s.a", "", "z")
	q.expect("MSG imp.s.a 1 1")
	q.expect("z")
	q.barrier()
	p.barrier()
}

func TestImports_services(t *testing.T) {
	s := servertest.Start(t, configured(t, market))
	p := login(t, s, "p")
	q := connect(t, s, `,"user":"q","pass":"p","headers":true,"no_responders":true,"name":"n","lang":"go","version":"1"`)
	p.send("CONNECT {\"verbose\":false,\"user\":\"p\",\"pass\":\"p\",\"headers\":true}\r\nSUB svc.> 1\r\nSUB many 2\r\nSUB tok.> 3\r\n")
	p.barrier()
	q.send("SUB in 9\r\n")
	q.barrier()
	ask := func(subj, want string) (reply, header string) {
		t.Helper()
		q.publish(subj, "in", "x")
		got, reply, header := p.asked()
		if got != want || !strings.Contains(header, `Nats-Request-Info: {`) || !strings.Contains(header, `"acc":"Q"`) {
			t.Errorf("%s came as %s with %s", subj, got, header)
		}
		return reply, header
	}
	reply, header := ask("ask.1.2", "svc.2.1")
	if strings.Contains(header, "user") {
		t.Errorf("told of %s", header)
	}
	p.publish(reply, "", "one")
	p.publish(reply, "", "too many")
	q.expect("MSG in 9 3")
	q.expect("one")
	p.barrier()
	q.barrier()
	_, header = ask("plus", "svc.add.1")
	for _, want := range []string{`"user":"q"`, `"name":"n"`, `"lang":"go"`, `"ver":"1"`, `"kind":"Client","client_type":"nats"`} {
		if !strings.Contains(header, want) {
			t.Errorf("%s is not in %s", want, header)
		}
	}
	reply, _ = ask("many", "many")
	for range 3 {
		p.publish(reply, "", "more")
		q.expect("MSG in 9 4")
		q.expect("more")
	}
	ask("tok", "tok.Q.x")
	// Nobody is there.
	p.send("UNSUB 3\r\n")
	p.barrier()
	q.publish("tok", "in", "x")
	q.expect("HMSG in 9 35 35")
	q.expect("NATS/1.0 503")
	q.expect("Nats-Subject: tok")
}

// JetStream of one account serves another one, by an import of its API.
func TestImports_streamsOfAnotherAccount(t *testing.T) {
	s := servertest.Start(t, configured(t, `
jetstream { store_dir: "`+t.TempDir()+`" }
accounts {
	P { users [ {user: p, password: p} ], jetstream: enabled, exports [ {service: "$JS.API.>", response: stream}, {service: "in.*"} ] }
	Q { users [ {user: q, password: p} ], imports [ {service: {account: P, subject: "$JS.API.>"}, to: "P.API.>"}, {service: {account: P, subject: "in.*"}} ] }
}`))
	p, q := login(t, s, "p"), login(t, s, "q")
	if r := p.api("STREAM.CREATE.S", `{"name":"S","subjects":["in.*"]}`); !strings.Contains(r, `"did_create":true`) {
		t.Fatal(r)
	}
	q.send("SUB api 1\r\n")
	q.publish("in.a", "api", "stored")
	q.line()
	q.expect(`{"stream":"S","seq":1}`)
	q.publish("P.API.STREAM.INFO.S", "api", "")
	q.line()
	if r := q.line(); !strings.Contains(r, `"messages":1,`) {
		t.Error(r)
	}
}

func TestImports_reload(t *testing.T) {
	s := servertest.Start(t, configured(t, market))
	p, q := login(t, s, "p"), login(t, s, "q")
	q.send("SUB > 1\r\n")
	q.barrier()
	heard := func(subj, want string) {
		t.Helper()
		p.publish(subj, "", "x")
		p.barrier()
		if want != "" {
			q.expect("MSG " + want + " 1 1")
			q.expect("x")
		}
		q.barrier()
	}
	heard("s.a", "imp.s.a")
	mustReload(t, s, strings.Replace(market, "prefix: imp", "prefix: new", 1))
	heard("s.a", "new.s.a")
	mustReload(t, s, strings.Replace(market, `{stream: {account: P, subject: "s.>"}, prefix: imp},`, "", 1))
	heard("s.a", "")
	mustReload(t, s, market)
	heard("s.a", "imp.s.a")
	if _, err := reload(t, s, strings.Replace(market, `{stream: "s.>"},`, "", 1)); err == nil || !strings.Contains(err.Error(), "stream import not authorized") {
		t.Errorf("%v", err)
	}
	heard("s.a", "imp.s.a")
}

// heard are the lines before the answer to a PING.
func (c *conn) heard() (lines []string) {
	c.t.Helper()
	c.send("PING\r\n")
	for l := c.line(); l != "PONG"; l = c.line() {
		lines = append(lines, l)
	}
	return lines
}

// While imports come and go nothing is heard or answered twice, and who asks hears of
// each question that nobody has heard.
func TestImports_comeAndGoUnderTraffic(t *testing.T) {
	s := servertest.Start(t, configured(t, market))
	p := connect(t, s, `,"user":"p","pass":"p","headers":true`)
	q := connect(t, s, `,"user":"q","pass":"p","headers":true,"no_responders":true`)
	p.send("SUB svc.> 1\r\n")
	q.send("SUB imp.> 1\r\nSUB in 2\r\n")
	p.barrier()
	q.barrier()
	gone := strings.NewReplacer(`{stream: {account: P, subject: "s.>"}, prefix: imp},`, "", `{service: {account: P, subject: "svc.*.*"}, to: "ask.$2.{{wildcard(1)}}"},`, "").Replace(market)
	done := make(chan error, 1)
	go func() {
		var errs []error
		for range 20 {
			for _, text := range []string{gone, market} {
				_, err := reload(t, s, text)
				errs = append(errs, err)
			}
		}
		done <- errors.Join(errs...)
	}()
	round := func() (streamed, answered int) {
		p.publish("s.a", "", "s")
		p.barrier()
		q.publish("ask.1.2", "in", "q")
		news := strings.Join(q.heard(), " ")
		streamed, unheard := strings.Count(news, "MSG imp.s.a 1 1 s"), strings.Count(news, "NATS/1.0 503")
		asked := p.heard()
		if questions := strings.Count(strings.Join(asked, " "), "HMSG svc.2.1 "); streamed > 1 || questions+unheard != 1 {
			t.Fatalf("one of each was heard as %q and %q", news, asked)
		}
		if unheard == 0 {
			for range 2 {
				p.publish(strings.Fields(asked[0])[3], "", "a")
			}
			p.barrier()
			answered = strings.Count(strings.Join(q.heard(), " "), "MSG in 2 1 a")
		}
		if answered > 1 {
			t.Fatalf("%d answers came", answered)
		}
		return streamed, answered
	}
	for {
		select {
		case err := <-done:
			if streamed, answered := round(); err != nil || streamed != 1 || answered != 1 {
				t.Errorf("%v; in the end %d and %d came", err, streamed, answered)
			}
			return
		default:
			round()
		}
	}
}

// Between two accounts may be more ways than can be looked at one after the other.
func TestImports_ofManyWays(t *testing.T) {
	var text strings.Builder
	text.WriteString("listen: \"127.0.0.1:-1\"\naccounts {\n")
	for n := 60; n >= 0; n-- {
		for _, side := range []string{"a", "b"} {
			text.WriteString("L" + strconv.Itoa(n) + side + ` { exports [{stream: "s.>"}], imports [`)
			for _, of := range []string{"a", "b"} {
				if n > 0 {
					text.WriteString(`{stream: {account: L` + strconv.Itoa(n-1) + of + `, subject: "s.>"}}` + "\n")
				}
			}
			text.WriteString("] }\n")
		}
	}
	text.WriteString("}\n")
	check := func(text string) error {
		o, _, err := config.Parse("new.conf", []byte(text), config.Source{})
		if err == nil {
			_, err = core.New(o, nil, nil)
		}
		return err
	}
	if err := check(text.String()); err != nil {
		t.Error(err)
	}
	// A circle is found behind all of them.
	circle := strings.Replace(text.String(), `L0a { exports [{stream: "s.>"}], imports [`, `L0a { exports [{stream: "s.>"}], imports [{stream: {account: L60b, subject: "s.>"}}`, 1)
	if err := check(circle); err == nil || !strings.Contains(err.Error(), "import forms a cycle") {
		t.Errorf("%v", err)
	}
}

// Wrong imports are told in nats-server's words, at their place.
func TestImports_wrong(t *testing.T) {
	for _, c := range []struct{ exports, imports, want string }{
		{`{stream: "s.>"}`, `{stream: {account: Z, subject: "s.a"}}`, `"Z" account not defined for stream import`},
		{`{stream: "s.>"}`, `{stream: {account: P, subject: "t.a"}}`, `Error adding stream import "t.a": stream import not authorized`},
		{`{stream: "s.>"}`, `{service: {account: P, subject: "s.a"}}`, `Error adding service import "s.a": service import not authorized`},
		{`{stream: "s.>", accounts: [P]}`, `{stream: {account: P, subject: "s.a"}}`, "stream import not authorized"},
		{`{stream: "s.>", accounts: [Z]}`, ``, `"Z" account not defined for stream export`},
		{`{stream: "s.>"}`, `{stream: {account: P, subject: "s.>"}, prefix: "p.*"}`, "stream import prefix can not contain wildcard tokens"},
		{`{stream: "s.*"}`, `{stream: {account: P, subject: "s.*"}, to: "t.a"}`, "wildcard 1 of the source is not used"},
		{`{service: "t.*.x", account_token_position: 2}`, `{service: {account: P, subject: "t.Z.x"}}`, "service import not authorized"},
		{`{service: "t.*.x", account_token_position: 1}`, ``, "is no wildcard"},
		{`{service: s}], imports [{service: {account: Q, subject: t}, to: s}`, `{service: {account: P, subject: s}, to: t}], exports [{service: t}`, "import forms a cycle"},
		{`{stream: "s.>"}], imports [{stream: {account: Q, subject: "x.s.>"}, to: "s.>"}`, `{stream: {account: P, subject: "s.>"}, prefix: x}], exports [{stream: "x.>"}`, "import forms a cycle"},
		{`{stream: "s.>"}], imports [{stream: {account: Q, subject: "y.>"}}`, `{stream: {account: P, subject: "s.>"}, prefix: x}], exports [{stream: "y.>"}`, ""},
	} {
		text := "listen: \"127.0.0.1:-1\"\naccounts {\nP { exports [" + c.exports + "] }\nQ { imports [" + c.imports + "] }\n}\n"
		o, _, err := config.Parse("new.conf", []byte(text), config.Source{})
		if err == nil {
			_, err = core.New(o, nil, nil)
		}
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "new.conf:")) {
			t.Errorf("%s, %s: %v", c.exports, c.imports, err)
		}
	}
}
