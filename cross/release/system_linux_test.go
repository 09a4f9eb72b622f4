package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/frondmq/frond/cross/build"
)

// system is a folder that is the root of programs, with a network and mounts of
// its own: what is installed there listens on its real ports and meets nobody.
type system struct {
	t    *testing.T
	root string
	pid  int // of the process that keeps the network and the mounts
}

// newSystem needs root and what makes namespaces; without them the test is skipped.
func newSystem(t *testing.T, root string) *system {
	t.Helper()
	for _, name := range []string{"unshare", "nsenter", "ip", "chroot"} {
		tool(t, name)
	}
	if os.Getuid() != 0 {
		t.Skip("not root: nothing is installed and run in a root of its own")
	}
	keeper := exec.Command("unshare", "--net", "--mount", "sh", "-c", "ip link set lo up && echo up && exec cat")
	keeper.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := keeper.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := keeper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var words bytes.Buffer
	keeper.Stderr = &words
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = keeper.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "up\n" {
		t.Skipf("no namespaces on this machine: %v %s", err, words.String())
	}
	return &system{t: t, root: root, pid: keeper.Process.Pid}
}

// outside is a command of this machine, with the system's network and mounts.
func (s *system) outside(args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"--target", fmt.Sprint(s.pid), "--net", "--mount", "--"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	return cmd
}

// inside is a command of the system itself.
func (s *system) inside(args ...string) *exec.Cmd {
	return s.outside(append([]string{"chroot", s.root}, args...)...)
}

// must runs a command to its end.
func (s *system) must(cmd *exec.Cmd) string {
	s.t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%q: %v\n%s", cmd.Args[6:], err, out)
	}
	return string(out)
}

// mustFail runs a command that must end with an error, and returns its words.
func (s *system) mustFail(cmd *exec.Cmd) string {
	s.t.Helper()
	out, err := cmd.CombinedOutput()
	if err == nil {
		s.t.Fatalf("%q ends well\n%s", cmd.Args[6:], out)
	}
	return string(out)
}

func (s *system) file(name string) string { return filepath.Join(s.root, name) }

func (s *system) has(name string) bool {
	_, err := os.Lstat(s.file(name))
	return err == nil
}

func (s *system) write(name, text string, mode os.FileMode) {
	s.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(s.file(name)), 0o755), os.WriteFile(s.file(name), []byte(text), mode), os.Chmod(s.file(name), mode)); err != nil {
		s.t.Fatal(err)
	}
}

// dial connects to a port of the system. The thread goes back to its own network
// behind it: one that ends takes along the children that were started on it.
func (s *system) dial(port int) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	c := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		var r result
		var home *os.File
		if home, r.err = os.Open("/proc/thread-self/ns/net"); r.err == nil {
			defer home.Close()
			if r.err = enter(fmt.Sprintf("/proc/%d/ns/net", s.pid)); r.err == nil {
				r.conn, r.err = net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 10*time.Second)
			}
			if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
				panic("BUG: a thread can't go back to its network: " + err.Error())
			}
		}
		runtime.UnlockOSThread()
		c <- r
	}()
	r := <-c
	return r.conn, r.err
}

func enter(namespace string) error {
	f, err := os.Open(namespace)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
}

// get asks the monitoring port.
func (s *system) get(path string) (int, string, error) {
	conn, err := s.dial(8222)
	if err != nil {
		return 0, "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n", path); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func (s *system) mustGet(path string) string {
	s.t.Helper()
	code, body, err := s.get(path)
	if err != nil || code != http.StatusOK {
		s.t.Fatalf("%s: %d %v\n%s", path, code, err, body)
	}
	return body
}

// nats sends one request and returns the answer.
func (s *system) nats(subject, body string) (string, error) {
	conn, err := s.dial(4222)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "CONNECT {\"verbose\":false}\r\nSUB answer 1\r\nPUB %s answer %d\r\n%s\r\n", subject, len(body), body)
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(line, "-ERR") {
			return "", errors.New(line)
		}
		if strings.HasPrefix(line, "MSG answer ") {
			return r.ReadString('\n')
		}
	}
}

func (s *system) mustNATS(subject, body, want string) {
	s.t.Helper()
	answer, err := s.nats(subject, body)
	if err != nil || !strings.Contains(answer, want) || strings.Contains(answer, `"error"`) {
		s.t.Fatalf("%s: %v\n%s\nwant %s", subject, err, answer, want)
	}
}

// mqtt publishes with QoS 1 and waits for the acknowledgement.
func (s *system) mqtt(topic, body string) error {
	conn, err := s.dial(1883)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	connect := append([]byte{0, 4}, "MQTT\x04\x02\x00\x3c\x00\x01d"...)
	publish := append([]byte{0, byte(len(topic))}, topic+"\x00\x07"+body...)
	packets := append([]byte{0x10, byte(len(connect))}, connect...)
	packets = append(append(packets, 0x32, byte(len(publish))), publish...)
	if _, err := conn.Write(packets); err != nil {
		return err
	}
	answer := make([]byte, 8)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if !bytes.Equal(answer, []byte{0x20, 2, 0, 0, 0x40, 2, 0, 7}) {
		return fmt.Errorf("CONNACK and PUBACK are % x", answer)
	}
	return nil
}

// daemon is a server that a test has started.
type daemon struct {
	s    *system
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{}
}

func (s *system) start(cmd *exec.Cmd) *daemon {
	s.t.Helper()
	log, err := os.Create(filepath.Join(s.t.TempDir(), "log"))
	if err != nil {
		s.t.Fatal(err)
	}
	d := &daemon{s: s, cmd: cmd, log: log, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(d.done)
		_ = cmd.Wait()
	}()
	s.t.Cleanup(func() {
		d.signal(syscall.SIGKILL)
		<-d.done
		log.Close()
	})
	return d
}

func (d *daemon) text() string {
	b, err := os.ReadFile(d.log.Name())
	if err != nil {
		d.s.t.Fatal(err)
	}
	return string(b)
}

func (d *daemon) signal(sig syscall.Signal) { _ = d.cmd.Process.Signal(sig) }

func (d *daemon) running() bool {
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// ready waits for the doors to open.
func (d *daemon) ready() {
	d.s.t.Helper()
	d.until("does not get ready", func() bool {
		code, _, err := d.s.get("/healthz")
		return err == nil && code == http.StatusOK
	})
}

// until waits for something that the server is to do.
func (d *daemon) until(what string, is func() bool) {
	d.s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for !is() {
		select {
		case <-d.done:
			if is() {
				return
			}
			d.s.t.Fatalf("the server has ended: %s\n%s", what, d.text())
		case <-deadline:
			d.s.t.Fatalf("the server %s\n%s", what, d.text())
		case <-tick.C:
		}
	}
}

// end stops the server as a supervisor does, and returns its exit code.
func (d *daemon) end() int {
	d.signal(syscall.SIGTERM)
	<-d.done
	return d.cmd.ProcessState.ExitCode()
}

// hostProgram is the full build for this machine.
func hostProgram(t *testing.T, version string) []byte {
	t.Helper()
	r, err := newRelease(version, t.TempDir(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range build.Matrix() {
		if m.Name == runtime.GOOS+"-"+runtime.GOARCH {
			program, err := r.compile(build.Full(), m)
			if err != nil {
				t.Fatal(err)
			}
			return program
		}
	}
	t.Skipf("no build for %s on %s", runtime.GOOS, runtime.GOARCH)
	return nil
}

func soak(t *testing.T) {
	t.Helper()
	if os.Getenv("FROND_SOAK") == "" {
		t.Skip("a long test: FROND_SOAK=1 runs it")
	}
}
