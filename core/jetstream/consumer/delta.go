package consumer

import (
	"fmt"

	"github.com/tinylib/msgp/msgp"
)

// Kinds of changes in a delta. The numbers are a format: they only grow.
//
// A delta is a sequence of MessagePack integers: a kind, then its arguments.
// Sequences are written relative to the state before the change, so that most
// numbers take one or two bytes; times relative to the last delivery.
const (
	opDeliver   = 1  // new message: seq-next, at-deliveredAt
	opRedeliver = 2  // seq-floor, at-deliveredAt
	opSettle    = 3  // seq-floor
	opSettleAll = 4  // seq, dseq
	opExhaust   = 5  // seq-floor
	opTouch     = 6  // seq-floor, at-deliveredAt
	opAdvance   = 7  // next'-next
	opAhead     = 8  // seq-next
	opReset     = 9  // seq
	opUndeliver = 10 // seq: a first delivery did not happen
	opUnagain   = 11 // seq: a redelivery did not happen
	opForget    = 12 // seq: an exhausted message is gone
	opPosition  = 13 // next'-next, dseq'-dseq, at-deliveredAt: without acknowledgements
	opAckedAt   = 14 // ackedAt'-ackedAt
)

// recorder collects changes until they are taken.
type recorder struct {
	buf []byte
	// Without acknowledgements only the last position matters: it is written
	// when the delta is taken.
	moved    bool
	acked    bool
	fromSeq  uint64 // position and time of the last take, when moved or acked
	fromDSeq uint64
	fromAt   int64
	fromAck  int64
}

func (r *recorder) op(kind int64, args ...int64) {
	r.buf = msgp.AppendInt64(r.buf, kind)
	for _, a := range args {
		r.buf = msgp.AppendInt64(r.buf, a)
	}
}

// HasDelta reports whether there are changes to be taken.
func (m *Machine) HasDelta() bool { return len(m.rec.buf) > 0 || m.rec.moved || m.rec.acked }

// TakeDelta appends the changes since the last call to dst. What was not taken
// in time is lost with a crash: messages come again.
func (m *Machine) TakeDelta(dst []byte) []byte {
	r := &m.rec
	if r.moved {
		r.op(opPosition, int64(m.st.next-r.fromSeq), int64(m.st.dseq-r.fromDSeq), m.st.deliveredAt-r.fromAt)
	}
	if r.acked {
		r.op(opAckedAt, m.st.ackedAt-r.fromAck)
	}
	dst = append(dst, r.buf...)
	r.buf = r.buf[:0]
	r.moved, r.acked = false, false
	return dst
}

// beforeMove remembers where the position stood at the last take.
func (m *Machine) beforeMove() {
	if !m.rec.moved {
		m.rec.moved = true
		m.rec.fromSeq, m.rec.fromDSeq, m.rec.fromAt = m.st.next, m.st.dseq, m.st.deliveredAt
	}
}

func (m *Machine) touchAcked(now int64) {
	if !m.rec.acked {
		m.rec.acked = true
		m.rec.fromAck = m.st.ackedAt
	}
	m.st.ackedAt = now
}

func (m *Machine) recFloor(kind int64, seq uint64) {
	m.rec.op(kind, int64(seq-m.st.floor.Stream))
}

// ApplyDelta repeats changes that TakeDelta of another Machine handed out. A
// delta that does not fit the state is refused with an error; the machine is
// then of no more use.
func (m *Machine) ApplyDelta(b []byte) error {
	whole := len(b)
	for len(b) > 0 {
		rest, err := m.st.apply(b)
		if err != nil {
			return fmt.Errorf("consumer %q: delta at byte %d of %d: %w", m.name, whole-len(b), whole, err)
		}
		b = rest
	}
	return nil
}

// numArgs is how many integers follow a kind.
func numArgs(kind int64) int {
	switch kind {
	case opDeliver, opRedeliver, opSettleAll, opTouch:
		return 2
	case opPosition:
		return 3
	case opSettle, opExhaust, opAdvance, opAhead, opReset, opUndeliver, opUnagain, opForget, opAckedAt:
		return 1
	}
	return -1
}

func (s *state) apply(b []byte) ([]byte, error) {
	kind, b, err := msgp.ReadInt64Bytes(b)
	if err != nil {
		return nil, err
	}
	n := numArgs(kind)
	if n < 0 {
		return nil, fmt.Errorf("unknown change %d", kind)
	}
	var a [3]int64
	for i := range n {
		if a[i], b, err = msgp.ReadInt64Bytes(b); err != nil {
			return nil, fmt.Errorf("change %d: %w", kind, err)
		}
	}
	if !s.change(kind, a) {
		return nil, fmt.Errorf("change %d %v does not fit the state", kind, a[:n])
	}
	return b, nil
}

// change reports whether it fitted.
func (s *state) change(kind int64, a [3]int64) bool {
	seq := uint64(a[0])
	at := s.deliveredAt + a[1]
	e := s.pending.get(s.floor.Stream + seq)
	switch kind {
	case opDeliver:
		if last := s.pending.last(); a[0] < 0 || s.next+seq < s.next || last != nil && last.seq >= s.next+seq {
			return false
		}
		s.deliverNew(s.next+seq, at)
	case opRedeliver:
		if e == nil {
			return false
		}
		s.redeliver(e, at)
	case opTouch:
		if e == nil {
			return false
		}
		e.at = at
	case opSettle:
		if e == nil {
			return false
		}
		s.settle(e.seq)
	case opExhaust:
		if e == nil {
			return false
		}
		s.exhaust(e.seq, e.count)
	case opSettleAll:
		s.settleUpTo(seq, uint64(a[1]))
	case opAdvance:
		if a[0] < 0 {
			return false
		}
		s.advance(s.next + seq)
	case opAhead:
		s.ahead[s.next+seq] = struct{}{}
	case opReset:
		s.reset(seq)
	case opUndeliver:
		if s.dseq == 0 || seq >= s.next {
			return false
		}
		s.undeliverNew(seq)
	case opUnagain:
		e := s.pending.get(seq)
		if s.dseq == 0 || e == nil || e.count < 2 {
			return false
		}
		s.undeliverAgain(e)
	case opForget:
		delete(s.exhausted, seq)
	case opPosition:
		s.position(s.next+seq, s.dseq+uint64(a[1]), s.deliveredAt+a[2])
	case opAckedAt:
		s.ackedAt += a[0]
	}
	return true
}
