package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/frondmq/frond/cross/build"
)

// debian is a fresh root of Debian. FROND_DEBIAN_ROOT names one to copy, which
// saves the minutes that debootstrap takes.
func debian(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("not root: packages are not installed")
	}
	root := filepath.Join(t.TempDir(), "root")
	if from := os.Getenv("FROND_DEBIAN_ROOT"); from != "" {
		if out, err := exec.Command("cp", "-a", from, root).CombinedOutput(); err != nil {
			t.Fatalf("copy %s: %v\n%s", from, err, out)
		}
		return root
	}
	tool(t, "debootstrap")
	tool(t, "apt-get")
	// From where this machine has its own packages.
	out, err := exec.Command("apt-get", "indextargets", "--format", "$(SITE)", "Identifier: Packages", "Codename: bookworm", "Component: main").Output()
	site, _, _ := strings.Cut(string(out), "\n")
	if err != nil || site == "" {
		t.Skipf("no source of Debian's packages on this machine: %v", err)
	}
	if out, err := exec.Command("debootstrap", "--variant=minbase", "bookworm", root, site).CombinedOutput(); err != nil {
		t.Fatalf("debootstrap: %v\n%s", err, bytes.ReplaceAll(out, []byte(site), []byte("SITE")))
	}
	return root
}

// installed is a Debian with a systemctl that writes down what scripts ask of
// it: there is no init in a folder, and the test starts what it is told to.
type installed struct {
	*system
	seen int // lines of the journal of systemctl that were looked at
}

func newInstalled(t *testing.T) *installed {
	s := newSystem(t, debian(t))
	i := &installed{system: s}
	s.must(s.outside("mount", "-t", "proc", "proc", s.file("proc")))
	s.write("run/systemd/system/.keep", "", 0o644)
	s.write("usr/bin/systemctl", "#!/bin/sh\necho \"$*\" >>/systemctl.log\n[ ! -e /systemctl.fails ] || [ \"$1\" != try-restart ]\n", 0o755)
	return i
}

