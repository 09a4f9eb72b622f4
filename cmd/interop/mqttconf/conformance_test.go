package mqttconf

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
)

var rewriteFlag = flag.Bool("rewrite", false, "write mqtt/CONFORMANCE.md again")

// The identifiers are all of both standards, and none twice: within a section they
// are numbered without a hole.
func TestStatements(t *testing.T) {
	want := map[string]int{"v4": 141, "v5": 251}
	form := regexp.MustCompile(`^(\d+\.\d+\.\d+)-(\d+)$`)
	for _, standard := range Standards() {
		last := map[string]int{}
		servers, checked, asked := 0, 0, 0
		for _, s := range standard.Statements {
			m := form.FindStringSubmatch(s.ID)
			if m == nil {
				t.Errorf("%s: %q is no identifier", standard.Name, s.ID)
				continue
			}
			n, _ := strconv.Atoi(m[2])
			if next := last[m[1]] + 1; n != next && s.ID != "2.2.1-2" { // MQTT 5 has no MQTT-2.2.1-1
				t.Errorf("%s: %s comes behind %s-%d", standard.Name, s.ID, m[1], next-1)
			}
			last[m[1]] = n
			if s.ForServers() {
				servers++
			}
			if s.Check != nil {
				checked++
			}
			if s.ForServers() && s.Asks {
				asked++
			}
		}
		t.Logf("%s (%s): %d statements, %d of them for servers, %d checked, %d ask for something",
			standard.Name, standard.Document, len(standard.Statements), servers, checked, asked)
		if len(standard.Statements) != want[standard.Name] {
			t.Errorf("%s: %d statements instead of %d", standard.Name, len(standard.Statements), want[standard.Name])
		}
	}
}

// besideOthers runs a test in parallel, unless it writes the file.
func besideOthers(t *testing.T) {
	if !*rewriteFlag {
		t.Parallel()
	}
}

func TestFrond(t *testing.T) {
	besideOthers(t)
	ctx, dir := t.Context(), t.TempDir()
	binary, err := peers.Frond(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := peers.Start(ctx, peers.FrondKind, binary, dir, peers.Config{JetStream: true, MQTT: true, Extra: `
authorization { users: [ { user: anybody, password: anything, permissions {
	publish { deny: "denied.>" }, subscribe { deny: "denied.>" } } } ] }
no_auth_user: anybody
`})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	compare(t, Frond, "", &Target{Addr: s.MQTTAddr(), Denied: "denied/topic"})
}

func TestMosquitto(t *testing.T) {
	besideOthers(t)
	passwd, err := peers.LookMosquitto("mosquitto_passwd")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	users, acl := filepath.Join(dir, "users"), filepath.Join(dir, "acl")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, passwd, "-c", "-b", users, "known", "secret").CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %v: %s", err, out)
	}
	if err := os.WriteFile(acl, []byte("topic deny denied/topic\ntopic readwrite #\ntopic readwrite $conf/#\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The default for messages in flight, which the peer has changed.
	m, err := peers.StartMosquitto(ctx, dir, fmt.Sprintf("max_inflight_messages 20\npassword_file %s\nacl_file %s\n", users, acl))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Kill)
	compare(t, Mosquitto, mosquittoVersion(t), &Target{Addr: m.Addr, Denied: "denied/topic"})
}

func mosquittoVersion(t *testing.T) string {
	path, err := peers.LookMosquitto("mosquitto")
	if err != nil {
		t.Fatal(err)
	}
	out, _ := exec.CommandContext(t.Context(), path, "-h").CombinedOutput() // ends with 3
	m := regexp.MustCompile(`mosquitto version (\S+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("mosquitto -h prints no version: %s", out)
	}
	return string(m[1])
}

// compare runs all checks and compares with the file, or writes it.
func compare(t *testing.T, server, version string, target *Target) {
	root, err := peers.ProductRoot()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "mqtt", "CONFORMANCE.md")
	text, err := os.ReadFile(path)
	if err != nil && !(*rewriteFlag && os.IsNotExist(err)) {
		t.Fatal(err)
	}
	report, err := ParseReport(text)
	if err != nil {
		t.Fatal(err)
	}
	run := NewRun(t.Context(), target)
	if !narrowed() {
		run.All()
	}
	other := server == Mosquitto && version != report.Mosquitto && !*rewriteFlag
	if other {
		t.Logf("mosquitto is version %s, the file is of %s: differences are told, and are no failure", version, report.Mosquitto)
	}
	for _, standard := range Standards() {
		t.Run(standard.Name, func(t *testing.T) {
			for i := range standard.Statements {
				s := &standard.Statements[i]
				t.Run(s.Name(), func(t *testing.T) {
					got := run.Outcome(standard.Version, s)
					want, _ := report.Outcome(server, &standard, s)
					report.Set(server, &standard, s, got)
					switch {
					case got == want, *rewriteFlag:
					case other:
						t.Logf("%s, the file says %s", got, want)
					default:
						t.Errorf("%s, mqtt/CONFORMANCE.md says %s (-rewrite writes it again)", got, want)
					}
				})
			}
		})
	}
	if server == Mosquitto {
		report.Mosquitto = version
	}
	switch {
	case *rewriteFlag:
		if err := os.WriteFile(path, report.Text(), 0o644); err != nil {
			t.Fatal(err)
		}
	case !t.Failed() && !other && string(report.Text()) != string(text):
		t.Error("mqtt/CONFORMANCE.md is not what its rows make (-rewrite writes it again)")
	}
}

// narrowed reports whether only some sub-tests are asked for.
func narrowed() bool { return strings.Contains(flag.Lookup("test.run").Value.String(), "/") }

// A server that acknowledges everything has to fail: else the checks ask for nothing.
func TestStub(t *testing.T) {
	besideOthers(t)
	stub, err := NewStub()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stub.Close)
	run := NewRun(t.Context(), &Target{Addr: stub.Addr(), Denied: "denied/topic", Patience: 300 * time.Millisecond})
	run.All()
	asked, failed := 0, 0
	for _, standard := range Standards() {
		for i := range standard.Statements {
			s := &standard.Statements[i]
			if !s.ForServers() || !s.Asks {
				continue
			}
			asked++
			if o := run.Outcome(standard.Version, s); o.Word == wordDiffers {
				failed++
			} else {
				t.Logf("%s/%s: %s", standard.Name, s.Name(), o)
			}
		}
	}
	t.Logf("%d of %d statements that ask a server for something fail, %.0f %%", failed, asked, 100*float64(failed)/float64(asked))
	if failed*100 < asked*80 {
		t.Errorf("only %d of %d statements fail on a server that does nothing", failed, asked)
	}
}
