package transport

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// UnixSocket is a stream socket in the file system on which a server listens.
type UnixSocket struct {
	Option string      // what the configuration calls it
	Path   string      // of the socket
	Mode   fs.FileMode // who may write to it may connect
	Group  string      // that it belongs to, by name or number; "" leaves the process's
	// Only says that no other server can use Path: what stands there is of one
	// that was killed.
	Only bool
}

// socketPathMax is what the kernel takes as the name of a socket, on the system
// that takes least; Linux takes 107.
const socketPathMax = 103

// aliveTimeout bounds the question whether a server answers behind a socket.
const aliveTimeout = time.Second

// ListenUnix makes a socket, on which nobody is let in before Run. The socket of
// a server that is dead is replaced; that of one that lives is an error, and so
// is anything else that stands there. Close removes it, unless another one has
// taken its place. Every error is a *PortError.
func ListenUnix(s UnixSocket) (*Listener, error) {
	gid, err := s.check()
	if err != nil {
		return nil, s.fail(err)
	}
	u, err := s.open(gid)
	if err != nil {
		return nil, s.fail(err)
	}
	return NewListener(u), nil
}

// CheckUnix looks whether ListenUnix would work at this moment, and makes
// nothing.
func CheckUnix(s UnixSocket) error {
	if _, err := s.check(); err != nil {
		return s.fail(err)
	}
	return nil
}

func (s *UnixSocket) fail(err error) error {
	return &PortError{Option: s.Option, Addr: unixPrefix + s.Path, Err: err}
}

// check returns the number of the group, -1 for none.
func (s *UnixSocket) check() (gid int, err error) {
	gid = -1
	if s.Group != "" {
		n, err := LookupGroup(s.Group)
		if err != nil {
			return 0, err
		}
		gid = int(n)
	}
	if n := max(len(s.Path), len(s.private("0000"))); n > socketPathMax {
		return 0, fmt.Errorf("the path is longer than the %d bytes that a system takes as the name of a socket", socketPathMax)
	}
	info, err := os.Lstat(s.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err = os.Stat(filepath.Dir(s.Path)); err != nil {
			return 0, cause(err)
		}
		return gid, nil
	case err != nil:
		return 0, cause(err)
	case info.Mode().Type() != fs.ModeSocket:
		return 0, errors.New("what is there is no socket, and is left alone")
	case s.Only:
		return gid, nil
	}
	return gid, s.dead()
}

// dead is an error unless nobody listens on the socket that is there.
func (s *UnixSocket) dead() error {
	c, err := net.DialTimeout("unix", s.Path, aliveTimeout)
	switch {
	case err == nil:
		c.Close()
		return errors.New("another server listens there")
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return fmt.Errorf("whether another server listens there can not be known: %w", cause(err))
}

// cause is what the system said, without what was done and where.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// private is where the socket is made.
func (s *UnixSocket) private(name string) string {
	return filepath.Join(filepath.Dir(s.Path), "."+name, "s")
}

// open makes the socket in a folder that nobody else can enter, and moves it to
// its place when owner and mode are right: there is no moment at which somebody
// could connect who may not. (A umask would be of the whole process, and files
// are made beside this.)
func (s *UnixSocket) open(gid int) (*unixListener, error) {
	var at string
	for {
		at = s.private(fmt.Sprintf("%04x", rand.N(1<<16)))
		err := os.Mkdir(filepath.Dir(at), 0o700)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("making a folder beside it: %w", cause(err))
		}
	}
	defer os.RemoveAll(filepath.Dir(at))
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: at, Net: "unix"})
	if err != nil {
		return nil, cause(err)
	}
	ln.SetUnlinkOnClose(false)
	u := &unixListener{UnixListener: ln, path: s.Path}
	if err = s.settle(u, at, gid); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return u, nil
}

