package jetstream

import (
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/edgestore"
)

// What a mirror has lost at its end it does not book as lost at once: its origin
// may still have it, under the same sequences. So it fetches from behind what it
// has, and until then it owes what it had: its last sequence stays where it was, and
// what is missing up to there is told among the lost. What the origin has not any
// more is booked as lost when something behind it comes. Where there is no origin
// any more, since the mirror was promoted, all of it is.
//
// What lies between messages that it has is booked as any other stream's is: a
// message is never stored below another.

// owe makes a mirror owe what it had up to last. The caller holds mu.
func (s *stream) owe(last uint64) {
	at := s.positions[""]
	if at.seq = min(last, asset.MaxSeq); at.seq > s.counted() {
		s.setPosition("", at)
		s.auxDirty.positions = true
	}
}

// counted is the last sequence of a stream, with what a mirror owes.
func (s *stream) counted() uint64 {
	if len(s.positions) == 0 || s.config().Mirror == nil {
		return s.last
	}
	return max(s.last, s.positions[""].seq)
}

// forgo books as lost what a mirror owes up to a sequence and that does not come
// any more.
func (s *stream) forgo(last uint64) error {
	if last = min(last, s.counted()); last <= s.last {
		return nil
	}
	return s.lose(s.last+1, last)
}

// loseOrOwe books sequences at the end as lost, or has a mirror owe them. The
// caller holds mu.
func (s *stream) loseOrOwe(first, last uint64) error {
	if s.config().Mirror == nil {
		return s.lose(first, last)
	}
	s.owe(last)
	return nil
}

// lastBefore is the last sequence of a stream before an operation behind a hole. A
// mirrored message says what was brought before it: what its origin had not, between
// the two, is not lost.
func lastBefore(en *edgestore.Entry, notes notesOf) uint64 {
	last := notes.before(&en.Record)
	if en.Kind != opIngest {
		return last
	}
	if from, _, _, err := readOrigin(en.Data); err == nil && from.source == "" && from.after > 0 {
		return min(last, from.after)
	}
	return last
}
