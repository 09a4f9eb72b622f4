package journal

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/frondmq/frond/edgestore"
)

// Widths of a record on disk; FORMAT.md has the table.
const (
	recordHeader = 56
	groupFields  = 24 // group, index, term: only when the group is not 0
)

const (
	recordGrouped     = 1 << 0 // the group fields follow the header
	recordClockSynced = 1 << 1 // Stamp.Synced
	recordTakes       = 1 << 2 // Record.Takes
	recordTwice       = 1 << 3 // Record.Twice
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var le = binary.LittleEndian

// recordBytes is what a record with n bytes of data takes.
func recordBytes(r *edgestore.Record, n int) int {
	if r.Group != 0 {
		return recordHeader + groupFields + n
	}
	return recordHeader + n
}

// putRecord writes the header of a record with n bytes of data to b, all but
// the checksum, and returns the width of the header. index is its place in its
// frame.
func putRecord(b []byte, index int, boot uint32, r *edgestore.Record, n int) int {
	_ = b[recordHeader-1]
	if r.Stamp.Boot != 0 {
		boot = r.Stamp.Boot
	}
	var flags uint8
	if r.Stamp.Synced {
		flags |= recordClockSynced
	}
	if r.Takes {
		flags |= recordTakes
	}
	if r.Twice {
		flags |= recordTwice
	}
	le.PutUint32(b[4:], uint32(n))
	le.PutUint64(b[8:], r.Incarnation)
	le.PutUint64(b[16:], r.Seat)
	le.PutUint64(b[24:], r.Place)
	le.PutUint64(b[32:], uint64(r.Stamp.Mono))
	le.PutUint64(b[40:], uint64(r.Stamp.Wall))
	le.PutUint32(b[48:], boot)
	le.PutUint16(b[52:], uint16(index))
	b[54] = r.Kind
	if r.Group == 0 {
		b[55] = flags
		return recordHeader
	}
	b[55] = flags | recordGrouped
	_ = b[recordHeader+groupFields-1]
	le.PutUint64(b[56:], r.Group)
	le.PutUint64(b[64:], r.Index)
	le.PutUint64(b[72:], r.Term)
	return recordHeader + groupFields
}

// recordSpan reads the widths of the record at the start of b: of its header
// and of all of it. It is not ok when they do not fit into b.
func recordSpan(b []byte) (header, total int, ok bool) {
	if len(b) < recordHeader {
		return 0, 0, false
	}
	header = recordHeader
	if b[55]&recordGrouped != 0 {
		header += groupFields
	}
	n := le.Uint32(b[4:])
	if uint64(n)+uint64(header) > uint64(len(b)) {
		return 0, 0, false
	}
	return header, header + int(n), true
}

// recordIndex is the place of a record in its frame.
func recordIndex(b []byte) int { return int(le.Uint16(b[52:])) }

// sealRecord fills in the checksum of the record that b is.
func sealRecord(b []byte, seed uint32) {
	le.PutUint32(b, crc32.Update(seed, castagnoli, b[4:]))
}

// readRecord reads a record without checking it: its widths are known. The LSN
// is for the caller to fill in.
func readRecord(b []byte, header, total int, r *edgestore.Record) {
	r.Incarnation = le.Uint64(b[8:])
	r.Seat = le.Uint64(b[16:])
	r.Place = le.Uint64(b[24:])
	r.Stamp.Mono = int64(le.Uint64(b[32:]))
	r.Stamp.Wall = int64(le.Uint64(b[40:]))
	r.Stamp.Boot = le.Uint32(b[48:])
	r.Kind = b[54]
	r.Stamp.Synced = b[55]&recordClockSynced != 0
	r.Takes = b[55]&recordTakes != 0
	r.Twice = b[55]&recordTwice != 0
	r.Group, r.Index, r.Term = 0, 0, 0
	if header > recordHeader {
		r.Group = le.Uint64(b[56:])
		r.Index = le.Uint64(b[64:])
		r.Term = le.Uint64(b[72:])
	}
	r.Data = b[header:total:total]
}
