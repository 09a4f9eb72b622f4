package emulated

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/cross/build"
)

// machine is one that qemu imitates. The processor is named, so that an
// instruction that it has not fails.
type machine struct {
	target string
	qemu   string
	cpu    string
}

func machines() []machine {
	return []machine{
		{"linux-armv6", "qemu-arm-static", "arm1176"},
		{"linux-mipsle", "qemu-mipsel-static", "24Kc"},
		{"linux-mips", "qemu-mips-static", "24Kc"}, // big-endian
	}
}

func (m machine) build(t *testing.T) build.Target {
	t.Helper()
	if _, err := exec.LookPath(m.qemu); err != nil {
		t.Skipf("%s is not on this machine (Debian: qemu-user-static): nothing ran as on %s", m.qemu, m.target)
	}
	for _, b := range build.Matrix() {
		if b.Name == m.target {
			return b
		}
	}
	t.Fatalf("no machine %s", m.target)
	return build.Target{}
}

// A server for ARMv6, and one of the other byte order, stores what is published,
// is killed, and has it again.
func TestEmulated_a_server_keeps_what_it_acknowledged(t *testing.T) {
	for _, m := range machines() {
		if m.target == "linux-armv6" || m.target == "linux-mips" {
			t.Run(m.target, func(t *testing.T) { round(t, m) })
		}
	}
}

// The same on all of them, and their tests.
func TestSoak_emulated_machines(t *testing.T) {
	if os.Getenv("FROND_SOAK") == "" {
		t.Skip("a long test: FROND_SOAK=1 runs it")
	}
	root, err := build.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range machines() {
		t.Run(m.target, func(t *testing.T) {
			b := m.build(t)
			round(t, m)
			cmd := exec.Command(build.Go(), "test", "-vet=off", "-count=1", "-p=1", "-timeout=0",
				"-exec", m.qemu+" -cpu "+m.cpu, "./edgestore/...", "./core/jetstream/...")
			cmd.Dir = root
			// The long forms are for machines that are there.
			env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "FROND_SOAK=") })
			cmd.Env = append(append(env, "CGO_ENABLED=0"), b.Env...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			} else {
				t.Logf("%s", out)
			}
		})
	}
}

func round(t *testing.T, m machine) {
	t.Helper()
	target := m.build(t)
	root, err := build.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "frond")
	if err := build.Run(build.Lite().For(target, root, program)); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "frond.conf")
	log := filepath.Join(dir, "log")
	text := fmt.Sprintf("listen: \"127.0.0.1:-1\"\nlog_file: %q\njetstream { store_dir: %q, domain: edge }\nedge_store: \"plant.>\"\n", log, filepath.Join(dir, "data"))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const rounds = 4
	for n := 1; n <= rounds; n++ {
		_ = os.Remove(log)
		cmd := exec.Command(m.qemu, "-cpu", m.cpu, program, "-c", conf)
		cmd.Env = append(os.Environ(), "GOGC=5") // the collector soon reads all that there is
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		address := waitReady(t, log, ended)
		answer := request(t, address, "plant.line1", strings.Repeat("x", 100*n))
		if want := fmt.Sprintf(`"seq":%d`, n); !strings.Contains(answer, want) {
			t.Errorf("publish %d: %s", n, answer)
		}
		if n < rounds-1 {
			_ = cmd.Process.Kill()
			<-ended
			continue
		}
		if n < rounds { // an end with a flush: the next start reads the files, not the journal
			if err := errors.Join(cmd.Process.Signal(os.Interrupt), <-ended); err != nil {
				t.Errorf("the end: %v", err)
			}
			if files, err := storeFiles(dir); err != nil || len(files) == 0 {
				t.Errorf("no file of messages after the end: %v", err)
			}
			continue
		}
		answer = request(t, address, "$JS.API.STREAM.INFO.EDGE", "")
		if !strings.Contains(answer, fmt.Sprintf(`"messages":%d,`, rounds)) {
			t.Errorf("after %d kills and an end: %s", rounds-2, answer)
		}
		if err := errors.Join(cmd.Process.Signal(os.Interrupt), <-ended); err != nil {
			t.Errorf("the end: %v", err)
		}
	}
}

// storeFiles are the files of messages under a folder.
func storeFiles(dir string) (names []string, err error) {
	err = filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".chunks") {
			names = append(names, name)
		}
		return err
	})
	return names, err
}

var listening = regexp.MustCompile(`Listening for client connections on (\S+)`)

// waitReady returns the address that the server listens on.
func waitReady(t *testing.T, log string, ended <-chan error) string {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		b, err := os.ReadFile(log)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if m := listening.FindSubmatch(b); m != nil && strings.Contains(string(b), "Server is ready") {
			return string(m[1])
		}
		select {
		case err := <-ended:
			t.Fatalf("the server has ended: %v\n%s", err, b)
		case <-deadline:
			t.Fatalf("the server does not get ready:\n%s", b)
		case <-tick.C:
		}
	}
}

// request sends one message and returns the answer.
func request(t *testing.T, address, subject, body string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "CONNECT {\"verbose\":false}\r\nSUB answer 1\r\nPUB %s answer %d\r\n%s\r\n", subject, len(body), body)
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "-ERR") {
			t.Fatalf("%s: %v %s", subject, err, line)
		}
		if strings.HasPrefix(line, "MSG answer ") {
			answer, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			return answer
		}
	}
}
