package core

import (
	"errors"
	"sync"
	"time"

	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/wire"
)

// Connection is a connection of any protocol, as limits and monitoring see it.
// Its methods may be called at any time from any goroutine and are quick.
type Connection interface {
	ConnID() uint64 // from Connections.NextID
	// ConnKind is monitor.KindClient or monitor.KindLeaf.
	ConnKind() string
	// Traffic is what went over it so far; it never falls.
	Traffic() monitor.Traffic
	// Describe is a new description, with what is shown only to who asks for it.
	// With subs or details it lists subscriptions, where the kind has such a list.
	Describe(subs, details bool) *monitor.ConnInfo
	// Kick ends the connection because an operator says so. The peer is told where
	// its protocol has a word for it. It does not wait for the end.
	Kick()
}

// Connections are the connections of all protocols: who is there, who was, and
// what went over them. It is safe for concurrent use.
type Connections struct {
	rested rested
	system *system // hears who comes and goes; nil: nobody does

	mu struct {
		sync.Mutex
		limit   int // of clients; 0: none, below 0 nobody is let in
		lastID  uint64
		clients int // that were let in, logged in or not
		open    map[uint64]Connection
		total   uint64                      // clients since the start
		gone    map[string]*monitor.Traffic // by kind, of those that are gone
		slow    monitor.KindCounts
		stale   monitor.KindCounts
		closed  closedRing
	}
}

// NewConnections lets maxClients in (0: any number, below 0: none), and
// remembers the newest keepClosed of those that are gone.
func NewConnections(maxClients, keepClosed int) *Connections {
	s := &Connections{}
	s.mu.limit = maxClients
	s.mu.open = make(map[uint64]Connection)
	s.mu.gone = map[string]*monitor.Traffic{monitor.KindClient: {}, monitor.KindLeaf: {}}
	s.mu.closed.limit = keepClosed
	return s
}

// NextID numbers connections of every kind.
func (s *Connections) NextID() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.lastID++
	return s.mu.lastID
}

// Enter counts one more client, of whatever protocol, if there is room for it
// (max_connections). Whoever was let in ends with Leave.
func (s *Connections) Enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.limit < 0 || s.mu.limit > 0 && s.mu.clients >= s.mu.limit {
		return false
	}
	s.mu.clients++
	return true
}

// SetLimit changes how many clients are let in; it ends none.
func (s *Connections) SetLimit(maxClients int) {
	s.mu.Lock()
	s.mu.limit = maxClients
	s.mu.Unlock()
}

// Leave makes room for another client.
func (s *Connections) Leave() {
	s.mu.Lock()
	s.mu.clients--
	s.mu.Unlock()
}

// Clients is how many have entered and not left.
func (s *Connections) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.clients
}

// Add makes c known.
func (s *Connections) Add(c Connection) {
	s.mu.Lock()
	s.mu.open[c.ConnID()] = c
	if c.ConnKind() == monitor.KindClient {
		s.mu.total++
	}
	s.mu.Unlock()
	if _, later := c.(*client); !later {
		s.joined(c)
	}
}

// joined tells that c has logged in, which all but clients of NATS have when they
// are added.
func (s *Connections) joined(c Connection) {
	if s.system != nil {
		s.system.joined(c)
	}
}

// Remove ends what Add began: c is one of the closed connections from now on, in
// monitoring and in the counters. It does nothing for one that was not added.
func (s *Connections) Remove(c Connection, why wire.CloseReason) {
	closed := closedInfo(c, why)
	s.mu.Lock()
	known := s.mu.open[c.ConnID()] == c
	if known {
		delete(s.mu.open, c.ConnID())
		s.closedLocked(c, closed, why)
	}
	s.mu.Unlock()
	if known {
		s.rested.add() // what it needed is free
		s.left(closed, why)
	}
}

func (s *Connections) left(closed *monitor.ConnInfo, why wire.CloseReason) {
	if s.system != nil {
		s.system.left(closed, why)
	}
}

// Refused is for a connection that has ended before it was let in, and was not added:
// it counts, and is among the closed ones.
func (s *Connections) Refused(c Connection, why wire.CloseReason) {
	closed := closedInfo(c, why)
	s.mu.Lock()
	if c.ConnKind() == monitor.KindClient {
		s.mu.total++
	}
	s.closedLocked(c, closed, why)
	s.mu.Unlock()
	s.left(closed, why)
}

