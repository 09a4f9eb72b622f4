package core_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/servertest"
)

// configured makes the options what a file says, on free ports of the loopback
// interface.
func configured(t *testing.T, text string) servertest.Option {
	t.Helper()
	o, _, err := config.Parse("test.conf", []byte("listen: \"127.0.0.1:-1\"\n"+text), config.Source{ReadFile: os.ReadFile, Env: os.LookupEnv})
	if err != nil {
		t.Fatal(err)
	}
	return servertest.With(func(to *config.Options) { *to = *o })
}

func TestOptions_toldToClients(t *testing.T) {
	info := func(text string) (i map[string]any) {
		s := servertest.Start(t, configured(t, text))
		c := &conn{Conn: servertest.Dial(t, s), t: t}
		c.r = bufio.NewReader(c.Conn)
		if err := json.Unmarshal([]byte(strings.TrimPrefix(c.line(), "INFO ")), &i); err != nil {
			t.Fatal(err)
		}
		i["own port"] = float64(s.ClientAddr().(*net.TCPAddr).Port)
		return i
	}
	plain := info("server_name: edge1")
	if plain["host"] != "127.0.0.1" || plain["port"] != plain["own port"] || plain["server_name"] != "edge1" || plain["headers"] != true {
		t.Errorf("INFO %v", plain)
	}
	if i := info("client_advertise: example.com"); i["host"] != "example.com" || i["port"] != i["own port"] {
		t.Errorf("INFO %v", i)
	}
	if i := info(`client_advertise: "example.com:1"`); i["host"] != "example.com" || i["port"] != 1.0 {
		t.Errorf("INFO %v", i)
	}
}

func TestOptions_noHeaderSupport(t *testing.T) {
	s := servertest.Start(t, configured(t, "no_header_support: true"))
	c := connect(t, s, `,"headers":true`)
	c.send("HPUB a 12 12\r\nNATS/1.0\r\n\r\nPING\r\n")
	if got := c.rest(); got != "" {
		t.Errorf("was served: %q", got)
	}
	servertest.Eventually(t, "the connection is gone", func() bool { return len(s.ClosedReasons()) == 1 })
	if got := s.ClosedReasons(); got[0] != "Protocol Violation" {
		t.Errorf("reasons %q", got)
	}
}

func TestOptions_maxClosedClients(t *testing.T) {
	s := servertest.Start(t, configured(t, "max_closed_clients: 2"))
	for range 5 {
		connect(t, s, "").Close()
	}
	last := connect(t, s, ",\"name\":\"last\"")
	a, _ := s.Modules().Account(config.GlobalAccount)
	last.send("SUB a 1\r\n")
	last.barrier()
	last.Close()
	servertest.Eventually(t, "all have gone", func() bool { return a.Subscriptions() == 0 && len(s.ClosedReasons()) >= 2 })
	if n := len(s.ClosedReasons()); n != 2 {
		t.Errorf("%d remembered", n)
	}
}

func TestOptions_files(t *testing.T) {
	dir := t.TempDir()
	pid := filepath.Join(dir, "pid")
	s := servertest.Start(t, configured(t, fmt.Sprintf("pid_file: %q\nports_file_dir: %q\nhttp: \"127.0.0.1:-1\"", pid, dir)))
	if b, err := os.ReadFile(pid); err != nil || string(b) != strconv.Itoa(os.Getpid()) {
		t.Errorf("pid file %q, %v", b, err)
	}
	ports, _ := filepath.Glob(filepath.Join(dir, "*_"+strconv.Itoa(os.Getpid())+".ports"))
	if len(ports) != 1 {
		t.Fatalf("ports files %q", ports)
	}
	b, err := os.ReadFile(ports[0])
	want := fmt.Sprintf(`{"nats":["nats://%s"],"monitoring":["http://%s"]}`, s.ClientAddr(), s.MonitorAddr())
	if err != nil || string(b) != want {
		t.Errorf("ports file %s, %v, want %s", b, err, want)
	}
	servertest.Stop(t, s)
	if _, err := os.Stat(ports[0]); err == nil {
		t.Error("the ports file outlives the server")
	}
}

