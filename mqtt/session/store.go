package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/jsclient"
)

// The streams, with nats-server's names and subjects.
const (
	RowStream  = "$MQTT_sess" // is there where sessions are kept
	rowPrefix  = "$MQTT.sess."
	msgsStream = "$MQTT_msgs"
	msgsPrefix = "$MQTT.msgs."
)

// Limits are those of the moment.
type Limits struct {
	Sessions int           // kept at a time; 65,534 at most
	Msgs     int64         // that a session may wait for
	Bytes    int64         // of them, with their headers
	Expiry   time.Duration // the longest that a session outlives its connection
}

// Options of a Store.
type Options struct {
	Account *account.Account
	Client  *jsclient.Client // of the account; the Store closes it
	Log     *slog.Logger
	Origin  string // what rows say of who wrote them
	Domain  string // of this JetStream; "" without
	Limits  func() Limits
	// Subjects are what a topic filter subscribes to.
	Subjects func(filter string) ([]string, error)
	// Filter is the topic filter of what nats-server has subscribed to.
	Filter func(subject string) string
	// Stored is the header block that a message is kept with of which the live one is
	// given. publisher is the hash of who published it.
	Stored func(live []byte, publisher string) []byte
	// Lost is told what came by a link and could not be kept, for one session or for
	// all. It must not block; subject is borrowed.
	Lost func(subject []byte, err error)
}

// Store is the kept sessions of an account.
type Store struct {
	began   time.Time // what times are told from
	o       Options
	ctx     context.Context
	cancel  context.CancelFunc
	work    sync.WaitGroup
	rows    *rowWriter
	pages   chan struct{} // has one for each page that is being read
	wake    chan struct{} // holds one: there is something for the worker
	counted chan struct{} // closed when all is counted that was there at the start
	// suspected: the worker is to look whether the stream has what is waited for.
	suspected atomic.Bool
	attached  atomic.Int32 // sessions that are connected

	streams struct {
		sync.Mutex
		ready  bool
		failed error
		at     time.Time // when it failed
	}

	mu struct {
		sync.Mutex
		sessions map[[hashLen]byte]*Session // by the hash of the client identifier
		closed   map[*Filter]bool           // that were taken away, and have something to deliver
		counts   counts
		recent   recent    // that were told
		read     recent    // that were read, and that others wait for
		made     time.Time // when the stream of messages was made; zero: there is none
		head     uint64    // the newest message that was told
		// begin is the newest one that was there at the start, or when all was counted
		// anew (recount.go); up to swept they are counted.
		begin, swept uint64
		started      bool               // counted is closed
		missed       bool               // a session did not find what was counted for it
		without      map[*Session][]gap // what came by links for sessions that were full
		unread       map[string]bool    // rows that can't be read, by their hashes, or are of others, by their subjects
		low          uint64             // nobody waits for what is below
		free         []uint64           // messages above low that nobody waits for any more
		freed        bool               // there are messages below low
		ended        []*Session         // to be counted down
		dirty        map[*Session]bool
		gone         []*Session // whose rows are to be deleted
	}
}

var (
	// ErrTooMany says that there are as many sessions as may be.
	ErrTooMany = errors.New("as many MQTT sessions are kept as max_kept_sessions allows")
	// ErrOtherUser says that a session belongs to somebody else.
	ErrOtherUser = errors.New("the session of this client identifier belongs to another user")
	// ErrTaken says that two client identifiers have the same hash.
	ErrTaken = errors.New("another client identifier has the same hash")
	// ErrGone says that who waited for a session has gone.
	ErrGone = errors.New("the client has gone while it waited for its session")
	// ErrUnread says that the row of the session can't be read.
	ErrUnread = errors.New("the record of the session cannot be read: the log of the start says why")
)

// maxPages is how many pages are read at once.
const maxPages = 4

// Open reads the sessions of an account. Errors are those of streams that can't be
// read. The Store is to be closed.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{o: o, began: time.Now(), pages: make(chan struct{}, maxPages), wake: make(chan struct{}, 1), counted: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.mu.sessions, s.mu.closed = make(map[[hashLen]byte]*Session), make(map[*Filter]bool)
	s.mu.dirty, s.mu.unread, s.mu.low = make(map[*Session]bool), make(map[string]bool), 1
	err := s.load(ctx)
	if err == nil {
		s.rows, err = newRowWriter(s)
	}
	if err != nil {
		s.cancel()
		s.o.Client.Close()
		return nil, err
	}
	s.work.Add(1)
	go s.run()
	return s, nil
}

