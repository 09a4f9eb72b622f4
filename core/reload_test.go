package core_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/testkit"
)

// reload gives a server other options, those that configured makes of a text.
func reload(t *testing.T, s *core.Server, text string) ([]config.Change, error) {
	t.Helper()
	o, _, err := config.Parse("new.conf", []byte("listen: \"127.0.0.1:-1\"\n"+text), config.Source{ReadFile: os.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	return s.Reload(o)
}

func mustReload(t *testing.T, s *core.Server, text string) {
	t.Helper()
	if _, err := reload(t, s, text); err != nil {
		t.Fatal(err)
	}
}

// info is the next line, which is INFO.
func (c *conn) info() string {
	c.t.Helper()
	line := c.line()
	if !strings.HasPrefix(line, "INFO ") {
		c.t.Fatalf("%q is no INFO", line)
	}
	return line
}

// informed connects a client that takes INFO at any time.
func informed(t *testing.T, s *core.Server) *conn {
	t.Helper()
	c := connect(t, s, `,"protocol":1`)
	c.info() // behind the PONG
	return c
}

func TestReload_limitsHoldForWhoIsThere(t *testing.T) {
	s := servertest.Start(t, configured(t, "max_payload: 100"))
	c, old := informed(t, s), connect(t, s, "")
	mustReload(t, s, "max_payload: 10\nmax_subscriptions: 1\nclient_advertise: example.com")
	if i := c.info(); !strings.Contains(i, `"max_payload":10,`) || !strings.Contains(i, `"host":"example.com"`) {
		t.Errorf("told of %s", i)
	}
	c.send("SUB a 1\r\nSUB b 2\r\n")
	c.expect("-ERR 'maximum subscriptions exceeded'")
	c.send("PUB a 10\r\n0123456789\r\n")
	c.expect("MSG a 1 10")
	c.expect("0123456789")
	c.send("PUB a 11\r\n")
	c.expect("-ERR 'Maximum Payload Violation'")
	// Who does not know INFO in the middle is told nothing, and held to it.
	old.send("PUB a 11\r\n")
	old.expect("-ERR 'Maximum Payload Violation'")
	mustReload(t, s, "max_payload: 100")
	c = connect(t, s, "")
	c.send("SUB a 1\r\nPUB a 11\r\n01234567890\r\n")
	c.expect("MSG a 1 11")
}

// Who has not logged in yet is told with the first INFO, or never, and harms nobody.
func TestReload_beforeAClientLogsIn(t *testing.T) {
	s := servertest.Start(t, configured(t, "max_payload: 100"))
	nc := servertest.Dial(t, s)
	buf := make([]byte, 4096)
	if _, err := nc.Read(buf); err != nil {
		t.Fatal(err)
	}
	mustReload(t, s, "max_payload: 10")
	if _, err := nc.Write([]byte("CONNECT {\"verbose\":false}\r\nPING\r\n")); err != nil {
		t.Fatal(err)
	}
	if n, err := nc.Read(buf); err != nil || string(buf[:n]) != "PONG\r\n" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

// linked is a module that has the block of links, and takes any change of it.
type linked struct{ servertest.Tap }

func (*linked) Name() string { return "leafnodes" }

// A server with remotes counts as a cluster of one. Clients are told when it
// becomes one.
func TestReload_tellsOfTheCluster(t *testing.T) {
	const alone = "server_name: edge\nleafnodes { no_advertise: true; remotes [] }"
	s := servertest.Start(t, configured(t, alone), servertest.Modules(new(linked)))
	c := informed(t, s)
	mustReload(t, s, strings.Replace(alone, "[]", `[ { url: "nats-leaf://127.0.0.1:1" } ]`, 1))
	if i := c.info(); !strings.Contains(i, `"cluster":"edge"`) {
		t.Errorf("told of %s", i)
	}
	mustReload(t, s, alone)
	if i := c.info(); strings.Contains(i, `"cluster"`) {
		t.Errorf("told of %s", i)
	}
}

// Clients and links each have their part of the process's memory, and another
// max_pending_total is of clients only.
func TestReload_memory(t *testing.T) {
	s := servertest.Start(t, configured(t, "max_memory: 64MB"))
	clients, links := &s.Modules().Outbound().Budget, &s.Modules().OutboundLinks().Budget
	if clients.Limit() <= 1000 || links.Limit() <= 1000 {
		t.Fatalf("%d may wait for clients, %d for links", clients.Limit(), links.Limit())
	}
	mustReload(t, s, "max_memory: 64MB\nmax_pending_total: 1000\nmax_pending: 500\nmax_payload: 500")
	if clients.Limit() != 1000 || links.Limit() <= 1000 {
		t.Errorf("%d may wait for clients, %d for links", clients.Limit(), links.Limit())
	}
}

func TestReload_newestClientsAboveTheLimitGo(t *testing.T) {
	s := servertest.Start(t, configured(t, ""))
	var all []*conn
	for range 4 {
		all = append(all, connect(t, s, ""))
	}
	mustReload(t, s, "max_connections: 2")
	for i, c := range all {
		if i < 2 {
			c.barrier()
		} else if got := c.rest(); got != "-ERR 'maximum connections exceeded'\r\n" {
			t.Errorf("client %d: %q", i, got)
		}
	}
	mustReload(t, s, "")
	connect(t, s, "").barrier()
}

func TestReload_users(t *testing.T) {
	var log testkit.Log
	s := servertest.Start(t, servertest.Logger(log.Logger()), configured(t, `authorization { users [
		{user: ann, password: one}, {user: bob, password: two}, {user: cyd, password: three}, {user: dan, password: four, permissions {publish: ">"}} ] }`))
	login := func(user, pass string) *conn {
		return connect(t, s, `,"user":"`+user+`","pass":"`+pass+`"`)
	}
	ann, bob, cyd, dan := login("ann", "one"), login("bob", "two"), login("cyd", "three"), login("dan", "four")
	for _, c := range []*conn{ann, dan} {
		c.send("SUB a.x 1\r\nSUB b.x 2\r\nSUB b.y q 3\r\n")
		c.barrier()
	}
	mustReload(t, s, `authorization { users [
		{user: dan, password: four, permissions {subscribe: "a.>", publish: "a.>"}}
		{user: ann, password: one}, {user: bob, password: other} ] }`)
	for name, c := range map[string]*conn{"bob, with another password": bob, "cyd, who is gone": cyd} {
		if got := c.rest(); got != "-ERR 'Authorization Violation'\r\n" {
			t.Errorf("%s: %q", name, got)
		}
	}
	// Rights are taken from who stays.
	dan.expect(`-ERR 'Permissions Violation for Subscription to "b.x" (sid "2")'`)
	dan.expect(`-ERR 'Permissions Violation for Subscription to "b.y" using queue "q" (sid "3")'`)
	dan.send("PUB b.x 0\r\n\r\n")
	dan.expect(`-ERR 'Permissions Violation for Publish to "b.x"'`)
	dan.send("SUB b.z 4\r\n")
	dan.expect(`-ERR 'Permissions Violation for Subscription to "b.z"'`)
	ann.send("PUB b.x 1\r\nb\r\nPUB a.x 1\r\na\r\n")
	for _, want := range []string{"MSG b.x 2 1", "b", "MSG a.x 1 1", "a"} {
		ann.expect(want)
	}
	dan.expect("MSG a.x 1 1")
	dan.expect("a")
	login("bob", "other").barrier()
	for _, text := range []string{"three", "other", "two"} {
		if log.Contains(text) {
			t.Errorf("the log has a password: %s", log.Line(text))
		}
	}
	if !log.Contains("Reloaded: authorization.users = [dan ann bob]") || !log.Contains("Reloaded server configuration (sha256:") {
		t.Errorf("told:\n%s", log.String())
	}
	// And given back.
	mustReload(t, s, "")
	dan.send("SUB b.z 4\r\n")
	dan.barrier()
}

// Nothing of a reload that can't be whole is done, and the error names all that
// stands in its way.
func TestReload_isWhole(t *testing.T) {
	m := &committer{doorOnly: "mqtt"}
	s := servertest.Start(t, servertest.Modules(m), configured(t, "max_payload: 100\nserver_name: a\njetstream: enabled\nstore_dir: "+fmt.Sprintf("%q", t.TempDir())+"\nmqtt { port: -1 }"))
	c := informed(t, s)
	was := s.Options()
	cert := filepath.Join(t.TempDir(), "cert.pem")
	for _, x := range []struct {
		text string
		want []string
	}{
		{"max_payload: 10\nserver_name: b\nmax_closed_clients: 3\njetstream: enabled\nmqtt { port: -1 }", []string{
			"new.conf:3:1: config reload not supported for server_name: old=a, new=b",
			"new.conf:4:1: config reload not supported for max_closed_clients: old=10000, new=3",
			"jetstream.store_dir"}},
		{"max_payload: 10\nserver_name: a\njetstream: enabled\nmqtt { port: -1 }\nmax_pending: 5", []string{"max_payload (10) cannot be higher than max_pending (5)"}},
		{"server_name: a", []string{"config reload not supported for mqtt: old=on, new=off", "config reload not supported for jetstream.enable: old=true, new=false"}},
		{"max_payload: 10\nserver_name: a\nstore_dir: " + fmt.Sprintf("%q", was.JetStream.StoreDir) + "\njetstream: enabled\nmqtt { port: -1 }\nlog_file: " + fmt.Sprintf("%q", cert), []string{"the module does not want that"}},
	} {
		if _, err := reload(t, s, x.text); !errors.Is(err, core.ErrNotReloaded) {
			t.Fatalf("%s: %v", x.text, err)
		} else {
			for _, want := range x.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, want %q", x.text, err, want)
				}
			}
		}
	}
	if s.Options() != was || len(m.committed) != 0 {
		t.Errorf("it has %+v, committed were %v", s.Options(), m.committed)
	}
	c.send("PUB a 50\r\n" + strings.Repeat("x", 50) + "\r\n")
	c.barrier() // and no INFO before the PONG
	m.refuses = nil
	mustReload(t, s, "max_payload: 10\nserver_name: a\nstore_dir: "+fmt.Sprintf("%q", was.JetStream.StoreDir)+"\njetstream: enabled\nmqtt { port: -1, max_ack_pending: 3 }")
	if c.info(); len(m.committed) != 1 || m.committed[0] != s.Options() || s.Options().MaxPayload != 10 {
		t.Errorf("committed were %v", m.committed)
	}
}

// committer is a module that refuses what it is told to.
type committer struct {
	doorOnly
	refuses   error
	committed []*config.Options
}

func (c *committer) Verify(from, _ *config.Options) error {
	if from == nil {
		c.refuses = errors.New("the module does not want that")
		return nil
	}
	return c.refuses
}

func (c *committer) Commit(_, to *config.Options) { c.committed = append(c.committed, to) }

func TestReload_beforeAndAfterTheRun(t *testing.T) {
	s, err := servertest.New(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"before the start", "after the end"} {
		if _, err := s.Reload(config.Defaults()); !errors.Is(err, core.ErrNotRunning) {
			t.Errorf("%s: %v", when, err)
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// Certificates are read anew though the options are the same.
func TestReload_certificates(t *testing.T) {
	cert, key, _ := mustCertificate(t)
	text := fmt.Sprintf("https: \"127.0.0.1:-1\"\ntls { cert_file: %q, key_file: %q }", cert, key)
	s := servertest.Start(t, configured(t, text))
	check := func(roots *tls.Config) {
		t.Helper()
		c := servertest.Dial(t, s)
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if err := tls.Client(c, roots).Handshake(); err != nil {
			t.Errorf("client port: %v", err)
		}
		m, err := tls.Dial("tcp", s.MonitorAddr().String(), roots)
		if err != nil {
			t.Fatalf("monitoring port: %v", err)
		}
		m.Close()
	}
	newCert, newKey, roots := mustCertificate(t)
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if changes, err := reload(t, s, text); err != nil || len(changes) != 0 {
		t.Fatalf("%v, %v", changes, err)
	}
	check(&tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
	if err := os.WriteFile(cert, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := *s.Options()
	if _, err := s.Reload(&again); err == nil || !strings.Contains(err.Error(), "new.conf:3:1: error parsing X509") {
		t.Errorf("%v", err)
	}
	check(&tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
}

func TestReload_log(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.log"), filepath.Join(dir, "second.log")
	text := func(file, more string) string { return fmt.Sprintf("log_file: %q\nlogtime: false\n%s", file, more) }
	o, _, err := config.Parse("a.conf", []byte(text(first, "")), config.Source{})
	if err != nil {
		t.Fatal(err)
	}
	log, err := core.OpenLog(&o.Log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	logger := slog.New(log)
	s := servertest.Start(t, servertest.Logger(logger), configured(t, text(first, "")))
	logger.Debug("hidden")
	mustReload(t, s, text(first, "debug: true"))
	logger.Debug("seen")
	mustReload(t, s, text(second, "trace: true\nlogtime: true"))
	logger.Debug("hidden again")
	c := connect(t, s, "")
	c.send("SUB traced 1\r\n")
	c.barrier()
	if _, err := reload(t, s, text(filepath.Join(dir, "none", "x.log"), "")); err == nil || !strings.Contains(err.Error(), "new.conf:2:1") {
		t.Errorf("a file that can't be made: %v", err)
	}
	logger.Info("still")
	mustReload(t, s, text(second, "trace: true\nlogtime: true\nmax_payload: 1000"))
	logger.Info("after the next reload")
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := read(first); strings.Contains(got, "hidden") || !strings.Contains(got, "[DBG] seen") || strings.Contains(got, "still") {
		t.Errorf("first log:\n%s", got)
	}
	if got := read(second); strings.Contains(got, "hidden") || !strings.Contains(got, "SUB traced") || !strings.Contains(got, "[INF] still") || !strings.Contains(got, "[INF] after the next reload") || strings.Contains(got, "] [INF]") {
		t.Errorf("second log:\n%s", got)
	}
}

// A program that has a log of its own is told which options change nothing in it;
// those of tracing do.
func TestReload_logOfTheProgram(t *testing.T) {
	var log testkit.Log
	s := servertest.Start(t, servertest.Logger(slog.New(slog.NewTextHandler(&log, nil))), configured(t, ""))
	mustReload(t, s, "debug: true\ntrace: true\nlogtime: false\nmax_payload: 1000")
	for _, want := range []string{"Without effect: debug = true: ", "Without effect: logtime = false: ", "Reloaded: trace = true", "Reloaded: max_payload = 1000"} {
		if !log.Contains(want) {
			t.Errorf("no %q in\n%s", want, log.String())
		}
	}
}

// Whoever logs in while its user is taken away is let in by neither the old options
// nor the new ones.
func TestReload_whileClientsLogIn(t *testing.T) {
	users := func(names string) string {
		var b strings.Builder
		for n := range strings.FieldsSeq(names) {
			fmt.Fprintf(&b, "{user: %s, password: p}\n", n)
		}
		return "authorization { users [\n" + b.String() + "] }"
	}
	s := servertest.Start(t, configured(t, users("ann bob")))
	var wg sync.WaitGroup
	gone := make(chan string, 64)
	for range 16 {
		wg.Go(func() {
			c := &conn{Conn: servertest.Dial(t, s), t: t}
			c.r = bufio.NewReader(c.Conn)
			if _, err := c.Write([]byte("CONNECT {\"verbose\":false,\"user\":\"bob\",\"pass\":\"p\"}\r\n")); err != nil {
				t.Error(err)
			}
			_, text, _ := strings.Cut(c.rest(), "\r\n") // behind INFO
			gone <- text
		})
	}
	stays := connect(t, s, `,"user":"ann","pass":"p"`)
	mustReload(t, s, users("ann"))
	wg.Wait() // a client that was let in for good would never end
	close(gone)
	for text := range gone {
		if !slices.Contains([]string{"-ERR 'Authorization Violation'\r\n", ""}, text) {
			t.Errorf("told %q", text)
		}
	}
	stays.barrier()
}
