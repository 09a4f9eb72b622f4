package core

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"

	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/wire"
)

// ErrNotReloaded goes with each reason why Reload has changed nothing.
var ErrNotReloaded = errors.New("nothing was reloaded")

// Reload gives a running server other options, which must not be changed any more,
// and returns what differs. It is whole: when one option can't be changed, or one
// module does not take it, nothing is, and the error names each that is to blame
// with its place. Certificates are read anew whether their options differ or not.
//
// What options say of a connection holds for those that begin from now on. Beside:
// limits of a message and of a subscription hold for all clients, who are told;
// clients above max_connections, the newest, are closed, and those whose user is
// gone, has another password or account or may not use its door; permissions hold for
// clients that stay. Accounts that are gone are without users; what is stored in their
// streams is there again when they are.
func (s *Server) Reload(to *config.Options) ([]config.Change, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if !s.ready.Load() || !s.running() {
		return nil, fmt.Errorf("%w: %w", ErrNotReloaded, ErrNotRunning)
	}
	if to == nil {
		return nil, fmt.Errorf("%w: %w", ErrNotReloaded, errNoOptions)
	}
	from := s.current.Load()
	changes := config.Diff(from.o, to)
	next, err := s.verify(from.o, to, changes)
	if err != nil {
		for _, m := range s.modules {
			if m, ok := m.(Abandoner); ok {
				m.Abandon()
			}
		}
		return nil, fmt.Errorf("%w: %w", ErrNotReloaded, err)
	}
	// From here on nothing fails.
	next.tenants.commit()
	s.current.Store(next)
	s.followStreams()
	if s.file != nil {
		s.file.commit(&to.Log)
	}
	s.memory.setMost(to.MaxPendingTotal)
	s.memory.setParts(to.MaxPayload)
	s.connections.SetLimit(to.MaxConns)
	for _, m := range s.modules {
		m.Commit(from.o, to)
	}
	s.renewClients(from, next)
	s.announce(changes, from.o, to)
	s.log.Info("Reloaded server configuration" + digestText(to))
	return changes, nil
}

// announce tells of what was reloaded. A log that the program around the server
// has brought does not follow our options.
func (s *Server) announce(changes []config.Change, from, to *config.Options) {
	followed := make(map[string]bool)
	other := *to
	if s.file == nil {
		other.Log = from.Log
		// What connections trace they write to any log.
		other.Log.Trace, other.Log.TraceHeaders = to.Log.Trace, to.Log.TraceHeaders
	}
	for _, c := range config.Diff(from, &other) {
		followed[c.Path] = true
	}
	for i := range changes {
		if c := &changes[i]; followed[c.Path] {
			s.log.Info("Reloaded: " + c.Path + " = " + c.New)
		} else {
			s.log.Info("Without effect: " + c.Path + " = " + c.New + ": the log is that of the program around the server")
		}
	}
}

func digestText(o *config.Options) string {
	if o.Digest == "" {
		return ""
	}
	return " (" + o.Digest + ")"
}

// verify asks everyone concerned about other options, and makes ready what can
// fail. At the start from is nil and nothing has changed.
func (s *Server) verify(from, to *config.Options, changes []config.Change) (*snapshot, error) {
	if err := to.Validate(); err != nil {
		return nil, err
	}
	// The changes of a block are its module's to refuse.
	blocks := to.Blocks()
	var own []config.Change
	for i := range changes {
		inside := false
		for j := range blocks {
			inside = inside || changes[i].Path != blocks[j].Name && changes[i].Below(blocks[j].Name)
		}
		if !inside {
			own = append(own, changes[i])
		}
	}
	if err := config.Refused(own, ""); err != nil {
		return nil, err
	}
	next, err := s.newSnapshot(to)
	if err != nil {
		return nil, err
	}
	if err := checkEdgeStore(to); err != nil {
		return nil, optionError(to, "edge_store", err)
	}
	if next.tenants, err = s.prepareTenants(to); err != nil {
		return nil, err
	}
	if err := verifyModules(from, to, s.modules); err != nil {
		return nil, err
	}
	if from != nil && s.file != nil {
		if err := s.file.verify(&to.Log); err != nil {
			return nil, optionError(to, "log_file", err)
		}
	}
	return next, nil
}

