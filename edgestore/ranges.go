package edgestore

import (
	"encoding/binary"
	"slices"
	"sort"
)

// ranges is a set of sequences as ranges, ascending, neither overlapping nor
// touching.
type ranges []SeqRange

// at finds the first range that ends at or above seq.
func (r ranges) at(seq uint64) int {
	return sort.Search(len(r), func(i int) bool { return r[i].Last >= seq })
}

// find tells whether seq is in the set and in which range.
func (r ranges) find(seq uint64) (SeqRange, bool) {
	if i := r.at(seq); i < len(r) && r[i].First <= seq {
		return r[i], true
	}
	return SeqRange{}, false
}

// add returns the set with lo..hi in it; r itself stays as it is.
func (r ranges) add(lo, hi uint64) ranges {
	i := r.at(lo)
	if i > 0 && r[i-1].Last+1 == lo {
		i--
	}
	j := i
	for ; j < len(r) && (hi == ^uint64(0) || r[j].First <= hi+1); j++ {
		lo, hi = min(lo, r[j].First), max(hi, r[j].Last)
	}
	out := append(slices.Clone(r[:i]), SeqRange{lo, hi})
	return append(out, r[j:]...)
}

// sub returns the set without lo..hi; r itself stays as it is.
func (r ranges) sub(lo, hi uint64) ranges {
	i := r.at(lo)
	if i == len(r) || r[i].First > hi {
		return r
	}
	out := slices.Clone(r[:i])
	for ; i < len(r) && r[i].First <= hi; i++ {
		if r[i].First < lo {
			out = append(out, SeqRange{r[i].First, lo - 1})
		}
		if r[i].Last > hi {
			out = append(out, SeqRange{hi + 1, r[i].Last})
		}
	}
	return append(out, r[i:]...)
}

func (r ranges) union(o ranges) ranges {
	for _, x := range o {
		r = r.add(x.First, x.Last)
	}
	return r
}

// lowest is the first sequence of the set, and above all others of none.
func (r ranges) lowest() uint64 {
	if len(r) == 0 {
		return ^uint64(0)
	}
	return r[0].First
}

func (r ranges) encode(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(r)))
	prev := uint64(0)
	for _, x := range r {
		dst = binary.AppendUvarint(dst, x.First-prev)
		dst = binary.AppendUvarint(dst, x.Last-x.First)
		prev = x.Last
	}
	return dst
}

func decodeRanges(r *reader) ranges {
	n := r.uvarint(uint64(len(r.b)))
	var out ranges
	prev := uint64(0)
	for i := uint64(0); i < n && r.err == nil; i++ {
		gap, span := r.uvarint(^uint64(0)), r.uvarint(^uint64(0))
		x := SeqRange{prev + gap, prev + gap + span}
		if r.err == nil && (gap == 0 || i > 0 && gap == 1 || x.First < prev || x.Last < x.First) {
			r.fail("ranges do not ascend")
		}
		out, prev = append(out, x), x.Last
	}
	return out
}

// losses is what a store knows to be lost.
type losses struct {
	booked ranges // by Lose: counted nowhere any more
	found  ranges // unreadable, and still counted
}

func (l *losses) empty() bool { return len(l.booked) == 0 && len(l.found) == 0 }

func (l *losses) encode() []byte { return l.found.encode(l.booked.encode(nil)) }

func decodeLosses(b []byte) (losses, error) {
	r := reader{b: b}
	l := losses{booked: decodeRanges(&r), found: decodeRanges(&r)}
	r.end()
	return l, r.err
}
