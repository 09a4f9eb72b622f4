package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/mqtt/session"
)

// attachPatience is how long a CONNECT waits for its session.
const attachPatience = 15 * time.Second

// stores are the kept sessions of each account.
type stores struct {
	sync.Mutex
	of map[string]*accountStore
}

// accountStore is opened by the first client of the account.
type accountStore struct {
	sync.Mutex
	store *session.Store
	off   time.Time // when no JetStream has answered in the account
}

// askAgain is how long an account without JetStream is not asked again.
const askAgain = 2 * time.Second

// sessionsOf are the kept sessions of an account; nil where there are none, since
// JetStream is off, or does not answer now. They are read before any client of the
// account is let in: what it publishes they may wait for.
func (m *Module) sessionsOf(ctx context.Context, a *account.Account) (*session.Store, error) {
	if !m.keeps() {
		return nil, nil
	}
	m.stores.Lock()
	e := m.stores.of[a.Name()]
	if e == nil {
		e = new(accountStore)
		if m.stores.of == nil {
			m.stores.of = make(map[string]*accountStore)
		}
		m.stores.of[a.Name()] = e
	}
	m.stores.Unlock()
	e.Lock()
	defer e.Unlock()
	if e.store != nil || time.Since(e.off) < askAgain || m.ctx.Err() != nil {
		return e.store, m.ctx.Err()
	}
	c, err := m.services.StreamClient(a, "")
	if err != nil {
		return nil, err
	}
	s, err := session.Open(ctx, session.Options{
		Account: a, Client: c, Log: m.log, Origin: nameHash(m.services.ServerName()), Domain: m.services.Domain(),
		Limits: m.keptLimits, Subjects: m.keptSubjects, Filter: stockFilter,
		Stored: func(live []byte, publisher string) []byte { return storedHeader(live, publisher, 0) },
		Lost:   m.lost,
	})
	if errors.Is(err, jsclient.ErrNoResponders) {
		e.off, err = time.Now(), nil
	}
	if e.store = s; s != nil {
		for range s.Len() {
			m.services.Connections().Rested() // what reading them needed is free
		}
	}
	return s, err
}

// openStores reads the sessions that are there at the start, before any client has
// come: what links bring is kept for them.
func (m *Module) openStores(o *config.Options) {
	if !m.keeps() || !o.MQTT.Set {
		return
	}
	names := []string{config.GlobalAccount}
	for i := range o.Accounts {
		names = append(names, o.Accounts[i].Name)
	}
	for _, name := range names {
		a, ok := m.services.Account(name)
		if !ok || !m.services.StreamsIn(a) {
			continue
		}
		if err := m.openStore(a); err != nil {
			m.log.Error("MQTT sessions could not be read; the next client of the account has them read", "account", core.Cut(name), "err", err)
		}
	}
}

// openStore reads the sessions of an account if there are any.
func (m *Module) openStore(a *account.Account) error {
	ctx, cancel := context.WithTimeout(m.ctx, attachPatience)
	defer cancel()
	c, err := m.services.StreamClient(a, "")
	if err != nil {
		return err
	}
	_, err = c.Info(ctx, session.RowStream)
	c.Close()
	if errors.Is(err, jsclient.ErrStreamNotFound) {
		return nil
	}
	if err == nil {
		_, err = m.sessionsOf(ctx, a)
	}
	return err
}

// lost counts and tells what came by a link and could not be kept.
func (m *Module) lost(subj []byte, err error) {
	m.lostKept.Add(1)
	const text = "MQTT message that came by a link was not kept"
	line := text + "\x00" + core.Cut(err.Error())
	if !core.Again(m.log, slog.LevelError, []byte(line)) {
		m.log.Log(core.Once(line), slog.LevelError, text, append([]any{"subject", core.Cut(subj)}, shortened([]any{"err", err})...)...)
	}
}

// refuses says why a client can't be let in whose identifier is that of another user's
// session: before the one who has it is told to go.
func (m *Module) refuses(c *conn) error {
	m.stores.Lock()
	e := m.stores.of[c.account.Name()]
	m.stores.Unlock()
	if e == nil {
		return nil // nobody of the account has come in
	}
	e.Lock()
	store := e.store
	e.Unlock()
	if store == nil {
		return nil
	}
	if err := store.Refuses(c.clientID, c.user()); err != nil {
		return c.noSession(err)
	}
	return nil
}

func (m *Module) keptLimits() session.Limits {
	o := &m.services.Options().MQTT
	return session.Limits{Sessions: o.MaxKeptSessions, Msgs: o.MaxKeptMsgs, Bytes: o.MaxKeptBytes, Expiry: o.MaxKeptTime}
}

func (m *Module) keptSubjects(filter string) ([]string, error) { return filterSubjects(filter, 0) }