func TestOptions_monitoring(t *testing.T) {
	cert, key, roots := mustCertificate(t)
	s := servertest.Start(t, configured(t, fmt.Sprintf(`
		https: "127.0.0.1:-1", http_base_path: "/nats", tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }`, cert, key, cert)))
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
	for path, want := range map[string]int{"/nats/varz": http.StatusOK, "/varz": http.StatusNotFound} {
		r, err := (&http.Client{Transport: tr}).Get("https://" + s.MonitorAddr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
}

// What is configured is what monitoring shows.
func TestOptions_shown(t *testing.T) {
	s := servertest.Start(t, servertest.JetStream(t), servertest.With(func(o *config.Options) {
		store := o.JetStream.StoreDir
		o2, _, err := config.Parse("test.conf", []byte(fmt.Sprintf(`
			listen: "127.0.0.1:-1", http: "127.0.0.1:-1", server_name: n, server_tags: [B, a], server_metadata { site: x }
			max_connections: 11, max_subscriptions: 12, max_control_line: 1300, max_payload: 1400, max_pending: 15000
			ping_interval: 16s, ping_max: 17, write_deadline: 18s, write_timeout: retry
			authorization { user: u, password: p, timeout: 19 }
			jetstream {
				store_dir: %q, max_mem: 20KB, max_file: 21GB, domain: d, strict: false, sync_interval: 22s
				limits { max_ack_pending: 23, max_request_batch: 24, duplicate_window: 25s, default_max_consumers: 26 }
			}`, store)), config.Source{})
		if err != nil {
			t.Fatal(err)
		}
		*o = *o2
	}))
	v := mustGet[map[string]any](t, s, "/varz")
	js := v["jetstream"].(map[string]any)
	for _, test := range []struct {
		in   map[string]any
		want string
	}{
		{v, `"server_name":"n","tags":["b","a"],"metadata":{"site":"x"},"max_connections":11,"max_subscriptions":12,
			"max_control_line":1300,"max_payload":1400,"max_pending":15000,"ping_interval":16000000000,"ping_max":17,
			"write_deadline":18000000000,"write_timeout":"retry","auth_timeout":19,"auth_required":true`},
		{js["config"].(map[string]any), `"max_memory":20480,"max_storage":22548578304,"domain":"d","sync_interval":22000000000`},
		{js["limits"].(map[string]any), `"max_ack_pending":23,"max_request_batch":24,"max_duplicate_window":25000000000,"default_max_consumers":26`},
	} {
		var want map[string]any
		if err := json.Unmarshal([]byte("{"+test.want+"}"), &want); err != nil {
			t.Fatal(err)
		}
		for _, k := range slices.Sorted(maps.Keys(want)) {
			if got := fmt.Sprint(test.in[k]); got != fmt.Sprint(want[k]) {
				t.Errorf("%s: %s, want %v", k, got, want[k])
			}
		}
	}
	if v["host"] != "127.0.0.1" || js["config"].(map[string]any)["strict"] == true {
		t.Errorf("varz %v", v)
	}
}

// Each door has its own list of who may come in, or that of the server.
func TestOptions_doors(t *testing.T) {
	authenticate := func(s *core.Server, k auth.Kind, user, pass string) string {
		g, err := s.Modules().Authenticate(&auth.Request{Kind: k, User: user, Password: pass})
		if err != nil {
			return "no"
		}
		return g.User
	}
	doors := map[auth.Kind]string{auth.KindClient: "client", auth.KindLeaf: "leaf", auth.KindMQTT: "mqtt"}
	for _, test := range []struct {
		text, user string
		want       map[auth.Kind]string
	}{
		{"authorization { user: c, password: p }", "c", map[auth.Kind]string{auth.KindClient: "c", auth.KindLeaf: "c", auth.KindMQTT: "c"}},
		{`authorization { user: c, password: p }
		  leafnodes { authorization { user: l, password: p } }, mqtt { authorization { user: m, password: p } }`, "c",
			map[auth.Kind]string{auth.KindClient: "c", auth.KindLeaf: "no", auth.KindMQTT: "no"}},
		{`leafnodes { authorization { user: l, password: p } }`, "l",
			map[auth.Kind]string{auth.KindClient: "l", auth.KindLeaf: "l", auth.KindMQTT: "l"}}, // the others are open
		{`leafnodes { authorization { users [ {user: l, password: p} ] } }`, "x",
			map[auth.Kind]string{auth.KindClient: "x", auth.KindLeaf: "no", auth.KindMQTT: "x"}},
		{`mqtt { authorization { token: p } }`, "",
			map[auth.Kind]string{auth.KindClient: "", auth.KindLeaf: "", auth.KindMQTT: "[REDACTED]"}},
		{`authorization { users [ {user: a, password: p, allowed_connection_types: [leafnode, mqtt]} ] }`, "a",
			map[auth.Kind]string{auth.KindClient: "no", auth.KindLeaf: "a", auth.KindMQTT: "a"}},
	} {
		s, err := servertest.New(t, configured(t, test.text), servertest.Modules(doorOnly("leafnodes"), doorOnly("mqtt")))
		if err != nil {
			t.Fatalf("%s: %v", test.text, err)
		}
		for k, want := range test.want {
			if got := authenticate(s, k, test.user, "p"); got != want {
				t.Errorf("%s: %q by the door %s: %q, want %q", test.text, test.user, doors[k], got, want)
			}
		}
	}
	t.Run("who presents nothing may be another one by MQTT", func(t *testing.T) {
		s, err := servertest.New(t, servertest.Modules(doorOnly("mqtt")), configured(t, `
			no_auth_user: a, authorization { users [ {user: a}, {user: b} ] }, mqtt { no_auth_user: b }`))
		if err != nil {
			t.Fatal(err)
		}
		if c, m := authenticate(s, auth.KindClient, "", ""), authenticate(s, auth.KindMQTT, "", ""); c != "a" || m != "b" {
			t.Errorf("client %q, mqtt %q", c, m)
		}
	})
	t.Run("default permissions are for users without own ones", func(t *testing.T) {
		s, err := servertest.New(t, configured(t, `authorization {
			default_permissions { publish: d }, users [ {user: a, password: p}, {user: b, password: p, permissions { publish: o }} ] }`))
		if err != nil {
			t.Fatal(err)
		}
		for user, want := range map[string]string{"a": "d", "b": "o"} {
			g, err := s.Modules().Authenticate(&auth.Request{User: user, Password: "p"})
			if err != nil || !g.Permissions.CanPublish([]byte(want)) || g.Permissions.CanPublish([]byte("x")) {
				t.Errorf("user %s: %v", user, err)
			}
		}
	})
}

// doorOnly stands for a module whose block is to be accepted.
type doorOnly string

func (d doorOnly) Name() string                    { return string(d) }
func (doorOnly) Verify(_, _ *config.Options) error { return nil }
func (doorOnly) Commit(_, _ *config.Options)       {}
func (doorOnly) Start(core.Services) error         { return nil }
func (doorOnly) Stop(context.Context) error        { return nil }
func (doorOnly) Describe(*monitor.Description)     {}

// The tables say whose a block is and which build has it.
func TestNew_refusesBlocksOfOtherBuilds(t *testing.T) {
	o, _, err := config.Parse("a.conf", []byte("jetstream: enabled\nmqtt { port: -1 }\n\n  leaf { port: -1 }\n"), config.Source{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = core.New(o, []core.Module{doorOnly("other")}, nil)
	for _, want := range []string{"a.conf:2:1: this build has no mqtt; the full build has", "a.conf:4:3: this build has no leafnodes; the full build has"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := core.New(o, []core.Module{doorOnly("mqtt"), doorOnly("leafnodes")}, nil); err != nil {
		t.Error(err)
	}
}
