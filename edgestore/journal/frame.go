package journal

import (
	"hash/crc32"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

const (
	sector = vfs.Sector
	// frameHeader is the width of the header of a frame; FORMAT.md has the table.
	frameHeader = 64
	// frameMax is how large a frame gets, header included, unless a single
	// record is larger: what is lost at most when a header is damaged.
	frameMax = 32 << 10

	frameMagic = 0x324d5246 // "FRM2"
)

const (
	// frameJump: the LSN was moved ahead on purpose before this frame; what
	// is missing before it was never written.
	frameJump = 1 << 0
	// frameClean: the journal was closed here.
	frameClean = 1 << 1
	// frameCopy: its records stand in the frames before it already, in another
	// page. Their LSNs may have gaps.
	frameCopy = 1 << 2
	// frameGroup: a group begins here.
	frameGroup = 1 << 3
)

// maxLSN keeps sums of an LSN and a count from running over.
const maxLSN = 1 << 62

// align rounds up to where the next frame begins.
func align[T int | int64](n T) T { return (n + sector - 1) &^ (sector - 1) }

// frame is one run of records as found in a segment. A frame without records
// is a marker: it tells how far the log was synced, and which LSN comes next.
type frame struct {
	off    int64 // of the frame in its file
	body   []byte
	count  uint32
	first  edgestore.LSN // of its first record; of a marker: the next to be given
	synced edgestore.LSN // all up to here was durable when this was written
	boot   uint32
	flags  uint32
	seed   uint32 // of its records
	format uint32
	width  int64  // of the body
	sum    uint32 // checksum of the body
	sound  bool   // the body was checked as a whole
}

// header is the width of the header.
func (f *frame) header() int64 {
	if f.format == 1 {
		return frameHeader1
	}
	return frameHeader
}

// last is the LSN of the last record, first-1 for a marker. It is not known of
// copies.
func (f *frame) last() edgestore.LSN { return f.first + edgestore.LSN(f.count) - 1 }

// end is where the next frame begins.
func (f *frame) end() int64 { return align(f.off + f.header() + f.width) }

// recordSeed is what the checksums of the records of a frame start from: the
// boot is part of it, so that sectors which an earlier life left behind can't
// be taken for a part of this frame; and the LSN, for a record only has its
// place in the frame.
func recordSeed(segmentSeed, boot uint32, first edgestore.LSN) uint32 {
	var b [12]byte
	le.PutUint32(b[:], boot)
	le.PutUint64(b[4:], uint64(first))
	return crc32.Update(segmentSeed, castagnoli, b[:])
}

// putFrame writes a frame header; body bytes follow it in the file.
func putFrame(b []byte, seed uint32, f *frame, body int) {
	_ = b[frameHeader-1]
	le.PutUint32(b[0:], frameMagic)
	le.PutUint32(b[8:], uint32(body))
	le.PutUint32(b[12:], f.count)
	le.PutUint64(b[16:], uint64(f.first))
	le.PutUint64(b[24:], uint64(f.synced))
	le.PutUint32(b[32:], f.boot)
	le.PutUint32(b[36:], f.flags)
	clear(b[40:56]) // cipher and nonce: not encrypted
	le.PutUint32(b[56:], f.sum)
	le.PutUint32(b[60:], 0)
	le.PutUint32(b[4:], crc32.Update(seed, castagnoli, b[8:frameHeader]))
}

// getFrame reads and checks a frame header. body is the width of what follows.
func getFrame(b []byte, seed uint32, f *frame) (body int64, ok bool) {
	if len(b) < frameHeader {
		return 0, false
	}
	record := uint64(recordHeader)
	switch le.Uint32(b) {
	case frameMagic:
		f.format = 2
	case frameMagic1:
		f.format, record = 1, recordHeader1
	default:
		return 0, false
	}
	if crc32.Update(seed, castagnoli, b[8:f.header()]) != le.Uint32(b[4:]) {
		return 0, false
	}
	f.count = le.Uint32(b[12:])
	f.first = edgestore.LSN(le.Uint64(b[16:]))
	f.synced = edgestore.LSN(le.Uint64(b[24:]))
	f.boot = le.Uint32(b[32:])
	f.flags = le.Uint32(b[36:])
	if f.format == 1 {
		f.seed = recordSeed1(seed, f.boot)
	} else {
		f.seed = recordSeed(seed, f.boot, f.first)
	}
	f.sum, f.sound = le.Uint32(b[56:]), false
	body = int64(le.Uint32(b[8:]))
	// The law of the writer, kept here because a checksum of 32 bits is no proof.
	if uint64(f.count)*record > uint64(body) || f.first == 0 || f.first >= maxLSN || f.synced >= f.first {
		return 0, false
	}
	return body, true
}

// span is recordSpan in the format of the frame.
func (f *frame) span(b []byte) (header, total int, ok bool) {
	if f.format == 1 {
		return recordSpan1(b)
	}
	return recordSpan(b)
}

// record reads the record at the start of b, which lies in the frame, and
// checks it, unless the whole body was. Data aliases b.
func (f *frame) record(b []byte, r *edgestore.Record) (header, total int, ok bool) {
	header, total, ok = f.span(b)
	if !ok || !f.sound && crc32.Update(f.seed, castagnoli, b[4:total]) != le.Uint32(b) {
		return 0, 0, false
	}
	if f.format == 1 {
		readRecord1(b, header, total, r)
	} else {
		readRecord(b, header, total, r)
		r.LSN = f.first + edgestore.LSN(recordIndex(b))
	}
	return header, total, true
}

// cursor reads the records of a frame in order, and goes on behind a damaged
// one where the next one shows that its length was right.
type cursor struct {
	frame *frame
	pos   int
	last  edgestore.LSN // of the record read last
}

func (f *frame) records() cursor {
	c := cursor{frame: f, last: f.first - 1}
	if f.count == 0 {
		c.pos = len(f.body) // what a mark holds is no record
	}
	return c
}

// next reads the next whole record; at is where its data begins in the body.
func (c *cursor) next(r *edgestore.Record) (at int, ok bool) {
	f := c.frame
	for c.pos < len(f.body) {
		b := f.body[c.pos:]
		header, total, ok := f.record(b, r)
		if ok && r.LSN > c.last && (f.flags&frameCopy != 0 || r.LSN <= f.last()) {
			at = c.pos + header
			c.pos += total
			c.last = r.LSN
			return at, true
		}
		_, total, ok = f.span(b)
		if !ok {
			c.pos = len(f.body)
			break
		}
		c.pos += total
	}
	return 0, false
}

// whole tells whether every record of the frame is there and intact.
func (f *frame) whole() bool {
	var r edgestore.Record
	c := f.records()
	for lsn := f.first; lsn <= f.last(); lsn++ {
		if _, ok := c.next(&r); !ok || r.LSN != lsn {
			return false
		}
	}
	return true
}
