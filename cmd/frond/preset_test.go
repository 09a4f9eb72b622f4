package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func TestPreset_refuses_what_can_not_work(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.creds")
	cases := []struct {
		name, args, want string
	}{
		{"a flag it does not have", "edge --nope", "not defined: -nope"},
		{"a hub has no hub", "hub --hub x", "not defined: -hub"},
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
		{"a domain with a dot", "edge --domain a.b", "invalid domain name"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			// Each of these ends before anything is started.
			if code := run(strings.Fields(c.args), &stdout, &stderr); code != 1 {
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
		"--store a b --data d":    "--store a --store b --data d",
		"--store a --store b c":   "--store a --store b --store c",
		"--store=a b":             "--store=a --store b",
		"--data d --store a":      "--data d --store a",
		"--store a --data=d":      "--store a --data=d",
		"--domain edge --store a": "--domain edge --store a",
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
