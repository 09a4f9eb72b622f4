package edgestore

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"sort"
)

// gapSet is the set of deleted sequences of a stream, in pages of 65,536
// sequences. A page is a short sorted list, a bitmap, or, for a run of pages
// with nothing left in them, a count: a key-value stream deletes most of its
// middle, and a jump may skip more sequences than memory has bits.
//
// The caller keeps first and last; what lies outside of them is not asked for
// and may be set or not.
type gapSet struct {
	pages []gapPage           // ascending by key
	track bool                // somebody wants to know what changes
	dirty map[uint64]struct{} // keys changed since the last drain; nil: none
}

const (
	gapShift  = 16
	gapSpan   = 1 << gapShift
	gapMask   = gapSpan - 1
	gapWords  = gapSpan / 64
	gapMaxArr = 1024 // from there on a bitmap is not much larger and much faster
)

// gapPage covers run pages from key on; run is 1 unless the page is full.
type gapPage struct {
	key   uint64
	run   uint64
	count uint32   // of set sequences in one page; gapSpan means full
	list  []uint16 // sorted; used when words is nil and the page is not full
	words []uint64
}

func (p *gapPage) full() bool { return p.count == gapSpan }

// at finds the index of the page that covers key, or where it belongs.
func (g *gapSet) at(key uint64) (int, bool) {
	n := len(g.pages)
	if n == 0 || key >= g.pages[n-1].key+g.pages[n-1].run {
		return n, false
	}
	i := sort.Search(n, func(i int) bool { return g.pages[i].key+g.pages[i].run > key })
	return i, g.pages[i].key <= key
}

func (g *gapSet) touch(key uint64) {
	if !g.track {
		return
	}
	if g.dirty == nil {
		g.dirty = make(map[uint64]struct{})
	}
	g.dirty[key] = struct{}{}
}

func (g *gapSet) has(seq uint64) bool {
	i, ok := g.at(seq >> gapShift)
	return ok && g.pages[i].has(uint16(seq&gapMask))
}

func (p *gapPage) has(off uint16) bool {
	switch {
	case p.full():
		return true
	case p.words != nil:
		return p.words[off>>6]&(1<<(off&63)) != 0
	}
	_, ok := slices.BinarySearch(p.list, off)
	return ok
}

// add puts one sequence into the set and tells whether it was new.
func (g *gapSet) add(seq uint64) bool {
	key, off := seq>>gapShift, uint16(seq&gapMask)
	i, ok := g.at(key)
	if !ok {
		g.pages = slices.Insert(g.pages, i, gapPage{key: key, run: 1})
	}
	p := &g.pages[i]
	if p.full() || !p.add(off) {
		return false
	}
	g.touch(key)
	if p.full() {
		g.join(i)
	}
	return true
}

func (p *gapPage) add(off uint16) bool {
	if p.words != nil {
		w, b := &p.words[off>>6], uint64(1)<<(off&63)
		if *w&b != 0 {
			return false
		}
		*w |= b
	} else {
		n := len(p.list)
		if n == 0 || p.list[n-1] < off {
			p.list = append(p.list, off)
		} else {
			j, ok := slices.BinarySearch(p.list, off)
			if ok {
				return false
			}
			p.list = slices.Insert(p.list, j, off)
		}
		if len(p.list) > gapMaxArr {
			p.toWords()
		}
	}
	p.count++
	if p.full() {
		p.list, p.words = nil, nil
	}
	return true
}

func (p *gapPage) toWords() {
	p.words = make([]uint64, gapWords)
	for _, o := range p.list {
		p.words[o>>6] |= 1 << (o & 63)
	}
	p.list = nil
}

// join merges the full page i with full neighbours.
func (g *gapSet) join(i int) {
	if i+1 < len(g.pages) && g.pages[i+1].full() && g.pages[i].key+g.pages[i].run == g.pages[i+1].key {
		g.touch(g.pages[i].key)
		g.touch(g.pages[i+1].key)
		g.pages[i].run += g.pages[i+1].run
		g.pages = slices.Delete(g.pages, i+1, i+2)
	}
	if i > 0 && g.pages[i-1].full() && g.pages[i-1].key+g.pages[i-1].run == g.pages[i].key {
		g.touch(g.pages[i-1].key)
		g.touch(g.pages[i].key)
		g.pages[i-1].run += g.pages[i].run
		g.pages = slices.Delete(g.pages, i, i+1)
	}
}

// addRange puts lo..hi into the set.
func (g *gapSet) addRange(lo, hi uint64) {
	for lo <= hi {
		key := lo >> gapShift
		if lo&gapMask == 0 && hi-lo >= gapMask {
			lo = g.addFull(key, (hi-lo+1)>>gapShift)
			if lo == 0 {
				return // the set reaches the last sequence there is
			}
			continue
		}
		end := min(hi, lo|gapMask)
		g.addPart(key, uint16(lo&gapMask), uint16(end&gapMask))
		if end == hi {
			return
		}
		lo = end + 1
	}
}

