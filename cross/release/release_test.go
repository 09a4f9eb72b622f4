package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aead.dev/minisign"

	"github.com/frondmq/frond/cross/build"
)

// tiny is a real Go program for this machine, for packing only.
var tiny = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "frond-tiny")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module tiny\n\ngo 1.26\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o600)); err != nil {
		return nil, err
	}
	cmd := exec.Command(build.Go(), "build", "-trimpath", "-ldflags=-s -w", "-o", "tiny", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "tiny"))
})

func testRelease(t *testing.T) (*release, []byte) {
	t.Helper()
	program, err := tiny()
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRelease("1.2.3", t.TempDir(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	r.at = time.Unix(1_700_000_000, 0).UTC()
	return r, program
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tarEach calls f for what a tarball holds; its content can be read from r then.
func tarEach(t *testing.T, b io.Reader, f func(h *tar.Header, r io.Reader)) {
	t.Helper()
	for r := tar.NewReader(b); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		f(h, r)
	}
}

// tarNames lists a tarball: name, mode.
func tarNames(t *testing.T, b io.Reader) (names []string) {
	t.Helper()
	tarEach(t, b, func(h *tar.Header, _ io.Reader) {
		names = append(names, fmt.Sprintf("%s %o", strings.TrimPrefix(h.Name, "./"), h.Mode))
	})
	return names
}

func unzip(t *testing.T, b []byte) []byte {
	t.Helper()
	gz, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wants(t *testing.T, names []string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !slices.Contains(names, w) {
			t.Errorf("%q is not in it: %q", w, names)
		}
	}
}

// The same program packed twice gives the same bytes, and an archive holds what
// somebody needs who has nothing else.
func TestArchive_is_whole_and_the_same_twice(t *testing.T) {
	for _, target := range []string{"linux-armv6", "windows-amd64"} {
		var first []byte
		for i := range 2 {
			r, program := testRelease(t)
			var machine build.Target
			for _, m := range build.Matrix() {
				if m.Name == target {
					machine = m
				}
			}
			if err := r.archive("frond-1.2.3-"+target, machine, program); err != nil {
				t.Fatal(err)
			}
			got := read(t, filepath.Join(r.out, r.made[0]))
			if i == 1 && !bytes.Equal(got, first) {
				t.Errorf("%s: two runs differ", target)
			}
			first = got
		}
		if target == "linux-armv6" {
			wants(t, tarNames(t, bytes.NewReader(unzip(t, first))),
				"frond-1.2.3-linux-armv6/frond 755", "frond-1.2.3-linux-armv6/README.md 644", "frond-1.2.3-linux-armv6/LICENSE 644",
				"frond-1.2.3-linux-armv6/conf/edge.conf 644", "frond-1.2.3-linux-armv6/systemd/frond.service 644",
				"frond-1.2.3-linux-armv6/openrc/frond 755", "frond-1.2.3-linux-armv6/licenses/go/LICENSE 644",
				"frond-1.2.3-linux-armv6/man/frond.1 644", "frond-1.2.3-linux-armv6/completions/frond.bash 644",
				"frond-1.2.3-linux-armv6/completions/_frond 644", "frond-1.2.3-linux-armv6/completions/frond.fish 644")
		}
	}
}

// Packages hold the program, its configuration (which an upgrade keeps) and the
// service of their system.
func TestPack_holds_what_its_system_needs(t *testing.T) {
	made := make(map[string]bool)
	for _, p := range packs() {
		if made[p.format] {
			continue
		}
		made[p.format] = true
		t.Run(p.format, func(t *testing.T) {
			var first []byte
			var r *release
			var program []byte
			for i := range 2 {
				r, program = testRelease(t)
				if err := r.pack(&p, "x."+p.format, program); err != nil {
					t.Fatal(err)
				}
				got := read(t, filepath.Join(r.out, "x."+p.format))
				if i == 1 && !bytes.Equal(got, first) {
					t.Error("two runs differ")
				}
				first = got
			}
			checkPackage(t, p.format, filepath.Join(r.out, "x."+p.format))
		})
	}
	if len(made) != 4 {
		t.Errorf("formats: %v", made)
	}
}

func checkPackage(t *testing.T, format, file string) {
	common := []string{
		"usr/bin/frond 755", "etc/frond/frond.conf 640", "usr/share/man/man1/frond.1.gz 644",
		"usr/share/bash-completion/completions/frond 644", "usr/share/fish/vendor_completions.d/frond.fish 644",
	}
	switch format {
	case "apk":
		// Signature, control and data are gzip streams one behind the other.
		wants(t, tarNames(t, bytes.NewReader(unzip(t, read(t, file)))), append(common, "etc/init.d/frond 755", "usr/share/zsh/site-functions/_frond 644")...)
	case "ipk":
		outer := tar.NewReader(bytes.NewReader(unzip(t, read(t, file))))
		for {
			h, err := outer.Next()
			if err != nil {
				t.Fatalf("no data.tar.gz: %v", err)
			}
			if strings.HasSuffix(h.Name, "data.tar.gz") {
				b, err := io.ReadAll(outer)
				if err != nil {
					t.Fatal(err)
				}
				wants(t, tarNames(t, bytes.NewReader(unzip(t, b))), "usr/bin/frond 755", "etc/init.d/frond 755", "etc/config/frond 600")
				return
			}
		}
	case "deb":
		tool(t, "dpkg-deb")
		out, err := exec.Command("dpkg-deb", "--fsys-tarfile", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		wants(t, tarNames(t, bytes.NewReader(out)), append(common, "usr/lib/systemd/system/frond.service 644", "usr/share/zsh/vendor-completions/_frond 644")...)
		out, err = exec.Command("dpkg-deb", "--info", file, "conffiles").Output()
		if err != nil || !strings.Contains(string(out), "/etc/frond/frond.conf") {
			t.Errorf("an upgrade would overwrite the configuration: %q, %v", out, err)
		}
	case "rpm":
		tool(t, "rpm")
		out, err := exec.Command("rpm", "-qplv", "--dump", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"/usr/bin/frond", "/etc/frond/frond.conf", "/usr/lib/systemd/system/frond.service", "/usr/share/man/man1/frond.1.gz", "/usr/share/zsh/site-functions/_frond"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s is not in it:\n%s", want, out)
			}
		}
	}
}

func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not on this machine: the package was written and not read", name)
	}
}

