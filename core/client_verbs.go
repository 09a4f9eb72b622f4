package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
)

// connectOptions is the JSON of CONNECT.
type connectOptions struct {
	Verbose      bool   `json:"verbose"`
	Pedantic     bool   `json:"pedantic"`
	Echo         bool   `json:"echo"`
	User         string `json:"user"`
	Pass         string `json:"pass"`
	Token        string `json:"auth_token"`
	JWT          string `json:"jwt"`
	NKey         string `json:"nkey"`
	Sig          string `json:"sig"`
	Name         string `json:"name"`
	Lang         string `json:"lang"`
	Version      string `json:"version"`
	Protocol     int    `json:"protocol"`
	Headers      bool   `json:"headers"`
	NoResponders bool   `json:"no_responders"`
	Account      string `json:"account"`
	NewAccount   bool   `json:"new_account"`
}

// initialConnect is what holds before the first CONNECT, and for keys that it
// leaves out.
var initialConnect = &connectOptions{Verbose: true, Pedantic: true, Echo: true}

var (
	errAuthViolation = &wire.Error{Text: "Authorization Violation", Reason: wire.ReasonAuthFailure}
	errAccountFull   = &wire.Error{Text: accountFull, Reason: wire.ReasonAccountConnections}
	errBadConnect    = &wire.Error{Reason: wire.ReasonProtocolViolation}
	errBadProtocol   = &wire.Error{Text: "invalid client protocol", Reason: wire.ReasonBadProtocolVersion}
	errNeedsHeaders  = &wire.Error{Text: "no responders requires headers support", Reason: wire.ReasonNoRespondersHeaders}
)

const accountFull = "maximum account active connections exceeded"

// first looks at the very first byte: a peer either begins with CONNECT, or is
// one who need not say who he is.
func (c *client) first(b []byte) error {
	if c.begun {
		return nil
	}
	c.begun = true
	if b[0]|0x20 == 'c' {
		return nil
	}
	return c.enter()
}

// enter lets a client in that does not begin with CONNECT, if nobody has to
// say who he is.
func (c *client) enter() error {
	if c.door(c.set).RequiredOf(c.peer) {
		c.why = "no CONNECT"
		return errAuthViolation
	}
	return c.authenticate(c.authRequest())
}

// authenticate finds out who r is and puts the client in its account. With a
// reload meanwhile, which did not find it yet, it is asked again.
func (c *client) authenticate(r *auth.Request) error {
	for {
		now := c.s.current.Load()
		if err := c.authenticateBy(now, r); err != nil {
			return err
		}
		if c.s.current.Load() == now {
			return nil
		}
	}
}

func (c *client) authenticateBy(now *snapshot, r *auth.Request) error {
	g, err := c.door(now).Authenticate(r)
	if err != nil {
		c.presented(r)
		c.why = err.Error()
		return errAuthViolation
	}
	a, ok := c.s.accounts.Lookup(g.Account)
	if !ok {
		c.presented(r)
		c.why = fmt.Sprintf("no such account %q", g.Account)
		return errAuthViolation
	}
	if c.within != a {
		c.exit()
		if !a.Enter(false) {
			c.presented(r)
			return errAccountFull
		}
		c.within = a
	}
	c.account = a
	sess := &session{account: a, echo: c.connect.Echo, headers: c.connect.Headers && !c.began.o.NoHeaders}
	sess.limit(g)
	c.life.Lock()
	c.session.Store(sess)
	c.life.info, c.life.grant, c.life.user, c.life.acc = c.connect, g, g.User, g.Account
	c.life.Unlock()
	return nil
}

// exit makes room for another client in the account.
func (c *client) exit() {
	if c.within != nil {
		c.within.Leave(false)
		c.within = nil
	}
}

// presented notes for the log who somebody said to be that did not get in.
func (c *client) presented(r *auth.Request) {
	c.life.Lock()
	defer c.life.Unlock()
	c.life.claimed.user, c.life.claimed.connect = r.User, c.connect
	if r.User == "" {
		c.life.claimed.user = r.NKey
	}
}

