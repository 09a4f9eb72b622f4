package session

import (
	"context"
	"math"
	"slices"
	"strconv"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/wire"
)

// Exactly once needs packet identifiers that outlive connections and crashes.
//
// Of what is sent: a message goes out with QoS 2 when the row has its identifier,
// and its release when the row has that the client took it (Handed). Until the
// client has confirmed that (Completed) no other message has the identifier.
//
// Of what is published: the message that is kept stands for the identifier itself,
// by HeaderID, so that both become durable at once; where nobody keeps the message,
// there is one without a body in its place. It counts as waited for by its publisher
// until the identifier is released (Release), which the row has before the client
// hears of it. The row says up to which sequence it knows the identifiers; those of
// messages behind it are found when the stream is counted at a start.

// exactIDs are the packet identifiers of a session.
type exactIDs struct {
	// open are those of messages that the client has taken.
	open []uint16
	// retained are retained messages that were sent and are not acknowledged.
	retained []Unacked
	// received are those of publications that are not released, and the sequences of
	// their messages.
	received map[uint16]uint64
}

// HeaderID says of a message that its publisher has not released its packet
// identifier, as far as the stream knows.
const HeaderID = "Nmqtt-Id"

// idPrefix is that of the messages that only stand for an identifier, behind
// msgsPrefix. No filter takes it.
const idPrefix = "$MQTT.qos2.in."

// MaxReceived is how many identifiers a client has at most that it does not release,
// so that its row is a message of reasonable size.
const MaxReceived = 8192

// HeaderQoS says with which QoS an MQTT client published a message. It is
// nats-server's.
const HeaderQoS = "Nmqtt-Pub"

// PublishedQoS is the QoS with which an MQTT client published; what NATS clients
// publish has none.
func PublishedQoS(header []byte) byte {
	if header == nil {
		return 0
	}
	v := wire.HeaderGet(header, HeaderQoS)
	if len(v) != 1 || v[0] != '1' && v[0] != '2' {
		return 0
	}
	return v[0] - '0'
}

// Store is where the session is kept.
func (x *Session) Store() *Store { return x.store }

// PutID stores that a message was published under a packet identifier, which nobody
// keeps. r expects one more stream.
func (x *Session) PutID(o *account.Origin, id uint16, r wire.Receipt) {
	text := strconv.Itoa(int(id))
	p := Publication{Subject: []byte(idPrefix + x.hashText() + "." + text), Publisher: x.hashText(), By: x, ID: id}
	p.Header = []byte("NATS/1.0\r\n" + HeaderPublisher + ":" + x.hashText() + "\r\n" + HeaderID + ":" + text + "\r\n\r\n")
	x.store.Put(o, &p, r)
}

// Received are the packet identifiers of QoS 2 publications that the client has not
// released, as far as they are known.
func (x *Session) Received() (ids []uint16) {
	x.store.mu.Lock()
	defer x.store.mu.Unlock()
	if x.exact != nil {
		for id := range x.exact.received {
			ids = append(ids, id)
		}
	}
	return ids
}