// renewClients tells clients what is other than they were told, takes their rights
// anew, and closes those that are too many. Clients that come meanwhile see to it
// themselves, in authenticate.
func (s *Server) renewClients(from, to *snapshot) {
	news := s.clientInfo(to) != s.clientInfo(from)
	for _, c := range s.connections.Open() {
		if c, ok := c.(*client); ok {
			c.renew(c.door(to))
			if news {
				c.inform(to)
			}
		}
	}
	for _, c := range s.connections.surplus() {
		if c, ok := c.(Expellable); ok {
			c.Expel(wire.ReasonConnections, "maximum connections exceeded")
		}
	}
	s.expelSurplus()
}

// renew asks a new directory what the client may do now.
func (c *client) renew(d *auth.Directory) {
	c.life.Lock()
	g := c.life.grant
	c.life.Unlock()
	if g == nil {
		return // it will be asked by who lets it in
	}
	next, ok := d.Renew(g)
	if !ok {
		c.fail(wire.ReasonAuthFailure, errAuthViolation.Text)
		return
	}
	if next.Account != g.Account {
		// It would hear nothing any more of what it has subscribed to.
		c.fail(wire.ReasonClientClosed, "")
		return
	}
	c.tooManySubs()
	if next.Same(g) {
		return
	}
	c.life.Lock()
	mine := c.life.grant == g // or it has logged in again
	if mine {
		sess := *c.session.Load()
		sess.limit(next)
		c.session.Store(&sess)
		c.life.grant, c.life.user = next, next.User
	}
	c.life.Unlock()
	if mine {
		c.dropForbidden()
	}
}

// tooManySubs ends a client that has more subscriptions than its account allows now.
func (c *client) tooManySubs() {
	limit := c.session.Load().account.Limits().Subs
	c.subs.Lock()
	n := len(c.subs.bySID)
	c.subs.Unlock()
	if limit > 0 && n > limit {
		c.fail(wire.ReasonSubscriptions, "maximum subscriptions exceeded")
	}
}

// dropForbidden ends the subscriptions that the client may not have any more.
func (c *client) dropForbidden() {
	var gone []string
	c.subs.Lock()
	for sid, s := range c.subs.bySID {
		if !c.maySubscribe([]byte(s.Subject), []byte(s.Queue)) {
			delete(c.subs.bySID, sid)
			s.End()
			gone = append(gone, forbidden(s.Subject, s.Queue)+` (sid "`+sid+`")`)
		}
	}
	c.subs.Unlock()
	slices.Sort(gone)
	for _, text := range gone {
		c.log().Error("subscription violation", "err", text)
		c.tell(wire.AppendErr(nil, text))
	}
}

// Expellable is a Connection that the server can end. It is told why: the text is
// for peers whose protocol has a place for it.
type Expellable interface {
	Expel(why wire.CloseReason, text string)
}

// Expel is part of Expellable.
func (c *client) Expel(why wire.CloseReason, text string) { c.fail(why, text) }

// inform sends INFO again, to a client that knows what that is.
func (c *client) inform(n *snapshot) {
	c.life.Lock()
	knows := c.life.info != nil && c.life.info.Protocol >= 1
	c.life.Unlock()
	if knows {
		i := c.info(n)
		c.tell(i.line())
	}
}

// tell sends a line from any goroutine.
func (c *client) tell(line []byte) {
	c.life.Lock()
	out := c.life.out
	c.life.Unlock()
	if out == nil {
		return
	}
	c.trace.out(string(line))
	if errors.Is(out.Append(line), outbound.ErrSlowPending) {
		c.cut(wire.ReasonSlowPending)
	}
	out.WriteNow()
}

// surplus are the newest clients above the limit.
func (s *Connections) surplus() []Connection {
	s.mu.Lock()
	over := 0
	if limit := s.mu.limit; limit != 0 {
		over = s.mu.clients - max(limit, 0)
	}
	var all []Connection
	if over > 0 {
		for _, c := range s.mu.open {
			if c.ConnKind() == monitor.KindClient {
				all = append(all, c)
			}
		}
	}
	s.mu.Unlock()
	sort.Slice(all, func(i, j int) bool { return all[i].ConnID() > all[j].ConnID() })
	return all[:min(max(over, 0), len(all))]
}

// fileLog is the server's log if it is a Log, for its options; nil for others.
func fileLog(log *slog.Logger) *Log {
	l, _ := log.Handler().(*Log)
	return l
}

// forbidden words the -ERR of a subscription.
func forbidden(subj, queue string) string {
	text := `Permissions Violation for Subscription to "` + subj + `"`
	if queue != "" {
		text += ` using queue "` + queue + `"`
	}
	return text
}