// Connect is part of wire.ClientHandler.
func (c *client) Connect(args []byte) error {
	c.active = true
	next := *c.connect
	if err := json.Unmarshal(args, &next); err != nil {
		c.why = "CONNECT: " + err.Error()
		return errBadConnect
	}
	c.connect = &next
	c.trace.connect(next)
	if c.account != nil {
		c.unsubscribeAll()
	}
	if err := c.authenticate(c.authRequest()); err != nil {
		return err
	}
	switch {
	case c.connect.Account != "" || c.connect.NewAccount:
		c.why = "account and new_account are not supported"
		return errAuthViolation
	case c.connect.Protocol < 0 || c.connect.Protocol > protocolLevel:
		return errBadProtocol
	case c.connect.NoResponders && !c.connect.Headers:
		return errNeedsHeaders
	}
	again := c.connected
	c.connected = true
	c.setLimits()
	if !again {
		c.s.connections.joined(c)
	}
	wait := min(firstPing, c.set.o.PingInterval)
	c.startTimer(wait+rand.N(wait/5+1), c.pingTick)
	c.ok()
	return nil
}

// setLimits tells the parser what holds for what comes next.
func (c *client) setLimits() {
	c.parser.SetLimits(wire.Limits{
		MaxControlLine: c.set.o.MaxControlLine,
		MaxPayload:     c.maxPayload(c.set),
		NoHeaders:      c.connected && !c.session.Load().headers,
		Buffers:        &c.s.buffers,
		Held:           &c.part,
	})
}

// maxPayload is that of the server, or of the account if that is lower.
func (c *client) maxPayload(n *snapshot) int {
	if a := c.session.Load().account; a != nil {
		return account.Lower(n.o.MaxPayload, a.Limits().Payload)
	}
	return n.o.MaxPayload
}

func (c *client) ok() {
	if c.connect.Verbose {
		c.say(wire.OKLine)
	}
}

// Info, OK and Err are part of wire.ClientHandler.
func (c *client) Info([]byte) error { return nil }

// OK is ignored.
func (c *client) OK() error { return nil }

// Err ends the connection: a client must not send one.
func (c *client) Err([]byte) error { return wire.ErrPeerError }

// Ping is part of wire.ClientHandler.
func (c *client) Ping() error {
	c.active = true
	c.trace.in("PING")
	c.say(wire.PongLine)
	if c.connected && !c.told {
		c.told = true
		if c.connect.Protocol >= 1 {
			i := c.info(c.set)
			i.ConnectInfo, i.RemoteAccount = true, c.account.Name()
			i.IsSystem = i.RemoteAccount == c.set.o.SystemAccount
			c.say(string(i.line()))
		}
	}
	return nil
}

// Pong is part of wire.ClientHandler.
func (c *client) Pong() error {
	c.trace.in("PONG")
	now := time.Now()
	c.life.Lock()
	defer c.life.Unlock()
	c.life.pings = 0
	if !c.life.pinged.IsZero() {
		c.life.rtt, c.life.rttAt = max(now.Sub(c.life.pinged), 1), now
		c.life.pinged = time.Time{}
	}
	return nil
}

// Sub is part of wire.ClientHandler.
func (c *client) Sub(subj, queue, sid []byte) error {
	c.active = true
	if c.trace != nil {
		c.trace.in("SUB", string(subj), string(queue), string(sid))
	}
	if err := c.sub(subj, queue, sid); err != "" {
		c.refuse("subscription violation", err, "subject", string(subj), "queue", string(queue))
		return nil
	}
	c.ok()
	return nil
}

// sub returns the text of the -ERR, "" when all is well.
func (c *client) sub(subj, queue, sid []byte) string {
	sess := c.session.Load()
	if !c.maySubscribe(subj, queue) {
		return forbidden(string(subj), string(queue))
	}
	if limit := c.set.o.MaxSubTokens; limit > 0 && subject.Tokens(subj) > limit {
		return `Permissions Violation for Subscription to "` + string(subj) + `", too many tokens`
	}
	c.subs.Lock()
	// One that has had its last message may still be waiting to be taken away.
	old := c.subs.bySID[string(sid)]
	taken := old != nil && !old.Spent()
	n := len(c.subs.bySID)
	c.subs.Unlock()
	if limit := account.Lower(c.set.o.MaxSubs, c.account.Limits().Subs); limit > 0 && n >= limit {
		return "maximum subscriptions exceeded"
	}
	if taken {
		return ""
	}
	s := &account.Sub{Subject: string(subj), Queue: string(queue), SID: string(sid), Sink: c}
	if !subject.Valid(s.Subject) {
		return "Invalid Subject"
	}
	// Known here before messages come: a delivery may use it up at once.
	c.subs.Lock()
	c.subs.bySID[s.SID] = s
	c.subs.Unlock()
	if err := c.account.Subscribe(s); err != nil {
		c.subs.Lock()
		delete(c.subs.bySID, string(sid))
		c.subs.Unlock()
		return "Invalid Subject"
	}
	if c.session.Load() != sess && !c.maySubscribe(subj, queue) {
		// A reload took the right away, and may not have found it.
		c.subs.Lock()
		delete(c.subs.bySID, string(sid))
		c.subs.Unlock()
		s.End()
		return forbidden(string(subj), string(queue))
	}
	return ""
}

