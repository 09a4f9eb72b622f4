package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream"
	"github.com/frondmq/frond/edgestore"
)

// newerFolder is a data folder that a newer program has written.
func newerFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	table, err := edgestore.OpenTableFile(edgestore.TableOptions{Path: filepath.Join(dir, "jetstream", "catalogue.db")})
	if err != nil {
		t.Fatal(err)
	}
	table.Seal(1, []edgestore.Aux{{Key: "format", Value: []byte{jetstream.Format + 1}}})
	if err := errors.Join(table.Flush(), table.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRun_endsAtOnce(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.conf")
	bad := filepath.Join(t.TempDir(), "bad.conf")
	odd := filepath.Join(t.TempDir(), "odd.conf")
	broken := filepath.Join(t.TempDir(), "broken.conf")
	newer := filepath.Join(t.TempDir(), "newer.conf")
	data := newerFolder(t)
	through := filepath.Join(t.TempDir(), "through.conf")
	for path, text := range map[string]string{
		good: "port: -1\n", bad: "port: -1\nmax_paylod: 1\n", odd: "port: -1\nping_interval: 5\n",
		broken: "port: -1\ntls { cert_file: no-such.pem, key_file: no-such.pem }\n",
		newer:  fmt.Sprintf("port: -1\njetstream { store_dir: %q }\n", data),
		// A folder in a file.
		through: fmt.Sprintf("port: -1\njetstream { store_dir: %q }\n", filepath.Join(good, "data")),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		args           string
		code           int
		stdout, stderr string // parts
	}{
		{"-v", 0, "frond: v", ""},
		{"--version", 0, "frond: v" + core.ProgramVersion() + " (nats-server level 2.12.0)", ""},
		{"version", 0, "frond: v", ""},
		{"-h", 0, "Usage: frond", ""},
		{"--help", 0, "Usage: frond", ""},
		{"help", 0, "frond help TOPIC", ""},
		{"edge --help", 0, "Usage: frond edge", ""},
		{"edge -h", 0, "--mqtt-port", ""},
		{"hub -h", 0, "--leaf-port", ""},
		{"hub --store a -help", 0, "Usage: frond hub", ""},
		{"edg", 1, "", `unrecognized command: "edg", did you mean "edge"?`},
		{"--prot 1", 0, "Usage: frond", "did you mean --port?"},
		{"--config_file x", 0, "Usage: frond", "not defined: --config_file (see the usage)"},
		{"edge --mqttport 1", 1, "", "flag provided but not defined: --mqttport, did you mean --mqtt-port?"},
		{"hub --leafport 1", 1, "", "did you mean --leaf-port?"},
		{"edge --something", 1, "", "(see frond edge -h)"},
		{"edge --store", 1, "", "flag needs an argument: --store"},
		{"edge --store --hub h", 1, "", "flag needs an argument: --store: --hub is a flag"},
		{"edge --hub --store=a", 1, "", "flag needs an argument: --hub: --store is a flag"},
		{"edge --port 70000", 1, "", "--port 70000: a port is a number from 1 to 65535"},
		{"edge --mqtt-port -2", 1, "", "--mqtt-port -2: a port is a number from 0 to 65535"},
		{"edge --port x", 1, "", `invalid value "x" for flag --port: parse error`},
		{"edge --port", 1, "", "flag needs an argument: --port"},
		{"--signal", 0, "Usage: frond", "flag needs an argument: --signal"},
		{"-p", 0, "Usage: frond", "flag needs an argument: -p"},
		{"--jetstream=x", 0, "Usage: frond", `invalid boolean value "x" for --jetstream: parse error`},
		{"damage ls --data no-such-folder", 1, "", "--data: there is no folder no-such-folder"},
		{"damage ack all --data no-such-folder", 1, "", "--data: there is no folder no-such-folder"},
		{"identity new --data no-such-folder", 1, "", "--data: there is no folder no-such-folder"},
		{"identity --data no-such-folder", 1, "", "--data: there is no folder no-such-folder"},
		{"edge --tls-cert c", 1, "", "--tls-cert and --tls-key belong together"},
		{"hub --tls-ca c", 1, "", "--tls-ca is for"},
		{"-h", 0, "frond store  ", ""},
		{"--help damage", 0, "Usage: frond [options]", ""},
		{"damage ack", 1, "", "ack takes one ID, as damage ls shows it, or all"},
		{"damage sl", 1, "", `damage: "sl" is not known: ls, ack ID|all`},
		{"damage ls --dta x", 1, "", "did you mean --data?"},
		{"store check --data x", 1, "", "(see frond store -h)"},
		{"identity -h", 0, "Usage: frond identity", ""},
		{"identity --data x new -h", 0, "Usage: frond identity", ""},
		{"identity old", 1, "", `identity: "old" is not known: new, or nothing`},
		{"identity --dta x", 1, "", "did you mean --data?"},
		{"passwd x", 1, "", "reads the password from standard input"},
		{"passwd -h", 0, "Usage: frond passwd", ""},
		{"--json -c " + good, 1, "", "--json belongs to -t"},
		{"-t --json -c " + good, 0, `"valid": true`, ""},
		{"-t --json -c " + bad, 1, `"line": 2,`, ""},
		{"-t --json -c /no/such/file", 1, `"reason": "error opening config file`, ""},
		{"-t -c " + odd, 0, "", "odd.conf:2:1: invalid use of field"},
		{"-t --json -c " + odd, 0, `"line": 2,`, ""},
		{"-t -c " + broken, 1, "", "no-such.pem"},
		{"-t -c " + newer, 1, "", "has format 3, this program reads formats up to 2"},
		{"-t --json -c " + newer, 1, `has format 3`, ""},
		{"-t -c " + newer, 1, "", "newer.conf:2:13: "},
		{"-t -c " + through, 1, "", "through.conf:2:13: storage directory is not a directory: " + good},
		{"xyz", 1, "", `frond: unrecognized command: "xyz"`},
		{"--bogus", 0, "Usage: frond", "flag provided but not defined: --bogus"},
		{"-p x", 0, "Usage: frond", `invalid value "x" for flag -p: parse error`},
		{"-t", 1, "", "must specify [-c, --config]"},
		{"-t -c " + good, 0, "", "good.conf is valid (sha256:"},
		{"-t -c " + bad, 1, "", "bad.conf:2:1: unknown field"},
		{"-c " + bad, 1, "", "bad.conf:2:1: unknown field"},
		{"-c /no/such/file", 1, "", "frond: error opening config file"},
		{"--routes nats://h:1", 1, "", "flag --routes is not supported yet"},
		{"-s", 1, "", "flag --s is not supported yet"},
		{"--tls", 1, "", "TLS Server certificate must be present and valid"},
		{"--tlscert c.pem", 1, "", "TLS Server private key must be present and valid"},
		{"--signal foo", 1, "", `frond: unknown signal "foo"`},
		{"--signal ldm=1", 1, "", `signal "ldm" is not supported yet`},
		{"--signal reload=x", 1, "", "invalid pid: x"},
		{"--signal reload=a=b", 1, "", "invalid signal parameters"},
		{"--signal quit=x", 1, "", "invalid pid: x"},
		{"edge --listen 0.0.0.0", 1, "", "give --user and --pass"},
		{"edge --user me", 1, "", "--user and --pass belong together"},
		{"edge --creds x", 1, "", "--creds are for --hub"},
		{"edge word", 1, "", `what is "word"?`},
		{"hub --hub x", 1, "", "flag provided but not defined: --hub"},
		{"edge --hub nats-leaf://", 1, "", "no host"},
	} {
		t.Run(test.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(strings.Fields(test.args), &stdout, &stderr)
			if code != test.code || !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("code %d, stdout %.200q, stderr %q", code, stdout.String(), stderr.String())
			}
		})
	}
}

