package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/jetstream/jsclient"
)

// Peer is the connection of a session.
type Peer interface {
	// Wake is told that there is something to read. It is called with the lock of
	// the Store held, and must not block.
	Wake()
}

// Unacked is a message that was sent and is not acknowledged.
type Unacked struct {
	Seq uint64
	ID  uint16 // of the packet
	// Exact: it was sent with QoS 2.
	Exact bool
	// counts says that the session counts it still, with size bytes; 0 for one that
	// was sent before the start and is not counted yet.
	size int
}

// Session is one kept session. Its exported fields do not change while a connection has
// it.
type Session struct {
	ID   string // of the client
	User string // whose it is

	store *Store
	hash  [hashLen]byte // of ID

	// What it waits for, with what was sent and is not acknowledged.
	msgs, bytes atomic.Int64

	// Guarded by the lock of the store. (Of sessions at rest there may be very many.)
	filters  filterList
	position uint64   // all up to it was sent, or is none of it
	reading  *reading // nil at rest
	unacked  []Unacked
	exact    *exactIDs // nil: none (exact.go)
	// receivedUpTo is up to where the row knows what was received with QoS 2, of what
	// was there at the start.
	receivedUpTo uint64
	hints        *hints        // nil: all that it waits for is behind position
	sentUpTo     uint64        // what is behind position and not above this may have been sent before
	expires      time.Duration // behind the beginning of the store; 0: it does not
	row          uint64        // sequence of its row, 0 for none that is known
	told         uint64        // the newest message that was counted for it
	expiry       uint32
	adopted      bool // of nats-server's: it belongs to the user who comes first
	restored     bool // it was there at the start
	online       bool // the row on disk says that messages may have been sent
	over         bool // it has ended
}

// reading is what a session has more while its messages are read: by a connection, or to
// be counted down when it has ended. The lock of the store guards it.
type reading struct {
	horizon uint64 // all up to it was read, or is none of the session; position or above
	peer    Peer   // nil when the session has ended
	free    chan struct{}
	idle    bool // its peer has read all there is
}

// peer is the connection of a session, nil for none. The lock is held.
func (x *Session) peer() Peer {
	if x.reading == nil {
		return nil
	}
	return x.reading.peer
}

// Client is who asks for a session.
type Client struct {
	ID, User string
	Expiry   uint32 // seconds behind the end of the connection, as they were granted
	Peer     Peer
}

// Attach gives a session to a connection, waiting while another one has it: whoever
// calls has ended that. Without an expiry none is made, and it is nil if there is none. The
// session is one that was there before if present is true. It does not wait any more
// when gone is closed. Errors: ErrTooMany, ErrOtherUser, ErrTaken, ErrUnread, ErrGone,
// those of ctx and of streams.
func (s *Store) Attach(ctx context.Context, gone <-chan struct{}, c Client) (x *Session, present bool, err error) {
	if c.Expiry > 0 {
		if err := s.ensure(ctx); err != nil {
			return nil, false, err
		}
	}
	for {
		s.mu.Lock()
		x, err = s.findLocked(c.ID, c.User)
		switch {
		case err != nil:
		case x == nil && c.Expiry == 0:
			s.mu.Unlock()
			return nil, false, nil
		case x == nil && len(s.mu.sessions) >= s.o.Limits().Sessions:
			err = ErrTooMany
		case x == nil:
			x = &Session{store: s, ID: c.ID, User: c.User, hash: hashOf(c.ID), position: s.mu.head, expiry: c.Expiry,
				reading: &reading{horizon: s.mu.head, peer: c.Peer}}
			s.attached.Add(1)
			s.mu.sessions[x.hash] = x
			s.mu.Unlock()
			return x, false, nil
		case x.peer() == nil:
			x.expiry, x.expires, x.reading = c.Expiry, 0, &reading{horizon: x.position, peer: c.Peer}
			s.attached.Add(1)
			if x.adopted {
				x.User, x.adopted = c.User, false
			}
			s.mu.dirty[x] = true // a start must not have it expired meanwhile
			s.mu.Unlock()
			s.poke()
			return x, true, nil
		}
		wait := x.waitLocked()
		s.mu.Unlock()
		if err != nil {
			return nil, false, err
		}
		if err := await(ctx, gone, wait); err != nil {
			return nil, false, err
		}
	}
}

