//go:build !lite

package core_test

import (
	"strings"
	"testing"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/servertest"
)

const two = `
accounts {
	A { users [ {user: a, password: p}, {user: b, password: p} ], limits { max_payload: 10, max_subs: 2 } }
	B { users [ {user: c, password: p} ] }
}`

func login(t *testing.T, s *core.Server, user string) *conn {
	t.Helper()
	return connect(t, s, `,"user":"`+user+`","pass":"p"`)
}

// gone reads the last words of the server.
func gone(t *testing.T, c *conn, want string) {
	t.Helper()
	if got := c.rest(); got != want {
		t.Errorf("the last words are %q, want %q", got, want)
	}
}

// max_mem of 0 bytes allows no stream in memory, and reload may change that.
func TestAccounts_ofNoBytes(t *testing.T) {
	const text = `
accounts {
	A { users [ {user: a, password: p} ], jetstream { max_mem: 0 } }
	B { users [ {user: b, password: p} ], jetstream { max_mem: -1, max_file: 0 } }
}`
	dir := "\njetstream { store_dir: \"" + t.TempDir() + "\" }\n"
	s := servertest.Start(t, configured(t, dir+text))
	a, b := login(t, s, "a"), login(t, s, "b")
	for _, step := range []struct {
		c             *conn
		storage, want string
	}{
		{a, "memory", "insufficient memory resources"}, {a, "file", `"did_create":true`},
		{b, "memory", `"did_create":true`}, {b, "file", "insufficient storage resources"},
	} {
		if r := step.c.api("STREAM.CREATE."+step.storage, `{"name":"`+step.storage+`","subjects":["`+step.storage+`"],"storage":"`+step.storage+`"}`); !strings.Contains(r, step.want) {
			t.Errorf("in %s: %s", step.storage, r)
		}
	}
	mustReload(t, s, dir+strings.Replace(text, "max_mem: 0", "max_mem: 1MB", 1))
	if r := a.api("STREAM.CREATE.M", `{"name":"M","subjects":["m"],"storage":"memory"}`); !strings.Contains(r, `"did_create":true`) {
		t.Error(r)
	}
}

// An account is a world of its own, also for monitoring.
func TestAccounts_areApart(t *testing.T) {
	s := servertest.Start(t, configured(t, two+"\nauthorization { users [ {user: g, password: p} ] }"))
	a, c, g := login(t, s, "a"), login(t, s, "c"), login(t, s, "g")
	for _, x := range []*conn{a, c, g} {
		x.send("SUB > 1\r\n")
		x.barrier()
	}
	c.send("PUB x 1\r\nc\r\n")
	c.expect("MSG x 1 1")
	c.expect("c")
	for _, x := range []*conn{a, c, g} {
		x.barrier() // and nothing else
	}
	z, err := s.Connz(&monitor.ConnzOptions{Account: "A", Auth: true})
	if err != nil || len(z.Conns) != 1 || z.Conns[0].Account != "A" || z.Conns[0].AuthorizedUser != "a" {
		t.Errorf("%+v, %v", z, err)
	}
}

func TestAccounts_limits(t *testing.T) {
	s := servertest.Start(t, configured(t, two))
	a := connect(t, s, `,"user":"a","pass":"p","protocol":1`)
	if i := a.info(); !strings.Contains(i, `"max_payload":10,`) || !strings.Contains(i, `"remote_account":"A"`) {
		t.Errorf("told of %s", i)
	}
	b := login(t, s, "b")
	b.send("SUB x 1\r\nSUB x 2\r\nSUB x 3\r\n")
	b.expect("-ERR 'maximum subscriptions exceeded'")
	a.send("PUB y 11\r\n")
	a.expect("-ERR 'Maximum Payload Violation'")
	c := login(t, s, "c")
	c.send("SUB y 1\r\nPUB y 11\r\n12345678901\r\n")
	c.expect("MSG y 1 11")
}

