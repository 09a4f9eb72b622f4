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
	opUnlist    = 15 // seq: a message of the list is gone
	opShown     = 16 // next-shown, behind opPosition if it is not 1
)

// recorder collects changes until they are taken.
type recorder struct {
	buf []byte
	// moved: without acknowledgements only the last position matters, and is
	// written when the delta is taken. acked: so is the time of the last
	// acknowledgement.
	moved, acked bool
	// known is what the reader of the deltas knows: the position after the
	// last change in buf, and for times that of the last take.
	known struct {
		next, dseq           uint64
		deliveredAt, ackedAt int64
	}
}

func (r *recorder) op(kind int64, args ...int64) {
	r.buf = msgp.AppendInt64(r.buf, kind)
	for _, a := range args {
		r.buf = msgp.AppendInt64(r.buf, a)
	}
}

// change makes a change and records it, by the same code that ApplyDelta uses.
// That the position moved over messages that are not wanted is worth no record
// of its own: it is written before the next change.
func (m *Machine) change(kind int64, a, b int64) {
	m.recordSkip()
	if numArgs(kind) == 1 {
		m.rec.op(kind, a)
	} else {
		m.rec.op(kind, a, b)
	}
	if !m.st.change(kind, [3]int64{a, b}) {
		panic("consumer: a change of our own does not fit the state")
	}
	m.rec.know(&m.st)
}

func (r *recorder) know(s *state) {
	r.known.next = s.next
	r.known.dseq = s.dseq
	r.known.deliveredAt = s.deliveredAt
}

func (m *Machine) recordSkip() {
	if m.st.tracks() && m.st.next > m.rec.known.next {
		m.rec.op(opAdvance, int64(m.st.next-m.rec.known.next))
		m.rec.known.next = m.st.next
	}
}

// RecordSkip makes it a change of the next delta that the position moved over
// messages which are not wanted. Whoever appends a snapshot calls it before he
// takes the delta that comes before that: what deltas say is relative to the
// position, which so is the same for who reads the snapshot.
func (m *Machine) RecordSkip() {
	m.recordSkip()
	if !m.st.tracks() && m.st.next != m.rec.known.next {
		m.rec.moved = true
	}
}

// HasDelta reports whether there are changes to be taken.
func (m *Machine) HasDelta() bool { return len(m.rec.buf) > 0 || m.rec.moved || m.rec.acked }

// TakeDelta appends the changes since the last call to dst. What was not taken
// in time is lost with a crash: messages come again.
func (m *Machine) TakeDelta(dst []byte) []byte {
	r, s := &m.rec, &m.st
	if m.HasDelta() {
		m.recordSkip()
	}
	if r.moved {
		k := &r.known
		r.op(opPosition, int64(s.next-k.next), int64(s.dseq-k.dseq), s.deliveredAt-k.deliveredAt)
		if back := s.next - s.shown; back != 1 {
			r.op(opShown, int64(back))
		}
		r.know(s)
	}
	if r.acked {
		r.op(opAckedAt, s.ackedAt-r.known.ackedAt)
		r.known.ackedAt = s.ackedAt
	}
	dst = append(dst, r.buf...)
	r.buf = r.buf[:0]
	r.moved, r.acked = false, false
	return dst
}

func (m *Machine) touchAcked(now int64) {
	m.rec.acked = true
	m.st.ackedAt = now
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
	m.rec.know(&m.st)
	m.rec.known.ackedAt = m.st.ackedAt
	return nil
}

// numArgs is how many integers follow a kind.
func numArgs(kind int64) int {
	switch kind {
	case opDeliver, opRedeliver, opSettleAll, opTouch:
		return 2
	case opPosition:
		return 3
	case opSettle, opExhaust, opAdvance, opAhead, opReset, opUndeliver, opUnagain, opForget, opAckedAt, opUnlist, opShown:
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
	case opUnlist:
		s.unlist(seq)
	case opShown:
		if seq == 0 || seq > s.next {
			return false
		}
		s.shown = s.next - seq
	}
	return true
}
