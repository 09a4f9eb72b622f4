package consumer

import "time"

// pin is the client that a consumer with PriorityPinnedClient serves (ADR-42).
type pin struct {
	id       []byte // empty: nobody
	at       int64
	pulledAt int64
}

const pinIDBytes = 22

func (m *Machine) pinned() bool { return m.cfg.PriorityPolicy == PriorityPinnedClient }

func (m *Machine) group() string {
	if len(m.cfg.PriorityGroups) == 0 {
		return ""
	}
	return m.cfg.PriorityGroups[0]
}

// eligible reports whether r may have the next message.
func (m *Machine) eligible(r *request) bool {
	switch m.cfg.PriorityPolicy {
	case PriorityOverflow:
		if r.minPending == 0 && r.minAckPending == 0 {
			return true
		}
		return r.minPending > 0 && m.pendingN >= uint64(r.minPending) ||
			r.minAckPending > 0 && m.st.pending.len() >= int(r.minAckPending)
	case PriorityPinnedClient:
		return string(r.id) == string(m.pin.id)
	}
	return true
}

// stale reports whether r carries the id of a pin that is not there any more.
func (m *Machine) stale(r *request) bool { return m.pinned() && len(r.id) > 0 }

// pinFor gives the pin that goes with a message to r, which becomes the pinned
// one if there is none.
func (m *Machine) pinFor(now int64, r *request, fx *Effects) []byte {
	if !m.pinned() {
		return nil
	}
	if len(m.pin.id) == 0 {
		m.pin.id = appendRandom(m.pin.id, pinIDBytes, m.rnd)
		m.pin.at, m.pin.pulledAt = now, now
		r.id = append(r.id[:0], m.pin.id...)
		fx.advise(Advisory{Kind: Pinned, Group: m.group(), PinID: fx.keep(m.pin.id)})
	}
	return m.pin.id
}

// Unpin lets another client be pinned.
func (m *Machine) Unpin(group string, fx *Effects) error {
	switch {
	case !validGroup(group):
		return errGroupName
	case group != m.group() || !m.pinned():
		return errInvalidGroup
	}
	m.unpin("admin", fx)
	return nil
}

func (m *Machine) unpin(reason string, fx *Effects) {
	if len(m.pin.id) == 0 {
		return
	}
	m.pin = pin{id: m.pin.id[:0]}
	fx.advise(Advisory{Kind: Unpinned, Group: m.group(), Reason: fx.keep([]byte(reason))})
}

// pinDue is when the pin lapses; 0 when there is none.
func (m *Machine) pinDue() int64 {
	if len(m.pin.id) == 0 || m.cfg.PriorityTimeout <= 0 {
		return 0
	}
	return later(m.pin.pulledAt, int64(m.cfg.PriorityTimeout))
}

func (m *Machine) tickPin(now int64, fx *Effects) {
	if at := m.pinDue(); at != 0 && now >= at {
		m.unpin("timeout", fx)
	}
}

// PinState is the pinned client as the info of a consumer tells it.
type PinState struct {
	Group string
	ID    string
	At    time.Time
}