// stockFilter is the topic filter of a subject that nats-server has subscribed to.
func stockFilter(subj string) string {
	levels := strings.Split(string(appendTopic(nil, []byte(subj))), "/")
	for i, l := range levels {
		switch l {
		case "*":
			levels[i] = "+"
		case ">":
			levels[i] = "#"
		}
	}
	return strings.Join(levels, "/")
}

// closeStores ends the kept sessions of all accounts, behind all connections.
func (m *Module) closeStores(ctx context.Context) {
	m.stores.Lock()
	defer m.stores.Unlock()
	for _, e := range m.stores.of {
		e.Lock()
		if e.store != nil {
			e.store.Close(ctx)
			e.store = nil
		}
		e.Unlock()
	}
}

// kept is the session of a connected client that outlives its connections.
type kept struct {
	conn    *conn
	session *session.Session
	present bool   // it was there before
	expiry  uint32 // seconds behind the end of the connection

	delivery
}

// openSession finds or makes the session that a CONNECT asks for. Whoever had the
// client identifier before was told to go.
func (c *conn) openSession(pk *packets.Packet) error {
	ctx, cancel := context.WithTimeout(c.m.ctx, attachPatience)
	defer cancel()
	store, err := c.m.sessionsOf(ctx, c.account)
	if err != nil {
		return fmt.Errorf("kept sessions of the account: %w", err)
	}
	expiry := c.wantedExpiry(pk)
	switch {
	case store == nil && c.version == v311 && expiry > 0:
		return errNoSessions
	case store == nil:
		return nil
	case expiry > 0 && (len(c.clientID) > session.MaxID || !utf8.ValidString(c.clientID)):
		return &refusal{refusedIdentifier, packets.ErrClientIdentifierNotValid,
			fmt.Errorf("the client identifier of a kept session is text of %d bytes at most", session.MaxID)} // [MQTT-3.1.3-8]
	}
	if pk.Connect.Clean {
		err = store.Drop(ctx, c.ended, c.clientID, c.user())
	}
	k := &kept{conn: c, expiry: store.Granted(expiry)}
	if err == nil && (expiry > 0 || !pk.Connect.Clean) {
		k.session, k.present, err = store.Attach(ctx, c.ended, session.Client{ID: c.clientID, User: c.user(), Expiry: k.expiry, Peer: k})
	}
	if err != nil {
		return c.noSession(err)
	}
	if k.session != nil {
		k.begin()
		c.kept = k
		c.outlived.Store(true)
	}
	return nil
}

// wantedExpiry is for how many seconds a client wants its session behind the end of
// its connection. One of MQTT 3.1.1 does not expire [MQTT-3.1.2-5].
func (c *conn) wantedExpiry(pk *packets.Packet) uint32 {
	switch {
	case c.version == v5:
		return pk.Properties.SessionExpiryInterval
	case pk.Connect.Clean:
		return 0
	}
	return session.Never
}

// errNoSessions is for who asks for what can't be had. There is no way to tell an
// MQTT 3.1.1 client that its session will not be kept, so it must not think that it
// is.
var errNoSessions = &refusal{refusedUnavailable, packets.ErrServerUnavailable,
	errors.New("sessions that outlive the connection are kept in streams, and JetStream is off: connect with a clean session")}

// noSession is what a client is told who does not get its session.
func (c *conn) noSession(err error) error {
	switch {
	case c.m.ctx.Err() != nil:
		return errShutdown
	case errors.Is(err, session.ErrGone):
		return err
	case errors.Is(err, session.ErrOtherUser), errors.Is(err, session.ErrTaken), errors.Is(err, session.ErrUnread):
		return &refusal{refusedIdentifier, packets.ErrClientIdentifierNotValid, err}
	case errors.Is(err, session.ErrTooMany):
		return &refusal{refusedUnavailable, packets.ErrQuotaExceeded, err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("waiting for the session: %w", err)
	}
	return &refusal{refusedUnavailable, packets.ErrServerUnavailable, err}
}

// restore makes the subscriptions of a session again that was there before. What the
// user may not hear any more is taken away.
func (k *kept) restore() {
	c := k.conn
	for _, f := range k.session.Filters() {
		s := packets.Subscription{
			Filter: f.Text, Identifier: int(f.Identifier), Qos: f.Options & 3, NoLocal: f.Options&4 != 0, RetainAsPublished: f.Options&8 != 0,
		}
		if code, err := c.subscribeTo(&s, false); err != nil || code >= 0x80 {
			k.session.Unsubscribe(f.Text)
		}
	}
}

// options are those of a subscription as they are kept.
func options(f *packets.Subscription) byte {
	o := f.Qos
	if f.NoLocal {
		o |= 4
	}
	if f.RetainAsPublished {
		o |= 8
	}
	return o
}

// keepFilter has the session remember a subscription. It answers with why not.
func (c *conn) keepFilter(f *packets.Subscription) byte {
	if c.kept == nil {
		return 0
	}
	_, err := c.kept.session.Subscribe(f.Filter, options(f), uint32(f.Identifier))
	if err == nil {
		return 0
	}
	if s := c.subs[f.Filter]; s != nil {
		c.drop(s)
	}
	c.kept.session.Unsubscribe(f.Filter)
	if errors.Is(err, session.ErrFilters) {
		return packets.ErrQuotaExceeded.Code
	}
	return packets.ErrTopicFilterInvalid.Code
}

// saveSession returns when the session is on disk as it is.
func (c *conn) saveSession() error {
	if c.kept == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.m.ctx, attachPatience)
	defer cancel()
	if err := c.kept.session.Save(ctx); err != nil {
		return fail(packets.ErrUnspecifiedError, "storing the session: %w", err)
	}
	return nil
}

