package edgestore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"sync/atomic"
)

// directory lists the chunks of a file store, ascending by sequence, in pages
// of at most dirPageRefs that are written as one value each. Pages are never
// changed once readers may see them: a flush makes new ones.
type directory struct {
	pages []*dirPage
}

const dirPageRefs = 64

type dirPage struct {
	id      uint64
	refs    []chunkRef
	maxTime int64
}

// chunkRef is what memory knows of one chunk.
type chunkRef struct {
	first, last        uint64 // the range that it answers for
	firstTime, maxTime int64
	bytes              uint64 // Size of all its messages
	msgs               uint32 // when it was written
	length             uint32 // of the value
	file               uint32
	crc                uint32 // tells versions of a chunk apart
	filter             *filterSlot
}

// filterSlot holds the Bloom filter over the subjects of a chunk, from when the
// chunk is written or first read. All copies of a chunkRef share it.
type filterSlot struct{ words atomic.Pointer[[]uint64] }

func newSlot(words []uint64) *filterSlot {
	s := new(filterSlot)
	if words != nil {
		s.words.Store(&words)
	}
	return s
}

// chunkKey names one version of a chunk.
type chunkKey struct {
	file  uint32
	crc   uint32
	first uint64
}

func (r *chunkRef) key() chunkKey { return chunkKey{r.file, r.crc, r.first} }

// mayHave is false when no message of the chunk can match.
func (r *chunkRef) mayHave(m *matcher) bool {
	if m.literal == "" {
		return true
	}
	f := r.filter.words.Load()
	return f == nil || filterHas(*f, m.hash)
}

// find returns the first chunk that ends at or above seq.
func (d *directory) find(seq uint64) *chunkRef {
	n := len(d.pages)
	i := sort.Search(n, func(i int) bool { return d.pages[i].last() >= seq })
	if i == n {
		return nil
	}
	refs := d.pages[i].refs
	j := sort.Search(len(refs), func(j int) bool { return refs[j].last >= seq })
	return &refs[j]
}

// findDown returns the last chunk that begins at or below seq.
func (d *directory) findDown(seq uint64) *chunkRef {
	i := sort.Search(len(d.pages), func(i int) bool { return d.pages[i].refs[0].first > seq })
	if i == 0 {
		return nil
	}
	refs := d.pages[i-1].refs
	j := sort.Search(len(refs), func(j int) bool { return refs[j].first > seq })
	return &refs[j-1]
}

// orphansFrom is the chunk from which on rows are looked at that a flush may have
// left which did not come to its end: they lie at the end, but for packed chunks,
// which are few and go when the file does.
func (d *directory) orphansFrom() uint64 {
	n := len(d.pages)
	if n == 0 {
		return 0
	}
	p := d.pages[n-1]
	return p.refs[len(p.refs)-1].first
}

// inFile lists the chunks that lie in a file.
func (d *directory) inFile(id uint32) (list []*chunkRef) {
	for _, p := range d.pages {
		for i := range p.refs {
			if r := &p.refs[i]; r.file == id {
				list = append(list, r)
			}
		}
	}
	return list
}

// names tells whether a key of a row is that of a chunk, or its husk.
func (d *directory) names(key []byte) bool {
	if len(key) != 12 {
		return false
	}
	r := d.find(binary.BigEndian.Uint64(key))
	return r != nil && r.first == binary.BigEndian.Uint64(key) && r.crc == binary.BigEndian.Uint32(key[8:])
}

func (p *dirPage) last() uint64 { return p.refs[len(p.refs)-1].last }

func newDirPage(id uint64, refs []chunkRef) *dirPage {
	p := &dirPage{id: id, refs: refs}
	for i := range refs {
		if i == 0 || refs[i].maxTime > p.maxTime {
			p.maxTime = refs[i].maxTime
		}
	}
	return p
}

