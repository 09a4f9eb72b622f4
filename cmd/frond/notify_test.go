package main

import (
	"net"
	"path/filepath"
	"runtime"
	"testing"
)

// A supervisor hears that the program is ready, that it is alive, and that it
// ends, in this order.
func TestSupervisor_hears(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no datagram sockets in the file system")
	}
	name := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenPacket("unixgram", name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	env := map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2000"}
	getenv := func(k string) string { return env[k] }
	s := newSupervisor(getenv)
	s.ready(getenv)
	heard := func() string {
		b := make([]byte, 100)
		n, _, err := l.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	if got := heard(); got != "READY=1" {
		t.Errorf("heard %q first", got)
	}
	if got := heard(); got != "WATCHDOG=1" {
		t.Errorf("heard %q second", got)
	}
	s.stopping()
	got := heard()
	for got == "WATCHDOG=1" {
		got = heard()
	}
	if got != "STOPPING=1" {
		t.Errorf("heard %q at the end", got)
	}
}

// Without anybody to tell, or with a name that leads nowhere, all goes on.
func TestSupervisor_nobody_listens(t *testing.T) {
	for _, name := range []string{"", filepath.Join(t.TempDir(), "nobody")} {
		getenv := func(k string) string {
			if k == "NOTIFY_SOCKET" {
				return name
			}
			return "1000"
		}
		s := newSupervisor(getenv)
		s.ready(getenv)
		s.stopping()
	}
}
