package jetstream

import (
	"slices"

	"github.com/tinylib/msgp/msgp"
)

// What is written down of a consumer.

// log appends what changed as one operation, and sends the answers to
// acknowledgements that asked for one once that is durable. The caller holds
// mu.
func (m *member) log() {
	if !m.logged {
		m.spare = m.m.TakeDelta(m.spare[:0])
		m.answer(m.answers)
		m.answers = nil
		return
	}
	m.takeDelta()
	for len(m.unsent) > 0 {
		delta := m.unsent[0]
		head := msgp.AppendUint64(make([]byte, 0, 32), m.id)
		head = msgp.AppendUint64(head, m.number-uint64(len(m.unsent))+1)
		head = msgp.AppendBytesHeader(head, uint32(len(delta)))
		rec := m.s.record(opConsumerDelta, false)
		var token any
		if len(m.unsent) == 1 && len(m.answers) > 0 {
			token = &ackAnswers{m: m, to: m.answers}
		}
		if !m.e.appendLazy(m.s.log(), &rec, token, head, delta) {
			return // again with the next step
		}
		m.spare = delta
		m.unsent = slices.Delete(m.unsent, 0, 1)
	}
	m.answers = nil
}

// takeDelta puts what changed behind the deltas that wait. It goes into the
// last of them, unless a snapshot has that one already: a recovery that finds
// the snapshot skips the delta as a whole.
func (m *member) takeDelta() {
	n := len(m.unsent)
	switch {
	case !m.m.HasDelta() && (n > 0 || len(m.answers) == 0):
		return
	case n > 0 && m.number > m.sealed:
		m.unsent[n-1] = m.m.TakeDelta(m.unsent[n-1])
	default:
		m.unsent = append(m.unsent, m.m.TakeDelta(m.spare[:0]))
		m.spare = nil
		m.number++
	}
	m.dirty = true
}

// ackAnswers is the Token of a delta that acknowledgements wait for.
type ackAnswers struct {
	m  *member
	to [][]byte
}

// answer sends empty messages; it may be called from routing, so they go
// through the outbox.
func (m *member) answer(to [][]byte) {
	for _, reply := range to {
		m.e.out.send(m.s.acct, string(reply), nil, nil)
	}
}

// seal gives what has to be written of the consumer, if anything. What the log
// did not take yet is in it: the deltas before are not read again once the
// stream is flushed, so it can't wait. Of a follower it is only what the leader
// logged: its machine moves by deltas alone, and the number of the next one is the
// leader's to give, so that a follower's drain must not take it. The caller holds
// the stream's mu.
func (m *member) seal() ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.s.role != follower { // a consumer's own is recovering there
		m.dirty = m.dirty || !m.logged && m.m.HasDelta()
		if m.dirty {
			m.m.RecordSkip()
		}
		m.log()
	}
	if !m.dirty || m.volatile.Load() {
		return nil, false
	}
	b := msgp.AppendUint64(nil, m.id)
	b = msgp.AppendInt64(b, m.created)
	b = msgp.AppendBytes(b, m.cfg.Encode())
	b = msgp.AppendUint64(b, m.number)
	b = msgp.AppendBytes(b, m.m.AppendSnapshot(nil))
	m.dirty, m.sealed = false, m.number
	return b, true
}
