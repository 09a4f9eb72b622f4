package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// Two gateways that are set up alike have domains of their own, which stay.
func TestPreset_domainComesFromTheDataFolder(t *testing.T) {
	named := func(dir string, more ...string) (name, domain string) {
		p := &preset{name: "edge", edge: true}
		if err := p.parse(append([]string{"--data", dir, "--hub", "h"}, more...)); err != nil {
			t.Fatal(err)
		}
		o, err := p.options()
		if err == nil {
			err = identify(o, true)
		}
		if err != nil {
			t.Fatal(err)
		}
		return o.ServerName, o.JetStream.Domain
	}
	one, two := filepath.Join(t.TempDir(), "d"), filepath.Join(t.TempDir(), "d")
	name, domain := named(one)
	if name == "" || domain != name {
		t.Errorf("name %q, domain %q", name, domain)
	}
	if _, again := named(one); again != domain {
		t.Errorf("it was %q and is %q", domain, again)
	}
	if _, other := named(two); other == domain {
		t.Errorf("both are %q", domain)
	}
	if n, d := named(one, "--domain", "line1"); d != "line1" || n != name {
		t.Errorf("with --domain: name %q, domain %q", n, d)
	}

	var out, bad bytes.Buffer
	if code := runIdentity([]string{"new", "--data", one}, &out, &bad); code != 0 {
		t.Fatal(bad.String())
	}
	_, fresh := named(one)
	if fresh == domain || !strings.Contains(out.String(), fresh) {
		t.Errorf("after frond identity new: %q, was %q, told %q", fresh, domain, out.String())
	}
}