// Close ends it. Connections have let go of their sessions. What is to be written is
// written, within ctx.
func (s *Store) Close(ctx context.Context) {
	s.rows.drain(ctx)
	s.cancel()
	s.work.Wait()
	s.rows.close()
	s.o.Client.Close()
	s.mu.Lock()
	all := make([]*Session, 0, len(s.mu.sessions))
	for _, x := range s.mu.sessions {
		all = append(all, x)
	}
	s.mu.Unlock()
	for _, x := range all {
		for f := range x.filters.all {
			f.leave()
		}
	}
}

// Len is how many sessions there are.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.sessions)
}

// rowSubject is where the row of a client identifier is.
func (s *Store) rowSubject(hash string) string {
	if s.o.Domain != "" {
		return rowPrefix + s.o.Domain + "." + hash
	}
	return rowPrefix + hash
}

// Hash is the hash that nats-server makes of names, for subjects and headers.
func Hash(name string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(name))
	b := sum[:hashLen]
	for i, c := range b {
		b[i] = digits[int(c)%len(digits)]
	}
	return string(b)
}

const hashLen = 8

func hashOf(name string) [hashLen]byte { return asHash([]byte(Hash(name))) }

// asHash is a hash as the sessions are known by; of what is none it is one of nobody.
func asHash(b []byte) (h [hashLen]byte) {
	if len(b) == hashLen {
		copy(h[:], b)
	}
	return h
}

func (x *Session) hashText() string { return string(x.hash[:]) }

// load reads all rows. Who connects or publishes comes later.
func (s *Store) load(ctx context.Context) error {
	i, err := s.o.Client.Info(ctx, msgsStream)
	switch {
	case errors.Is(err, jsclient.ErrStreamNotFound):
	case err != nil:
		return err
	default:
		s.mu.made, s.mu.begin, s.mu.head = i.Created, i.State.LastSeq, i.State.LastSeq
		s.mu.low = max(i.State.FirstSeq, 1)
	}
	_, err = s.o.Client.Info(ctx, RowStream)
	if errors.Is(err, jsclient.ErrStreamNotFound) {
		if i != nil && i.State.Msgs > 0 {
			// Somebody may bring it back.
			s.mu.unread[RowStream] = true
			s.o.Log.Error("MQTT sessions are gone, and what they wait for is there: it stays", "stream", RowStream, "messages", i.State.Msgs)
		}
		return nil
	}
	if err != nil {
		return err
	}
	strange := 0
	for from, more := uint64(1), true; more; {
		var list []*jsclient.Message
		if list, more, err = s.o.Client.NextBatch(ctx, RowStream, from, rowPrefix+">", 256, 256<<10); err != nil {
			return err
		}
		for _, m := range list {
			if !s.loadRow(m) {
				strange++
			}
			from = m.Seq + 1
		}
		more = more && len(list) > 0
	}
	if strange > 0 {
		s.o.Log.Warn("MQTT sessions of another JetStream domain are in the stream: they are not served, and what waits for them stays until they are deleted",
			"stream", RowStream, "sessions", strange, "domain", s.o.Domain)
	}
	return nil
}

// loadRow takes one row. One that can't be read stays, and its client is refused. It
// reports false for one of another domain.
func (s *Store) loadRow(m *jsclient.Message) bool {
	hash, ours := strings.CutPrefix(m.Subject, s.rowSubject(""))
	if !ours || strings.Contains(hash, ".") {
		s.mu.unread[m.Subject] = true
		return false
	}
	r, err := readRow(m.Data, s.o.Filter, s.mu.head)
	switch {
	case err != nil:
	case r == nil:
		return true
	case Hash(r.ID) != hash:
		err = fmt.Errorf("client %.64q: %w of that subject", r.ID, errRow)
	default:
		err = s.restore(r, m)
	}
	if err != nil {
		s.mu.unread[hash] = true
		s.o.Log.Error("MQTT session could not be read; what it waits for stays in the stream", "stream", RowStream, "subject", m.Subject, "seq", m.Seq, "err", err)
	}
	return true
}

func (s *Store) restore(r *row, m *jsclient.Message) error {
	x := &Session{store: s, ID: r.ID, User: r.State.User, hash: hashOf(r.ID), expiry: r.State.Expiry, row: m.Seq, position: r.State.Position}
	x.decodeExact(r.State)
	x.sentUpTo = r.State.SentUpTo
	if r.State.Online {
		x.sentUpTo = s.mu.begin
	}
	for i := 0; i < len(r.State.Unacked); i += 2 {
		x.unacked = append(x.unacked, unackedOf(r.State.Unacked[i], r.State.Unacked[i+1]))
	}
	for _, fr := range r.State.Filters {
		f := &Filter{sess: x, Text: fr.Filter, Options: fr.Options, Identifier: fr.ID, after: fr.After, until: open}
		if fr.Until > 0 {
			f.until = fr.Until
		}
		x.filters.add(f)
	}
	if x.position > s.mu.head {
		x.anew() // the stream is another one
	}
	for f := range x.filters.all {
		var err error
		if f.closed() {
			s.mu.closed[f] = true
			err = f.prepare()
		} else {
			err = f.enter()
		}
		if err != nil {
			s.leave(x.filters.list())
			return fmt.Errorf("filter %.64q: %w", f.Text, err)
		}
	}
	x.adopted = r.State.Adopted
	if x.adopted {
		s.mu.dirty[x] = true // from now on it waits
		s.o.Log.Info("MQTT session of nats-server goes on with its subscriptions", "client", cut(x.ID))
	}
	s.mu.sessions[x.hash] = x
	x.expireLocked(r.State.left(time.Since(m.Time)))
	return nil
}