// asked returns what systemctl was asked since the last time.
func (i *installed) asked() []string {
	b, err := os.ReadFile(i.file("systemctl.log"))
	if err != nil && !os.IsNotExist(err) {
		i.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(b) == 0 {
		lines = nil
	}
	news := lines[i.seen:]
	i.seen = len(lines)
	return news
}

// unit starts what the installed unit says, as the user it says.
func (i *installed) unit() *daemon {
	i.t.Helper()
	unit := string(read(i.t, i.file("usr/lib/systemd/system/frond.service")))
	value := func(key string) string {
		_, rest, found := strings.Cut(unit, "\n"+key+"=")
		if !found {
			i.t.Fatalf("the unit has no %s", key)
		}
		line, _, _ := strings.Cut(rest, "\n")
		return line
	}
	as := []string{"setpriv", "--reuid=" + value("User"), "--regid=" + value("Group"), "--init-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"}
	i.must(i.inside(append(as, strings.Fields(value("ExecStartPre"))...)...))
	return i.start(i.inside(append(as, strings.Fields(value("ExecStart"))...)...))
}

// package builds a package of a version.
func (i *installed) pkg(format, version string, program []byte) string {
	i.t.Helper()
	r, err := newRelease(version, i.file("."), "", "")
	if err != nil {
		i.t.Fatal(err)
	}
	for _, p := range packs() {
		if p.format == format && p.variant == "full" && p.target == "linux-"+runtime.GOARCH {
			ordered, err := packageVersion(version, format)
			if err != nil {
				i.t.Fatal(err)
			}
			name := p.file(ordered)
			if err := r.pack(&p, name, program); err != nil {
				i.t.Fatal(err)
			}
			return "/" + name
		}
	}
	i.t.Skipf("no %s for %s", format, runtime.GOARCH)
	return ""
}

// tree is what is in a folder, by name: mode, owner and content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		all[name] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const streamConfig = `{"name":"S","subjects":["plant.>"],"storage":"file","retention":"limits","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"discard":"old","num_replicas":1}`

// messages asks how many the stream has.
func (i *installed) messages(n int) {
	i.t.Helper()
	i.mustNATS("$JS.API.STREAM.INFO.S", "", fmt.Sprintf(`"messages":%d,`, n))
}

// publish puts two messages in: one from a program, one from a device.
func (i *installed) publish() {
	i.t.Helper()
	i.mustNATS("plant.line1.temp", "21.5", `"stream":"S"`)
	if err := i.mqtt("plant/line1/temp", "21.6"); err != nil {
		i.t.Fatalf("MQTT: %v", err)
	}
}

func (i *installed) version(want string) {
	i.t.Helper()
	if body := i.mustGet("/varz"); !strings.Contains(body, `"frond_version": "`+want+`"`) {
		i.t.Fatalf("not version %s:\n%.400s", want, body)
	}
}

func (i *installed) says(words string, wants ...string) {
	i.t.Helper()
	for _, w := range wants {
		if !strings.Contains(words, w) {
			i.t.Errorf("it does not say %q:\n%s", w, words)
		}
	}
}

// A package is installed, used, upgraded, upgraded in vain, removed and purged.
// What was acknowledged is there to the end.
func TestSoak_deb_from_install_to_purge(t *testing.T) {
	soak(t)
	tool(t, "dpkg-deb")
	one, two := hostProgram(t, "0.1.0"), hostProgram(t, "0.2.0")
	i := newInstalled(t)

	// As README says, in the folder that the package lies in.
	words := i.must(i.inside("apt", "install", "-y", "."+i.pkg("deb", "0.1.0", one)))
	t.Logf("install: %s", words)
	if asked := i.asked(); !slices.Contains(asked, "enable --now frond.service") {
		t.Errorf("an install does not start the service: %q", asked)
	}
	user := i.must(i.inside("id", "frond"))
	if got := i.must(i.inside("stat", "-c", "%U:%G %a", "/etc/frond", "/etc/frond/frond.conf", "/var/lib/frond")); got != "root:frond 750\nroot:frond 640\nfrond:frond 750\n" {
		t.Errorf("owners and modes:\n%s", got)
	}
	d := i.unit()
	d.ready()
	i.version("0.1.0")
	i.mustNATS("$JS.API.STREAM.CREATE.S", streamConfig, `"name":"S"`)
	i.publish()
	i.messages(2)

	// An upgrade keeps what the owner wrote, and the data.
	conf := strings.Replace(string(read(t, i.file("etc/frond/frond.conf"))), "server_name: gateway", "server_name: mine", 1)
	i.write("etc/frond/frond.conf", conf, 0o640)
	i.must(i.inside("dpkg", "-i", i.pkg("deb", "0.2.0", two)))
	if asked := i.asked(); !slices.Contains(asked, "try-restart frond.service") || slices.ContainsFunc(asked, func(s string) bool { return strings.HasPrefix(s, "disable") }) {
		t.Errorf("an upgrade asks %q", asked)
	}
	if got := i.must(i.inside("id", "frond")); got != user {
		t.Errorf("the user was %s and is %s", user, got)
	}
	if got := string(read(t, i.file("etc/frond/frond.conf"))); got != conf {
		t.Errorf("the configuration was overwritten:\n%s", got)
	}
	if code := d.end(); code != 0 {
		t.Errorf("the stop for the restart: exit %d\n%s", code, d.text())
	}
	d = i.unit()
	d.ready()
	i.version("0.2.0")
	i.messages(2)
	i.publish()
	i.messages(4)

	// A configuration that the new version refuses: what runs goes on, and dpkg
	// ends with the reason.
	i.asked()
	i.write("etc/frond/frond.conf", conf+"\nmax_paylod: 1MB\n", 0o640)
	words = i.mustFail(i.inside("dpkg", "-i", i.pkg("deb", "0.3.0", two)))
	i.says(words, "/etc/frond/frond.conf:", "max_paylod", "max_payload", "was not (re)started", "error processing package frond")
	if asked := i.asked(); slices.ContainsFunc(asked, func(s string) bool { return strings.Contains(s, "restart") || strings.Contains(s, "stop") }) {
		t.Errorf("the service was touched: %q", asked)
	}
	if !d.running() {
		t.Fatal("what ran was ended")
	}
	i.version("0.2.0")
	i.publish()
	i.messages(6)
	i.write("etc/frond/frond.conf", conf, 0o640)
	i.must(i.inside("dpkg", "--configure", "-a"))
	if asked := i.asked(); !slices.Contains(asked, "try-restart frond.service") {
		t.Errorf("corrected, it is not restarted: %q", asked)
	}

	// A new version that does not start: the package manager hears of it.
	i.write("systemctl.fails", "", 0o644)
	words = i.mustFail(i.inside("dpkg", "-i", i.pkg("deb", "0.4.0", two)))
	i.says(words, "did not start", "journalctl -u frond", "error processing package frond")
	if err := os.Remove(i.file("systemctl.fails")); err != nil {
		t.Fatal(err)
	}
	i.must(i.inside("dpkg", "--configure", "-a"))

	i.fullDisk(d, two)
	i.newerData(d)
	i.olderProgram(two)

	// Removed, everything that is the owner's stays.
	d = i.unit()
	d.ready()
	i.messages(8)
	i.asked()
	i.must(i.inside("dpkg", "-r", "frond"))
	if asked := i.asked(); !slices.Contains(asked, "disable --now frond.service") {
		t.Errorf("a removal does not stop the service: %q", asked)
	}
	d.end()
	if i.has("usr/bin/frond") || !i.has("etc/frond/frond.conf") || !i.has("var/lib/frond/jetstream") {
		t.Error("a removal takes the program, and nothing of the owner's")
	}
	before := tree(t, i.file("var/lib/frond"))
	words = i.must(i.inside("dpkg", "-P", "frond"))
	i.says(words, "/var/lib/frond", "was kept")
	if i.has("etc/frond/frond.conf") {
		t.Error("a purge keeps the configuration")
	}
	sameTree(t, before, tree(t, i.file("var/lib/frond")))

	// And back again, on what was kept.
	i.must(i.inside("dpkg", "-i", i.pkg("deb", "0.4.0", two)))
	d = i.unit()
	d.ready()
	i.messages(8)
	d.end()
}

func sameTree(t *testing.T, before, after map[string]string) {
	t.Helper()
	if len(before) == 0 || len(before) != len(after) {
		t.Errorf("%d files before, %d after", len(before), len(after))
	}
	for name, sum := range before {
		if after[name] != sum {
			t.Errorf("%s is not what it was", name)
		}
	}
}

// fullDisk: a package that finds no room leaves the old one in place, and a
// server that finds none says so.
func (i *installed) fullDisk(d *daemon, program []byte) {
	i.t.Helper()
	file := i.pkg("deb", "0.5.0", program)
	i.must(i.outside("mount", "-t", "tmpfs", "-o", "size=64k", "none", i.file("usr/share/doc/frond")))
	words := i.mustFail(i.inside("dpkg", "-i", file))
	i.says(words, "No space left on device")
	i.must(i.outside("umount", i.file("usr/share/doc/frond")))
	if got := i.must(i.inside("dpkg-query", "-W", "-f", "${Version} ${Status}", "frond")); got != "0.4.0 install ok installed" {
		i.t.Errorf("after a full disk: %s", got)
	}
	if !d.running() {
		i.t.Fatal("what ran was ended")
	}
	i.version("0.2.0")
	i.publish()
	i.messages(8)
	i.must(i.inside("/usr/bin/frond", "-t", "-c", "/etc/frond/frond.conf"))
	if code := d.end(); code != 0 {
		i.t.Errorf("exit %d", code)
	}

	// The same for the folder of streams.
	i.must(i.inside("mkdir", "/small"))
	i.must(i.outside("mount", "-t", "tmpfs", "-o", "size=16k", "none", i.file("small")))
	i.write("small.conf", "listen: \"127.0.0.1:4222\"\nhttp: \"127.0.0.1:8222\"\njetstream { store_dir: \"/small\" }\n", 0o644)
	words = i.mustFail(i.inside("/usr/bin/frond", "-c", "/small.conf"))
	i.says(words, "/small", "no space left on device")
	i.must(i.outside("umount", i.file("small")))
}

// newerData: a program that does not know the format of what is stored ends
// with words, and does not touch it.
func (i *installed) newerData(d *daemon) {
	i.t.Helper()
	name := i.file("var/lib/frond/jetstream/journal/journal.id")
	b := read(i.t, name)
	old := slices.Clone(b)
	// Bytes 12 to 15 are the format, 8 to 11 the CRC of 12 to 35: see
	// edgestore/journal/FORMAT.md.
	binary.LittleEndian.PutUint32(b[12:], binary.LittleEndian.Uint32(b[12:])+1)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[12:36], crc32.MakeTable(crc32.Castagnoli)))
	if err := os.WriteFile(name, b, 0o600); err != nil {
		i.t.Fatal(err)
	}
	before := tree(i.t, i.file("var/lib/frond"))
	d = i.unit()
	<-d.done
	if code := d.cmd.ProcessState.ExitCode(); code != 1 {
		i.t.Errorf("exit %d", code)
	}
	i.says(d.text(), "has format", "use the newer program")
	i.t.Logf("over a newer format: %s", d.text())
	sameTree(i.t, before, tree(i.t, i.file("var/lib/frond")))
	if err := os.WriteFile(name, old, 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// newerProgram is a program of a later release, and the format of the data folder
// that it alone knows.
func newerProgram(t *testing.T, version string) (program []byte, format int) {
	t.Helper()
	root, err := build.Root()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(root, "core", "jetstream", "format.go")
	text := string(read(t, source))
	m := regexp.MustCompile(`(?m)^\tFormat = ([0-9]+)$`).FindStringSubmatch(text)
	if m == nil {
		t.Fatal("format.go does not say the format where this test looks")
	}
	now, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	format = now + 1
	newer := strings.Replace(text, m[0], fmt.Sprintf("\tFormat = %d", format), 1)
	dir := t.TempDir()
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {source: filepath.Join(dir, "format.go")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "format.go"), []byte(newer), 0o600),
		os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOFLAGS", os.Getenv("GOFLAGS")+" -overlay="+filepath.Join(dir, "overlay.json"))
	return hostProgram(t, version), format
}