// systemQueue is kept for servers.
const systemQueue = "_sys_"

func (c *client) maySubscribe(subj, queue []byte) bool {
	if string(queue) == systemQueue {
		return false
	}
	p := c.session.Load().perms
	return p == nil || p.CanSubscribe(string(subj), string(queue))
}

// Unsub is part of wire.ClientHandler.
func (c *client) Unsub(sid []byte, max int) error {
	c.active = true
	if c.trace != nil {
		c.trace.in("UNSUB", string(sid), countText(max))
	}
	c.subs.Lock()
	s := c.subs.bySID[string(sid)]
	if s != nil && (max <= 0 || !s.Limit(uint64(max))) {
		delete(c.subs.bySID, string(sid))
	} else {
		s = nil
	}
	c.subs.Unlock()
	if s != nil {
		s.End()
	}
	c.ok()
	return nil
}

func (c *client) unsubscribeAll() {
	c.subs.Lock()
	all := make([]*account.Sub, 0, len(c.subs.bySID))
	for _, s := range c.subs.bySID {
		all = append(all, s)
	}
	clear(c.subs.bySID)
	c.subs.Unlock()
	for _, s := range all {
		s.End()
	}
}

// Pub is part of wire.ClientHandler.
func (c *client) Pub(m *wire.Msg) error {
	c.active = true
	c.in.msgs++
	c.in.bytes += int64(len(m.Header) + len(m.Body))
	if c.trace != nil {
		c.trace.message("<<-", wire.AppendPub(nil, m), m)
	}
	if c.connect.Pedantic && !(subject.Valid(m.Subject) && subject.IsLiteral(m.Subject)) {
		c.refuse("publish violation", "Invalid Publish Subject", "subject", string(m.Subject))
	}
	sess := c.session.Load()
	if subject.ForServers(m.Subject) || sess.perms != nil && !mayPublish(sess, m.Subject) {
		c.refuse("publish violation", `Permissions Violation for Publish to "`+string(m.Subject)+`"`, "subject", string(m.Subject))
		return nil
	}
	if len(m.Reply) > 0 && subject.ReplyForServers(m.Reply) {
		c.refuse("publish violation", `Permissions Violation for Publish with Reply of "`+string(m.Reply)+`"`,
			"subject", string(m.Subject), "reply", string(m.Reply))
		return nil
	}
	c.ok()
	m.From = c.id
	if wire.TraceOnly(m.Header) {
		return nil // traces are not reported yet
	}
	if c.origin == nil {
		c.origin = account.NewOrigin(c, account.RoleClient, "")
		c.origin.Describe(c.requestInfo)
	}
	n := c.account.Route(c.origin, m)
	if n == 0 && c.connect.NoResponders && len(m.Reply) > 0 {
		c.noResponders(m)
	}
	return nil
}

func mayPublish(sess *session, subj []byte) bool {
	if sess.perms.CanPublish(subj) {
		return true
	}
	return sess.replies != nil && sess.replies.Use(subj, time.Now())
}

// noResponders tells the client at once that nobody will answer. Only a plain
// subscription of its own on the reply gets it, and it does not count towards
// an automatic unsubscribe.
func (c *client) noResponders(m *wire.Msg) {
	sid, found := "", false
	c.subs.Lock()
	for _, s := range c.subs.bySID {
		if s.Queue == "" && !s.Spent() && subject.Match(s.Subject, m.Reply) {
			sid, found = s.SID, true
			break
		}
	}
	c.subs.Unlock()
	if !found {
		return
	}
	c.out503 = wire.AppendNoResponders(c.out503[:0], m.Subject)
	answer := wire.Msg{Subject: m.Reply, Header: c.out503}
	switch err := c.appendMsg(&answer, sid); {
	case err == nil:
		c.spoke = true
		if c.trace != nil {
			c.trace.message("->>", wire.AppendMsg(nil, &answer, sid, true), &answer)
		}
	case errors.Is(err, outbound.ErrSlowPending):
		c.cut(wire.ReasonSlowPending)
	}
}
