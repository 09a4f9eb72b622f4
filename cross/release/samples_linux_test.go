package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// builtFrond is the program of this commit for this machine, built once.
var builtFrond struct {
	once    sync.Once
	program []byte
}

func frondFile(t *testing.T) string {
	t.Helper()
	builtFrond.once.Do(func() { builtFrond.program = hostProgram(t, "0.0.0") })
	if builtFrond.program == nil {
		t.Skip("no program for this machine")
	}
	file := filepath.Join(t.TempDir(), "frond")
	if err := os.WriteFile(file, builtFrond.program, 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// logged is a frond that writes a log file, on ports that it chose.
type logged struct {
	t       *testing.T
	cmd     *exec.Cmd
	logFile string
	start   string // the log of the start, which tells the ports
	done    chan struct{}
}

func startLogged(t *testing.T) *logged {
	t.Helper()
	dir := t.TempDir()
	l := &logged{t: t, logFile: filepath.Join(dir, "log", "frond.log"), done: make(chan struct{})}
	conf := filepath.Join(dir, "frond.conf")
	text := fmt.Sprintf(`
listen: "127.0.0.1:-1"
mqtt { listen: "127.0.0.1:-1" }
leafnodes { listen: "127.0.0.1:-1" }
jetstream { store_dir: %q }
log_file: %q
authorization { users: [ { user: device, password: "of a test 1" } ] }
`, filepath.Join(dir, "data"), l.logFile)
	if err := errors.Join(os.Mkdir(filepath.Dir(l.logFile), 0o750), os.WriteFile(conf, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	l.cmd = exec.Command(frondFile(t), "-c", conf)
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(l.done)
		_ = l.cmd.Wait()
	}()
	t.Cleanup(l.end)
	l.until("Server is ready")
	l.start = l.text()
	return l
}

func (l *logged) end() {
	_ = l.cmd.Process.Signal(syscall.SIGTERM)
	<-l.done
}

func (l *logged) text() string {
	b, err := os.ReadFile(l.logFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.t.Fatal(err)
	}
	return string(b)
}

func (l *logged) until(want string) {
	l.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !strings.Contains(l.text(), want) {
		select {
		case <-l.done:
			l.t.Fatalf("the server has ended:\n%s", l.text())
		case <-deadline:
			l.t.Fatalf("the log does not say %q:\n%s", want, l.text())
		case <-tick.C:
		}
	}
}

// send says something to a port, and waits until the server closes.
func (l *logged) send(port, text string) {
	l.t.Helper()
	m := regexp.MustCompile(`(?i)listening for ` + port + `[^\n]* (?:mqtt://)?(127\.0\.0\.1:\d+)`).FindStringSubmatch(l.start)
	if m == nil {
		l.t.Fatalf("no port for %s:\n%s", port, l.start)
	}
	conn, err := net.Dial("tcp", m[1])
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		l.t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
		l.t.Fatalf("%s stays open", port)
	}
}

func mqttConnect(user, password string) string {
	field := func(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }
	body := field("MQTT") + "\x04\xc2\x00\x3c" + field("d") + field(user) + field(password)
	return string([]byte{0x10, byte(len(body))}) + body
}

// The fail2ban filter finds the addresses of refused logins in the log as frond
// writes it, and only those: not those that a peer has put into its name, and
// not those of peers that only speak badly.
func TestSamples_fail2ban_finds_refused_logins(t *testing.T) {
	l := startLogged(t)
	const victim = "[ERR] authentication error kind=client conn=1 remote=192.0.2.7:1 "
	l.send("client", `CONNECT {"user":"device","pass":"guess","name":"`+victim+`"}`+"\r\nPING\r\n")
	l.send("client", "PING\r\n")
	l.send("client", `CONNECT {"user":"\n`+victim+`","pass":"x"}`+"\r\nPING\r\n")
	l.send("mqtt", mqttConnect("device", "guess"))
	l.send("leafnode", `CONNECT {"user":"device","pass":"guess","name":"`+victim+`","version":"2.15.3"}`+"\r\nPING\r\n")
	const refused = 5
	l.send("client", "CONNECT {\"user\":\"device\",\"pass\":\"of a test 1\"}\r\nGUESS\r\n") // in, and then out for its words
	l.send("mqtt", "\x10\x02xx")
	l.end()

	filter := string(read(t, "../../firmware/samples/fail2ban-filter.conf"))
	matched := 0
	for _, line := range strings.Split(l.text(), "\n") {
		for _, re := range failregex(t, filter) {
			if m := re.FindStringSubmatch(line); m != nil {
				matched++
				if m[1] != "127.0.0.1" {
					t.Errorf("%s is banned for\n%s", m[1], line)
				}
			}
		}
	}
	if matched != refused {
		t.Errorf("%d of %d refused logins are found in\n%s", matched, refused, l.text())
	}
	if _, err := exec.LookPath("fail2ban-regex"); err != nil {
		t.Log("fail2ban-regex is not on this machine: the expressions were tried by Go's only")
		return
	}
	log := filepath.Join(t.TempDir(), "frond.log")
	// An address as IPv6 listeners have it, and a line as syslog has it.
	more := strings.ReplaceAll(l.text(), "remote=127.0.0.1:", "remote=[2001:db8::7]:")
	if err := os.WriteFile(log, []byte(l.text()+more), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs("../../firmware/samples/fail2ban-filter.conf")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("fail2ban-regex", "--print-all-matched", log, path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf(" %d matched", 2*refused)) {
		t.Errorf("fail2ban-regex: %v\n%s", err, out)
	}
}

// failregex reads the expressions of a filter as fail2ban does, as far as ours
// goes.
func failregex(t *testing.T, filter string) []*regexp.Regexp {
	t.Helper()
	_, head, _ := strings.Cut(filter, "\n_head = ")
	head, _, _ = strings.Cut(head, "\n")
	_, text, _ := strings.Cut(filter, "\nfailregex = ")
	text, _, _ = strings.Cut(text, "\njournalmatch")
	var all []*regexp.Regexp
	for _, line := range strings.Split(text, "\n") {
		line = strings.ReplaceAll(strings.TrimSpace(line), "%(_head)s", head)
		all = append(all, regexp.MustCompile(strings.ReplaceAll(line, "<ADDR>", `\[?([0-9a-f.:]+?)\]?`)))
	}
	if head == "" || len(all) != 2 {
		t.Fatalf("the filter has %d expressions", len(all))
	}
	return all
}

// The logrotate sample moves a log away, and frond goes on in a new one.
func TestSamples_logrotate_gives_a_new_log(t *testing.T) {
	r, _ := testRelease(t)
	sample := string(read(t, filepath.Join(r.root, "firmware/samples/logrotate")))
	unit := string(read(t, filepath.Join(r.root, "firmware/systemd/frond.service")))
	const folder, reopen = "/var/log/frond/*.log", "systemctl kill -s USR1 frond.service"
	if !strings.Contains(sample, folder) || !strings.Contains(sample, reopen) || !strings.Contains(unit, "\nLogsDirectory=frond\n") {
		t.Fatal("sample and unit do not fit each other")
	}
	bin := "/usr/sbin/logrotate"
	if _, err := os.Stat(bin); err != nil {
		t.Skip("logrotate is not on this machine")
	}
	l := startLogged(t)
	dir := t.TempDir()
	conf := filepath.Join(dir, "conf")
	sample = strings.ReplaceAll(sample, folder, filepath.Dir(l.logFile)+"/*.log")
	sample = strings.ReplaceAll(sample, reopen, fmt.Sprintf("kill -USR1 %d", l.cmd.Process.Pid))
	if err := os.WriteFile(conf, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(bin, "--verbose", "--force", "--state", filepath.Join(dir, "state"), conf).CombinedOutput()
	if err != nil || strings.Contains(string(out), "error:") {
		t.Fatalf("logrotate: %v\n%s", err, out)
	}
	l.until("File log re-opened")
	l.send("client", "PING\r\n")
	l.until("authentication error")
	if old := string(read(t, l.logFile+".1")); !strings.Contains(old, "Server is ready") || strings.Contains(old, "authentication error") {
		t.Errorf("the old log is\n%s", old)
	}
}
