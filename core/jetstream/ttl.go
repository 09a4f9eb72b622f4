package jetstream

import (
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// Messages that say how long they live: the header Nats-TTL, on streams that
// allow it.

// ttl is how long a message lives: whole seconds, 0 for no limit of its own.
type ttl int64

// ttlNever is for messages that outlive max_age.
const ttlNever ttl = -1

// parseTTL reads a Nats-TTL header: whole seconds, a duration of at least one
// second, or "never". An empty one is none, and so are several zeros, but not
// one. More seconds than there can be are refused: the stock server counts from
// 0 again, and deletes the message at once.
func parseTTL(v []byte) (ttl, bool) {
	switch {
	case len(v) == 0:
		return 0, true
	case bytes.EqualFold(v, []byte("never")):
		return ttlNever, true
	}
	s := string(v)
	if strings.Trim(s, "0123456789") == "" {
		n, err := strconv.ParseInt(s, 10, 64)
		return ttl(n), err == nil && (n > 0 || len(s) > 1)
	}
	d, err := time.ParseDuration(s)
	return ttl(d / time.Second), err == nil && d >= time.Second
}

// isTTL reports whether v says how long a message lives: what can't be read and
// what counts as none do not.
func isTTL(v []byte) bool {
	t, ok := parseTTL(v)
	return ok && t != 0
}

// ttlOf is the TTL of a stored message; what can't be read, as in a message that
// was sourced, is none.
func ttlOf(header []byte) ttl {
	if len(header) == 0 {
		return 0
	}
	t, ok := parseTTL(wire.HeaderGet(header, hdrTTL))
	if !ok {
		return 0
	}
	return t
}

// admitTTL checks the TTL of a message that is published. A message that leaves
// a marker lives as long as its marker at least, unless there is only one
// message of each subject; then its header says so.
func admitTTL(cfg *asset.StreamConfig, header, value []byte) ([]byte, uint8, *apierror.Error) {
	t, ok := parseTTL(value)
	switch {
	case !ok:
		return nil, 0, errTTLInvalid
	case t == 0:
		return header, 0, nil
	}
	if least := ttl(cfg.SubjectDeleteMarkerTTL / time.Second); t > 0 && t < least && cfg.MaxMsgsPer != 1 {
		header = wire.HeaderSet(nil, header, hdrTTL, strconv.FormatInt(int64(least), 10))
	}
	return header, flagTTL, nil
}

// isMarker reports whether a message says that its subject is deleted: nothing
// is left to say when it goes.
func isMarker(header []byte) bool {
	return len(header) > 0 &&
		(len(wire.HeaderGet(header, hdrMarkerReason)) > 0 || string(wire.HeaderGet(header, hdrKVOperation)) == "PURGE")
}

// markerHeader is that of the marker in place of a message that expired.
func markerHeader(cfg *asset.StreamConfig) []byte {
	h := append([]byte(nil), hdrPlain...)
	h = wire.AppendHeader(h, hdrMarkerReason, "MaxAge")
	h = wire.AppendHeader(h, hdrTTL, cfg.SubjectDeleteMarkerTTL.String())
	h = wire.AppendHeader(h, hdrRollup, "sub")
	return append(h, crlf...)
}

// expiries knows when the messages of a stream expire by their own TTL.
//
// They stand in slots of 16 seconds, each a row of bytes, so that a message takes
// about three bytes. A message that went earlier stays in its slot until
// that is due. On disk a slot is a value beside the messages, written when it
// changed and deleted when it is empty.
//
// Its state follows from the operations alone, so a recovery comes to the same.
// What only reads it takes nil for none.
type expiries struct {
	slots map[int64]*expirySlot
	heap  slotHeap
	// nevers tells that there may be messages that outlive max_age.
	nevers      bool
	neversDirty bool
	gone        []int64 // slots that are on disk and empty
}

type expirySlot struct {
	number  int64 // ticks since 1970 / slotTicks
	next    int64 // no message of it is due before
	n       int
	last    uint64 // sequence added last
	entries []byte // for each: sequence minus the one before, zigzag; tick in the slot
	dirty   bool
	written bool
}

const (
	ticksPerSecond = 16
	tick           = time.Second / ticksPerSecond
	slotTicks      = 256
	// maxTTL is what counts as for ever: longer than the time of messages goes.
	maxTTL    = ttl(math.MaxInt64 / time.Second)
	auxExpiry = "expiry/"
	auxNevers = "expiry-never"
)

func slotKey(n int64) string { return fmt.Sprintf("%s%016x", auxExpiry, uint64(n)) }

type slotHeap []*expirySlot

func (h slotHeap) Len() int           { return len(h) }
func (h slotHeap) Less(i, j int) bool { return h[i].number < h[j].number }
func (h slotHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *slotHeap) Push(x any)        { *h = append(*h, x.(*expirySlot)) }
func (h *slotHeap) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return s
}

