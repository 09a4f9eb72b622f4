package consumer

import (
	"slices"
	"time"

	"github.com/frondmq/frond/core/subject"
)

// Info is the part of a consumer's info that the machine knows.
type Info struct {
	Delivered, AckFloor  SeqPair
	DeliveredAt, AckedAt time.Time // zero: never
	NumAckPending        int
	NumRedelivered       int
	NumWaiting           int
	NumPending           uint64
	PushBound            bool
	Paused               bool
	PauseRemaining       time.Duration
	Pin                  *PinState // priority groups only
}

// Info tells where the consumer stands.
func (m *Machine) Info(now int64) Info {
	i := Info{
		Delivered:      m.st.delivered(),
		AckFloor:       m.st.acked(),
		DeliveredAt:    stamp(m.st.deliveredAt),
		AckedAt:        stamp(m.st.ackedAt),
		NumAckPending:  m.st.pending.len(),
		NumRedelivered: m.st.pending.again + len(m.st.exhausted),
		NumWaiting:     m.heard(),
		NumPending:     m.pendingN,
		PushBound:      !m.cfg.Pull() && m.here,
		Paused:         m.paused(now),
	}
	if m.cfg.MaxDeliver == 1 {
		i.NumRedelivered = 0
	}
	if i.Paused {
		i.PauseRemaining = time.Duration(m.pausedTill - now)
	}
	if m.cfg.PriorityPolicy != PriorityNone {
		i.Pin = &PinState{Group: m.group(), ID: string(m.pin.id), At: stamp(m.pin.at)}
	}
	return i
}

// heard counts the pull requests that somebody listens for. Those of clients
// that left stay in the queue until something is delivered.
func (m *Machine) heard() int {
	if m.interest == nil {
		return m.waiting.n
	}
	n := 0
	for r := m.waiting.head; r != nil; r = r.next {
		if m.interest(r.reply) {
			n++
		}
	}
	return n
}

func stamp(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(0, at).UTC()
}

// Looked is the sequence up to which messages were delivered or are not wanted.
func (m *Machine) Looked() uint64 { return m.st.next - 1 }

// Delivered is the delivered position.
func (m *Machine) Delivered() SeqPair { return m.st.delivered() }

// AckFloor is the position up to which everything was acknowledged.
func (m *Machine) AckFloor() SeqPair { return m.st.acked() }

// NumPending counts the matching messages that were not delivered yet.
func (m *Machine) NumPending() uint64 { return m.pendingN }

// Waiting is how many pull requests wait.
func (m *Machine) Waiting() int { return m.waiting.n }

// wants reports whether a message that was not delivered yet will be.
func (m *Machine) wants(seq uint64, subj []byte) bool {
	if len(m.st.list) > 0 && seq < m.st.live {
		return m.listed(seq)
	}
	return m.Matches(subj)
}

// Overlaps reports whether messages on subjects of filter may be for this
// consumer; "" is all.
func (m *Machine) Overlaps(filter string) bool {
	return filter == "" || len(m.filters) == 0 ||
		slices.ContainsFunc(m.filters, func(f string) bool { return subject.Collide(f, filter) })
}

func (m *Machine) listed(seq uint64) bool {
	_, ok := slices.BinarySearch(m.st.list, seq)
	return ok
}

func matches(filters []string, subj []byte) bool {
	if len(filters) == 0 {
		return true
	}
	for _, f := range filters {
		if subject.Match(f, subj) {
			return true
		}
	}
	return false
}