// detach lets the session go when nothing is sent to the client any more.
func (k *kept) detach() {
	if k != nil {
		k.session.Detach(k.expiry)
	}
}

// keep is a place where a publication is to be kept.
type keep struct {
	store   *session.Store
	subject []byte
}

// Keep is part of session.Keeping.
func (r *receipt) Keep(s *session.Store, subj []byte, full error) { r.keeps.add(s, subj, full) }

// Publisher is part of session.Keeping.
func (r *receipt) Publisher() (string, bool) { return r.keeps.publisher(r.acks.conn), true }

// keeps are what the kept sessions that wait for a message have said.
type keeps struct {
	at   []keep
	full error
	hash string // of the publisher; "" before somebody asked
}

func (k *keeps) add(s *session.Store, subj []byte, full error) {
	if full != nil {
		k.full = full
	}
	for i := range k.at {
		if k.at[i].store == s && string(k.at[i].subject) == string(subj) {
			return
		}
	}
	k.at = append(k.at, keep{s, append([]byte(nil), subj...)})
}

func (k *keeps) publisher(c *conn) string {
	if k.hash == "" {
		k.hash = nameHash(c.clientID)
	}
	return k.hash
}

// put stores a message for those who wait for it. header is the block of the live
// message. r expects one more stream for each place. by is the session of a publisher
// with QoS 2, whose packet identifier id becomes durable with the message, or by
// itself; nil for none.
func (k *keeps) put(o *account.Origin, header, body []byte, by *session.Session, id uint16, r wire.Receipt) {
	switch {
	case len(k.at) == 0 && by == nil:
		return
	case k.full != nil:
		r.Expect()
		r.Stored("$MQTT_msgs", 0, false, k.full)
		return
	}
	own := -1 // the place that has the identifier, the last: a crash in between repeats rather than loses
	for i := range k.at {
		if by != nil && k.at[i].store == by.Store() {
			own = i
		}
	}
	p := session.Publication{Body: body, Publisher: k.hash}
	if len(k.at) > 1 || own < 0 && len(k.at) > 0 {
		p.Header = storedHeader(header, k.hash, 0)
	}
	for i, at := range k.at {
		if i != own {
			p.Subject = at.subject
			at.store.Put(o, &p, r)
		}
	}
	switch {
	case by == nil:
	case own < 0:
		by.PutID(o, id, r)
	default:
		p.Subject, p.Header, p.By, p.ID = k.at[own].subject, storedHeader(header, k.hash, id), by, id
		k.at[own].store.Put(o, &p, r)
	}
}

// storedHeader is the block of a message that is kept. id is the packet identifier that
// it stands for, 0 for none.
func storedHeader(live []byte, publisher string, id uint16) []byte {
	h := append(make([]byte, 0, len(live)+64), "NATS/1.0\r\n"...)
	h = appendKept(h, session.HeaderPublisher, publisher)
	if id > 0 {
		h = appendKept(h, session.HeaderID, strconv.Itoa(int(id)))
	}
	wire.HeaderEach(live, func(name, value []byte) bool {
		if forStream(name) {
			h = append(h, headerKept...)
		}
		h = appendField(h, name, value)
		return true
	})
	return append(h, "\r\n"...)
}

// liveHeader is the block of a kept message as it was published, as of now. It
// reports false for one that has expired.
func liveHeader(m *session.Message, now time.Time) (h []byte, ok bool) {
	h = append(make([]byte, 0, len(m.Header)), "NATS/1.0\r\n"...)
	ok = true
	wire.HeaderEach(m.Header, func(name, value []byte) bool {
		switch {
		case string(name) == session.HeaderPublisher, string(name) == session.HeaderID:
			return true
		case string(name) == headerExpiry:
			var fresh bool
			value, fresh = expiryLeft(value, now.Sub(m.Time))
			ok = ok && fresh
		default:
			name = []byte(strings.TrimPrefix(string(name), headerKept))
		}
		h = appendField(h, name, value)
		return true
	})
	return append(h, "\r\n"...), ok
}

var (
	_ session.Peer    = (*kept)(nil)
	_ session.Keeping = (*receipt)(nil)
	_ session.Keeping = (*willReceipt)(nil)
)
