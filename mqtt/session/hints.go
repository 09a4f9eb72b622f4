package session

import "encoding/binary"

// maxHints is how many bytes the hints of a session take at most.
const maxHints = 256

// hints are the sequences of the first messages that a session waits for and that
// were not sent: among very many messages for others they would be looked for long.
type hints struct {
	b     []byte // runs, oldest first: twice the step, and one more if its number follows
	begin uint64 // what the first step is from
	last  uint64 // the newest, or begin
	// The run that is not in b yet.
	step  uint64
	times uint32
	over  bool // there are others behind, which nobody knows
}

// add notes a sequence. Those that come out of their order are not known.
func (h *hints) add(seq uint64) {
	switch step := seq - h.last; {
	case h.over:
	case seq <= h.last && h.last > 0:
		*h = hints{over: true}
	case step == h.step && h.times < 1<<31:
		h.times++
		h.last = seq
	case len(h.b)+2*binary.MaxVarintLen64 > maxHints:
		h.over = true
	default:
		h.b = appendRun(h.b, h.step, h.times)
		h.step, h.times, h.last = step, 1, seq
	}
}

func appendRun(b []byte, step uint64, times uint32) []byte {
	switch times {
	case 0:
		return b
	case 1:
		return binary.AppendUvarint(b, step<<1)
	}
	return binary.AppendUvarint(binary.AppendUvarint(b, step<<1|1), uint64(times))
}

func readRun(b []byte) (step uint64, times uint32, rest []byte) {
	v, n := binary.Uvarint(b)
	b = b[n:]
	if v&1 == 0 {
		return v >> 1, 1, b
	}
	t, n := binary.Uvarint(b)
	return v >> 1, uint32(t), b[n:]
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
	for b, more := h.b, true; more; {
		step, times := h.step, h.times
		if more = len(b) > 0; more {
			step, times, b = readRun(b)
		}
		end := at + step*uint64(times)
		switch {
		case end > position:
			if position > at {
				skip := (position - at) / step
				at, times = at+skip*step, times-uint32(skip)
			}
			for ; times > 0; times-- {
				if len(list) == n {
					return list, false
				}
				at += step
				list = append(list, at)
			}
		case more:
			h.b, h.begin = b, end
		default:
			h.b, h.begin, h.step, h.times = nil, end, 0, 0
		}
		at = end
	}
	return list, !h.over
}