// What a reload says of accounts holds for who is there: users that moved go without
// a word, users that are gone are told, and of too many the newest go.
func TestAccounts_reload(t *testing.T) {
	s := servertest.Start(t, configured(t, two))
	a, b, c := login(t, s, "a"), login(t, s, "b"), login(t, s, "c")
	a.send("SUB x 1\r\nSUB m 2\r\n")
	a.barrier()
	mustReload(t, s, `
accounts {
	A { users [ {user: a, password: p}, {user: d, password: p} ], mappings { k: m } }
	C { users [ {user: b, password: p} ] }
}`)
	gone(t, b, "")
	gone(t, c, "-ERR 'Authorization Violation'\r\n")
	a.send("PUB k 1\r\nk\r\n")
	a.expect("MSG m 2 1")
	a.expect("k")
	d, d2 := login(t, s, "d"), login(t, s, "d")
	mustReload(t, s, `
accounts {
	A { users [ {user: a, password: p}, {user: d, password: p} ], limits { max_conn: 2, max_payload: 3 }, mappings { k: x } }
}`)
	gone(t, d2, "-ERR 'maximum account active connections exceeded'\r\n")
	a.send("PUB k 1\r\nk\r\n")
	a.expect("MSG x 1 1")
	a.expect("k")
	mustReload(t, s, `
accounts {
	A { users [ {user: a, password: p}, {user: d, password: p} ], limits { max_subs: 1 } }
}`)
	gone(t, a, "-ERR 'maximum subscriptions exceeded'\r\n")
	d.send("PUB k 1\r\nk\r\n")
	d.barrier()
}

// JetStream is where it is switched on, and what is stored comes back with it.
func TestAccounts_streams(t *testing.T) {
	const with, without = `accounts { A { users [ {user: a, password: p} ], jetstream { max_streams: 1 } }, B { users [ {user: c, password: p} ] } }`,
		`accounts { A { users [ {user: a, password: p} ] }, B { users [ {user: c, password: p} ], jetstream: enabled } }`
	dir := t.TempDir()
	store := "\njetstream { store_dir: \"" + dir + "\", domain: d }\n"
	s := servertest.Start(t, configured(t, with+store))
	a, c := login(t, s, "a"), login(t, s, "c")
	const off = `"err_code":10039`
	if r := a.api("STREAM.CREATE.S", `{"name":"S","subjects":["s"]}`); !strings.Contains(r, `"did_create":true`) {
		t.Error(r)
	}
	if r := a.api("STREAM.CREATE.T", `{"name":"T","subjects":["t"]}`); !strings.Contains(r, `"err_code":10027`) {
		t.Error(r)
	}
	if r := c.api("STREAM.CREATE.S", `{"name":"S","subjects":["s"]}`); !strings.Contains(r, off) || !strings.Contains(r, "stream_create_response") {
		t.Error(r)
	}
	mustReload(t, s, without+store)
	if r := a.api("STREAM.NAMES", ""); !strings.Contains(r, off) {
		t.Error(r)
	}
	a.send("PUB s 0\r\n\r\n")
	a.barrier()
	if r := c.api("STREAM.NAMES", ""); !strings.Contains(r, `"streams":null`) {
		t.Error(r)
	}
	mustReload(t, s, with+store)
	mustReload(t, s, with+store)
	if r := a.api("STREAM.NAMES", ""); !strings.Contains(r, `"streams":["S"]`) {
		t.Error(r)
	}
	if r := a.api("STREAM.INFO.S", ""); !strings.Contains(r, `"messages":0,`) {
		t.Error(r)
	}
	if r := c.api("STREAM.NAMES", ""); !strings.Contains(r, off) {
		t.Error(r)
	}
}

// What is wrong with a mapping is known at its place before anything changes.
func TestAccounts_wrongMappings(t *testing.T) {
	for text, want := range map[string]string{
		`mappings { a: "b.{{account-hash(1)}}" }`:                                                  `new.conf:2:12: mapping of "a" to "b.{{account-hash(1)}}": account-hash: too many arguments passed to the function`,
		`mappings { "a.*": "b.{{wildcard(2)}}" }`:                                                  `new.conf:2:13: mapping of "a.*" to "b.{{wildcard(2)}}"`,
		`accounts { A { mappings { c: [{dest: d, weight: 60}, {dest: e, weight: 60}] } } }`:        `new.conf:2:27: mapping of "c": weights add up to 120`,
		`accounts { A { mappings { c: [{dest: d, weight: 60}, {dest: d, weight: 20}] } } }`:        `new.conf:2:27: mapping of "c": "d" is there twice`,
		`accounts { A {}, B { mappings { c: [{dest: d, weight: 60, cluster: X}], "d.>": "e" } } }`: `new.conf:2:74: mapping of "d.>" to "e"`,
	} {
		o, _, err := config.Parse("new.conf", []byte("listen: \"127.0.0.1:-1\"\n"+text), config.Source{})
		if err == nil {
			_, err = core.New(o, nil, nil)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
