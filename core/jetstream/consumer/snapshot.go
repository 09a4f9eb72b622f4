package consumer

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tinylib/msgp/msgp"
)

// snapshotVersion is the first number of a snapshot. It only grows; older ones
// are read.
const snapshotVersion = 2

// AppendSnapshot appends all that is kept. Changes that were not taken as a
// delta are in it: call RecordSkip and take them before, or throw them away.
//
// Format, MessagePack integers and arrays: version, policy, dseq, next,
// floor.consumer, floor.stream, live, deliveredAt, ackedAt, replayEnd, list as
// differences, pending as [seq difference, dseq difference, deliveredAt-at,
// count], exhausted as [seq, count] ascending, ahead ascending; from version 2
// next-shown.
func (m *Machine) AppendSnapshot(dst []byte) []byte {
	s := &m.st
	for _, n := range []uint64{snapshotVersion, uint64(s.policy), s.dseq, s.next, s.floor.Consumer, s.floor.Stream, s.live} {
		dst = msgp.AppendUint64(dst, n)
	}
	dst = msgp.AppendInt64(dst, s.deliveredAt)
	dst = msgp.AppendInt64(dst, s.ackedAt)
	dst = msgp.AppendUint64(dst, m.replayEnd)

	dst = msgp.AppendArrayHeader(dst, uint32(len(s.list)))
	before := uint64(0)
	for _, seq := range s.list {
		dst = msgp.AppendUint64(dst, seq-before)
		before = seq
	}
	dst = msgp.AppendArrayHeader(dst, uint32(s.pending.len()))
	seq, dseq := uint64(0), uint64(0)
	for e := s.pending.first(); e != nil; e = s.pending.after(e) {
		dst = msgp.AppendUint64(dst, e.seq-seq)
		dst = msgp.AppendUint64(dst, e.dseq-dseq)
		dst = msgp.AppendInt64(dst, s.deliveredAt-e.at)
		dst = msgp.AppendUint32(dst, e.count)
		seq, dseq = e.seq, e.dseq
	}
	dst = msgp.AppendArrayHeader(dst, uint32(len(s.exhausted)))
	for _, seq := range slices.Sorted(maps.Keys(s.exhausted)) {
		dst = msgp.AppendUint64(dst, seq)
		dst = msgp.AppendUint32(dst, s.exhausted[seq])
	}
	dst = msgp.AppendArrayHeader(dst, uint32(len(s.ahead)))
	for _, seq := range slices.Sorted(maps.Keys(s.ahead)) {
		dst = msgp.AppendUint64(dst, seq)
	}
	return msgp.AppendUint64(dst, s.next-s.shown)
}

// ApplySnapshot puts a new Machine where another one stood.
func (m *Machine) ApplySnapshot(b []byte) error {
	r := reader{b: b}
	v := r.uint()
	if r.err == nil && (v == 0 || v > snapshotVersion) {
		return fmt.Errorf("consumer %q: snapshot of version %d, this server reads %d", m.name, v, snapshotVersion)
	}
	s := newState(AckPolicy(r.uint()), Start{})
	s.dseq, s.next = r.uint(), r.uint()
	s.floor = SeqPair{r.uint(), r.uint()}
	s.live = r.uint()
	s.deliveredAt, s.ackedAt = r.int(), r.int()
	replayEnd := r.uint()

	seq, dseq := uint64(0), uint64(0)
	for range r.array() {
		seq += r.uint()
		s.list = append(s.list, seq)
	}
	seq = 0
	for n := r.array(); n > 0 && r.err == nil; n-- {
		up := r.uint()
		seq, dseq = seq+up, dseq+r.uint()
		at, count := s.deliveredAt-r.int(), uint32(r.uint())
		if r.err == nil && (up == 0 || seq >= s.next || count == 0) {
			r.err = fmt.Errorf("pending sequence %d, count %d does not fit", seq, count)
		}
		if r.err == nil {
			s.pending.add(seq, dseq, at, count)
		}
	}
	for n := r.array(); n > 0 && r.err == nil; n-- {
		seq := r.uint()
		s.exhausted[seq] = uint32(r.uint())
	}
	for n := r.array(); n > 0 && r.err == nil; n-- {
		s.ahead[r.uint()] = struct{}{}
	}
	s.shown = s.next - 1
	if v > 1 {
		if back := r.uint(); r.err == nil && (back == 0 || back > s.next) {
			r.err = fmt.Errorf("position shown is %d below %d", back, s.next)
		} else {
			s.shown = s.next - back
		}
	}
	switch {
	case r.err != nil:
		return fmt.Errorf("consumer %q: snapshot: %w", m.name, r.err)
	case len(r.b) != 0:
		return fmt.Errorf("consumer %q: snapshot: %d bytes behind its end", m.name, len(r.b))
	case s.next == 0 || !slices.IsSorted(s.list) || s.policy != m.cfg.AckPolicy:
		return fmt.Errorf("consumer %q: snapshot is not of this consumer", m.name)
	}
	m.st, m.replayEnd = s, replayEnd
	m.rec.know(&m.st)
	m.rec.known.ackedAt = s.ackedAt
	return nil
}

// reader reads MessagePack until the first error, which it keeps.
type reader struct {
	b   []byte
	err error
}

func (r *reader) uint() (n uint64) {
	if r.err == nil {
		n, r.b, r.err = msgp.ReadUint64Bytes(r.b)
	}
	return n
}

func (r *reader) int() (n int64) {
	if r.err == nil {
		n, r.b, r.err = msgp.ReadInt64Bytes(r.b)
	}
	return n
}

// array reads how many elements follow; each is at least one byte, so a length
// that can't be true is an error here.
func (r *reader) array() int {
	if r.err != nil {
		return 0
	}
	var n uint32
	if n, r.b, r.err = msgp.ReadArrayHeaderBytes(r.b); r.err != nil {
		return 0
	}
	if int64(n) > int64(len(r.b)) {
		r.err = fmt.Errorf("%d elements in %d bytes", n, len(r.b))
		return 0
	}
	return int(n)
}
