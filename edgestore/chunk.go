package edgestore

import (
	"encoding/binary"
	"fmt"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/s2"
)

// chunkTarget is how many bytes of messages make a chunk full.
const chunkTarget = 32 << 10

// maxChunkBody bounds what a chunk may claim to hold: one message of the
// largest size, or a full chunk.
const maxChunkBody = maxMessage + chunkTarget

// chunk is a decoded chunk; it does not change but for what it caches.
type chunk struct {
	key      chunkKey
	incarn   uint64
	flush    uint64
	prev     uint64 // first sequence of the chunk before, 0: none
	last     uint64 // it answers for key.first..last
	bytes    uint64
	subjects []string
	msgs     []chunkMsg
	filter   []uint64

	once    sync.Once
	packed  []byte // S2 form of body
	bodyErr error
	body    []byte

	match atomic.Pointer[chunkMatch]
}

type chunkMsg struct {
	seq          uint64
	time         int64
	subj         uint32
	off          uint32 // of header and body in the chunk's body
	header, body uint32
}

// chunkMatch remembers which subjects of the chunk the last set of filters
// matched: one consumer after the other reads a chunk through.
type chunkMatch struct {
	filters []string
	want    []bool
}

// search is the index of the first message at or above seq.
func (c *chunk) search(seq uint64) int {
	n := len(c.msgs)
	if n == 0 || seq <= c.msgs[0].seq {
		return 0
	}
	// Most chunks have no gaps.
	if i := seq - c.msgs[0].seq; i < uint64(n) && c.msgs[i].seq == seq {
		return int(i)
	}
	return sort.Search(n, func(i int) bool { return c.msgs[i].seq >= seq })
}

// matches tells for each subject whether the filters match it; nil: all.
func (c *chunk) matches(m *matcher) []bool {
	if m.all {
		return nil
	}
	if have := c.match.Load(); have != nil && sameStrings(have.filters, m.filters) {
		return have.want
	}
	want := make([]bool, len(c.subjects))
	for i, s := range c.subjects {
		want[i] = m.match(s)
	}
	c.match.Store(&chunkMatch{append([]string(nil), m.filters...), want})
	return want
}

