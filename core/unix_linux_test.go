package core_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/testkit"
)

// socketPath is a path that is short enough for a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "frond")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "nats.sock")
}

// dialSocket connects and reads INFO, which must say what it says everywhere but
// for TLS.
func dialSocket(t *testing.T, path string) (c *conn, info string) {
	t.Helper()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c = &conn{Conn: nc, t: t, r: bufio.NewReader(nc)}
	info = c.line()
	if strings.Contains(info, "tls_") {
		t.Errorf("TLS on a Unix socket: %s", info)
	}
	return c, info
}

func TestUnixSocket_mapsPeersToUsers(t *testing.T) {
	path := socketPath(t)
	var log testkit.Log
	s := servertest.Start(t, configured(t, fmt.Sprintf(`
		authorization { users [
			{user: alice, password: secret, permissions {publish: "a.>"}}
			{user: bob, password: secret}
		] }
		unix_socket { path: %q, mode: 0600, users: [ {uid: 4294967294, user: bob}, {uid: %d, user: alice} ] }`, path, os.Getuid())),
		servertest.Logger(ownLogger(&log)))

	t.Run("without a word", func(t *testing.T) {
		c, info := dialSocket(t, path)
		if strings.Contains(info, "auth_required") || !strings.Contains(info, `"client_ip":"unix:`+path+`"`) {
			t.Errorf("INFO: %s", info)
		}
		c.send("PUB a.b 0\r\n\r\n")
		c.expect("+OK")
		c.send("PUB b.b 0\r\n\r\n")
		c.expect(`-ERR 'Permissions Violation for Publish to "b.b"'`)
		z, err := s.Connz(&monitor.ConnzOptions{Auth: true})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, i := range z.Conns {
			if i.IP == "unix:"+path {
				found = i.UID != nil && *i.UID == uint32(os.Getuid()) && i.PID == int32(os.Getpid()) && i.Port == 0 && i.AuthorizedUser == "alice"
			}
		}
		if !found {
			t.Errorf("connz: %+v", z.Conns)
		}
	})
	t.Run("with CONNECT", func(t *testing.T) {
		c, _ := dialSocket(t, path)
		c.send("CONNECT {\"verbose\":false}\r\nPUB b.b 0\r\n\r\n")
		c.expect(`-ERR 'Permissions Violation for Publish to "b.b"'`)
	})
	t.Run("as another user, with the password", func(t *testing.T) {
		c, _ := dialSocket(t, path)
		c.send("CONNECT {\"verbose\":false,\"user\":\"bob\",\"pass\":\"secret\"}\r\nPUB b.b 0\r\n\r\n")
		c.barrier()
	})
	t.Run("as another user, without", func(t *testing.T) {
		c, _ := dialSocket(t, path)
		c.send("CONNECT {\"verbose\":false,\"user\":\"bob\"}\r\nPING\r\n")
		c.expect("-ERR 'Authorization Violation'")
		servertest.Eventually(t, "the log tells who was refused", func() bool {
			return matches(t, fmt.Sprintf(`authentication error kind=client conn=\d+ remote=unix:%s uid=%d user=bob`, path, os.Getuid()), log.String())
		})
	})
	servertest.Stop(t, s)
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket of a server that ended: %v", err)
	}
}

func TestUnixSocket_lets_in_as_the_port_does(t *testing.T) {
	t.Run("everybody without authorization, max_connections in all", func(t *testing.T) {
		path := socketPath(t)
		s := servertest.Start(t, configured(t, fmt.Sprintf("unix_socket: %q, max_connections: 2", path)))
		tcp := connect(t, s, "")
		tcp.send("SUB a 1\r\n")
		tcp.barrier()
		c, _ := dialSocket(t, path)
		c.send("CONNECT {\"verbose\":false}\r\nPUB a 2\r\nhi\r\n")
		tcp.expect("MSG a 1 2")
		tcp.expect("hi")
		more, _ := dialSocket(t, path)
		more.expect("-ERR 'maximum connections exceeded'")
	})
	t.Run("with a password who is nobody's user", func(t *testing.T) {
		path := socketPath(t)
		servertest.Start(t, configured(t, fmt.Sprintf("authorization {user: u, password: p}\nunix_socket: %q", path)))
		c, info := dialSocket(t, path)
		if !strings.Contains(info, `"auth_required":true`) {
			t.Errorf("INFO: %s", info)
		}
		c.send("PING\r\n")
		c.expect("-ERR 'Authorization Violation'")
		c, _ = dialSocket(t, path)
		c.send("CONNECT {\"verbose\":false,\"user\":\"u\",\"pass\":\"p\"}\r\n")
		c.barrier()
	})
}

func TestUnixSocket_refused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	live := socketPath(t)
	servertest.Start(t, configured(t, fmt.Sprintf("unix_socket: %q", live)))
	for _, c := range []struct{ name, text, want string }{
		{"a user that is not there", "authorization { user: u, password: p }\nunix_socket { path: /x, users: [ {uid: 1, user: u}\n {uid: 2, user: v} ] }", `test.conf:4:2: unix_socket: "v" is not a user of the authorization`},
		{"no authorization", "unix_socket { path: /x, users: [ {uid: 2, user: v} ] }", `test.conf:2:34: unix_socket: "v" is not a user of the authorization`},
		{"a user of the system that is not there", "authorization { user: u, password: p }\nunix_socket { path: /x, users: [ {uid: no-such-user, user: u} ] }", `test.conf:3:34: there is no user "no-such-user"`},
		{"who fits nobody", "authorization { user: u, password: p }\nunix_socket { path: /x, users: [ {uid: 65534, user: u} ] }", `test.conf:3:34: nobody comes in as 65534`},
		{"a group that fits nobody", "authorization { user: u, password: p }\nunix_socket { path: /x, users: [ {uid: 0, user: u}\n{gid: 65534, user: u} ] }", `test.conf:4:1: nobody comes in as 65534`},
		{"a group that is not there", "unix_socket { path: /x, group: no_such }", `test.conf:2:25: there is no group "no_such" in /etc/group`},
		{"a file", fmt.Sprintf("unix_socket: %q", file), "no socket"},
		{"another server", fmt.Sprintf("unix_socket: %q", live), "listening on unix:" + live + " (option unix_socket): another server listens there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := servertest.New(t, configured(t, c.text))
			if err == nil {
				t.Cleanup(func() { servertest.Stop(t, s) })
				err = s.Start()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
