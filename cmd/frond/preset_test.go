package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/frondmq/frond/core/config"
)

func TestPreset_refuses_what_can_not_work(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.creds")
	cases := []struct {
		name, args, want string
	}{
		{"a flag it does not have", "edge --nope", "not defined: --nope"},
		{"a hub has no hub", "hub --hub x", "not defined: --hub"},
		{"a word too many", "edge extra", `what is "extra"?`},
		{"open without a user", "edge --listen 0.0.0.0", "give --user and --pass"},
		{"a user without a password", "edge --user u", "belong together"},
		{"an address with a port", "edge --listen 127.0.0.1:5000", "an address without a port"},
		{"creds without a hub", "edge --creds x", "--creds are for --hub"},
		{"creds that are not there", "edge --hub h --creds " + missing, "--creds: open " + missing},
		{"a hub that is no address", "edge --hub :::", "IPv6 address stands in brackets"},
		{"a hub of another scheme", "edge --hub http://h", "it must begin with nats-leaf://"},
		{"a hub behind WebSocket", "edge --hub ws://h", "not supported yet"},
		{"a hub's port out of range", "edge --hub nats://u:secret@h:99999", "port is not between"},
		{"a subject that is none", "edge --store a b..c", `--store "b..c": invalid subject`},
		{"subjects that overlap", "edge --store a.b a.*", `--store "a.*": subject "a.b" overlaps with "a.*"`},
		{"all subjects", "edge --store >", "name subjects"},
		{"subjects of the server", "hub --store $JS.>", "jetstream api"},
		{"a domain with a blank", "edge --domain a\tb", `invalid domain name "a\tb": may not contain ., *, > or blanks`},
		{"a domain with a dot", "edge --domain a.b", "invalid domain name"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			// Each of these ends before anything is started.
			if code := run(strings.Split(c.args, " "), &stdout, &stderr); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			if got := stderr.String(); !strings.Contains(got, c.want) || strings.Contains(got, "secret") {
				t.Errorf("printed %q, want %q and no password", got, c.want)
			}
		})
	}
}

func TestHubURL_puts_in_scheme_and_port(t *testing.T) {
	for in, want := range map[string]string{
		"hub.example":             "nats-leaf://hub.example:7422",
		"hub.example:4000":        "nats-leaf://hub.example:4000",
		"[::1]":                   "nats-leaf://[::1]:7422",
		"tls://u:p@hub.example":   "tls://u:p@hub.example:7422",
		"nats://127.0.0.1:1":      "nats://127.0.0.1:1",
		"nats-leaf://hub.example": "nats-leaf://hub.example:7422",
	} {
		u, err := hubURL(in)
		if err != nil || u.String() != want {
			t.Errorf("%s: %v, %v, want %s", in, u, err, want)
		}
	}
}

