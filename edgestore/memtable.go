package edgestore

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// memtable holds what is not (or, in a memory store, will never be) in
// chunks: one entry a sequence, in blocks of blockSpan sequences.
//
// In a file store entries never change after the append, but for next: the
// flush reads them while later operations go on, and needs those that were
// deleted after the seal. They go when the flush is done. In a memory store a
// removed entry goes at once, and a block with few entries left is packed.
type memtable struct {
	blocks []*memBlock // ascending by base
	keep   bool        // a memory store: entries carry the bytes
}

const blockSpan = 1024

type memBlock struct {
	base    uint64
	offs    []uint16 // packed blocks: which sequences ents are; nil: ents[i] is base+i
	ents    []entry
	data    [][]byte // memory store: header and body
	live    int
	maxTime int64
}

// entry is 32 bytes. A zero entry (size 0) is a sequence without a message.
type entry struct {
	time int64
	seg  uint32 // the blob in the journal: see place
	off  uint32
	len  uint32 // of the blob; in a memory store of the header
	size uint32 // what it counts towards the stream's bytes
	subj uint32
	next uint32 // distance to the next message of the subject; 0: not known
}

func (e *entry) location() Location {
	return Location{Segment: uint64(e.seg), Offset: int64(e.off), Length: e.len}
}

// place says where the blob is. Segments are at most 1 GB, and 4 billion of them
// of the smallest size are 280 TB.
func (e *entry) place(at Location) error {
	if at.Segment > math.MaxUint32 || at.Offset < 0 || at.Offset > math.MaxUint32 {
		return fmt.Errorf("a message at %d in segment %d of the journal: the store takes no such numbers", at.Offset, at.Segment)
	}
	e.seg, e.off, e.len = uint32(at.Segment), uint32(at.Offset), at.Length
	return nil
}

// at finds the block that holds seq, or where it belongs.
func (t *memtable) at(seq uint64) (int, bool) {
	base := seq &^ (blockSpan - 1)
	n := len(t.blocks)
	if n > 0 && t.blocks[n-1].base == base {
		return n - 1, true
	}
	i := sort.Search(n, func(i int) bool { return t.blocks[i].base >= base })
	return i, i < n && t.blocks[i].base == base
}

// index finds seq in the block; ok is false when it is not there, and i is
// then the place of the first entry behind it.
func (b *memBlock) index(seq uint64) (i int, ok bool) {
	off := int(seq - b.base)
	if b.offs == nil {
		return off, off < len(b.ents) && b.ents[off].size != 0
	}
	return slices.BinarySearch(b.offs, uint16(off))
}

func (b *memBlock) seq(i int) uint64 {
	if b.offs == nil {
		return b.base + uint64(i)
	}
	return b.base + uint64(b.offs[i])
}

func (t *memtable) get(seq uint64) *entry {
	if i, ok := t.at(seq); ok {
		b := t.blocks[i]
		if j, ok := b.index(seq); ok {
			return &b.ents[j]
		}
	}
	return nil
}

func (t *memtable) bytes(seq uint64) []byte {
	if i, ok := t.at(seq); ok {
		b := t.blocks[i]
		if j, ok := b.index(seq); ok && b.data != nil {
			return b.data[j]
		}
	}
	return nil
}

// put adds an entry behind all others.
func (t *memtable) put(seq uint64, e entry, data []byte) {
	i, ok := t.at(seq)
	if !ok {
		t.blocks = append(t.blocks, &memBlock{base: seq &^ (blockSpan - 1)})
	}
	b := t.blocks[i]
	if b.offs != nil {
		b.offs = append(b.offs, uint16(seq-b.base))
	} else {
		for b.base+uint64(len(b.ents)) < seq {
			b.ents = append(growFew(b.ents), entry{})
			if t.keep {
				b.data = append(b.data, nil)
			}
		}
	}
	b.ents = append(growFew(b.ents), e)
	if t.keep {
		b.data = append(b.data, data)
	}
	b.live++
	b.maxTime = max(b.maxTime, e.time)
}

// growFew makes room for a few entries where there is none: a stream that has
// only some messages does not pay for twice as many.
func growFew(ents []entry) []entry {
	if n := len(ents); n == cap(ents) && n < 2*fewEntries {
		return append(make([]entry, 0, n+fewEntries), ents...)
	}
	return ents
}

// fewEntries is what a block begins with and grows by while it is small.
const fewEntries = 12

// remove forgets one entry of a memory store.
func (t *memtable) remove(seq uint64) {
	i, ok := t.at(seq)
	if !ok {
		return
	}
	b := t.blocks[i]
	j, ok := b.index(seq)
	if !ok {
		return
	}
	b.live--
	if b.live == 0 {
		t.blocks = slices.Delete(t.blocks, i, i+1)
		return
	}
	if b.offs != nil {
		b.offs = slices.Delete(b.offs, j, j+1)
		b.ents = slices.Delete(b.ents, j, j+1)
		b.data = slices.Delete(b.data, j, j+1)
	} else {
		b.ents[j], b.data[j] = entry{}, nil
	}
	if len(b.ents) == blockSpan && b.live*4 <= blockSpan || b.offs != nil && b.live*4 <= cap(b.ents) {
		b.pack()
	}
}

func (b *memBlock) pack() {
	offs, ents, data := make([]uint16, 0, b.live), make([]entry, 0, b.live), make([][]byte, 0, b.live)
	for i := range b.ents {
		if b.ents[i].size != 0 {
			offs = append(offs, uint16(b.seq(i)-b.base))
			ents = append(ents, b.ents[i])
			data = append(data, b.data[i])
		}
	}
	b.offs, b.ents, b.data = offs, ents, data
}

// dropBelow forgets whole blocks below seq.
func (t *memtable) dropBelow(seq uint64) {
	n := 0
	for n < len(t.blocks) && t.blocks[n].base+blockSpan <= seq {
		n++
	}
	if n > 0 {
		t.blocks = slices.Delete(t.blocks, 0, n)
	}
}

// up calls f for each entry in lo..hi, ascending, until f returns false.
func (t *memtable) up(lo, hi uint64, f func(seq uint64, e *entry) bool) bool {
	i, _ := t.at(lo)
	for ; i < len(t.blocks); i++ {
		b := t.blocks[i]
		if b.base > hi {
			return true
		}
		j := 0
		if lo > b.base {
			j, _ = b.index(lo)
		}
		for ; j < len(b.ents); j++ {
			seq := b.seq(j)
			if seq > hi {
				return true
			}
			if b.ents[j].size != 0 && !f(seq, &b.ents[j]) {
				return false
			}
		}
	}
	return true
}

// down is up in descending order.
func (t *memtable) down(lo, hi uint64, f func(seq uint64, e *entry) bool) bool {
	i, ok := t.at(hi)
	if !ok {
		i--
	}
	for ; i >= 0; i-- {
		b := t.blocks[i]
		if b.base+blockSpan-1 < lo {
			return true
		}
		j := len(b.ents) - 1
		if hi < b.base+blockSpan-1 {
			var found bool
			if j, found = b.index(hi); !found && b.offs != nil {
				j--
			}
			j = min(j, len(b.ents)-1)
		}
		for ; j >= 0; j-- {
			seq := b.seq(j)
			if seq < lo {
				return true
			}
			if b.ents[j].size != 0 && !f(seq, &b.ents[j]) {
				return false
			}
		}
	}
	return true
}