// addFull makes n whole pages from key on full and returns the first sequence
// behind them.
func (g *gapSet) addFull(key, n uint64) uint64 {
	i, ok := g.at(key)
	if ok && g.pages[i].full() && g.pages[i].key < key {
		// A run that begins before and reaches in.
		end := max(g.pages[i].key+g.pages[i].run, key+n)
		key, n = g.pages[i].key, end-g.pages[i].key
	}
	j := i
	end := key + n
	for j < len(g.pages) && g.pages[j].key < end {
		g.touch(g.pages[j].key)
		end = max(end, g.pages[j].key+g.pages[j].run)
		j++
	}
	g.touch(key)
	page := gapPage{key: key, run: end - key, count: gapSpan}
	g.pages = slices.Replace(g.pages, i, j, page)
	g.join(i)
	return end << gapShift
}

func (g *gapSet) addPart(key uint64, lo, hi uint16) {
	i, ok := g.at(key)
	if !ok {
		g.pages = slices.Insert(g.pages, i, gapPage{key: key, run: 1})
	}
	p := &g.pages[i]
	if p.full() {
		return
	}
	g.touch(key)
	if int(hi-lo) < 64 {
		for o := int(lo); o <= int(hi); o++ {
			p.add(uint16(o))
			if p.full() {
				break
			}
		}
	} else {
		if p.words == nil {
			p.toWords()
		}
		n := 0
		for w := int(lo >> 6); w <= int(hi>>6); w++ {
			p.words[w] |= wordMask(w, lo, hi)
		}
		for _, w := range p.words {
			n += bits.OnesCount64(w)
		}
		p.count = uint32(n)
		if p.full() {
			p.list, p.words = nil, nil
		}
	}
	if p.full() {
		g.join(i)
	}
}

// wordMask has the bits of word w that lie in lo..hi.
func wordMask(w int, lo, hi uint16) uint64 {
	m := ^uint64(0)
	if w == int(lo>>6) {
		m &= ^uint64(0) << (lo & 63)
	}
	if w == int(hi>>6) {
		m &= ^uint64(0) >> (63 - hi&63)
	}
	return m
}

// count tells how many of lo..hi are in the set.
func (g *gapSet) count(lo, hi uint64) (n uint64) {
	if lo > hi {
		return 0
	}
	i, _ := g.at(lo >> gapShift)
	for ; i < len(g.pages); i++ {
		p := &g.pages[i]
		begin, end := p.key<<gapShift, (p.key+p.run-1)<<gapShift|gapMask
		if begin > hi {
			break
		}
		a, b := max(begin, lo), min(end, hi)
		if a > b {
			continue
		}
		if p.full() {
			n += b - a + 1
		} else {
			n += p.countIn(uint16(a&gapMask), uint16(b&gapMask))
		}
	}
	return n
}

func (p *gapPage) countIn(lo, hi uint16) uint64 {
	if lo == 0 && hi == gapMask {
		return uint64(p.count)
	}
	n := 0
	if p.words == nil {
		a, _ := slices.BinarySearch(p.list, lo)
		b, ok := slices.BinarySearch(p.list, hi)
		if ok {
			b++
		}
		return uint64(b - a)
	}
	for w := int(lo >> 6); w <= int(hi>>6); w++ {
		n += bits.OnesCount64(p.words[w] & wordMask(w, lo, hi))
	}
	return uint64(n)
}

// next is the first sequence at or above seq that is not in the set; 0 when
// there is none.
func (g *gapSet) next(seq uint64) uint64 {
	for {
		i, ok := g.at(seq >> gapShift)
		if !ok {
			return seq
		}
		p := &g.pages[i]
		if p.full() {
			seq = (p.key + p.run) << gapShift
			if seq == 0 {
				return 0
			}
			continue
		}
		if off, ok := p.next(uint16(seq & gapMask)); ok {
			return seq&^uint64(gapMask) | uint64(off)
		}
		seq = (p.key + 1) << gapShift
		if seq == 0 {
			return 0
		}
	}
}

func (p *gapPage) next(off uint16) (uint16, bool) {
	if p.words == nil {
		j, ok := slices.BinarySearch(p.list, off)
		if !ok {
			return off, true
		}
		o := int(off)
		for ; j < len(p.list) && int(p.list[j]) == o; j++ {
			o++
		}
		return uint16(o), o < gapSpan
	}
	w := int(off >> 6)
	free := ^p.words[w] & (^uint64(0) << (off & 63))
	for free == 0 {
		if w++; w == gapWords {
			return 0, false
		}
		free = ^p.words[w]
	}
	return uint16(w<<6 + bits.TrailingZeros64(free)), true
}

