//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/frondmq/frond/core/testkit"
)

// SIGHUP reads the file again, with the flags that still win over it. What can't be
// changed is named, and nothing is changed then.
func TestReload_bySignal(t *testing.T) {
	dir := t.TempDir()
	path, log := filepath.Join(dir, "a.conf"), filepath.Join(dir, "log")
	write := func(text string) {
		t.Helper()
		text = fmt.Sprintf("listen: \"127.0.0.1:-1\"\nlog_file: %q\n%s", log, text)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	said := func(what string) func() bool {
		return func() bool {
			text, _ := os.ReadFile(log)
			return strings.Contains(string(text), what)
		}
	}
	signal := func(s syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	write("server_name: file")
	code := make(chan int)
	var stdout, stderr bytes.Buffer
	go func() { code <- run([]string{"-c", path, "--name", "flag", "-D"}, &stdout, &stderr) }()
	testkit.Eventually(t, "it is ready", said("Server is ready"))
	write("server_name: other\nmax_payload: 2MB\ndebug: false")
	signal(syscall.SIGHUP)
	testkit.Eventually(t, "it is reloaded", said("Reloaded server configuration (sha256:"))
	if said("Reloaded: server_name")() || said("Reloaded: debug")() || !said("Reloaded: max_payload = 2097152")() {
		text, _ := os.ReadFile(log)
		t.Errorf("flags do not win:\n%s", text)
	}
	write("max_payload: 3MB\nmax_closed_clients: 3")
	signal(syscall.SIGHUP)
	testkit.Eventually(t, "it is refused", said("Failed to reload server configuration: nothing was reloaded: "+path+":4:1: config reload not supported for max_closed_clients: old=10000, new=3"))
	write("max_payload: x")
	signal(syscall.SIGHUP)
	testkit.Eventually(t, "a wrong file is refused", said("Failed to reload server configuration: "+path+":3:1: "))
	if said("max_payload = 3145728")() {
		t.Error("a part was reloaded")
	}
	signal(syscall.SIGTERM)
	if c := <-code; c != 0 || stderr.Len() > 0 {
		t.Errorf("code %d, %s", c, &stderr)
	}
}
