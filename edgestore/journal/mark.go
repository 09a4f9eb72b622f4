package journal

import (
	"hash/crc32"
	"sort"

	"github.com/frondmq/frond/edgestore"
)

// A mark is a frame without records that says how far the log is durable. It
// stands in two pages, behind the last group and in journal.id, so that no
// damage of one page takes the end of the log and the knowledge of it. Its body
// names the heads of the streams in the newest records: whose they were, should
// they be damaged.

// Widths of the body of a mark; FORMAT.md has the table.
const (
	headsHeader = 16
	headBytes   = 24
)

// marked is what a mark says.
type marked struct {
	next   edgestore.LSN // everything before is durable
	synced edgestore.LSN
	boot   uint32
	heads  []edgestore.Head
	since  edgestore.LSN // all records from here to next-1 are of streams in heads
	// headless: the heads are damaged.
	headless bool
}

// heads are the streams that the newest records belong to.
type heads struct {
	list  []head
	at    map[uint64]int // in list, by incarnation
	since edgestore.LSN
	last  int // in list; records of one stream come in rows
}

type head struct {
	edgestore.Head
	lsn edgestore.LSN // of its last record
}

// maxHeads fill the mark in journal.id.
const maxHeads = (pageBytes - frameHeader - headsHeader) / headBytes

// set begins with what a mark of an earlier life said.
func (h *heads) set(m *marked) {
	h.list, h.since, h.last = nil, m.since, 0
	h.at = map[uint64]int{}
	for _, hd := range m.heads {
		h.put(hd, m.next-1)
	}
}

func (h *heads) put(hd edgestore.Head, lsn edgestore.LSN) {
	if h.last < len(h.list) && h.list[h.last].Incarnation == hd.Incarnation {
		h.list[h.last] = head{hd, lsn}
		return
	}
	i, ok := h.at[hd.Incarnation]
	if !ok {
		i = len(h.list)
		h.list = append(h.list, head{})
		h.at[hd.Incarnation] = i
	}
	h.list[i] = head{hd, lsn}
	h.last = i
}

// note adds the records of a group. Those that are not numbered are in no
// chain, so that nothing is known of what is not behind them.
func (h *heads) note(g *group) {
	for i := range g.refs {
		b := g.buf[g.refs[i].record:]
		lsn := g.first + edgestore.LSN(i)
		hd := edgestore.Head{Incarnation: le.Uint64(b[8:])}
		hd.Chain.Seat, hd.Chain.Place = le.Uint64(b[16:]), le.Uint64(b[24:])
		if hd.Chain.Seat == 0 {
			h.since = lsn + 1
			continue
		}
		if b[55]&recordTakes != 0 {
			hd.Chain.Place++
		}
		h.put(hd, lsn)
	}
	if len(h.list) > 4*maxHeads {
		h.trim(2 * maxHeads)
	}
}

// trim forgets all but the n newest.
func (h *heads) trim(n int) {
	sort.Slice(h.list, func(i, j int) bool { return h.list[i].lsn > h.list[j].lsn })
	if len(h.list) > n {
		h.since = max(h.since, h.list[n].lsn+1)
		h.list = h.list[:n]
	}
	clear(h.at)
	for i := range h.list {
		h.at[h.list[i].Incarnation] = i
	}
	h.last = 0
}

// putMark writes a mark with as many heads as fit into b and returns its width,
// in whole sectors.
func (h *heads) putMark(b []byte, seed uint32, f *frame) int {
	n := (len(b) - frameHeader - headsHeader) / headBytes
	if len(h.list) > n {
		h.trim(len(h.list)) // the newest come first
	}
	n = min(n, len(h.list))
	since := h.since
	if n < len(h.list) {
		since = max(since, h.list[n].lsn+1)
	}
	body := b[frameHeader:][:headsHeader+n*headBytes]
	le.PutUint32(body[4:], uint32(n))
	le.PutUint64(body[8:], uint64(since))
	for i := range n {
		p := body[headsHeader+i*headBytes:]
		le.PutUint64(p, h.list[i].Incarnation)
		le.PutUint64(p[8:], h.list[i].Chain.Seat)
		le.PutUint64(p[16:], h.list[i].Chain.Place)
	}
	le.PutUint32(body, crc32.Update(recordSeed(seed, f.boot, f.first), castagnoli, body[4:]))
	putFrame(b, seed, f, len(body))
	width := align(frameHeader + len(body))
	clear(b[frameHeader+len(body) : width])
	return width
}

// mark reads the frame as a mark. The heads are missing when they are damaged.
func (f *frame) mark() marked {
	m := marked{next: f.first, synced: f.synced, boot: f.boot, since: f.first, headless: true}
	b := f.body
	if f.format == 1 || len(b) < headsHeader || crc32.Update(f.seed, castagnoli, b[4:]) != le.Uint32(b) {
		return m
	}
	n := int(le.Uint32(b[4:]))
	if n > (len(b)-headsHeader)/headBytes {
		return m
	}
	m.since, m.headless = edgestore.LSN(le.Uint64(b[8:])), false
	for i := range n {
		p := b[headsHeader+i*headBytes:]
		m.heads = append(m.heads, edgestore.Head{
			Incarnation: le.Uint64(p),
			Chain:       edgestore.Chain{Seat: le.Uint64(p[8:]), Place: le.Uint64(p[16:])},
		})
	}
	return m
}
