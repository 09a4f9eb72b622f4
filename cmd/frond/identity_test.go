package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/frondmq/frond/edgestore/vfs"
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
	// A server that runs would go on as who it was until its next start.
	journal := filepath.Join(one, "jetstream", "journal")
	if err := os.MkdirAll(journal, 0o700); err != nil {
		t.Fatal(err)
	}
	held, err := vfs.OS{}.Lock(filepath.Join(journal, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	if code := runIdentity([]string{"new", "--data", one}, new(bytes.Buffer), &bad); code != 1 || !strings.Contains(bad.String(), "a server runs on it: stop that first") {
		t.Errorf("while a server runs: exit %d, %q", code, bad.String())
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if _, now := named(one); now != fresh {
		t.Errorf("what was refused made %q of %q", now, fresh)
	}
	if !strings.Contains(out.String(), "configuration file that names server_name") {
		t.Errorf("nothing is said of configuration files: %q", out.String())
	}
}

// A start that fails on a port leaves no folder.
func TestPreset_makesNoFolderBeforeItsPortsAreFree(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	for _, name := range []string{"edge", "hub"} {
		dir := filepath.Join(t.TempDir(), "d")
		var out bytes.Buffer
		if code := run([]string{name, "--data", dir, "--port", port}, &out, &out); code != 1 || !strings.Contains(out.String(), "--port sets another port") {
			t.Errorf("%s: exit %d, %q", name, code, out.String())
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the folder: %v", name, err)
		}
	}
}

// Nor does one that fails on a certificate.
func TestPreset_makesNoFolderForABadCertificate(t *testing.T) {
	dir := t.TempDir()
	cert := filepath.Join(dir, "cert.pem")
	if err := os.WriteFile(cert, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{cert, filepath.Join(dir, "missing.pem")} {
		var out bytes.Buffer
		data := filepath.Join(dir, "data")
		args := []string{"edge", "--data", data, "--port", freePort(t), "--http-port", "0", "--mqtt-port", "0", "--tls-cert", file, "--tls-key", file}
		if code := run(args, &out, &out); code != 1 || !strings.Contains(out.String(), "certificate") {
			t.Errorf("%s: exit %d, %q", file, code, out.String())
		}
		if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the folder: %v", file, err)
		}
	}
}

// A printed file names the server and its domain before there is a data folder
// too, or a hub would not find the streams of the edge that uses it; and printing
// makes no folder.
func TestPreset_printedFileHasADomain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	printed := func() string {
		var out, bad bytes.Buffer
		if code := run([]string{"edge", "--data", dir, "--store", "a", "--print-config"}, &out, &bad); code != 0 {
			t.Fatal(bad.String())
		}
		_, name, _ := strings.Cut(out.String(), "server_name: ")
		name, _, _ = strings.Cut(name, "\n")
		if len(name) < len(`"x"`) || !strings.Contains(out.String(), "domain: "+name) {
			t.Fatalf("server_name %q, and not the same domain, in\n%s", name, &out)
		}
		return name
	}
	if one, two := printed(), printed(); one == two {
		t.Errorf("two edges that were set up alike are both %s", one)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data folder after printing: %v", err)
	}
	var out, bad bytes.Buffer
	if code := runIdentity([]string{"new", "--data", filepath.Dir(dir)}, &out, &bad); code != 0 {
		t.Fatal(bad.String())
	}
	dir = filepath.Dir(dir)
	if name := strings.Trim(printed(), `"`); !strings.Contains(out.String(), "name "+name+":") {
		t.Errorf("printed %s, the folder is %s", name, &out)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