func (x *expiries) slot(number int64) *expirySlot {
	if s := x.slots[number]; s != nil {
		return s
	}
	if x.slots == nil {
		x.slots = make(map[int64]*expirySlot)
	}
	s := &expirySlot{number: number, next: math.MaxInt64}
	x.slots[number] = s
	heap.Push(&x.heap, s)
	return s
}

// add notes a message that was stored at a time.
func (x *expiries) add(seq uint64, at int64, t ttl) {
	if t == ttlNever {
		x.neversDirty = x.neversDirty || !x.nevers
		x.nevers = true
		return
	}
	if t <= 0 || t > maxTTL {
		return
	}
	// Up to a whole tick: a message lives at least as long as it says.
	due := (at+int64(tick)-1)/int64(tick) + int64(t)*ticksPerSecond
	s := x.slot(due / slotTicks)
	s.append(seq, due)
	s.dirty = true
}

func (s *expirySlot) append(seq uint64, due int64) {
	s.entries = binary.AppendVarint(s.entries, int64(seq-s.last))
	s.entries = append(s.entries, byte(due%slotTicks))
	s.last = seq
	s.next = min(s.next, due)
	s.n++
}

// each visits the entries until f returns false; a damaged tail is left out.
func (s *expirySlot) each(f func(seq uint64, due int64) bool) {
	seq := uint64(0)
	for b := s.entries; len(b) > 0; {
		delta, n := binary.Varint(b)
		if n <= 0 || n >= len(b) {
			return
		}
		seq += uint64(delta)
		if !f(seq, s.number*slotTicks+int64(b[n])) {
			return
		}
		b = b[n+1:]
	}
}

// next is when the next messages are due, in ticks; false for never.
func (x *expiries) next() (at int64, ok bool) {
	if x == nil || len(x.heap) == 0 {
		return 0, false
	}
	return x.heap[0].next, true
}

// due lists at most limit messages that are due at a tick, without taking them
// out.
func (x *expiries) due(now int64, limit int) (seqs []uint64) {
	for _, s := range x.reached(now) {
		s.each(func(seq uint64, due int64) bool {
			if due <= now {
				seqs = append(seqs, seq)
			}
			return len(seqs) < limit
		})
		if len(seqs) >= limit {
			break
		}
	}
	return seqs
}

// reached are the slots that have something due, in order of time.
func (x *expiries) reached(now int64) (list []*expirySlot) {
	if x == nil || len(x.heap) == 0 || x.heap[0].number > now/slotTicks {
		return nil
	}
	for _, s := range x.heap {
		if s.next <= now {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *expirySlot) int { return cmp.Compare(a.number, b.number) })
	return list
}

// take takes out at most limit messages that are due at a tick: the same that due
// lists.
func (x *expiries) take(now int64, limit int) (seqs []uint64) {
	for _, s := range x.reached(now) {
		if len(seqs) >= limit {
			break
		}
		old := *s
		s.entries, s.n, s.last, s.next, s.dirty = nil, 0, 0, math.MaxInt64, true
		old.each(func(seq uint64, due int64) bool {
			if due <= now && len(seqs) < limit {
				seqs = append(seqs, seq)
			} else {
				s.append(seq, due)
			}
			return true
		})
		if s.n == 0 {
			x.drop(s)
		}
	}
	return seqs
}

func (x *expiries) drop(s *expirySlot) {
	delete(x.slots, s.number)
	if i := slices.Index(x.heap, s); i >= 0 {
		heap.Remove(&x.heap, i)
	}
	if s.written {
		x.gone = append(x.gone, s.number)
	}
}