// Every package is of a build that is made, and no two have one name.
func TestPacks_are_of_builds(t *testing.T) {
	names := make(map[string]bool)
	for _, p := range packs() {
		found := false
		for _, m := range build.Matrix() {
			for _, v := range m.Builds() {
				found = found || m.Name == p.target && v.Name == p.variant
			}
		}
		if !found {
			t.Errorf("%+v: no such build", p)
		}
		if f := p.file("1"); names[f] {
			t.Errorf("%s is made twice", f)
		} else {
			names[f] = true
		}
	}
}

// What signs the checksums is verified by the public key, and by no other bytes.
func TestSums_are_signed(t *testing.T) {
	r, _ := testRelease(t)
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FROND_KEY_PASSWORD", "a password of a test")
	secret, err := minisign.EncryptKey("a password of a test", private)
	if err != nil {
		t.Fatal(err)
	}
	r.key = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(r.key, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.out, "b"), []byte("b"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.out, "a"), []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.sums(); err != nil {
		t.Fatal(err)
	}
	text := read(t, filepath.Join(r.out, sumsName))
	want := fmt.Sprintf("%x  a\n%x  b\n", sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b")))
	if string(text) != want {
		t.Errorf("sums %q, want %q", text, want)
	}
	sig := read(t, filepath.Join(r.out, sumsName+".minisig"))
	if !minisign.Verify(public, text, sig) {
		t.Error("the signature does not verify")
	}
	if minisign.Verify(public, append(text, 'x'), sig) {
		t.Error("the signature verifies for other bytes")
	}
	// Without a key an old signature must not stay beside new sums.
	r.key = ""
	if err := r.sums(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(r.out, sumsName+".minisig")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old signature is still there: %v", err)
	}
}

// Every digest in the image is that of a blob, and the program is in it under
// both names.
func TestContainer_layout(t *testing.T) {
	r, program := testRelease(t)
	l := &layout{blobs: make(map[string][]byte)}
	m, err := l.image(program, ociPlatform{"arm64", "linux", "v8"}, r.version, r.at)
	if err != nil {
		t.Fatal(err)
	}
	get := func(d ociDescriptor) []byte {
		b := l.blobs[strings.TrimPrefix(d.Digest, "sha256:")]
		if int64(len(b)) != d.Size || d.Digest != fmt.Sprintf("sha256:%x", sha256.Sum256(b)) {
			t.Errorf("%s: not what it is called", d.Digest)
		}
		return b
	}
	var manifest ociManifest
	if err := json.Unmarshal(get(m), &manifest); err != nil {
		t.Fatal(err)
	}
	var config ociConfig
	if err := json.Unmarshal(get(manifest.Config), &config); err != nil {
		t.Fatal(err)
	}
	plain := unzip(t, get(manifest.Layers[0]))
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256(plain)); config.RootFS.DiffIDs[0] != want {
		t.Errorf("diff id %s, want %s", config.RootFS.DiffIDs[0], want)
	}
	if config.Architecture != "arm64" || config.Variant != "v8" || config.Config.Entrypoint[0] != "/frond" {
		t.Errorf("config %+v", config)
	}
	wants(t, tarNames(t, bytes.NewReader(plain)), "frond 755", "nats-server 777", "tmp/ 1777")
}

// Scripts are read by the plainest shell there is.
func TestFirmware_scripts_are_shell(t *testing.T) {
	r, _ := testRelease(t)
	n := 0
	for _, pattern := range []string{"scripts/*.sh", "openrc/frond", "openwrt/frond.init"} {
		names, err := filepath.Glob(filepath.Join(r.root, "firmware", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			n++
			if out, err := exec.Command("sh", "-n", name).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	}
	if n < 8 {
		t.Errorf("%d scripts were looked at", n)
	}
}

// The unit gives the service no more than it needs.
func TestFirmware_unit_is_hardened(t *testing.T) {
	tool(t, "systemd-analyze")
	r, _ := testRelease(t)
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=15",
		filepath.Join(r.root, "firmware", "systemd", "frond.service")).CombinedOutput()
	if err != nil {
		t.Errorf("above 1.5: %v\n%s", err, out)
	}
}
