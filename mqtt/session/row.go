package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Limits of one session, so that its row is a message of reasonable size.
const (
	// MaxID is the longest client identifier of a session that is kept.
	MaxID = 1024
	// MaxFilters is how many filters a session has at most.
	MaxFilters = 1024
	// MaxFilterBytes bounds them together.
	MaxFilterBytes = 64 << 10
)

// row is a session as it is stored. The first three fields are nats-server's.
type row struct {
	Origin string `json:"origin"`
	ID     string `json:"id"`
	Clean  bool   `json:"clean"`
	// Subs are the subscriptions in a record of nats-server's: QoS by subject.
	Subs  map[string]byte `json:"subs,omitempty"`
	State *state          `json:"frond"` // nil in such a record
}

// state is what nats-server keeps in consumers.
type state struct {
	User     string   `json:"user,omitempty"`
	Adopted  bool     `json:"adopted,omitempty"`    // of nats-server's, which knows no user of it
	Expiry   uint32   `json:"expiry"`               // seconds behind the end of the connection; Never
	Attached bool     `json:"attached,omitempty"`   // a connection has it: its expiry does not run
	Online   bool     `json:"online,omitempty"`     // messages behind Position may have been sent
	SentUpTo uint64   `json:"sent_up_to,omitempty"` // those behind Position that may have been, too
	Position uint64   `json:"position"`
	Unacked  []uint64 `json:"unacked,omitempty"` // sequence and packet identifier in turn, with 65,536 added for QoS 2
	Open     []uint16 `json:"open,omitempty"`    // identifiers of messages that the client has taken
	// Retained are sequences and packet identifiers, as in Unacked, of retained messages.
	Retained []uint64 `json:"retained,omitempty"`
	// Received are sequences and packet identifiers of QoS 2 publications of the client
	// that it has not released, of those up to ReceivedUpTo.
	Received     []uint64    `json:"received,omitempty"`
	ReceivedUpTo uint64      `json:"received_up_to,omitempty"`
	Filters      []filterRow `json:"filters,omitempty"`
}

type filterRow struct {
	Filter  string `json:"filter"`
	Options byte   `json:"options"`         // as in a SUBSCRIBE of MQTT 5
	ID      uint32 `json:"id,omitempty"`    // of the subscription
	After   uint64 `json:"after,omitempty"` // it takes what is behind this sequence
	Until   uint64 `json:"until,omitempty"` // and was taken away behind this one; 0: it was not
}

// maxIdentifier is the highest one of a subscription.
const maxIdentifier = 1<<28 - 1

// Never is an expiry of a session that does not expire.
const Never = 1<<32 - 1

var errRow = errors.New("no session")

// adopt makes a session of a record of nats-server's: with its subscriptions, from now
// on. What it waited for, consumers knew that are not here.
func (r *row) adopt(filter func(subject string) string, head uint64) {
	r.State = &state{Adopted: true, Expiry: Never, Position: head}
	for subj, qos := range r.Subs {
		r.State.Filters = append(r.State.Filters, filterRow{Filter: filter(subj), Options: min(qos, 2), After: head})
	}
}

// readRow reads and checks a row; filter and head are for adopt. It is nil for a record
// of a session that nats-server would not keep.
func readRow(b []byte, filter func(subject string) string, head uint64) (*row, error) {
	var r row
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", errRow, err)
	}
	switch {
	case r.State != nil:
	case r.ID == "":
		return nil, errRow
	case r.Clean:
		return nil, nil
	default:
		r.adopt(filter, head)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", errRow, err)
	}
	return &r, nil
}

func (r *row) check() error {
	s := r.State
	switch {
	case r.ID == "" || len(r.ID) > MaxID || !utf8.ValidString(r.ID):
		return errors.New("client identifier")
	case len(s.Unacked)%2 != 0 || len(s.Unacked) > 2*65535:
		return fmt.Errorf("%d numbers of unacknowledged messages", len(s.Unacked))
	case len(s.Received)%2 != 0 || len(s.Received) > 2*65535:
		return fmt.Errorf("%d numbers of received messages", len(s.Received))
	case len(s.Filters) > MaxFilters:
		return fmt.Errorf("%d filters", len(s.Filters))
	}
	last, ids := uint64(0), make(map[uint64]bool)
	for i := 0; i < len(s.Unacked); i += 2 {
		seq, id := s.Unacked[i], s.Unacked[i+1]
		if id >= exactly {
			id -= exactly
		}
		if seq <= last || seq > s.Position || id == 0 || id > 65535 || ids[id] {
			return fmt.Errorf("unacknowledged message %d with identifier %d", seq, id)
		}
		last, ids[id] = seq, true
	}
	if len(s.Retained)%2 != 0 || len(s.Retained) > 2*65535 {
		return fmt.Errorf("%d numbers of retained messages", len(s.Retained))
	}
	for i := 1; i < len(s.Retained); i += 2 {
		id := s.Retained[i]
		if id >= exactly {
			id -= exactly
		}
		if id == 0 || id > 65535 || ids[id] {
			return fmt.Errorf("retained message with identifier %d", id)
		}
		ids[id] = true
	}
	for _, id := range s.Open {
		if id == 0 || ids[uint64(id)] {
			return fmt.Errorf("open identifier %d", id)
		}
		ids[uint64(id)] = true
	}
	clear(ids)
	for i := 0; i < len(s.Received); i += 2 {
		id := s.Received[i+1]
		if id == 0 || id > 65535 || ids[id] {
			return fmt.Errorf("received identifier %d", id)
		}
		ids[id] = true
	}
	open, size := make(map[string]bool), 0
	for _, f := range s.Filters {
		size += len(f.Filter)
		switch {
		case f.Filter == "" || size > MaxFilterBytes:
			return errors.New("size of the filters")
		case f.Options&3 > 2 || f.ID > maxIdentifier || f.Until > 0 && f.Until < f.After:
			return fmt.Errorf("filter %.64q", f.Filter)
		case f.Until == 0 && open[f.Filter]:
			return fmt.Errorf("filter %.64q twice", f.Filter)
		}
		open[f.Filter] = open[f.Filter] || f.Until == 0
	}
	return nil
}

// encode makes the row of x. The lock is held.
func (x *Session) encode() []byte {
	s := &state{User: x.User, Adopted: x.adopted, Expiry: x.expiry, Attached: x.peer() != nil, Online: x.online, Position: x.position}
	if x.sentUpTo > x.position {
		s.SentUpTo = x.sentUpTo
	}
	for _, u := range x.unacked {
		s.Unacked = append(s.Unacked, u.Seq, u.number())
	}
	x.encodeExactLocked(s)
	for f := range x.filters.all {
		r := filterRow{Filter: f.Text, Options: f.Options, ID: f.Identifier, After: f.after}
		if f.closed() {
			r.Until = f.until
		}
		s.Filters = append(s.Filters, r)
	}
	b, err := json.Marshal(&row{Origin: x.store.o.Origin, ID: x.ID, State: s})
	if err != nil {
		panic("BUG: session: a row is no JSON: " + err.Error()) // it has numbers and texts only
	}
	return b
}
