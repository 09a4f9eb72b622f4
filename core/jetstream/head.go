package jetstream

import (
	"fmt"
	"strconv"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/edgestore"
)

// head is how far a stream had come when its store was flushed last, as the
// catalogue keeps it: a store that comes back with less has lost something.
type head struct {
	applied     edgestore.LSN
	chain       edgestore.Chain
	first, last uint64 // sequences
}

const rowHead = "head/"

func headKey(incarnation uint64) string { return fmt.Sprintf("%s%016x", rowHead, incarnation) }

func (h *head) append(b []byte) []byte {
	b = msgp.AppendUint64(b, uint64(h.applied))
	b = msgp.AppendUint64(b, h.chain.Seat)
	b = msgp.AppendUint64(b, h.chain.Place)
	b = msgp.AppendUint64(b, h.first)
	return msgp.AppendUint64(b, h.last)
}

func readHead(key string, value []byte) (inc uint64, h head, err error) {
	if inc, err = strconv.ParseUint(key[len(rowHead):], 16, 64); err != nil {
		return 0, h, fmt.Errorf("catalogue: row %q: %w", key, edgestore.ErrCorrupt)
	}
	r := opReader{b: value}
	h = head{edgestore.LSN(r.uint()), edgestore.Chain{Seat: r.uint(), Place: r.uint()}, r.uint(), r.uint()}
	return inc, h, r.done("catalogue: head of a stream")
}

// short reports whether the store of s has less than h says.
func (h *head) short(s *stream) bool {
	return h.applied > s.skipUpTo || h.last > s.last
}

// backToHead moves a stream whose store came back short on to where it had
// been; what the journal still had was applied before. It also books what a
// store has lost so far without anybody having asked for it.
func (s *stream) backToHead(upTo edgestore.LSN, notes notesOf) error {
	h := s.head
	if h == nil {
		return nil
	}
	if h.chain.Seat > s.done.Seat {
		return s.bridge(h.chain, h.last, max(upTo, h.applied), notes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.counted() + 1
	if h.last < from {
		return nil
	}
	s.passed(max(upTo, h.applied))
	if err := s.loseOrOwe(from, h.last); err != nil {
		return err
	}
	s.tellLost(from, 0)
	return nil
}

// noteHead has the catalogue told how far a stream is in its files, and which
// consumers changed.
func (e *Engine) noteHead(inc uint64, h head, rows []edgestore.Aux) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.cat.heads == nil {
		e.mu.cat.heads = make(map[uint64]head)
	}
	e.mu.cat.heads[inc] = h
	e.mu.cat.rows = append(e.mu.cat.rows, rows...)
}
