package journal

import (
	"hash/crc32"

	"github.com/frondmq/frond/edgestore"
)

// Format 1 is read and never written: its frames have a shorter header, and
// its records their LSN, but neither seat nor place.
const (
	frameHeader1  = 40
	recordHeader1 = 48
	frameMagic1   = 0x314d5246 // "FRM1"
)

// recordSeed1 is what the checksums of the records of a frame start from.
func recordSeed1(segmentSeed, boot uint32) uint32 {
	var b [4]byte
	le.PutUint32(b[:], boot)
	return crc32.Update(segmentSeed, castagnoli, b[:])
}

// recordSpan1 is recordSpan.
func recordSpan1(b []byte) (header, total int, ok bool) {
	if len(b) < recordHeader1 {
		return 0, 0, false
	}
	header = recordHeader1
	if b[45]&recordGrouped != 0 {
		header += groupFields
	}
	n := le.Uint32(b[4:])
	if uint64(n)+uint64(header) > uint64(len(b)) {
		return 0, 0, false
	}
	return header, header + int(n), true
}

// readRecord1 is readRecord; it gives the LSN too.
func readRecord1(b []byte, header, total int, r *edgestore.Record) {
	*r = edgestore.Record{
		LSN:         edgestore.LSN(le.Uint64(b[8:])),
		Incarnation: le.Uint64(b[16:]),
		Stamp: edgestore.Stamp{
			Mono:   int64(le.Uint64(b[24:])),
			Wall:   int64(le.Uint64(b[32:])),
			Boot:   le.Uint32(b[40:]),
			Synced: b[45]&recordClockSynced != 0,
		},
		Kind: b[44],
		Data: b[header:total:total],
	}
	if header > recordHeader1 {
		r.Group = le.Uint64(b[48:])
		r.Index = le.Uint64(b[56:])
		r.Term = le.Uint64(b[64:])
	}
}
