package jetstream

import (
	"fmt"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/edgestore"
)

// What is written down of a consumer.

// log appends what changed as one operation, and sends the answers to
// acknowledgements that asked for one once that is durable. The caller holds
// mu.
func (m *member) log(now moment) {
	d := &m.deltas
	if !d.logged {
		m.answer(d.drop(m.m))
		return
	}
	d.take(m.m)
	for {
		number, delta, answers, ok := d.oldest()
		if !ok {
			return
		}
		head := msgp.AppendUint64(make([]byte, 0, 32), m.id)
		head = msgp.AppendUint64(head, number)
		head = msgp.AppendBytesHeader(head, uint32(len(delta)))
		rec := m.s.recordAt(now, opConsumerDelta, false)
		var token any
		if len(answers) > 0 {
			token = &ackAnswers{m: m, to: answers}
		}
		if !m.e.appendLazy(m.s.log(), &rec, token, head, delta) {
			return // again with the next step
		}
		d.sent()
	}
}

// follow takes over a delta that came from the log, of a stream that does not
// lead. The caller holds the stream's mu.
func (m *member) follow(number uint64, delta []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, apply, gap := m.deltas.follow(number)
	if gap {
		// The consumer stays where it was and delivers again.
		return fmt.Errorf("consumer %q goes back to where it was and delivers again: change %d of it does not follow %d: %w", m.name, number, was, edgestore.ErrCorrupt)
	}
	if !apply {
		return nil
	}
	return m.m.ApplyDelta(delta)
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
// stream is flushed, so it can't wait. Where others share the log, and may lead
// before it has that, it is what the log has. Of a follower it is only what the leader
// logged: its machine moves by deltas alone, and the number of the next one is the
// leader's to give, so that a follower's drain must not take it. The caller holds
// the stream's mu.
func (m *member) seal() ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.inLog != nil {
		if !m.deltas.dirty {
			return nil, false
		}
		m.deltas.wasSealed(m.inLogNumber)
		return m.row(m.inLogNumber, m.inLog), true
	}
	if m.s.role != follower { // a consumer's own is recovering there
		m.deltas.dirty = m.deltas.dirty || !m.deltas.logged && m.m.HasDelta()
		if m.deltas.dirty {
			m.m.RecordSkip()
		}
		m.log(m.s.line.read())
	}
	if !m.deltas.dirty || m.volatile.Load() {
		return nil, false
	}
	m.deltas.wasSealed(m.deltas.number)
	return m.row(m.deltas.number, m.m), true
}

// row is the consumer as its store keeps it, behind the delta of a number.
func (m *member) row(number uint64, machine *consumer.Machine) []byte {
	b := msgp.AppendUint64(nil, m.id)
	b = msgp.AppendInt64(b, m.created)
	b = msgp.AppendBytes(b, m.cfg.Encode())
	b = msgp.AppendUint64(b, number)
	return msgp.AppendBytes(b, machine.AppendSnapshot(nil))
}