func sameStrings(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// bodies are the headers and bodies of all messages, unpacked when first asked
// for.
func (c *chunk) bodies() ([]byte, error) {
	c.once.Do(func() {
		if c.packed == nil {
			return
		}
		c.body, c.bodyErr = s2.Decode(nil, c.packed)
		c.packed = nil
		want := 0
		if n := len(c.msgs); n > 0 {
			l := &c.msgs[n-1]
			want = int(l.off + l.header + l.body)
		}
		if c.bodyErr != nil || len(c.body) != want {
			c.bodyErr = fmt.Errorf("chunk %d: packed bodies do not unpack: %w", c.key.first, ErrCorrupt)
			c.body = nil
		}
	})
	return c.body, c.bodyErr
}

// cost is about what it takes in memory.
func (c *chunk) cost() int64 {
	n := 200 + len(c.body) + 32*len(c.msgs) + 8*len(c.filter)
	if m := len(c.msgs); c.packed != nil && m > 0 {
		l := &c.msgs[m-1]
		n += len(c.packed) + int(l.off+l.header+l.body)
	}
	for _, s := range c.subjects {
		n += 16 + len(s)
	}
	return int64(n)
}

// chunkBuilder collects the messages of one chunk.
type chunkBuilder struct {
	ids      map[string]uint32
	subjects []string
	msgs     []chunkMsg
	body     []byte
	bytes    uint64 // Size of all
}

func (w *chunkBuilder) reset() {
	if w.ids == nil {
		w.ids = make(map[string]uint32)
	}
	clear(w.ids)
	w.subjects, w.msgs, w.body, w.bytes = w.subjects[:0], w.msgs[:0], w.body[:0], 0
}

func (w *chunkBuilder) add(seq uint64, time int64, subject, header, body []byte) {
	id, ok := w.ids[string(subject)]
	if !ok {
		id = uint32(len(w.subjects))
		name := string(subject)
		w.subjects = append(w.subjects, name)
		w.ids[name] = id
	}
	w.msgs = append(w.msgs, chunkMsg{seq: seq, time: time, subj: id, off: uint32(len(w.body)),
		header: uint32(len(header)), body: uint32(len(body))})
	w.body = append(append(w.body, header...), body...)
	w.bytes += FileSize(len(subject), len(header), len(body))
}

// full tells whether the next message of n bytes belongs to the next chunk.
func (w *chunkBuilder) full(n int) bool {
	return len(w.msgs) > 0 && len(w.body)+n+8*len(w.msgs) > chunkTarget
}

// finish encodes the chunk as an answer for first..last.
func (w *chunkBuilder) finish(incarnation, flush uint64, file uint32, first, last, prev uint64, compress bool) (chunkRef, []byte) {
	rec := record{kind: kindChunk, incarnation: incarnation, flush: flush, id: first}
	body := w.body
	if compress {
		if p := s2.Encode(nil, w.body); len(p) < len(w.body)-len(w.body)/16 {
			body, rec.flags = p, flagS2
		}
	}
	b := beginRecord(make([]byte, 0, recordHeader+len(body)+10*len(w.msgs)+64), &rec)
	b = w.appendMeta(b, first, last, prev)
	b = append(b, body...)
	crc := endRecord(b)
	ref := chunkRef{first: first, last: last, bytes: w.bytes, msgs: uint32(len(w.msgs)),
		length: uint32(len(b)), file: file, crc: crc, filter: newSlot(newFilter(w.subjects))}
	ref.firstTime, ref.maxTime = w.msgs[0].time, w.msgs[0].time
	for i := range w.msgs {
		ref.maxTime = max(ref.maxTime, w.msgs[i].time)
	}
	return ref, b
}

func (w *chunkBuilder) appendMeta(b []byte, first, last, prev uint64) []byte {
	b = binary.AppendUvarint(b, last-first)
	b = binary.AppendUvarint(b, prev)
	b = binary.AppendUvarint(b, w.bytes)
	b = binary.AppendUvarint(b, uint64(len(w.subjects)))
	for _, s := range w.subjects {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, uint64(len(w.msgs)))
	seq, at := first, int64(0)
	for i := range w.msgs {
		m := &w.msgs[i]
		b = binary.AppendUvarint(b, m.seq-seq)
		b = binary.AppendVarint(b, m.time-at)
		b = binary.AppendUvarint(b, uint64(m.subj))
		b = binary.AppendUvarint(b, uint64(m.header))
		b = binary.AppendUvarint(b, uint64(m.body))
		seq, at = m.seq+1, m.time
	}
	return b
}

// decodeChunk checks and takes apart the value of a chunk, and keeps b.
func decodeChunk(b []byte, file uint32) (*chunk, error) {
	rec, err := parseRecord(b, kindChunk)
	if err != nil {
		return nil, err
	}
	c := &chunk{key: chunkKey{file, rec.crc, rec.id}, incarn: rec.incarnation, flush: rec.flush}
	r := reader{b: rec.payload}
	size := c.decodeMeta(&r)
	if r.err == nil && rec.flags&^flagS2 != 0 {
		r.fail("unknown flags")
	}
	if r.err == nil {
		if rec.flags&flagS2 != 0 {
			if l, err := s2.DecodedLen(r.b); err != nil || uint64(l) != size {
				r.fail("bad packed length")
			}
			c.packed = r.b
		} else {
			if uint64(len(r.b)) != size {
				r.fail("bodies have the wrong length")
			}
			c.body = r.b
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	c.filter = newFilter(c.subjects)
	return c, nil
}

// decodeMeta reads what stands before the bodies and returns their length.
func (c *chunk) decodeMeta(r *reader) uint64 {
	first := c.key.first
	c.last = first + r.uvarint(^uint64(0))
	c.prev = r.uvarint(^uint64(0))
	c.bytes = r.uvarint(^uint64(0))
	if c.last < first || first == 0 {
		r.fail("bad range")
	}
	c.decodeSubjects(r)
	return c.decodeMsgs(r)
}

// decodeSubjects reads the names of the subjects. They share one string: a
// chunk of many subjects is decoded in few steps.
func (c *chunk) decodeSubjects(r *reader) {
	n := r.uvarint(uint64(len(r.b)))
	scan := *r
	for i := uint64(0); i < n && scan.err == nil; i++ {
		scan.bytes(scan.uvarint(maxMessage))
	}
	if scan.err != nil {
		r.err = scan.err
		return
	}
	all := string(r.b[:len(r.b)-len(scan.b)])
	c.subjects = make([]string, n)
	for i := range c.subjects {
		l := r.uvarint(maxMessage)
		at := len(all) - (len(r.b) - len(scan.b))
		c.subjects[i] = all[at : at+int(l)]
		r.bytes(l)
	}
}

// decodeMsgs reads the table of messages and returns the length of the bodies.
func (c *chunk) decodeMsgs(r *reader) uint64 {
	n := r.uvarint(uint64(len(r.b)))
	if n == 0 {
		r.fail("no messages")
		return 0
	}
	c.msgs = make([]chunkMsg, 0, min(n, uint64(len(r.b)/5+1)))
	seq, at, off, bytes := c.key.first, int64(0), uint64(0), uint64(0)
	for i := uint64(0); i < n && r.err == nil; i++ {
		gap := r.uvarint(^uint64(0))
		m := chunkMsg{seq: seq + gap, time: at + r.varint(), off: uint32(off)}
		m.subj = uint32(r.uvarint(uint64(len(c.subjects))))
		m.header = uint32(r.uvarint(maxMessage))
		m.body = uint32(r.uvarint(maxMessage))
		off += uint64(m.header) + uint64(m.body)
		switch {
		case r.err != nil:
		case m.seq < seq || m.seq > c.last || (i > 0 && seq == 0):
			r.fail("sequence out of range")
		case int(m.subj) >= len(c.subjects):
			r.fail("unknown subject")
		case off > maxChunkBody:
			r.fail("too large")
		default:
			bytes += FileSize(len(c.subjects[m.subj]), int(m.header), int(m.body))
			c.msgs = append(c.msgs, m)
		}
		seq, at = m.seq+1, m.time
	}
	if r.err == nil && bytes != c.bytes {
		r.fail("sizes do not add up")
	}
	return off
}

// newFilter makes a Bloom filter of about ten bits a subject with four probes
// (some 1.2 % wrong answers).
func newFilter(subjects []string) []uint64 {
	words := 1
	for words*64 < 10*len(subjects) {
		words *= 2
	}
	f := make([]uint64, words)
	for _, s := range subjects {
		h := hashSubject(s)
		for i := 0; i < 4; i++ {
			bit := (h + uint64(i)*(h>>32|1)) & uint64(words*64-1)
			f[bit>>6] |= 1 << (bit & 63)
		}
	}
	return f
}

func filterHas(f []uint64, h uint64) bool {
	for i := 0; i < 4; i++ {
		bit := (h + uint64(i)*(h>>32|1)) & uint64(len(f)*64-1)
		if f[bit>>6]&(1<<(bit&63)) == 0 {
			return false
		}
	}
	return true
}