// olderProgram: a package whose program does not know the format of the data
// folder. What runs goes on, dpkg ends with the reason, and nothing is touched.
func (i *installed) olderProgram(older []byte) {
	i.t.Helper()
	newer, format := newerProgram(i.t, "0.9.0")
	i.must(i.inside("cp", "-a", "/var/lib/frond", "/kept"))
	i.must(i.inside("dpkg", "-i", i.pkg("deb", "0.9.0", newer)))
	d := i.unit()
	d.ready()
	i.messages(8)
	d.end()
	i.says(i.must(i.inside("setpriv", "--reuid=frond", "--regid=frond", "--init-groups", "frond", "store", "format", fmt.Sprint(format), "/var/lib/frond")),
		fmt.Sprintf("format %d; this program writes formats up to %d", format, format))
	d = i.unit()
	d.ready()
	i.publish()
	i.messages(10)
	i.asked()
	words := i.mustFail(i.inside("dpkg", "-i", "--force-downgrade", i.pkg("deb", "0.8.0", older)))
	i.t.Logf("an older program over a newer format: %s", words)
	i.says(words, "/var/lib/frond/jetstream has format", "was not (re)started", "error processing package frond")
	if asked := i.asked(); slices.ContainsFunc(asked, func(s string) bool { return strings.Contains(s, "restart") || strings.Contains(s, "stop") }) {
		i.t.Errorf("the service was touched: %q", asked)
	}
	if !d.running() {
		i.t.Fatal("what ran was ended")
	}
	i.version("0.9.0")
	i.publish()
	i.messages(12)
	d.end()
	// Started all the same, it touches nothing either.
	before := tree(i.t, i.file("var/lib/frond"))
	words = i.mustFail(i.inside("setpriv", "--reuid=frond", "--regid=frond", "--init-groups", "frond", "-c", "/etc/frond/frond.conf"))
	i.says(words, "has format")
	sameTree(i.t, before, tree(i.t, i.file("var/lib/frond")))
	i.must(i.inside("dpkg", "-i", i.pkg("deb", "0.9.0", newer)))
	d = i.unit()
	d.ready()
	i.messages(12)
	d.end()
	// Back, with the copy that was taken before.
	i.must(i.inside("sh", "-c", "rm -r /var/lib/frond && mv /kept /var/lib/frond"))
	i.must(i.inside("dpkg", "-i", "--force-downgrade", i.pkg("deb", "0.4.0", older)))
}