// prev is the last sequence at or below seq that is not in the set; ok is
// false when there is none.
func (g *gapSet) prev(seq uint64) (uint64, bool) {
	for {
		i, ok := g.at(seq >> gapShift)
		if !ok {
			return seq, true
		}
		p := &g.pages[i]
		if !p.full() {
			if off, ok := p.prev(uint16(seq & gapMask)); ok {
				return seq&^uint64(gapMask) | uint64(off), true
			}
		}
		if p.key == 0 {
			return 0, false
		}
		seq = p.key<<gapShift - 1
	}
}

func (p *gapPage) prev(off uint16) (uint16, bool) {
	if p.words == nil {
		j, ok := slices.BinarySearch(p.list, off)
		if !ok {
			return off, true
		}
		o := int(off)
		for ; j >= 0 && int(p.list[j]) == o; j-- {
			o--
		}
		return uint16(max(o, 0)), o >= 0
	}
	w := int(off >> 6)
	free := ^p.words[w] & (^uint64(0) >> (63 - off&63))
	for free == 0 {
		if w--; w < 0 {
			return 0, false
		}
		free = ^p.words[w]
	}
	return uint16(w<<6 + 63 - bits.LeadingZeros64(free)), true
}

// dropBelow forgets whole pages below seq: the stream begins later now.
func (g *gapSet) dropBelow(seq uint64) {
	key := seq >> gapShift
	n := 0
	for n < len(g.pages) && g.pages[n].key+g.pages[n].run <= key {
		g.touch(g.pages[n].key)
		n++
	}
	if n > 0 {
		g.pages = slices.Delete(g.pages, 0, n)
	}
}

func (g *gapSet) clear() {
	for i := range g.pages {
		g.touch(g.pages[i].key)
	}
	g.pages = nil
}

// Kinds of an encoded page; see FORMAT.md.
const (
	gapKindFull = iota
	gapKindList
	gapKindWords
)

func (p *gapPage) encode(dst []byte) []byte {
	switch {
	case p.full():
		return binary.AppendUvarint(append(dst, gapKindFull), p.run)
	case p.words == nil:
		dst = binary.AppendUvarint(append(dst, gapKindList), uint64(len(p.list)))
		for _, o := range p.list {
			dst = binary.LittleEndian.AppendUint16(dst, o)
		}
		return dst
	}
	dst = append(dst, gapKindWords)
	for _, w := range p.words {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return dst
}

func decodeGapPage(key uint64, b []byte) (gapPage, error) {
	p := gapPage{key: key, run: 1}
	bad := func(what string) (gapPage, error) {
		return gapPage{}, fmt.Errorf("gap page %d: %s: %w", key, what, ErrCorrupt)
	}
	if len(b) == 0 {
		return bad("empty")
	}
	kind, b := b[0], b[1:]
	switch kind {
	case gapKindFull:
		n, w := binary.Uvarint(b)
		if w <= 0 || w != len(b) || n == 0 || n > 1<<48 || key+n > 1<<48 {
			return bad("bad run")
		}
		p.run, p.count = n, gapSpan
	case gapKindList:
		n, w := binary.Uvarint(b)
		if w <= 0 || n == 0 || n > gapMaxArr || uint64(len(b)-w) != 2*n {
			return bad("bad list")
		}
		p.list = make([]uint16, n)
		for i := range p.list {
			p.list[i] = binary.LittleEndian.Uint16(b[w+2*i:])
			if i > 0 && p.list[i] <= p.list[i-1] {
				return bad("list not ascending")
			}
		}
		p.count = uint32(n)
	case gapKindWords:
		if len(b) != 8*gapWords {
			return bad("bad bitmap")
		}
		p.words = make([]uint64, gapWords)
		for i := range p.words {
			p.words[i] = binary.LittleEndian.Uint64(b[8*i:])
			p.count += uint32(bits.OnesCount64(p.words[i]))
		}
		if p.full() {
			p.words = nil
		}
	default:
		return bad("unknown kind")
	}
	return p, nil
}

// each calls f for runs of set sequences in lo..hi, ascending.
func (g *gapSet) each(lo, hi uint64, f func(lo, hi uint64) bool) {
	i, _ := g.at(lo >> gapShift)
	for ; i < len(g.pages); i++ {
		p := &g.pages[i]
		begin := p.key << gapShift
		if begin > hi {
			return
		}
		if p.full() {
			end := (p.key+p.run-1)<<gapShift | gapMask
			if !f(max(begin, lo), min(end, hi)) {
				return
			}
			continue
		}
		if p.words == nil {
			j := 0
			if lo > begin {
				j = sort.Search(len(p.list), func(j int) bool { return begin+uint64(p.list[j]) >= lo })
			}
			for ; j < len(p.list); j++ {
				seq := begin + uint64(p.list[j])
				if seq > hi || !f(seq, seq) {
					return
				}
			}
			continue
		}
		for seq := max(begin, lo); seq <= min(begin|gapMask, hi); seq++ {
			if p.has(uint16(seq&gapMask)) && !f(seq, seq) {
				return
			}
		}
	}
}