// left is what is left at a start of the expiry of a row that was written so long ago.
// That of a connected session begins at the end of the connection, which is not older
// than the start.
func (s *state) left(since time.Duration) time.Duration {
	if s.Attached || s.Online {
		since = 0
	}
	return leftOf(s.Expiry, since)
}

// leftOf is what is left of an expiry. A clock that was set, or is not set yet, does
// not end sessions early: no session is as old as one from before this program.
func leftOf(expiry uint32, since time.Duration) time.Duration {
	const oldest = 5 * 365 * 24 * time.Hour
	if since < 0 || since > oldest {
		since = 0
	}
	return max(time.Duration(expiry)*time.Second-since, 0)
}

// ensureAgain is how long streams that could not be made are not tried again.
const ensureAgain = 2 * time.Second

// ensure makes the streams at first need. Limits that somebody has given them stay.
func (s *Store) ensure(ctx context.Context) error {
	t := &s.streams
	t.Lock()
	defer t.Unlock()
	switch {
	case t.ready:
		return nil
	case t.failed != nil && time.Since(t.at) < ensureAgain:
		return t.failed
	}
	_, err := s.ensureStream(ctx, &jsclient.StreamConfig{Name: RowStream, Subjects: []string{rowPrefix + ">"}, MaxMsgsPer: 1, AllowDirect: true})
	if err == nil {
		var i *jsclient.StreamInfo
		if i, err = s.ensureStream(ctx, &jsclient.StreamConfig{Name: msgsStream, Subjects: []string{msgsPrefix + ">"}, AllowDirect: true}); err == nil {
			s.adopt(i)
			if c := &i.Config; c.MaxAge > 0 || c.MaxMsgsPer > 0 || (c.MaxMsgs > 0 || c.MaxBytes > 0) && c.Discard != asset.DiscardNew {
				s.o.Log.Warn("what MQTT sessions wait for is lost at limits that somebody has given the stream", "stream", msgsStream)
			}
		}
	}
	t.ready, t.failed, t.at = err == nil, err, time.Now()
	return err
}

func (s *Store) ensureStream(ctx context.Context, cfg *jsclient.StreamConfig) (*jsclient.StreamInfo, error) {
	i, err := s.o.Client.Update(ctx, cfg.Name, func(have *jsclient.StreamConfig) {
		have.AllowDirect = true
		if cfg.MaxMsgsPer > 0 {
			have.MaxMsgsPer = cfg.MaxMsgsPer
		}
	})
	if errors.Is(err, jsclient.ErrStreamNotFound) {
		i, err = s.o.Client.Ensure(ctx, cfg)
	}
	if err == nil && i.Config.Retention != asset.LimitsRetention {
		err = fmt.Errorf("the stream %s is that of a nats-server: what its consumers wait for would be lost; move it away", cfg.Name)
	}
	return i, err
}

// lostStream says that a stream is not there, though it was.
func (s *Store) lostStream() {
	s.streams.Lock()
	s.streams.ready, s.streams.failed = false, nil
	s.streams.Unlock()
}

// adopt takes the stream of messages as it is. One that was made anew has other
// sequences.
func (s *Store) adopt(i *jsclient.StreamInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.made.IsZero() && !s.mu.made.Equal(i.Created) {
		s.anewLocked()
	}
	s.mu.made = i.Created
}

// anewLocked begins again with a stream that was made anew: all of it is behind all
// positions.
func (s *Store) anewLocked() {
	s.mu.counts = counts{}
	s.mu.head, s.mu.begin, s.mu.swept, s.mu.low = 0, 0, 0, 1
	s.mu.free, s.mu.missed, s.mu.without = nil, false, nil
	s.mu.recent, s.mu.read = recent{}, recent{}
	for _, x := range s.mu.sessions {
		x.anew()
		s.mu.dirty[x] = true
	}
	for f := range s.mu.closed {
		delete(s.mu.closed, f)
	}
	s.o.Log.Warn("the stream of what MQTT sessions wait for was made anew: what was in it is gone", "stream", msgsStream)
}
