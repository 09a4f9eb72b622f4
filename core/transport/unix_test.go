//go:build unix

package transport

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// shortDir is a folder whose name leaves room for that of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func mustListenUnix(t *testing.T, s UnixSocket) *Listener {
	t.Helper()
	l, err := ListenUnix(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// leave puts the socket of a killed server at path.
func leave(t *testing.T, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range all {
		list = append(list, e.Name())
	}
	return list
}

func TestListenUnix(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "x.sock")
	s := UnixSocket{Option: "unix_socket", Path: path, Mode: 0o640}
	leave(t, path)
	if err := CheckUnix(s); err != nil {
		t.Errorf("beside the socket of a dead server: %v", err)
	}
	l := mustListenUnix(t, s)
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o640 {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
	if l.Announced() != "unix:"+path || l.Port() != 0 {
		t.Errorf("announced as %q, port %d", l.Announced(), l.Port())
	}
	if got := names(t, dir); !slices.Equal(got, []string{"x.sock"}) {
		t.Errorf("in the folder: %q", got)
	}
	accepted := make(chan net.Conn, 2)
	l.Run(slog.New(slog.DiscardHandler), "client", func(c net.Conn) { accepted <- c })
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := <-accepted
	defer got.Close()
	p := PeerOf(got)
	if p == nil || p.String() != "unix:"+path || p.Known != KnowsPeers {
		t.Fatalf("the peer is %+v", p)
	}
	if KnowsPeers {
		if p.UID != uint32(os.Getuid()) || !slices.Contains(p.Groups, uint32(os.Getgid())) || p.PID != int32(os.Getpid()) {
			t.Errorf("the peer is %+v", p)
		}
		mine, err := os.Getgroups()
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range mine {
			if !slices.Contains(p.Groups, uint32(g)) {
				t.Errorf("of the groups %v of this process the peer has %v", mine, p.Groups)
			}
		}
		if h := Host(p); !strings.Contains(h, " uid=") {
			t.Errorf("the host is %q", h)
		}
	}
	if err := CheckUnix(s); err == nil || !strings.Contains(err.Error(), "another server listens there") {
		t.Errorf("beside a server that lives: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("left in the folder: %q", got)
	}
}

// A server that ends leaves the socket of the next one alone.
func TestListenUnix_closeRemovesItsOwn(t *testing.T) {
	path := filepath.Join(shortDir(t), "x.sock")
	s := UnixSocket{Path: path, Mode: 0o600, Only: true}
	old := mustListenUnix(t, s)
	mustListenUnix(t, s)
	if err := old.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the next server's socket is gone: %v", err)
	}
	c.Close()
}

func TestListenUnix_refuses(t *testing.T) {
	dir := shortDir(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	longest := filepath.Join(dir, strings.Repeat("x", socketPathMax-len(dir)-1))
	for _, c := range []struct {
		name, path, group, want string
	}{
		{"a file", file, "", "no socket"},
		{"a link", link, "", "no socket"},
		{"a folder that is not there", filepath.Join(dir, "no", "x"), "", "no such file or directory"},
		{"a long path", longest + "x", "", "longer than the 103 bytes"},
		{"a group", filepath.Join(dir, "x"), "no-such-group", `there is no group "no-such-group" in /etc/group`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := UnixSocket{Option: "unix_socket", Path: c.path, Mode: 0o600, Group: c.group}
			before := names(t, dir)
			l, err := ListenUnix(s)
			if err == nil {
				l.Close()
			}
			var pe *PortError
			if !errors.As(err, &pe) || pe.Option != "unix_socket" || !strings.HasPrefix(err.Error(), "listening on unix:"+c.path+" ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			if err := CheckUnix(s); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("checked: %v", err)
			}
			if got := names(t, dir); !slices.Equal(got, before) {
				t.Errorf("in the folder: %q, before: %q", got, before)
			}
		})
	}
	mustListenUnix(t, UnixSocket{Path: longest, Mode: 0o600})
	if text, err := os.ReadFile(file); string(text) != "kept" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

func TestLookup(t *testing.T) {
	if n, err := LookupUser("root"); n != 0 || err != nil {
		t.Errorf("root is %d, %v", n, err)
	}
	if n, err := LookupGroup("4711"); n != 4711 || err != nil {
		t.Errorf("4711 is %d, %v", n, err)
	}
	if runtime.GOOS == "linux" {
		if _, err := LookupUser("ro"); err == nil {
			t.Error("ro is a user")
		}
	}
}

func TestHost(t *testing.T) {
	for _, c := range []struct {
		a    net.Addr
		want string
	}{
		{&net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 5}, "10.1.2.3"},
		{&net.TCPAddr{IP: net.IPv6loopback, Port: 5}, "::1"},
		{&Peer{Path: "/run/x"}, "unix:/run/x"},
		{&Peer{Path: "/run/x", Known: true, UID: 7}, "unix:/run/x uid=7"},
		{pipeAddr{}, "pipe"},
	} {
		if got := Host(c.a); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
