package edgestore

import (
	"encoding/binary"
	"math/bits"
)

// IDKey keys the hash of ids, so that nobody outside can choose ids that fall
// on each other.
type IDKey [2]uint64

// Hash is SipHash with one round a word and three at the end (the variant for
// tables): the ids come from publishers.
func (k IDKey) Hash(id []byte) uint64 {
	v0, v1 := k[0]^0x736f6d6570736575, k[1]^0x646f72616e646f6d
	v2, v3 := k[0]^0x6c7967656e657261, k[1]^0x7465646279746573
	last := uint64(len(id)) << 56
	for len(id) >= 8 {
		w := binary.LittleEndian.Uint64(id)
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3^w)
		v0 ^= w
		id = id[8:]
	}
	for i, c := range id {
		last |= uint64(c) << (8 * i)
	}
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3^last)
	v0 ^= last
	v2 ^= 0xff
	for range 3 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	return v0 ^ v1 ^ v2 ^ v3
}

func sipRound(v0, v1, v2, v3 uint64) (uint64, uint64, uint64, uint64) {
	v0 += v1
	v2 += v3
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v2 += v1
	v0 = bits.RotateLeft64(v0, 32) + v3
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	return v0, v1, bits.RotateLeft64(v2, 32), v3
}

// idFilter says of a hash that it is not in a set, or that it may be. A hash
// sets one bit in each of the eight words of one line of the memory, so that a
// question costs one look there.
type idFilter struct{ words []uint64 }

const (
	// idFilterBits for each id let one of about 550 others pass, and are what
	// the memory for ids is spent on.
	idFilterBits  = 14
	idFilterWords = 8
)

// idFilterSalts are odd and otherwise arbitrary: each word takes other bits of
// the product.
var idFilterSalts = [idFilterWords]uint32{
	0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f, 0x165667b1, 0xd3a2646d, 0xfd7046c5, 0xb55a4f09,
}

func newIDFilter(count uint64) idFilter {
	lines := (count*idFilterBits + 64*idFilterWords - 1) / (64 * idFilterWords)
	return idFilter{make([]uint64, max(lines, 1)*idFilterWords)}
}

// line is the part of the filter that a hash falls on.
func (f idFilter) line(hash uint64) *[idFilterWords]uint64 {
	n := uint64(len(f.words) / idFilterWords)
	at, _ := bits.Mul64(hash, n)
	return (*[idFilterWords]uint64)(f.words[at*idFilterWords:])
}

func (f idFilter) add(hash uint64) {
	line, low := f.line(hash), uint32(hash)
	for i, salt := range &idFilterSalts {
		line[i] |= 1 << (low * salt >> 26)
	}
}

func (f idFilter) mayHave(hash uint64) bool {
	line, low := f.line(hash), uint32(hash)
	for i, salt := range &idFilterSalts {
		if line[i]>>(low*salt>>26)&1 == 0 {
			return false
		}
	}
	return true
}