// closedInfo describes a connection that ends now. How long it was there is told by the
// monotonic clock, which the description does not keep.
func closedInfo(c Connection, why wire.CloseReason) *monitor.ConnInfo {
	i, now := c.Describe(false, false), time.Now()
	i.Stop, i.Reason = &now, why.String()
	i.Uptime, i.Idle = monitor.Uptime(now.Sub(i.Start)), monitor.Uptime(now.Sub(i.LastActivity))
	return i
}

func (s *Connections) closedLocked(c Connection, closed *monitor.ConnInfo, why wire.CloseReason) {
	// It goes from one list to the other under one lock, and Count takes both under
	// it: their sum never falls.
	gone := s.mu.gone[c.ConnKind()]
	*gone = gone.Plus(c.Traffic())
	switch why {
	case wire.ReasonSlowPending, wire.ReasonSlowDeadline:
		*kindOf(&s.mu.slow, c) += 1
	case wire.ReasonStale:
		*kindOf(&s.mu.stale, c) += 1
	}
	s.mu.closed.add(closed)
}

func kindOf(counts *monitor.KindCounts, c Connection) *uint64 {
	if c.ConnKind() == monitor.KindLeaf {
		return &counts.Leafs
	}
	return &counts.Clients
}

// Get finds the connection with that id, nil when it is not there.
func (s *Connections) Get(id uint64) Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.open[id]
}

// ErrNoConnection says that nobody has the id of a connection.
var ErrNoConnection = errors.New("no such client or leafnode id")

// Kick ends one connection, of a client of any protocol or of a leaf. Nothing
// keeps the peer from connecting again. The error is ErrNoConnection.
func (s *Connections) Kick(id uint64) error {
	c := s.Get(id)
	if c == nil {
		return ErrNoConnection
	}
	c.Kick()
	return nil
}

// KickAll ends all connections of a user, of an account, or of a user in an
// account; "" is any. It returns how many there were.
func (s *Connections) KickAll(user, account string) (n int) {
	for _, c := range s.Open() {
		if i := c.Describe(false, false); (user == "" || i.AuthorizedUser == user) && (account == "" || i.AccountName == account) {
			c.Kick()
			n++
		}
	}
	return n
}

// Open are those that are there now, in no order.
func (s *Connections) Open() []Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openLocked()
}

func (s *Connections) openLocked() []Connection {
	all := make([]Connection, 0, len(s.mu.open))
	for _, c := range s.mu.open {
		all = append(all, c)
	}
	return all
}

// Closed are those that are remembered, oldest first: new descriptions.
func (s *Connections) Closed() []*monitor.ConnInfo {
	s.mu.Lock()
	list := s.mu.closed.list()
	s.mu.Unlock()
	return list.all()
}

// all are Open and Closed of one moment: no connection is in both or in neither.
func (s *Connections) all() ([]Connection, closedList) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openLocked(), s.mu.closed.list()
}

// Count fills in what varz says of all connections.
func (s *Connections) Count(v *monitor.Varz) {
	s.mu.Lock()
	open := s.openLocked()
	clients, leafs := *s.mu.gone[monitor.KindClient], *s.mu.gone[monitor.KindLeaf]
	slow, stale := s.mu.slow, s.mu.stale
	v.TotalConnections = s.mu.total
	s.mu.Unlock()
	v.Connections, v.Leafs = 0, 0
	for _, c := range open {
		if c.ConnKind() == monitor.KindLeaf {
			v.Leafs++
			leafs = leafs.Plus(c.Traffic())
		} else {
			v.Connections++
			clients = clients.Plus(c.Traffic())
		}
	}
	all := clients.Plus(leafs)
	v.InMsgs, v.InBytes, v.OutMsgs, v.OutBytes = all.InMsgs, all.InBytes, all.OutMsgs, all.OutBytes
	v.InClientMsgs, v.InClientBytes = clients.InMsgs, clients.InBytes
	v.OutClientMsgs, v.OutClientBytes = clients.OutMsgs, clients.OutBytes
	v.SlowByKind, v.StaleByKind = &slow, &stale
	v.SlowConsumers, v.StaleConnections = slow.Total(), stale.Total()
}