func TestExpandStores(t *testing.T) {
	for in, want := range map[string]string{
		"--store a b --data d":       "--store a --store b --data d",
		"--store a --store b c":      "--store a --store b --store c",
		"--store=a b":                "--store=a --store b",
		"--data d --store a":         "--data d --store a",
		"--store a --data=d":         "--store a --data=d",
		"--domain edge --store a":    "--domain edge --store a",
		"--store a --print-config":   "--store a --print-config",
		"--print-config --store a b": "--print-config --store a --store b",
	} {
		if got := strings.Join(expandStores(strings.Fields(in)), " "); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// A box of 256 MB survives clients of its edge that do not read; a hub is
// bigger.
func TestPreset_boundsWhatWaitsOnAnEdge(t *testing.T) {
	_, edge := mustPreset(t, "edge", "")
	_, hub := mustPreset(t, "hub", "")
	if edge.MaxPending != 8<<20 || edge.MaxPendingTotal != 24<<20 || hub.MaxPendingTotal != 0 {
		t.Errorf("edge %d of %d, hub %d", edge.MaxPending, edge.MaxPendingTotal, hub.MaxPendingTotal)
	}
}

// Who has set a user already is not told to.
func TestPreset_saysHowToOpen(t *testing.T) {
	for args, want := range map[string]string{
		"":                                     "To open it: --user USER --pass PASSWORD --listen ADDR",
		"--user u --pass p --listen 127.0.0.1": "To open it: --listen ADDR.",
		"--user u --pass p":                    "WARNING: without TLS",
	} {
		p, o := mustPreset(t, "hub", args)
		var b strings.Builder
		if p.warnings(&b, o); !strings.Contains(b.String(), want) {
			t.Errorf("%q: %q, want %q", args, b.String(), want)
		}
	}
}

// What --print-config prints must be read back as the very same options.
func TestPreset_printsItsConfiguration(t *testing.T) {
	if !has(modules(), "leafnodes") || !has(modules(), "mqtt") {
		t.Skip("needs the full build")
	}
	dir := t.TempDir()
	creds := filepath.Join(dir, "f.creds")
	if err := os.WriteFile(creds, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	cert, key := writeCertificate(t, dir)
	data := filepath.Join(dir, "data of \"frond\"")
	for name, args := range map[string][]string{
		"edge, nothing given": {"edge"},
		"hub, nothing given":  {"hub"},
		"edge, all ports":     {"edge", "--port", "1", "--mqtt-port", "2", "--http-port", "3"},
		"hub, all ports":      {"hub", "--port", "1", "--leaf-port", "2", "--http-port", "3", "--listen", "::1"},
		"edge, some off":      {"edge", "--mqtt-port", "0", "--http-port", "0"},
		"edge that stores":    {"edge", "--store", "plant.>", "site.*", "--domain", "d"},
		"edge with a user":    {"edge", "--user", `a"b\`, "--pass", "p $x\n#1"},
		"edge that forwards":  {"edge", "--store", "plant.>", "a", "--hub", "h"},
		"edge of a hub":       {"edge", "--hub", "nats-leaf://u:p%20w@h.example:7000", "--creds", creds},
		"edge of a TLS hub":   {"edge", "--hub", "tls://h.example", "--tls-ca", cert},
		"edge with TLS":       {"edge", "--tls-cert", cert, "--tls-key", key, "--tls-ca", cert, "--hub", "tls://h"},
		"hub that collects":   {"hub", "--collect", "ALL"},
		"hub with TLS":        {"hub", "--tls-cert", cert, "--tls-key", key, "--user", "u", "--pass", "p"},
	} {
		t.Run(name, func(t *testing.T) {
			args = append(args, "--data", data)
			p := &preset{name: args[0], edge: args[0] == "edge"}
			if err := p.parse(args[1:]); err != nil {
				t.Fatal(err)
			}
			o, err := p.options()
			if err != nil {
				t.Fatal(err)
			}
			text := p.configText(o)
			back, warns, err := config.Parse("printed.conf", []byte(text), config.Source{ReadFile: os.ReadFile, Env: os.LookupEnv})
			if err != nil || len(warns) > 0 {
				t.Fatalf("%v, %v of\n%s", err, warns, text)
			}
			got, want := strings.Split(optionsText(t, back), "\n"), strings.Split(optionsText(t, o), "\n")
			for i := range max(len(got), len(want)) {
				if i >= len(got) || i >= len(want) || got[i] != want[i] {
					t.Fatalf("printed\n%s\nwhich is at line %d\n%s\nand should be\n%s", text, i,
						strings.Join(got[max(i-5, 0):min(i+1, len(got))], "\n"), strings.Join(want[max(i-5, 0):min(i+1, len(want))], "\n"))
				}
			}
		})
	}
}

// optionsText is what of the options matters.
func optionsText(t *testing.T, o *config.Options) string {
	t.Helper()
	c := *o
	c.Digest = ""
	c.Leaf.Remotes = slices.Clone(o.Leaf.Remotes)
	for i := range c.Leaf.Remotes {
		c.Leaf.Remotes[i].Pos = config.Position{}
	}
	b, err := json.MarshalIndent(&c, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// writeCertificate writes a certificate for 127.0.0.1 that signs itself.
func writeCertificate(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, b := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestPasswd(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "no password"}, {"\n", "no password"}, {strings.Repeat("x", 73), "73 bytes"},
	} {
		var stdout, stderr bytes.Buffer
		if code := runPasswd(nil, strings.NewReader(c.in), &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), c.want) || stdout.Len() > 0 {
			t.Errorf("%.9q: %d, %q, %q", c.in, code, stdout.String(), stderr.String())
		}
	}
	for _, in := range []string{"s3cret\r\nmore"} {
		var stdout, stderr bytes.Buffer
		code := runPasswd(nil, strings.NewReader(in), &stdout, &stderr)
		hash := strings.TrimSuffix(stdout.String(), "\n")
		if code != 0 || bcrypt.CompareHashAndPassword([]byte(hash), []byte("s3cret")) != nil {
			t.Errorf("%q: %d, %q, %q", in, code, hash, stderr.String())
		}
	}
}