// HasReceived reports whether there is a publication under a packet identifier that
// the client has not released. Behind a start it waits until that is known.
func (x *Session) HasReceived(ctx context.Context, id uint16) (known bool, err error) {
	s := x.store
	s.mu.Lock()
	_, known = x.receivedAsLocked(id)
	sure := known || s.mu.started || !x.restored
	s.mu.Unlock()
	if sure {
		return known, nil
	}
	select {
	case <-s.counted:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known = x.receivedAsLocked(id)
	return known, nil
}

// Ensure returns when there is a row: what is received is the session's only as long
// as there is one.
func (x *Session) Ensure(ctx context.Context) error {
	x.store.mu.Lock()
	has := x.row > 0
	x.store.mu.Unlock()
	if has {
		return nil
	}
	return x.Save(ctx)
}

// Release forgets a packet identifier of a publication. The row has that when Save
// has returned.
func (x *Session) Release(id uint16) {
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	seq, known := x.receivedAsLocked(id)
	if !known {
		return
	}
	delete(x.exact.received, id)
	x.exactLocked()
	s.downLocked(seq)
	x.changedLocked()
}

// receivedLocked notes that a message has an identifier of its publisher. It reports
// false when the session has ended.
func (x *Session) receivedLocked(id uint16, seq uint64) bool {
	if x == nil || x.over {
		return false
	}
	if old, known := x.receivedAsLocked(id); known {
		x.store.downLocked(old)
	}
	x.receiveLocked(id, seq)
	return true
}

// receivedAsLocked is the message of an identifier that is not released.
func (x *Session) receivedAsLocked(id uint16) (seq uint64, known bool) {
	if x.exact == nil {
		return 0, false
	}
	seq, known = x.exact.received[id]
	return seq, known
}

func (x *Session) receiveLocked(id uint16, seq uint64) {
	if x.exact == nil {
		x.exact = new(exactIDs)
	}
	if x.exact.received == nil {
		x.exact.received = make(map[uint16]uint64)
	}
	x.exact.received[id] = seq
}

// exactLocked lets go of what holds nothing any more.
func (x *Session) exactLocked() {
	e := x.exact
	if len(e.received) == 0 {
		e.received = nil // maps never shrink
	}
	if len(e.open) == 0 {
		e.open = nil
	}
	if len(e.retained) == 0 {
		e.retained = nil
	}
	if e.received == nil && e.open == nil && e.retained == nil {
		x.exact = nil
	}
}

// heldLocked reports whether a message that is counted has an identifier that its
// publisher has not released.
func (s *Store) heldLocked(m *jsclient.Message) bool {
	v := wire.HeaderGet(m.Header, HeaderID)
	if v == nil {
		return false
	}
	x := s.mu.sessions[asHash(publisherOf(m.Header))]
	id, err := strconv.ParseUint(string(v), 10, 16)
	if x == nil || err != nil || id == 0 {
		return false
	}
	if seq, known := x.receivedAsLocked(uint16(id)); known {
		return seq == m.Seq
	}
	if s.mu.started || !x.restored || m.Seq <= x.receivedUpTo {
		return false // it was released
	}
	x.changedLocked()
	return x.receivedLocked(uint16(id), m.Seq)
}

// startedLocked is called when all is counted that was there at the start.
func (s *Store) startedLocked() {
	if !s.mu.started {
		s.mu.started = true
		close(s.counted)
	}
}

// Handed notes that the client has taken a message that was sent with QoS 2: only its
// identifier is in use. The row has that when Save has returned.
func (x *Session) Handed(seq uint64, id uint16) {
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	x.ackedLocked(seq)
	x.retainedLocked(id)
	x.opensLocked(id)
	x.changedLocked()
}

// SentRetained notes that a retained message goes out under a packet identifier, by its
// sequence in the stream of those: the client has it sent again, as any other.
func (x *Session) SentRetained(u Unacked) {
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.exact == nil {
		x.exact = new(exactIDs)
	}
	x.exact.retained = append(x.exact.retained, u)
	x.changedLocked()
}

// Settled is the end of the packet identifier of a retained message, if it is one.
func (x *Session) Settled(id uint16) {
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.retainedLocked(id) {
		x.exactLocked()
		x.changedLocked()
	}
}

// Retained are the retained messages that were sent and are not acknowledged.
func (x *Session) Retained() []Unacked {
	x.store.mu.Lock()
	defer x.store.mu.Unlock()
	if x.exact == nil {
		return nil
	}
	return slices.Clone(x.exact.retained)
}

func (x *Session) retainedLocked(id uint16) bool {
	if x.exact == nil {
		return false
	}
	i := slices.IndexFunc(x.exact.retained, func(u Unacked) bool { return u.ID == id })
	if i >= 0 {
		x.exact.retained = slices.Delete(x.exact.retained, i, i+1)
	}
	return i >= 0
}

// Completed notes that the client knows nothing more of an identifier.
func (x *Session) Completed(id uint16) {
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.exact == nil {
		return
	}
	x.exact.open = slices.DeleteFunc(x.exact.open, func(o uint16) bool { return o == id })
	x.exactLocked()
	x.changedLocked()
}

func (x *Session) opensLocked(id uint16) {
	if x.exact == nil {
		x.exact = new(exactIDs)
	}
	if !slices.Contains(x.exact.open, id) {
		x.exact.open = append(x.exact.open, id)
	}
}

// Open are the identifiers of messages that the client has taken, in that order, and
// whose end it has not confirmed.
func (x *Session) Open() []uint16 {
	x.store.mu.Lock()
	defer x.store.mu.Unlock()
	if x.exact == nil {
		return nil
	}
	return slices.Clone(x.exact.open)
}

// changedLocked has the row written before long.
func (x *Session) changedLocked() {
	s := x.store
	if x.over {
		return
	}
	if len(s.mu.dirty) == 0 {
		s.poke()
	}
	s.mu.dirty[x] = true
}

// exactly marks the identifier of a message with QoS 2 in a row.
const exactly = math.MaxUint16 + 1

// number is the identifier as it stands in a row.
func (u Unacked) number() uint64 {
	if u.Exact {
		return uint64(u.ID) + exactly
	}
	return uint64(u.ID)
}

func unackedOf(seq, number uint64) Unacked {
	return Unacked{Seq: seq, ID: uint16(number), Exact: number >= exactly}
}

// encodeExactLocked puts into a row what QoS 2 needs.
func (x *Session) encodeExactLocked(s *state) {
	s.ReceivedUpTo = x.receivedUpTo
	if x.store.mu.started || !x.restored {
		s.ReceivedUpTo = x.store.mu.head
	}
	if e := x.exact; e != nil {
		for id, seq := range e.received {
			s.Received = append(s.Received, seq, uint64(id))
		}
		s.Open = e.open
		for _, u := range e.retained {
			s.Retained = append(s.Retained, u.Seq, u.number())
		}
	}
}

// decodeExact is the way back, for a session that nobody else has yet.
func (x *Session) decodeExact(s *state) {
	x.restored, x.receivedUpTo = true, s.ReceivedUpTo
	for _, id := range s.Open {
		x.opensLocked(id)
	}
	for i := 0; i < len(s.Retained); i += 2 {
		if x.exact == nil {
			x.exact = new(exactIDs)
		}
		x.exact.retained = append(x.exact.retained, unackedOf(s.Retained[i], s.Retained[i+1]))
	}
	for i := 0; i < len(s.Received); i += 2 {
		x.receiveLocked(uint16(s.Received[i+1]), s.Received[i])
	}
}

// anewExactLocked is anew for QoS 2: the client may have what was sent and is not
// there any more, so the identifiers are released, not used again.
func (x *Session) anewExactLocked() {
	for _, u := range x.unacked {
		if u.Exact {
			x.opensLocked(u.ID)
		}
	}
	if x.exact != nil {
		for id := range x.exact.received {
			x.exact.received[id] = 0
		}
	}
	x.receivedUpTo = 0
}