func (s *UnixSocket) settle(u *unixListener, at string, gid int) (err error) {
	if gid >= 0 {
		if err = os.Chown(at, -1, gid); err != nil {
			return fmt.Errorf("giving it to the group %s: %w", s.Group, cause(err))
		}
	}
	if err = os.Chmod(at, s.Mode); err != nil {
		return cause(err)
	}
	if u.made, err = os.Lstat(at); err != nil {
		return cause(err)
	}
	if err = os.Rename(at, s.Path); err != nil {
		return cause(err)
	}
	return nil
}

// unixListener accepts connections that know who is at their other end.
type unixListener struct {
	*net.UnixListener
	path string
	made fs.FileInfo // of the socket's file
}

func (l *unixListener) Accept() (net.Conn, error) {
	c, err := l.AcceptUnix()
	if err != nil {
		return nil, err
	}
	p := &Peer{Path: l.path}
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { p.ask(int(fd)) })
	}
	return &unixConn{c, p}, nil
}

// ProcessOf is the number of the process that listens at the other end of a
// connection that was dialed over a Unix socket, 0 when the system does not tell.
func ProcessOf(c net.Conn) int32 {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0
	}
	var p Peer
	if raw, err := u.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { p.ask(int(fd)) })
	}
	return p.PID
}

func (l *unixListener) Addr() net.Addr { return &Peer{Path: l.path} }

// Close leaves a socket alone that another server has put in its place.
func (l *unixListener) Close() error {
	err := l.UnixListener.Close()
	if err != nil {
		return err
	}
	if now, err := os.Lstat(l.path); err != nil || !os.SameFile(now, l.made) {
		return nil
	}
	return os.Remove(l.path)
}

type unixConn struct {
	*net.UnixConn
	peer *Peer
}

// RemoteAddr is a *Peer.
func (c *unixConn) RemoteAddr() net.Addr { return c.peer }

// Peer is the other end of a connection over a Unix socket, as the kernel knows
// it. It is a net.Addr.
type Peer struct {
	Path string // of the socket
	// Known says that the system told what follows: who it was that connected.
	Known  bool
	UID    uint32 // effective
	PID    int32
	Groups []uint32 // the effective one, and the others as far as they are told
}

const unixPrefix = "unix:"

// Network is part of net.Addr.
func (*Peer) Network() string { return "unix" }

// String is part of net.Addr: "unix:" and the path of the socket.
func (p *Peer) String() string { return unixPrefix + p.Path }

// PeerOf is who is at the other end of a connection over a Unix socket, nil for
// other connections.
func PeerOf(c net.Conn) *Peer {
	p, _ := c.RemoteAddr().(*Peer)
	return p
}

// Host is where a peer is, without a port: an IP address, or the path and the
// user of a Unix socket, which is what an address is to others. Whoever counts
// by it counts all connections of one peer together.
func Host(a net.Addr) string {
	if p, ok := a.(*Peer); ok {
		if !p.Known {
			return p.String()
		}
		return p.String() + " uid=" + strconv.FormatUint(uint64(p.UID), 10)
	}
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// Nobody is the number that stands for all users and groups which the user
// namespace of this process has no number for. So no Peer has it.
const Nobody = 65534

// LookupUser is the number of a user, who is given by name or number.
func LookupUser(who string) (uint32, error) { return lookup("/etc/passwd", "user", who) }

// LookupGroup is the number of a group, which is given by name or number.
func LookupGroup(which string) (uint32, error) { return lookup("/etc/group", "group", which) }

// lookup finds the number in a table of the system whose rows begin with name,
// password and number. (The package os/user would be 40 KB more.)
func lookup(table, kind, who string) (uint32, error) {
	if n, err := strconv.ParseUint(who, 10, 32); err == nil {
		return uint32(n), nil
	}
	text, err := os.ReadFile(table)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(line, ":", 4)
		if len(f) == 4 && f[0] == who {
			n, err := strconv.ParseUint(f[2], 10, 32)
			return uint32(n), err
		}
	}
	return 0, fmt.Errorf("there is no %s %q in %s", kind, who, table)
}