func TestFlags_winOverTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.conf")
	if err := os.WriteFile(path, []byte("port: 1\nserver_name: file\ndebug: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFlags()
	args := "--port=2 -c " + path + " -D=false -a 127.0.0.1 -js --store_dir /data -m 8222 --user u --pass p -T=false -P pid"
	if err := f.parse(strings.Fields(args)); err != nil {
		t.Fatal(err)
	}
	o, _, err := f.options()
	if err != nil {
		t.Fatal(err)
	}
	if o.Port != 2 || o.ServerName != "file" || o.Log.Debug || o.Log.Time || o.Host != "127.0.0.1" || !o.JetStream.Enabled ||
		o.JetStream.StoreDir != "/data" || o.HTTPPort != 8222 || o.Auth.User != "u" || o.Auth.Password != "p" || o.PidFile != "pid" {
		t.Errorf("options %+v", o)
	}
}

func mustPreset(t *testing.T, name string, args string) (*preset, *config.Options) {
	t.Helper()
	p := &preset{name: name, edge: name == "edge"}
	if err := p.parse(strings.Fields(args)); err != nil {
		t.Fatal(err)
	}
	o, err := p.options()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	return p, o
}

func TestPreset(t *testing.T) {
	t.Run("listens on this machine only without a user", func(t *testing.T) {
		for _, name := range []string{"edge", "hub"} {
			_, o := mustPreset(t, name, "")
			for _, host := range []string{o.Host, o.HTTPHost, o.Leaf.Host, o.MQTT.Host} {
				if (o.Leaf.Port != 0 || host != o.Leaf.Host) && (o.MQTT.Port != 0 || host != o.MQTT.Host) && host != loopback {
					t.Errorf("%s listens on %s", name, host)
				}
			}
			if o.Port != 4222 || o.HTTPPort != 8222 || !o.JetStream.Enabled || o.JetStream.StoreDir != "frond-data" {
				t.Errorf("%s: %+v", name, o)
			}
		}
	})
	t.Run("is opened by a user", func(t *testing.T) {
		_, o := mustPreset(t, "edge", "--user u --pass p")
		if o.Host != config.DefaultHost || o.Auth.User != "u" {
			t.Errorf("host %s, user %s", o.Host, o.Auth.User)
		}
		_, o = mustPreset(t, "edge", "--user u --pass p --listen 10.0.0.1")
		if o.Host != "10.0.0.1" {
			t.Errorf("host %s", o.Host)
		}
	})
	t.Run("stores several subjects", func(t *testing.T) {
		for _, args := range []string{
			"--store a.> b --domain d", "--store a.> --store b --domain d", "--store=a.> b --domain d", "--domain d -store a.> b",
		} {
			p, o := mustPreset(t, "edge", args)
			if !slices.Equal(p.store, []string{"a.>", "b"}) || o.JetStream.Domain != "d" {
				t.Errorf("%s: store %q, domain %q", args, p.store, o.JetStream.Domain)
			}
		}
	})
	t.Run("links to a hub", func(t *testing.T) {
		if !has(modules(), "leafnodes") {
			t.Skip("this build has no leaf links")
		}
		creds := filepath.Join(t.TempDir(), "f.creds")
		if err := os.WriteFile(creds, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		for arg, want := range map[string]string{
			"hub.example.com":               "nats-leaf://hub.example.com:7422",
			"hub:1234":                      "nats-leaf://hub:1234",
			"tls://u:p@hub.example.com":     "tls://u:p@hub.example.com:7422",
			"nats-leaf://hub.example.com:1": "nats-leaf://hub.example.com:1",
		} {
			_, o := mustPreset(t, "edge", "--hub "+arg+" --creds "+creds)
			r := o.Leaf.Remotes[0]
			if r.URLs[0].String() != want || r.Credentials != creds || r.Account != "$G" || !r.IgnoreDiscovered || (r.TLS != nil) != strings.HasPrefix(arg, "tls") {
				t.Errorf("%s: %+v", arg, r)
			}
		}
	})
}

// Each of several errors is a line of frond's.
func TestFail_eachLineIsOfFrond(t *testing.T) {
	var out bytes.Buffer
	fail(&out, errors.Join(errors.New("one:\n  more of it"), errors.New("two")))
	if want := "frond: one:\n  more of it\nfrond: two\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