// The same with rpm, whose own tool works on another root.
func TestSoak_rpm_by_its_own_tool(t *testing.T) {
	soak(t)
	tool(t, "rpm")
	program := hostProgram(t, "0.2.0")
	i := newInstalled(t)
	rpm := func(args ...string) *exec.Cmd {
		return i.outside(append([]string{"rpm", "--root", i.root, "--nodeps"}, args...)...)
	}
	out := func(name string) string { return i.file(strings.TrimPrefix(name, "/")) }
	i.must(rpm("-i", out(i.pkg("rpm", "0.1.0", program))))
	if asked := i.asked(); !slices.Contains(asked, "enable --now frond.service") {
		t.Errorf("an install does not start the service: %q", asked)
	}
	i.must(i.inside("id", "frond"))
	d := i.unit()
	d.ready()
	i.mustNATS("$JS.API.STREAM.CREATE.S", streamConfig, `"name":"S"`)
	i.publish()
	conf := strings.Replace(string(read(t, i.file("etc/frond/frond.conf"))), "server_name: gateway", "server_name: mine", 1)
	i.write("etc/frond/frond.conf", conf, 0o640)
	i.must(rpm("-U", out(i.pkg("rpm", "0.2.0", program))))
	if asked := i.asked(); !slices.Contains(asked, "try-restart frond.service") || slices.ContainsFunc(asked, func(s string) bool { return strings.HasPrefix(s, "disable") }) {
		t.Errorf("an upgrade asks %q", asked)
	}
	if got := string(read(t, i.file("etc/frond/frond.conf"))); got != conf {
		t.Errorf("the configuration was overwritten:\n%s", got)
	}
	i.write("etc/frond/frond.conf", conf+"\nmax_paylod: 1MB\n", 0o640)
	b, err := rpm("-U", out(i.pkg("rpm", "0.3.0", program))).CombinedOutput()
	t.Logf("a configuration that is refused: %v\n%s", err, b)
	i.says(string(b), "max_paylod", "was not (re)started", "scriptlet failed")
	if asked := i.asked(); slices.ContainsFunc(asked, func(s string) bool { return strings.Contains(s, "restart") }) || !d.running() {
		t.Errorf("the service was touched: %q", asked)
	}
	i.write("etc/frond/frond.conf", conf, 0o640)
	i.messages(2)
	words := i.must(rpm("-e", "frond"))
	i.says(words, "/var/lib/frond", "was kept")
	if asked := i.asked(); !slices.Contains(asked, "disable --now frond.service") {
		t.Errorf("a removal does not stop the service: %q", asked)
	}
	d.end()
	if i.has("usr/bin/frond") || !i.has("etc/frond/frond.conf.rpmsave") || !i.has("var/lib/frond/jetstream") {
		t.Error("a removal takes the program, and nothing of the owner's")
	}
}
