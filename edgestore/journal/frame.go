package journal

import (
	"hash/crc32"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

const (
	sector = vfs.Sector
	// frameHeader is the width of the header of a frame; FORMAT.md has the table.
	frameHeader = 40
	// frameMax is how large a frame gets, header included, unless a single
	// record is larger: what is lost at most when a header is damaged.
	frameMax = 32 << 10

	frameMagic = 0x314d5246 // "FRM1"
)

const (
	// frameJump: the LSN was moved ahead on purpose before this frame; what
	// is missing before it was never written.
	frameJump = 1 << 0
	// frameClean: the journal was closed here.
	frameClean = 1 << 1
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
}

// last is the LSN of the last record, first-1 for a marker.
func (f *frame) last() edgestore.LSN { return f.first + edgestore.LSN(f.count) - 1 }

// end is where the next frame begins.
func (f *frame) end() int64 { return align(f.off + frameHeader + int64(len(f.body))) }

// recordSeed is what the checksums of the records of a frame start from: the
// boot is part of it, so that sectors which an earlier life left behind can't
// be taken for a part of this frame.
func recordSeed(segmentSeed, boot uint32) uint32 {
	var b [4]byte
	le.PutUint32(b[:], boot)
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
	le.PutUint32(b[4:], crc32.Update(seed, castagnoli, b[8:frameHeader]))
}

// getFrame reads and checks a frame header. body is the width of what follows.
func getFrame(b []byte, seed uint32, f *frame) (body int64, ok bool) {
	if len(b) < frameHeader || le.Uint32(b) != frameMagic ||
		crc32.Update(seed, castagnoli, b[8:frameHeader]) != le.Uint32(b[4:]) {
		return 0, false
	}
	f.count = le.Uint32(b[12:])
	f.first = edgestore.LSN(le.Uint64(b[16:]))
	f.synced = edgestore.LSN(le.Uint64(b[24:]))
	f.boot = le.Uint32(b[32:])
	f.flags = le.Uint32(b[36:])
	f.seed = recordSeed(seed, f.boot)
	body = int64(le.Uint32(b[8:]))
	// The law of the writer, kept here because a checksum of 32 bits is no proof.
	if uint64(f.count)*recordHeader > uint64(body) || f.first == 0 || f.first >= maxLSN || f.synced >= f.first {
		return 0, false
	}
	return body, true
}

// cursor reads the records of a frame in order, and goes on behind a damaged
// one where the next one shows that its length was right.
type cursor struct {
	frame *frame
	pos   int
	last  edgestore.LSN // of the record read last
}

func (f *frame) records() cursor { return cursor{frame: f, last: f.first - 1} }

// next reads the next whole record; at is where its data begins in the body.
func (c *cursor) next(r *edgestore.Record) (at int, ok bool) {
	for c.pos < len(c.frame.body) {
		b := c.frame.body[c.pos:]
		header, total, ok := getRecord(b, c.frame.seed, r)
		if ok && r.LSN > c.last && r.LSN <= c.frame.last() {
			at = c.pos + header
			c.pos += total
			c.last = r.LSN
			return at, true
		}
		_, total, ok = recordSpan(b)
		if !ok {
			c.pos = len(c.frame.body)
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