// encode appends the payload of the page; see FORMAT.md.
func (p *dirPage) encode(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(p.refs)))
	prev := uint64(0)
	for i := range p.refs {
		r := &p.refs[i]
		dst = binary.AppendUvarint(dst, r.first-prev)
		dst = binary.AppendUvarint(dst, r.last-r.first)
		dst = binary.AppendVarint(dst, r.firstTime)
		dst = binary.AppendVarint(dst, r.maxTime)
		dst = binary.AppendUvarint(dst, r.bytes)
		dst = binary.AppendUvarint(dst, uint64(r.msgs))
		dst = binary.AppendUvarint(dst, uint64(r.length))
		dst = binary.AppendUvarint(dst, uint64(r.file))
		dst = binary.LittleEndian.AppendUint32(dst, r.crc)
		prev = r.last
	}
	return dst
}

func decodeDirPage(id uint64, b []byte) (*dirPage, error) {
	r := reader{b: b}
	n := r.uvarint(dirPageRefs)
	if n == 0 {
		r.fail("no chunks")
	}
	refs := make([]chunkRef, 0, min(n, dirPageRefs))
	prev := uint64(0)
	for i := uint64(0); i < n && r.err == nil; i++ {
		c := chunkRef{filter: newSlot(nil)}
		delta, span := r.uvarint(^uint64(0)), r.uvarint(^uint64(0))
		c.first = prev + delta
		c.last = c.first + span
		if delta == 0 || c.first < prev || c.last < c.first {
			r.fail("chunks do not ascend")
		}
		c.firstTime, c.maxTime = r.varint(), r.varint()
		c.bytes = r.uvarint(^uint64(0))
		c.msgs = uint32(r.uvarint(1<<32 - 1))
		c.length = uint32(r.uvarint(1<<32 - 1))
		c.file = uint32(r.uvarint(1<<32 - 1))
		c.crc = r.uint32()
		if c.msgs == 0 || uint64(c.msgs)-1 > span {
			r.fail("impossible count")
		}
		prev = c.last
		refs = append(refs, c)
	}
	r.end()
	if r.err != nil {
		return nil, fmt.Errorf("directory page %d: %w", id, r.err)
	}
	return newDirPage(id, refs), nil
}

// dirEdit makes the next version of a directory: pages that stay are shared.
type dirEdit struct {
	pages  []*dirPage
	dirty  map[uint64]*dirPage // new content by id; nil: page is gone
	nextID uint64
}

func (d *directory) edit(nextID uint64) *dirEdit {
	return &dirEdit{pages: slices.Clone(d.pages), dirty: make(map[uint64]*dirPage), nextID: nextID}
}

// replace puts refs in the place of all chunks that lie in first..last.
func (e *dirEdit) replace(first, last uint64, refs []chunkRef) {
	i := sort.Search(len(e.pages), func(i int) bool { return e.pages[i].last() >= first })
	if i == len(e.pages) {
		for _, r := range refs {
			e.push(r)
		}
		return
	}
	j := i
	var keep []chunkRef
	placed := false
	for ; j < len(e.pages) && e.pages[j].refs[0].first <= last; j++ {
		p := e.pages[j]
		e.dirty[p.id] = nil
		for _, r := range p.refs {
			if r.first >= first && r.last <= last {
				continue
			}
			if r.first > last && !placed {
				keep, placed = append(keep, refs...), true
			}
			keep = append(keep, r)
		}
	}
	if j == i { // the range lies between two pages
		j = i
	}
	if !placed {
		keep = append(keep, refs...)
	}
	// The freed ids are used again first, so that few values change.
	var pages []*dirPage
	for k := 0; len(keep) > 0; k++ {
		n := min(len(keep), dirPageRefs)
		id := e.nextID
		if i+k < j {
			id = e.pages[i+k].id
		} else {
			e.nextID++
		}
		p := newDirPage(id, slices.Clone(keep[:n]))
		e.dirty[id] = p
		pages = append(pages, p)
		keep = keep[n:]
	}
	e.pages = slices.Replace(e.pages, i, j, pages...)
}

// push adds a chunk behind all others.
func (e *dirEdit) push(r chunkRef) {
	n := len(e.pages)
	if n == 0 || len(e.pages[n-1].refs) >= dirPageRefs {
		p := newDirPage(e.nextID, []chunkRef{r})
		e.nextID++
		e.pages = append(e.pages, p)
		e.dirty[p.id] = p
		return
	}
	old := e.pages[n-1]
	refs := append(slices.Clone(old.refs), r)
	p := newDirPage(old.id, refs)
	e.pages[n-1] = p
	e.dirty[p.id] = p
}
