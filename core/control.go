package core

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/frondmq/frond/core/jetstream"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/transport"
)

// control answers who may enter the data folder, over a socket in it: what an
// operator asks of a running server that is no NATS client's business. One line
// of JSON asks, one line answers, and the connection is closed.
type control struct {
	ln    *transport.Listener // nil: there is no socket; of the start, then of upkeep
	made  os.FileInfo         // of the socket
	told  bool                // that there is none
	path  string
	log   *slog.Logger
	s     *Server
	store *store
	done  sync.WaitGroup

	mu struct {
		sync.Mutex
		conns   map[net.Conn]struct{} // bounded by controlConns
		closing bool
	}
}

const (
	controlName    = "control.sock"
	controlTimeout = 30 * time.Second // of one request, an acknowledgement's disk included
	controlAsk     = 5 * time.Second  // until the request is there
	controlMax     = 4 << 10          // bytes of a request
	controlConns   = 8
)

type controlRequest struct {
	Do  string `json:"do"` // one of those in answer
	All bool   `json:"all,omitempty"`
	ID  uint64 `json:"id,omitempty"` // 0: all
	// User and Account choose connections; "" is any.
	User    string `json:"user,omitempty"`
	Account string `json:"account,omitempty"`
}

type controlAnswer struct {
	Error  string             `json:"error,omitempty"`
	Damage []jetstream.Damage `json:"damage,omitempty"`

	Connections *monitor.Connz `json:"connections,omitempty"`
	Kicked      int            `json:"kicked,omitempty"`
}

// openControl makes the socket. A server without one works; it says so, and tries
// again.
func (s *Server) openControl(st *store) {
	c := &control{path: filepath.Join(st.dir, controlName), log: s.log, s: s, store: st}
	c.mu.conns = make(map[net.Conn]struct{}, controlConns)
	st.control = c
	c.listen()
}

func (c *control) listen() {
	ln, err := transport.ListenUnix(transport.UnixSocket{Option: "store_dir", Path: c.path, Mode: 0o600, Only: true})
	if err == nil {
		c.made, err = os.Lstat(c.path)
	}
	if err != nil {
		if ln != nil {
			_ = ln.Close()
		}
		if !c.told {
			c.log.Warn("No control socket: `frond damage` and `frond connections` can not reach this server; it is tried again", "err", err)
		}
		c.told = true
		return
	}
	c.ln = ln
	ln.Run(c.log, "control", c.accept)
	if c.told {
		c.log.Info("The control socket is there now", "path", c.path)
	}
	c.told = false
}

// tend makes the socket where there is none: there was no room for it, or somebody
// removed it.
func (c *control) tend() {
	if c.ln != nil {
		if now, err := os.Lstat(c.path); err == nil && os.SameFile(now, c.made) {
			return
		}
		if err := c.ln.Close(); err != nil {
			c.log.Warn("Closing the control socket failed", "err", err)
		}
		c.ln = nil
		c.log.Warn("The control socket was removed: it is made again", "path", c.path)
	}
	c.listen()
}

// accept begins a connection; it runs on the accepting goroutine.
func (c *control) accept(conn net.Conn) {
	if err := c.add(conn); err != nil {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second)) // it fits the socket's buffer
		c.reply(conn, &controlAnswer{Error: err.Error()})
		conn.Close()
		return
	}
	c.done.Go(func() {
		defer c.remove(conn)
		c.serve(conn)
	})
}

var (
	errControlBusy    = errors.New("the server answers as many requests as it can, try again in a few seconds")
	errControlClosing = errors.New("the server stops")
)

// add takes a connection in, and sets until when its request is waited for.
func (c *control) add(conn net.Conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.mu.closing:
		return errControlClosing
	case len(c.mu.conns) >= controlConns:
		return errControlBusy
	}
	now := time.Now()
	if err := errors.Join(conn.SetReadDeadline(now.Add(controlAsk)), conn.SetWriteDeadline(now.Add(controlTimeout))); err != nil {
		return err
	}
	c.mu.conns[conn] = struct{}{}
	return nil
}

func (c *control) remove(conn net.Conn) {
	conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.mu.conns, conn)
}

// interrupt ends the wait for requests; what is being answered gets its answer.
func (c *control) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.closing = true
	for conn := range c.mu.conns {
		_ = conn.SetReadDeadline(time.Unix(1, 0)) // one that fails is closed
	}
}

func (c *control) serve(conn net.Conn) {
	var q controlRequest
	var a controlAnswer
	line, err := bufio.NewReader(io.LimitReader(conn, controlMax)).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &q)
	}
	if err == nil {
		a, err = c.answer(&q)
	}
	if err != nil {
		a.Error = err.Error()
	}
	c.reply(conn, &a)
}

