package consumer

import (
	"maps"
	"slices"
)

// SeqPair is a position: in the count of deliveries and in the stream.
type SeqPair struct {
	Consumer uint64 `json:"consumer_seq"`
	Stream   uint64 `json:"stream_seq"`
}

// state is what survives a restart.
//
// Laws:
//  1. next is the lowest stream sequence that was not looked at yet. shown,
//     below it, is the last one that was delivered or is gone: what clients are
//     told, who need not know what was looked at and is not for them.
//  2. Every pending sequence is below next and above floor.Stream.
//  3. While list is not empty, only its sequences are wanted, list[0] first;
//     all of them are at or above next. Then next is at least live.
//  4. floor is the highest position up to which nothing is pending, as of the
//     last time the lowest pending message went away.
//  5. ahead holds sequences at or above next that were acknowledged before
//     this state knew of their delivery.
//
// Each change has one method, which is used by the live machine and by
// ApplyDelta; time is in the arguments.
type state struct {
	policy AckPolicy

	dseq  uint64
	next  uint64
	shown uint64
	floor SeqPair
	list  []uint64
	live  uint64

	before uint64 // shown before the last first delivery, for undeliverNew

	pending   pending
	exhausted map[uint64]uint32 // delivered max_deliver times and given up
	ahead     map[uint64]struct{}

	deliveredAt, ackedAt int64 // 0: never
}

func newState(p AckPolicy, s Start) state {
	st := state{
		policy:    p,
		next:      max(s.Seq, 1),
		list:      s.List,
		live:      s.Live,
		pending:   newPending(),
		exhausted: make(map[uint64]uint32),
		ahead:     make(map[uint64]struct{}),
	}
	if len(st.list) > 0 {
		st.next = st.list[0]
	}
	st.floor.Stream = st.next - 1
	st.shown = st.next - 1
	return st
}

// looked is the position up to which messages were delivered or skipped.
func (s *state) looked() SeqPair { return SeqPair{s.dseq, s.next - 1} }

// delivered is the position of the last delivery, and acked that up to which
// everything is acknowledged, as clients are told.
func (s *state) delivered() SeqPair { return SeqPair{s.dseq, s.shown} }

func (s *state) acked() SeqPair {
	return SeqPair{s.floor.Consumer, min(s.floor.Stream, s.shown)}
}

// tracks reports whether deliveries wait for an acknowledgement.
func (s *state) tracks() bool { return s.policy != AckNone }

// advance moves next, and drops what of the list lies below it.
func (s *state) advance(next uint64) {
	if next <= s.next {
		return
	}
	s.next = next
	if len(s.list) > 0 {
		n, _ := slices.BinarySearch(s.list, next)
		s.list = s.list[n:]
		if len(s.list) == 0 {
			s.list = nil
			s.next = max(s.next, s.live)
		}
	}
	if len(s.ahead) > 0 {
		maps.DeleteFunc(s.ahead, func(seq uint64, _ struct{}) bool { return seq < s.next })
	}
}

// unlist drops a sequence of the list, whose message is gone.
func (s *state) unlist(seq uint64) {
	i, ok := slices.BinarySearch(s.list, seq)
	switch {
	case !ok:
	case i == 0:
		s.advance(seq + 1)
	default:
		s.list = slices.Delete(s.list, i, i+1)
	}
}

// position is where a consumer without acknowledgements stands.
func (s *state) position(next, dseq uint64, at int64) {
	if next < s.next {
		s.rewind(next)
	} else {
		s.advance(next)
	}
	s.dseq, s.deliveredAt = dseq, at
	s.shown = s.next - 1
	s.floor = s.looked()
}

// rewind takes back that seq was looked at.
func (s *state) rewind(seq uint64) {
	s.next = seq
	if seq < s.live {
		s.list = slices.Insert(s.list, 0, seq)
	}
}

// deliverNew counts the first delivery of seq, which is at or above next.
func (s *state) deliverNew(seq uint64, at int64) *entry {
	s.dseq++
	s.deliveredAt = at
	s.before, s.shown = s.shown, seq
	s.advance(seq + 1)
	if !s.tracks() {
		s.floor = s.looked()
		return nil
	}
	return s.pending.add(seq, s.dseq, at, 1)
}

// redeliver counts another delivery of a pending message.
func (s *state) redeliver(e *entry, at int64) {
	s.dseq++
	s.deliveredAt = at
	s.pending.redelivered(e)
	e.at = at
}

// undeliverAgain takes back the last delivery, which was a redelivery of e.
func (s *state) undeliverAgain(e *entry) {
	s.dseq--
	e.count--
	if e.count == 1 {
		s.pending.again--
	}
}

// undeliverNew takes back the last first delivery: nobody was there.
func (s *state) undeliverNew(seq uint64) {
	s.dseq--
	s.pending.remove(seq)
	s.rewind(seq)
	s.shown = min(s.before, s.next-1)
	if !s.tracks() {
		s.floor = s.looked()
	}
}

// settle forgets a pending message: acknowledged, terminated, gone from the
// stream, or given up.
func (s *state) settle(seq uint64) {
	first := s.pending.first()
	wasFirst := first != nil && first.seq == seq
	s.pending.remove(seq)
	if wasFirst {
		s.moveFloor()
	}
}

func (s *state) moveFloor() {
	if e := s.pending.first(); e != nil {
		// A message that was delivered again keeps its first consumer
		// sequence, so positions grow with the list.
		s.floor = SeqPair{e.dseq - 1, e.seq - 1}
		return
	}
	s.floor = s.looked()
}

// settleUpTo forgets everything at or below seq; dseq is the consumer sequence
// of the acknowledged delivery.
func (s *state) settleUpTo(seq, dseq uint64) {
	for e := s.pending.first(); e != nil && e.seq <= seq; e = s.pending.first() {
		s.pending.remove(e.seq)
	}
	if seq >= s.next {
		s.advance(seq + 1)
	}
	s.dseq = max(s.dseq, dseq)
	s.shown = max(s.shown, seq)
	if !s.tracks() {
		s.floor = s.looked()
		return
	}
	if seq > s.floor.Stream {
		s.floor = SeqPair{max(dseq, s.floor.Consumer), seq}
	}
}

// exhaust gives up a message that was delivered as often as allowed.
func (s *state) exhaust(seq uint64, count uint32) {
	s.settle(seq)
	s.exhausted[seq] = count
}

// reset begins anew at seq.
func (s *state) reset(seq uint64) {
	seq = max(seq, 1)
	s.pending.clear()
	clear(s.exhausted)
	clear(s.ahead)
	s.list, s.live = nil, 0
	s.dseq, s.next, s.shown = 0, seq, seq-1
	s.floor = SeqPair{0, seq - 1}
	s.deliveredAt, s.ackedAt = 0, 0
}
