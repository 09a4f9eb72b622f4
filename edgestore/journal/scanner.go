package journal

import (
	"errors"
	"io"

	"github.com/frondmq/frond/edgestore/vfs"
)

// scanner finds the frames of a segment from its start to its end. Where the
// bytes are no frame it looks for the next one at every sector.
type scanner struct {
	file vfs.File
	seed uint32
	size int64
	off  int64
	boot uint32 // of the newest frame so far: older ones behind it are stale

	buf []byte
	lo  int64 // offset of buf[0] in the file
}

const scanWindow = 256 << 10

func newScanner(s *segment) *scanner {
	return &scanner{file: s.file, seed: s.seed, size: s.size, off: segmentHeader}
}

// next finds the next frame. The body is valid until the call after.
func (s *scanner) next(f *frame) bool {
	for s.off+frameHeader <= s.size {
		if body, ok := getFrame(s.view(s.off, frameHeader), s.seed, f); ok &&
			f.boot >= s.boot && s.off+f.header()+body <= s.size {
			f.off = s.off
			f.body = s.view(s.off, f.header()+body)[f.header():]
			s.off = f.end()
			s.boot = f.boot
			return true
		}
		s.off += sector
	}
	return false
}

// view returns n bytes at off, which lie within the file. Bytes that can't be
// read come back as zeros: no checksum takes those.
func (s *scanner) view(off, n int64) []byte {
	if off < s.lo || off+n > s.lo+int64(len(s.buf)) {
		want := max(n, min(scanWindow, s.size-off))
		if int64(cap(s.buf)) < want {
			s.buf = make([]byte, want)
		}
		s.buf = s.buf[:want]
		s.lo = off
		readWhatCanBeRead(s.file, s.buf, off)
	}
	return s.buf[off-s.lo:][:n]
}

// readWhatCanBeRead fills b from off and leaves zeros where the disk refuses.
func readWhatCanBeRead(f vfs.File, b []byte, off int64) {
	n, err := f.ReadAt(b, off)
	if err == nil || n == len(b) {
		return
	}
	clear(b)
	if errors.Is(err, io.EOF) {
		f.ReadAt(b[:n], off)
		return
	}
	for at := 0; at < len(b); at += 4096 {
		piece := b[at:min(at+4096, len(b))]
		if n, err := f.ReadAt(piece, off+int64(at)); err != nil && n < len(piece) {
			clear(piece)
		}
	}
}
