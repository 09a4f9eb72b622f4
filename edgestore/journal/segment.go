package journal

import (
	"fmt"
	"hash/crc32"
	"slices"
	"sync"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

const (
	// segmentHeader is what the header page of a segment takes; a page of its
	// own, so that a commit never writes over it.
	segmentHeader = pageBytes
	// pageBytes is what damage of flash or of a page cache takes at once.
	pageBytes    = 4096
	segmentMagic = "frondseg"
	// Format is the number of the disk format that this code writes. It only
	// grows; a journal of a newer format is refused, one of an older format is
	// read and goes on in this one.
	Format = 2

	segmentSuffix = ".seg"
)

// segment is one file of the log. Its number is its generation: it is part of
// every checksum in it and never used twice, so that what a recycled file still
// holds of its former life can't be taken for records of this one.
type segment struct {
	number uint64
	path   string
	file   vfs.File
	size   int64
	seed   uint32
	format uint32                       // of its header; 0 when that is damaged
	told   func(file string, err error) // Events.ReadFailed
	// reserve: it was the reserve, so only reserved records may fill it.
	reserve bool

	// Owned by the committer while the segment is active, fixed afterwards.
	tail int64 // where the next frame goes

	// Guarded by shelf.mu.
	first edgestore.LSN // of its first frame; 0: nothing written yet
	last  edgestore.LSN // of its last synced record; below first: none
	jump  edgestore.LSN // not 0: its first frame moved the LSN ahead from here
	refs  int           // reads under way
	bad   bool          // a write or sync failed: it is never written again

	marks marks
}

// marks remembers where frames begin, at distances of markEvery or more, so
// that a read finds the frame that it needs and can check it.
type marks struct {
	mu struct {
		sync.Mutex
		at       []int64
		boots    []uint32 // of the frames there
		complete bool     // false for a segment of an earlier life not scanned yet
	}
}

const markEvery = 16 << 10

func (m *marks) addLocked(off int64, boot uint32) {
	if n := len(m.mu.at); n == 0 || off-m.mu.at[n-1] >= markEvery {
		m.mu.at, m.mu.boots = append(m.mu.at, off), append(m.mu.boots, boot)
	}
}

// note adds the frames of a group that was just written.
func (m *marks) note(g *group, boot uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range g.frames {
		m.addLocked(g.off+int64(at), boot)
	}
}

// around returns the stretch of a segment that begins with a frame and holds
// the byte at off, and the boot of that frame; end is size at most.
func (m *marks) around(off, size int64) (begin, end int64, boot uint32, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, exact := slices.BinarySearch(m.mu.at, off)
	if !exact {
		i--
	}
	if i < 0 {
		return 0, 0, 0, false
	}
	if i+1 < len(m.mu.at) {
		size = m.mu.at[i+1]
	}
	return m.mu.at[i], size, m.mu.boots[i], true
}

func segmentName(number uint64) string { return fmt.Sprintf("%016x%s", number, segmentSuffix) }

// parseSegmentName is the reverse of segmentName.
func parseSegmentName(name string) (number uint64, ok bool) {
	if len(name) != 16+len(segmentSuffix) || name[16:] != segmentSuffix {
		return 0, false
	}
	for _, c := range []byte(name[:16]) {
		switch {
		case c >= '0' && c <= '9':
			number = number<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			number = number<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return number, number != 0
}

// segmentSeed is what the checksums in a segment start from.
func segmentSeed(id, number uint64) uint32 {
	var b [16]byte
	le.PutUint64(b[:], id)
	le.PutUint64(b[8:], number)
	return crc32.Update(0, castagnoli, b[:])
}

// segmentInfo is the content of a segment header.
type segmentInfo struct {
	format uint32
	id     uint64 // of the journal
	number uint64
	floor  edgestore.LSN // everything up to here was durable when it was prepared
	boot   uint32
}

// segmentInfoBytes and what lies in them stay as they are in every format.
const segmentInfoBytes = 44

// headerRelease is where the header says what was released when the segment was
// prepared, in a sector of its own: it is what is known of that when the small file
// is gone.
const headerRelease = 512

func putSegmentInfo(b []byte, h segmentInfo) {
	copy(b, segmentMagic)
	le.PutUint32(b[12:], h.format)
	le.PutUint64(b[16:], h.id)
	le.PutUint64(b[24:], h.number)
	le.PutUint64(b[32:], uint64(h.floor))
	le.PutUint32(b[40:], h.boot)
	le.PutUint32(b[8:], crc32.Update(0, castagnoli, b[12:segmentInfoBytes]))
}

// getSegmentInfo is not ok when the header is damaged or was never written.
func getSegmentInfo(b []byte) (h segmentInfo, ok bool) {
	if len(b) < segmentInfoBytes || string(b[:8]) != segmentMagic ||
		crc32.Update(0, castagnoli, b[12:segmentInfoBytes]) != le.Uint32(b[8:]) {
		return h, false
	}
	h.format = le.Uint32(b[12:])
	h.id = le.Uint64(b[16:])
	h.number = le.Uint64(b[24:])
	h.floor = edgestore.LSN(le.Uint64(b[32:]))
	h.boot = le.Uint32(b[40:])
	return h, true
}