func (c *control) reply(conn net.Conn, a *controlAnswer) {
	b, err := json.Marshal(a)
	if err != nil {
		panic("core: a control answer does not marshal: " + err.Error())
	}
	_, _ = conn.Write(append(b, '\n')) // who went away does not want it
}

func (c *control) answer(q *controlRequest) (a controlAnswer, err error) {
	switch q.Do {
	case "damage.list":
		a.Damage = c.store.engine.Damage(q.All)
		return a, nil
	case "damage.ack":
		err = c.store.engine.AckDamage(q.ID)
		if err == nil {
			c.log.Info("Damage acknowledged", "id", q.ID)
		}
		return a, err
	case "connections.list":
		// Who asks has the rights of the server: users are shown.
		a.Connections, err = c.s.Connz(&monitor.ConnzOptions{Auth: true, Limit: listedConns, User: q.User, Account: q.Account})
		if err == nil {
			for _, i := range a.Connections.Conns {
				i.Account = i.AccountName // that of all, not only of some as in /connz
			}
		}
		return a, err
	case "connections.kick":
		a.Kicked, err = c.kick(q)
		return a, err
	}
	return a, fmt.Errorf("%q is not known to this server", q.Do)
}

// listedConns bounds one list.
const listedConns = 1 << 16

// kick ends the connection with the id of q, or those that q describes.
func (c *control) kick(q *controlRequest) (n int, err error) {
	all := c.s.connections
	switch {
	case q.ID != 0:
		n, err = 1, all.Kick(q.ID)
	case q.User != "" || q.Account != "":
		n = all.KickAll(q.User, q.Account)
	default:
		err = errors.New("neither an id nor a user nor an account")
	}
	if err != nil {
		return 0, err
	}
	c.log.Info("Connections ended by an operator", "connections", n, "conn", q.ID, "user", q.User, "account", q.Account)
	return n, nil
}

func (c *control) close() error {
	var err error
	if c.ln != nil {
		err = c.ln.Close()
	}
	c.interrupt()
	c.done.Wait()
	return err
}

// ErrNoServer: no server answers on the data folder.
var ErrNoServer = errors.New("no server runs on this folder")

// ListDamage asks the server that runs on a store folder what went wrong with
// what it stores; all also lists what was acknowledged.
func ListDamage(storeDir string, all bool) ([]jetstream.Damage, error) {
	a, err := askControl(storeDir, &controlRequest{Do: "damage.list", All: all})
	return a.Damage, err
}

// AckDamage tells the server that runs on a store folder that somebody knows of
// a damage; id 0 is all. It is durable when this returns.
func AckDamage(storeDir string, id uint64) error {
	_, err := askControl(storeDir, &controlRequest{Do: "damage.ack", ID: id})
	return err
}

// ListConnections asks the server that runs on a store folder for its
// connections, of all kinds: those of a user and of an account, "" for any.
func ListConnections(storeDir, user, account string) (*monitor.Connz, error) {
	a, err := askControl(storeDir, &controlRequest{Do: "connections.list", User: user, Account: account})
	if err == nil && a.Connections == nil {
		err = errors.New("the server gave no list")
	}
	return a.Connections, err
}

// KickConnection makes the server that runs on a store folder end a connection:
// see Connections.Kick.
func KickConnection(storeDir string, id uint64) error {
	_, err := askControl(storeDir, &controlRequest{Do: "connections.kick", ID: id})
	return err
}

// KickConnections makes it end those of a user, of an account or of both, and
// returns how many there were: see Connections.KickAll.
func KickConnections(storeDir, user, account string) (int, error) {
	a, err := askControl(storeDir, &controlRequest{Do: "connections.kick", User: user, Account: account})
	return a.Kicked, err
}

// ServerOf tells whether a server answers in the folder of streams dir, and which
// process it is; 0 where the system does not say.
func ServerOf(dir string) (pid int32, ok bool) {
	conn, err := net.DialTimeout("unix", filepath.Join(dir, controlName), controlAsk)
	if err != nil {
		return 0, false
	}
	defer conn.Close()
	return transport.ProcessOf(conn), true
}

func askControl(storeDir string, q *controlRequest) (a controlAnswer, err error) {
	path := filepath.Join(storeDir, storeFolder, controlName)
	conn, err := net.DialTimeout("unix", path, controlTimeout)
	switch {
	case errors.Is(err, os.ErrPermission):
		return a, fmt.Errorf("%s: it belongs to another user: %w", path, os.ErrPermission)
	case err != nil:
		return a, fmt.Errorf("%s: %w", path, ErrNoServer)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(controlTimeout)); err != nil {
		return a, err
	}
	b, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	// A server that has no time answers before it has read the request.
	_, sent := conn.Write(append(b, '\n'))
	if err := json.NewDecoder(conn).Decode(&a); err != nil {
		return a, fmt.Errorf("%s: no answer: %w", path, errors.Join(sent, err))
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}
