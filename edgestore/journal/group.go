package journal

import (
	"hash/crc32"
	"math"
	"slices"

	"github.com/frondmq/frond/edgestore"
)

// group is a batch of records that is written with one call and synced with
// one call. Its buffer is laid out as it will stand in the segment; what
// depends on the segment (the checksums) is filled in by seal, because a group
// learns where it goes only when it is written, and may be written twice.
type group struct {
	buf   []byte
	refs  []ref
	sides []byte
	first edgestore.LSN
	last  edgestore.LSN
	// frameAt is where the open frame begins in buf, -1 when there is none.
	frameAt    int
	frameCount uint32
	frameFirst edgestore.LSN
	// frames are where the frames begin in buf.
	frames []int
	// twice are the records that are to be written twice, by their place in
	// refs; copyBytes is what that takes at most.
	twice     []int
	copyBytes int

	// staged is what the group counts towards Options.StagedBytes.
	staged int64

	// Set by the committer: where it was written.
	segment uint64
	off     int64
	// lost: it was given up.
	lost bool
}

// ref is what stays in memory beside a record.
type ref struct {
	token  any
	record int // offset in group.buf
	side   uint32
	// sideLen is -1 when there is no side.
	sideLen int32
}

func newGroup() *group { return &group{frameAt: -1} }

// reset empties the group and keeps its memory, unless that is more than max.
func (g *group) reset(max int) {
	clear(g.refs) // let go of the tokens
	g.buf, g.refs, g.sides = g.buf[:0], g.refs[:0], g.sides[:0]
	g.frames, g.twice = g.frames[:0], g.twice[:0]
	if cap(g.buf) > max {
		g.buf = nil
	}
	if cap(g.sides) > max {
		g.sides = nil
	}
	if cap(g.refs) > max/recordHeader {
		g.refs = nil
	}
	g.first, g.last, g.frameAt, g.frameCount, g.staged, g.copyBytes = 0, 0, -1, 0, 0, 0
	g.lost = false
}

// expect makes room for as much as the group before took: growing step by step
// would copy what is in it again and again.
func (g *group) expect(before *group) {
	if cap(g.buf) == 0 {
		g.buf = make([]byte, 0, len(before.buf)+len(before.buf)/16)
		g.refs = slices.Grow(g.refs, len(before.refs)+len(before.refs)/16)
	}
}

// extend makes the buffer n bytes longer; the new bytes are not cleared.
func (g *group) extend(n int) []byte {
	at := len(g.buf)
	g.buf = slices.Grow(g.buf, n)[:at+n]
	return g.buf[at:]
}

// add appends one record of size bytes. It copies everything it is given but
// the token.
func (g *group) add(lsn edgestore.LSN, boot uint32, r *edgestore.Record, size int, side []byte, token any, data [][]byte) {
	if g.frameAt < 0 || g.frameCount > 0 && len(g.buf)-g.frameAt+size > frameMax {
		g.endFrame()
		g.beginFrame(lsn, 0)
	}
	at := len(g.buf)
	b := g.extend(size)
	n := len(r.Data)
	for _, d := range data {
		n += len(d)
	}
	b = b[putRecord(b, int(lsn-g.frameFirst), boot, r, n):]
	b = b[copy(b, r.Data):]
	for _, d := range data {
		b = b[copy(b, d):]
	}
	g.frameCount++
	if g.first == 0 {
		g.first = lsn
	}
	g.last = lsn
	rf := ref{token: token, record: at, sideLen: -1}
	if side != nil {
		rf.side, rf.sideLen = uint32(len(g.sides)), int32(len(side))
		g.sides = append(g.sides, side...)
	}
	if r.Twice {
		g.twice = append(g.twice, len(g.refs))
		g.copyBytes += copyBytes(size)
	}
	g.refs = append(g.refs, rf)
}

func (g *group) beginFrame(first edgestore.LSN, flags uint32) {
	if len(g.buf) == 0 {
		flags |= frameGroup
	}
	g.frameAt = len(g.buf)
	g.frames = append(g.frames, g.frameAt)
	g.frameCount, g.frameFirst = 0, first
	b := g.extend(frameHeader)
	le.PutUint64(b[16:], uint64(first))
	le.PutUint32(b[36:], flags)
}