// await waits until a session is let go.
func await(ctx context.Context, gone, free <-chan struct{}) error {
	select {
	case <-free:
		return nil
	case <-gone:
		return ErrGone
	case <-ctx.Done():
		return ctx.Err()
	}
}

// findLocked is the session of a client, nil for none.
func (s *Store) findLocked(id, user string) (*Session, error) {
	hash := hashOf(id)
	x := s.mu.sessions[hash]
	switch {
	case s.mu.unread[string(hash[:])]:
		return nil, ErrUnread
	case x == nil:
		return nil, nil
	case x.ID != id:
		return nil, ErrTaken
	case x.User != user && !x.adopted:
		return nil, ErrOtherUser
	}
	return x, nil
}

// Refuses says why a client could not have the session of its identifier, whoever waits
// for it: ErrOtherUser, ErrTaken or ErrUnread.
func (s *Store) Refuses(id, user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.findLocked(id, user)
	return err
}

// waitLocked is closed when the session is let go.
func (x *Session) waitLocked() <-chan struct{} {
	if x == nil {
		return nil
	}
	if x.reading.free == nil {
		x.reading.free = make(chan struct{})
	}
	return x.reading.free
}

// Drop ends the session of a client, if there is one: its row is deleted. It waits
// while a connection has it. Errors: as of Attach.
func (s *Store) Drop(ctx context.Context, gone <-chan struct{}, id, user string) error {
	for {
		s.mu.Lock()
		x, err := s.findLocked(id, user)
		if err != nil || x == nil {
			s.mu.Unlock()
			return err
		}
		if x.peer() == nil {
			filters := s.endLocked(x)
			s.mu.Unlock()
			s.leave(filters)
			return s.deleteRow(ctx, x)
		}
		wait := x.waitLocked()
		s.mu.Unlock()
		if err := await(ctx, gone, wait); err != nil {
			return err
		}
	}
}

// deleteRow deletes the row of a session that has ended, when all that was written
// of it is there.
func (s *Store) deleteRow(ctx context.Context, x *Session) error {
	if err := s.rows.settle(ctx, x); err != nil {
		return err
	}
	s.mu.Lock()
	seq := x.row
	s.mu.Unlock()
	if seq == 0 {
		return nil
	}
	err := s.o.Client.DeleteMessage(ctx, RowStream, seq)
	if errors.Is(err, jsclient.ErrMessageNotFound) || errors.Is(err, jsclient.ErrStreamNotFound) {
		err = nil
	}
	return err
}

// Detach lets a session go, for so many seconds; with 0 it ends. Nothing of the
// connection uses it any more.
func (x *Session) Detach(expiry uint32) {
	s := x.store
	s.mu.Lock()
	if r := x.reading; r != nil && r.free != nil {
		close(r.free)
		r.free = nil
	}
	if x.online = false; !x.over {
		x.reading = nil
		s.attached.Add(-1)
	}
	var gone []*Filter
	switch {
	case x.over:
	case expiry == 0:
		gone = s.endLocked(x)
		s.mu.gone = append(s.mu.gone, x)
	default:
		x.expiry = s.capped(expiry)
		x.expireLocked(time.Duration(x.expiry) * time.Second)
	}
	over := x.over
	s.mu.Unlock()
	s.leave(gone)
	if !over {
		s.rows.write(s.ctx, x, nil)
	}
	s.poke()
}

// capped is an expiry as it is granted.
func (s *Store) capped(expiry uint32) uint32 {
	if most := s.o.Limits().Expiry; most > 0 {
		return uint32(min(int64(expiry), int64(most/time.Second)))
	}
	return expiry
}

// Granted is the expiry that a client gets that asks for so much.
func (s *Store) Granted(expiry uint32) uint32 { return s.capped(expiry) }

// expireLocked has a session at rest end in that time.
func (x *Session) expireLocked(in time.Duration) {
	x.expires = 0
	if x.expiry != Never {
		x.expires = max(time.Since(x.store.began)+in, 1)
	}
}

// endLocked ends a session. What it waits for is counted down by the worker. The
// filters are to leave the index, without the lock.
func (s *Store) endLocked(x *Session) []*Filter {
	x.over = true
	delete(s.mu.sessions, x.hash)
	delete(s.mu.dirty, x)
	var gone []*Filter
	for f := range x.filters.all {
		gone = append(gone, f)
		if !f.closed() {
			f.until = s.mu.head
		}
		if f.keeps() {
			s.mu.closed[f] = true
		}
	}
	for _, u := range x.unacked {
		s.settledLocked(x, u.Seq, u.size)
	}
	if x.exact != nil {
		for _, seq := range x.exact.received {
			s.downLocked(seq)
		}
	}
	x.unacked, x.exact, x.reading = nil, nil, &reading{horizon: x.position}
	s.mu.ended = append(s.mu.ended, x)
	return gone
}

