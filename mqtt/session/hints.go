package session

import "encoding/binary"

// maxHints is how many bytes the hints of a session take at most.
const maxHints = 256

// hints are the sequences of the first messages that a session waits for and that
// were not sent: among very many messages for others they would be looked for long.
type hints struct {
	b     []byte // differences, each a variable integer
	begin uint64 // what the first one is the difference to
	last  uint64 // the newest in b, or begin
	over  bool   // there are others behind, which nobody knows
}

// add notes a sequence. Those that come out of their order are not known.
func (h *hints) add(seq uint64) {
	switch {
	case h.over:
	case seq <= h.last && h.last > 0:
		*h = hints{over: true}
	case len(h.b)+binary.MaxVarintLen64 > maxHints:
		h.over = true
	default:
		h.b = binary.AppendUvarint(h.b, seq-h.last)
		h.last = seq
	}
}

// hint notes the sequence of a message that the session waits for.
func (x *Session) hint(seq uint64) {
	if x.hints == nil {
		x.hints = new(hints)
	}
	x.hints.add(seq)
}

// first gives up to n sequences behind a position, and forgets those up to it. all
// says that there are no others.
func (h *hints) first(position uint64, n int) (list []uint64, all bool) {
	if h == nil {
		return nil, true
	}
	at := h.begin
	for b := h.b; len(b) > 0; {
		d, k := binary.Uvarint(b)
		at += d
		b = b[k:]
		switch {
		case at <= position:
			h.b, h.begin = b, at
		case len(list) == n:
			return list, false
		default:
			list = append(list, at)
		}
	}
	if len(h.b) == 0 {
		h.b = nil
	}
	return list, !h.over
}