// endFrame notes the widths of the open frame and fills up to the next sector.
func (g *group) endFrame() {
	if g.frameAt < 0 {
		return
	}
	h := g.buf[g.frameAt:]
	le.PutUint32(h[8:], uint32(len(g.buf)-g.frameAt-frameHeader))
	le.PutUint32(h[12:], g.frameCount)
	if pad := align(len(g.buf)) - len(g.buf); pad > 0 {
		clear(g.extend(pad))
	}
	g.frameAt = -1
}

// A copy lies behind the record that it is for, with a whole page between the
// two wherever the group goes: so no damage of a page, and of nothing else,
// takes both.
const copyGap = 2*pageBytes - sector

// copyBytes is what the copy of a record takes at most, the gap aside.
func copyBytes(size int) int { return frameHeader + size + sector }

// fits tells whether the group with one record more still fits into limit
// bytes, its copies included.
func (g *group) fits(size int, twice bool, limit int) bool {
	n := len(g.buf) + frameHeader + size + sector
	if twice || len(g.twice) > 0 {
		n += copyGap + sector + g.copyBytes
	}
	if twice {
		n += copyBytes(size)
	}
	return n <= limit
}

// finish ends the last frame and adds the copies.
func (g *group) finish() {
	g.endFrame()
	if len(g.twice) == 0 {
		return
	}
	rf := &g.refs[g.twice[len(g.twice)-1]]
	_, total, _ := recordSpan(g.buf[rf.record:])
	if gap := align(rf.record+total+copyGap) - len(g.buf); gap > 0 {
		clear(g.extend(gap))
	}
	for _, i := range g.twice {
		lsn := g.first + edgestore.LSN(i)
		from := g.refs[i].record
		_, total, _ := recordSpan(g.buf[from:])
		if g.frameAt < 0 || len(g.buf)-g.frameAt+total > frameMax || lsn-g.frameFirst > math.MaxUint16 {
			g.endFrame()
			g.beginFrame(lsn, frameCopy)
		}
		b := g.extend(total)
		copy(b, g.buf[from:][:total])
		le.PutUint16(b[52:], uint16(lsn-g.frameFirst))
		g.frameCount++
	}
	g.endFrame()
}

// seal fills in everything that depends on where and when the group is
// written. It must be finished.
func (g *group) seal(seed, boot uint32, synced edgestore.LSN) {
	for _, at := range g.frames {
		h := g.buf[at:]
		body := int(le.Uint32(h[8:]))
		f := frame{
			count: le.Uint32(h[12:]), first: edgestore.LSN(le.Uint64(h[16:])),
			synced: synced, boot: boot, flags: le.Uint32(h[36:]),
		}
		rseed := recordSeed(seed, boot, f.first)
		records := h[frameHeader : frameHeader+body]
		for rest := records; len(rest) > 0; {
			_, total, _ := recordSpan(rest)
			sealRecord(rest[:total], rseed)
			rest = rest[total:]
		}
		f.sum = crc32.Update(rseed, castagnoli, records)
		putFrame(h, seed, &f, body)
	}
}

// entries decodes the records refs[from:to] for apply.
func (g *group) entries(dst []edgestore.Entry, from, to int) []edgestore.Entry {
	for i := from; i < to; i++ {
		rf := &g.refs[i]
		dst = append(dst, edgestore.Entry{Token: rf.token})
		e := &dst[len(dst)-1]
		b := g.buf[rf.record:]
		header, total, _ := recordSpan(b)
		readRecord(b, header, total, &e.Record)
		e.LSN = g.first + edgestore.LSN(i)
		e.At = edgestore.Location{
			Segment: g.segment,
			Offset:  g.off + int64(rf.record+header),
			Length:  uint32(total - header),
		}
		if rf.sideLen >= 0 {
			e.Side = g.sides[rf.side : rf.side+uint32(rf.sideLen) : rf.side+uint32(rf.sideLen)]
		}
	}
	return dst
}