// seal gives what has to be written.
func (x *expiries) seal() (aux []edgestore.Aux) {
	for _, number := range x.gone {
		if x.slots[number] == nil {
			aux = append(aux, edgestore.Aux{Key: slotKey(number)})
		}
	}
	x.gone = nil
	for _, s := range x.heap {
		if s.dirty {
			aux = append(aux, edgestore.Aux{Key: slotKey(s.number), Value: slices.Clone(s.entries)})
			s.dirty, s.written = false, true
		}
	}
	if x.neversDirty {
		aux = append(aux, edgestore.Aux{Key: auxNevers, Value: []byte{1}})
		x.neversDirty = false
	}
	return aux
}

// load takes over one slot.
func (x *expiries) load(key string, value []byte) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(key, auxExpiry), 16, 64)
	if err != nil {
		return fmt.Errorf("expiry slot %q: %w", key, edgestore.ErrCorrupt)
	}
	s := x.slot(int64(n))
	from := expirySlot{number: s.number, entries: value}
	from.each(func(seq uint64, due int64) bool {
		s.append(seq, due)
		return true
	})
	if len(s.entries) != len(value) {
		return fmt.Errorf("expiry slot %q: %w: cut after %d entries", key, edgestore.ErrCorrupt, s.n)
	}
	s.written = true
	return nil
}

// move has the messages from one sequence up to another due later.
func (x *expiries) move(from, to uint64, by int64) {
	by /= int64(tick)
	if x == nil || from >= to || by == 0 {
		return
	}
	type moved struct {
		seq uint64
		due int64
	}
	var list []moved
	for _, s := range slices.Clone(x.heap) {
		old := *s
		n := len(list)
		old.each(func(seq uint64, due int64) bool {
			if seq >= from && seq < to {
				list = append(list, moved{seq, due + by})
			}
			return true
		})
		if len(list) == n {
			continue
		}
		s.entries, s.n, s.last, s.next, s.dirty = nil, 0, 0, math.MaxInt64, true
		old.each(func(seq uint64, due int64) bool {
			if seq < from || seq >= to {
				s.append(seq, due)
			}
			return true
		})
		if s.n == 0 {
			x.drop(s)
		}
	}
	for _, m := range list {
		s := x.slot(m.due / slotTicks)
		s.append(m.seq, m.due)
		s.dirty = true
	}
}

// addTTL notes when a message that was stored is due by its own TTL. That of a
// mirror counts from when it was stored at the origin, but not from later than it
// came.
func (s *stream) addTTL(m *incoming) {
	t := ttlOf(m.Header)
	if t == 0 {
		return
	}
	at, c := m.Time, &s.clock
	if m.foreign && at >= firstTimes {
		if m.stamp.Synced {
			at = min(at, m.stamp.Wall)
		}
		s.ttls().add(m.Seq, at, t)
		return
	}
	if m.foreign {
		at = m.stamp.Wall
	}
	if !m.stamp.Synced {
		if c.unset == 0 {
			c.moved = at - 1 // what was moved before does not concern it
		}
		c.unset, c.dirty = at, true
		if m.foreign {
			c.unsure[1] = m.Seq
			if c.unsure[0] == 0 {
				c.unsure[0] = m.Seq
			}
		}
	}
	s.ttls().add(m.Seq, at, t)
}

// ttlsStored finds the TTLs of what is stored, when a stream begins to allow them.
// It passes over what is lost.
func (s *stream) ttlsStored() (*expiries, error) {
	x := new(expiries)
	var buf []byte
	for seq := uint64(1); ; seq++ {
		var m edgestore.Msg
		none := false
		err := s.read(func(st edgestore.Reads) (err error) {
			m, buf, err = st.LoadNext(nil, seq, buf)
			if none = errors.Is(err, edgestore.ErrNotFound); none {
				err = nil
			}
			return err
		})
		if err != nil {
			return nil, err // else what was not seen would be kept for ever
		}
		if none {
			return x, nil
		}
		seq = m.Seq
		if t := ttlOf(m.Header); t != 0 {
			x.add(m.Seq, m.Time, t)
		}
	}
}

// beginTTLs takes over what ttlsStored found.
func (s *stream) beginTTLs(x *expiries) {
	// As they are stored, so what was moved since has to be moved again.
	s.clock.unset, s.clock.moved, s.clock.dirty = s.newest, 0, true
	if s.expiries != nil {
		x.gone = s.expiries.gone
	} else if len(x.heap) == 0 && !x.nevers {
		return
	}
	s.expiries = x
}