func (s *Store) leave(filters []*Filter) {
	for _, f := range filters {
		f.leave()
	}
	s.poke()
}

// anew begins again behind nothing, as the stream of messages is another one. The
// lock is held.
func (x *Session) anew() {
	x.anewExactLocked()
	x.position, x.sentUpTo, x.unacked, x.told = 0, 0, nil, 0
	x.hints = nil
	if x.reading != nil {
		x.reading.horizon = 0
	}
	x.msgs.Store(0)
	x.bytes.Store(0)
	for f := range x.filters.all {
		if f.closed() {
			x.filters.remove(f)
		}
		f.after = 0
	}
}

// FullError says that a session waits for as much as it may.
type FullError struct{ Client string }

func (e *FullError) Error() string {
	return fmt.Sprintf("the kept session of client %.64q waits for as much as max_kept_messages and max_kept_bytes allow", e.Client)
}

// full reports whether the session may wait for one more message of that size.
func (x *Session) full(size int, l *Limits) bool {
	return l.Msgs > 0 && x.msgs.Load() >= l.Msgs || l.Bytes > 0 && x.bytes.Load()+int64(size) > l.Bytes
}

// Pending is what the session waits for.
func (x *Session) Pending() (msgs, bytes int64) { return x.msgs.Load(), x.bytes.Load() }

// Unacked is what was sent and is not acknowledged, in its order.
func (x *Session) Unacked() []Unacked {
	x.store.mu.Lock()
	defer x.store.mu.Unlock()
	return slices.Clone(x.unacked)
}

// Sent notes that a message goes out under a packet identifier.
func (x *Session) Sent(m *Message, id uint16) {
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Seq <= x.position {
		return // made anew
	}
	x.position = m.Seq
	x.unacked = append(x.unacked, Unacked{Seq: m.Seq, ID: id, Exact: m.QoS == 2, size: m.size()})
}

// Pass notes that a message is none for the client.
func (x *Session) Pass(m *Message) {
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Seq <= x.position {
		return
	}
	x.position = m.Seq
	s.settledLocked(x, m.Seq, m.size())
}

// Acked notes that the client has acknowledged a message.
func (x *Session) Acked(seq uint64) {
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.ackedLocked(seq) {
		x.changedLocked()
	}
}

// ackedLocked takes a message off those that are not acknowledged. It reports whether
// it was one.
func (x *Session) ackedLocked(seq uint64) bool {
	i, ok := slices.BinarySearchFunc(x.unacked, seq, func(u Unacked, seq uint64) int {
		switch {
		case u.Seq < seq:
			return -1
		case u.Seq > seq:
			return 1
		}
		return 0
	})
	if !ok {
		return false
	}
	size := x.unacked[i].size
	if i == 0 {
		x.unacked = x.unacked[1:]
	} else {
		x.unacked = slices.Delete(x.unacked, i, i+1)
	}
	if len(x.unacked) == 0 {
		x.unacked = nil
	}
	x.store.settledLocked(x, seq, size)
	return true
}

// settledLocked counts a message down by one session.
func (s *Store) settledLocked(x *Session, seq uint64, size int) {
	if s.downLocked(seq) {
		x.msgs.Add(-1)
		x.bytes.Add(-int64(size))
	}
}

// downLocked counts a message down by one who waited for it. It reports false for one
// that is not counted.
func (s *Store) downLocked(seq uint64) bool {
	if seq > s.mu.swept && seq <= s.mu.begin {
		return false // it was not counted, and will not be
	}
	n := s.mu.counts.get(seq)
	if n == 0 {
		return false
	}
	s.mu.counts.set(seq, n-1)
	if n == 1 {
		s.freeLocked(seq)
	}
	return true
}

// freeLocked notes a message that nobody waits for.
func (s *Store) freeLocked(seq uint64) {
	s.mu.freed = true
	if seq >= s.mu.low {
		s.mu.free = append(s.mu.free, seq)
	}
	if len(s.mu.free) == 1 {
		s.poke()
	}
}

// poke has the worker look.
func (s *Store) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
